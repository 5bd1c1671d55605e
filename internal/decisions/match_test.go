package decisions_test

import (
	"strings"
	"testing"

	"pmilter/internal/decisions"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	r := full()
	r.Edits = []string{"sender new@example.com", "+rcpt added@example.com", "add X-A"}
	r.Helo = "HELO.example.org"
	six := &decisions.Record{About: "connection", Client: "2001:db8::7"}
	null := &decisions.Record{About: "message"}
	yes := map[string]*decisions.Record{
		"4XQ1": r, " 4XQ1 ": r, "abc": r, "1.M2P3Q4.pmilter.host": r,
		"alice@example.org": r, "ALICE@EXAMPLE.ORG": r, "<alice@example.org>": r, "bob@example.net": r, "carol@example.net": r, "grün@example.net": r,
		"@example.org": r, "@EXAMPLE.NET": r, "@example.com": r, "new@example.com": r, "added@example.com": r, "1@x": r, "<1@x>": r,
		"192.0.2.7": r, "[192.0.2.7]": r, "::ffff:192.0.2.7": r, "192.0.2.0/24": r, "192.0.2.9/24": r, "0.0.0.0/0": r,
		"mail.example.org": r, "helo.example.org": r,
		"2001:db8::7": six, "2001:DB8:0::7": six, "IPv6:2001:db8::7": six, "[IPv6:2001:db8::7]": six, "2001:db8::/32": six,
		"<>": null,
	}
	for s, r := range yes {
		m, err := decisions.ParseMatch(s)
		if err != nil || !m.Is(r) {
			t.Errorf("%q does not match (%v)", s, err)
			continue
		}
		if line := strings.ToLower(string(decisions.Append(nil, r))); !strings.Contains(line, m.Needle()) {
			t.Errorf("%q: %q is not in the line", s, m.Needle())
		}
	}
	no := map[string]*decisions.Record{
		"4xq1": r, "4XQ": r, "ABC": r, "lice@example.org": r, "alice": r, "@ample.org": r, "@mail.example.org": r, "org": r,
		"192.0.2.77": r, "192.0.3.0/24": r, "::/0": r, "<>": r, "add": r, "X-A": r, "archive": r, "reject": r, "2001:db8::8": six, "0.0.0.0/0": six,
		"192.0.2.7": null, "@": null,
	}
	for s, r := range no {
		if m, err := decisions.ParseMatch(s); err == nil && m.Is(r) {
			t.Errorf("%q matches %+v", s, r)
		}
	}
	if m, _ := decisions.ParseMatch("<>"); m.Is(six) {
		t.Error("a connection has no sender")
	}
	for _, s := range []string{"", " ", "@"} {
		if _, err := decisions.ParseMatch(s); err == nil {
			t.Errorf("%q is something", s)
		}
	}
}
