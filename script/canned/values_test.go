package canned_test

import (
	"fmt"
	"testing"

	"pmilter/script"
	"pmilter/script/canned"
)

func TestValues(t *testing.T) {
	t.Parallel()
	d := &canned.DNS{}
	for _, tt := range []struct {
		kind   string
		values any
		want   string
	}{
		{"a", "192.0.2.1", "[{192.0.2.1  0 0 0}]"},
		{"TXT", []any{"a", "b"}, "[{a  0 0 0} {b  0 0 0}]"},
		{"MX", []any{map[string]any{"preference": int64(10), "exchange": "mx"}}, "[{ mx 10 0 0}]"},
		{"SRV", map[string]any{"priority": 1.0, "weight": 2, "port": int64(3), "name": "s"}, "[{ s 1 2 3}]"},
		{"A", []any{}, "DNSError ENOTFOUND"},
		{"A", map[string]any{"error": "ETIMEOUT"}, "TimeoutError ETIMEOUT"},
		{"A", 5, "dns.answer: 5 is no A record"},
		{"MX", "10 mx", "dns.answer: 10 mx is no MX record"},
		{"A", map[string]any{"error": 5}, `dns.answer: error is 5: a code like "ESERVFAIL"`},
	} {
		got := ""
		if err := d.AnswerValues("x.example.org", tt.kind, tt.values); err != nil {
			got = err.Error()
		} else if records, err := d.Resolve(t.Context(), "x.example.org", tt.kind); err != nil {
			got = known(err)
		} else {
			got = fmt.Sprint(records)
		}
		if got != tt.want {
			t.Errorf("%s %v: %s, want %s", tt.kind, tt.values, got, tt.want)
		}
	}
	h := &canned.HTTP{}
	for _, tt := range []struct {
		response any
		want     string
	}{
		{"body", "200 body []"},
		{[]byte{65}, "200 A []"},
		{map[string]any{"status": int64(404), "headers": map[string]any{"X-A": "1"}, "body": "no"}, "404 no [[x-a 1]]"},
		{map[string]any{"json": map[string]any{"a": []any{1.0}}}, `200 {"a":[1]} [[content-type application/json]]`},
		{map[string]any{"status": "x"}, "http.answer: status is x: 200 to 599"},
		{map[string]any{"bdoy": "x"}, `http.answer: no "bdoy": there are status, headers, body, json`},
		{5, "http.answer: the response is neither a body nor an object"},
	} {
		got := ""
		if err := h.AnswerValue("http://x/", tt.response); err != nil {
			got = err.Error()
		} else if r, err := h.Fetch(t.Context(), script.HTTPRequest{URL: "http://x/", MaxSize: 99}); err == nil {
			got = fmt.Sprint(r.Status, " ", string(r.Body), " ", r.Header)
		}
		if got != tt.want {
			t.Errorf("%v: %s, want %s", tt.response, got, tt.want)
		}
	}
	n := &canned.Net{}
	if err := n.AnswerValue("x:1", "pong"); err != nil {
		t.Error(err)
	}
	if err := n.AnswerValue("x:1", 5); err == nil {
		t.Error("5 is taken for bytes")
	}
}
