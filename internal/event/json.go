package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// record is the JSON of X-Pmilter-Event, in this order.
type record struct {
	ID         string          `json:"id"`
	Queue      string          `json:"queue"`
	Time       time.Time       `json:"time"`
	QueueID    text            `json:"queueId,omitempty"`
	Client     clientRecord    `json:"client"`
	Helo       text            `json:"helo,omitempty"`
	Sender     text            `json:"sender"`
	Recipients []text          `json:"recipients"`
	Verdict    string          `json:"verdict"`
	Complete   bool            `json:"complete"`
	Data       json.RawMessage `json:"data,omitempty"`
}

type clientRecord struct {
	IP     text `json:"ip,omitempty"`
	Port   int  `json:"port,omitempty"`
	Name   text `json:"name,omitempty"`
	Family text `json:"family,omitempty"`
}

// encode is the event as one line of ASCII.
func (e *Event) encode() ([]byte, error) {
	r := record{
		ID: e.ID, Queue: e.Queue, Time: e.Time.UTC(), QueueID: text(e.QueueID),
		Client: clientRecord{text(e.Client.IP), e.Client.Port, text(e.Client.Name), text(e.Client.Family)},
		Helo:   text(e.Helo), Sender: text(e.Sender), Recipients: make([]text, len(e.Recipients)),
		Verdict: e.Verdict, Complete: e.Complete, Data: e.Data,
	}
	for i, a := range e.Recipients {
		r.Recipients[i] = text(a)
	}
	var line bytes.Buffer
	w := json.NewEncoder(&line)
	w.SetEscapeHTML(false)
	if err := w.Encode(r); err != nil {
		return nil, err
	}
	return ascii(bytes.TrimSuffix(line.Bytes(), []byte("\n"))), nil
}

// decode reads what encode wrote.
func decode(line []byte) (*Event, error) {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, err
	}
	if r.ID == "" {
		return nil, errors.New("it has no id")
	}
	e := &Event{
		ID: r.ID, Queue: r.Queue, Time: r.Time, QueueID: string(r.QueueID),
		Client: Client{string(r.Client.IP), r.Client.Port, string(r.Client.Name), string(r.Client.Family)},
		Helo:   string(r.Helo), Sender: string(r.Sender), Recipients: make([]string, len(r.Recipients)),
		Verdict: r.Verdict, Complete: r.Complete, Data: r.Data,
	}
	for i, a := range r.Recipients {
		e.Recipients[i] = string(a)
	}
	return e, nil
}

// ascii escapes what is not ASCII in valid JSON, which can only be in strings.
func ascii(line []byte) []byte {
	if bytes.IndexFunc(line, func(r rune) bool { return r >= 0x7f }) < 0 {
		return line
	}
	out := make([]byte, 0, len(line)+len(line)/4)
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		switch {
		case r < 0x7f:
			out = append(out, line[0])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		line = line[n:]
	}
	return out
}

// text is a string of mail: any bytes. In JSON a byte 0x80 to 0xff that is no
// UTF-8 is the lone surrogate \udc80 to \udcff, as Python's surrogateescape has it.
type text string

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, len(t)+2)
	out = append(out, '"')
	for i := 0; i < len(t); {
		r, n := utf8.DecodeRuneInString(string(t[i:]))
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\udc%02x`, t[i])
		case r < 0x20 || r == 0x7f:
			out = fmt.Appendf(out, `\u%04x`, r)
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		default:
			out = append(out, t[i:i+n]...)
		}
		i += n
	}
	return append(out, '"'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(quoted []byte) error {
	var plain string
	if err := json.Unmarshal(quoted, &plain); err != nil {
		return err
	}
	if !bytes.Contains(bytes.ToLower(quoted), []byte(`\udc`)) {
		*t = text(plain)
		return nil
	}
	*t = text(unescape(string(quoted[1 : len(quoted)-1])))
	return nil
}

// unescape is what stands between a JSON string's quotes, which are valid, with
// lone low surrogates as bytes.
func unescape(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		if s[i+1] != 'u' {
			out = append(out, simple(s[i+1]))
			i += 2
			continue
		}
		r := hex4(s[i+2:])
		i += 6
		if utf16.IsSurrogate(r) && r < 0xdc00 && len(s) >= i+6 && s[i] == '\\' && s[i+1] == 'u' {
			if pair := utf16.DecodeRune(r, hex4(s[i+2:])); pair != utf8.RuneError {
				out, i = utf8.AppendRune(out, pair), i+6
				continue
			}
		}
		if r >= 0xdc80 && r <= 0xdcff {
			out = append(out, byte(r))
		} else {
			out = utf8.AppendRune(out, r) // a surrogate becomes U+FFFD
		}
	}
	return out
}

// simple is the byte that an escape of one letter stands for.
func simple(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hex4(s string) rune {
	n, _ := strconv.ParseUint(s[:4], 16, 16) // checked by encoding/json
	return rune(n)
}
