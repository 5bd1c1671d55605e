package canned

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pmilter/script"
)

// The functions below take answers as tests of scripts write them: strings,
// numbers, []byte, and lists and maps of these. An error is a mistake in the test.

// AnswerValues is dns.answer(name, type, values): a value or a list of them, as
// resolve gives them; an empty list for a name that is not there; or a code such as
// { error: "ESERVFAIL" }.
func (d *DNS) AnswerValues(name, kind string, values any) error {
	kind = strings.ToUpper(kind)
	if m, ok := values.(map[string]any); ok && m["error"] != nil {
		code, ok := m["error"].(string)
		if !ok || code == "" {
			return fmt.Errorf("dns.answer: error is %v: a code like \"ESERVFAIL\"", m["error"])
		}
		d.Answer(name, kind, nil, code)
		return nil
	}
	list, ok := values.([]any)
	if !ok {
		list = []any{values}
	}
	records := make([]script.DNSRecord, 0, len(list))
	for _, v := range list {
		r, err := record(kind, v)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	d.Answer(name, kind, records, "")
	return nil
}

func record(kind string, v any) (script.DNSRecord, error) {
	fields, isMap := v.(map[string]any)
	text, isText := v.(string)
	host := func(key string) string { s, _ := fields[key].(string); return s }
	switch {
	case kind == "MX" && isMap:
		return script.DNSRecord{Name: host("exchange"), Priority: whole(fields["preference"])}, nil
	case kind == "SRV" && isMap:
		return script.DNSRecord{
			Name: host("name"), Priority: whole(fields["priority"]), Weight: whole(fields["weight"]), Port: whole(fields["port"]),
		}, nil
	case kind == "MX" || kind == "SRV" || !isText:
		return script.DNSRecord{}, fmt.Errorf("dns.answer: %v is no %s record", v, kind)
	}
	return script.DNSRecord{Text: text}, nil
}

func whole(v any) int {
	switch n := v.(type) {
	case int:
		return n
	case int64:
		return int(n)
	case float64:
		return int(n)
	}
	return 0
}

// AnswerValue is http.answer(url, response): a body as a string or bytes, or an
// object with status, headers, and a body or json.
func (h *HTTP) AnswerValue(url string, response any) error {
	m, ok := response.(map[string]any)
	if !ok {
		body, ok := data(response)
		if !ok {
			return fmt.Errorf("http.answer: the response is neither a body nor an object")
		}
		h.Answer(url, script.HTTPResponse{Body: body})
		return nil
	}
	r := script.HTTPResponse{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		v := m[key]
		switch key {
		case "status":
			if r.Status = whole(v); r.Status < 200 || r.Status > 599 {
				return fmt.Errorf("http.answer: status is %v: 200 to 599", v)
			}
		case "headers":
			fields, ok := v.(map[string]any)
			if !ok {
				return fmt.Errorf("http.answer: headers is no object")
			}
			for _, name := range slices.Sorted(maps.Keys(fields)) {
				r.Header = append(r.Header, [2]string{strings.ToLower(name), fmt.Sprint(fields[name])})
			}
		case "body":
			if r.Body, ok = data(v); !ok {
				return fmt.Errorf("http.answer: body is neither a string nor bytes")
			}
		case "json":
			body, err := json.Marshal(v)
			if err != nil {
				return fmt.Errorf("http.answer: json: %w", err)
			}
			r.Body = body
			r.Header = append(r.Header, [2]string{"content-type", "application/json"})
		default:
			return fmt.Errorf("http.answer: no %q: there are status, headers, body, json", key)
		}
	}
	h.Answer(url, r)
	return nil
}

// AnswerValue is net.answer(address, bytes): a string or bytes.
func (n *Net) AnswerValue(address string, answer any) error {
	bytes, ok := data(answer)
	if !ok {
		return fmt.Errorf("net.answer: the answer is neither a string nor bytes")
	}
	n.Answer(address, bytes)
	return nil
}

func data(v any) ([]byte, bool) {
	switch v := v.(type) {
	case string:
		return []byte(v), true
	case []byte:
		return v, true
	}
	return nil, false
}
