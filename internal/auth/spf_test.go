package auth_test

import (
	"strings"
	"testing"

	"pmilter/internal/auth"
)

// What the suite of openspf does not have: whose name is asked, and text from outside.
func TestSPF(t *testing.T) {
	z := zone{
		"TXT example.org":     {"v=spf1 ip4:192.0.2.1 -all exp=why.example.org"},
		"TXT why.example.org": {"no: %{s}\r\n\xff" + strings.Repeat("x", 1000)},
		"TXT h.example.org":   {"v=spf1 ip4:192.0.2.2 ~all"},
		"TXT odd.example":     {"ODD"},
	}
	for name, c := range map[string]struct {
		client auth.Client
		want   string
	}{
		"sender":      {auth.Client{IP: "192.0.2.1", Helo: "h.example.org", Sender: "a@Example.ORG"}, "pass example.org mailfrom"},
		"null sender": {auth.Client{IP: "192.0.2.2", Helo: "h.example.org"}, "pass h.example.org helo"},
		"mapped":      {auth.Client{IP: "::ffff:192.0.2.1", Sender: "a@example.org"}, "pass example.org mailfrom"},
		"at sign":     {auth.Client{IP: "192.0.2.1", Sender: `"a@h.example.org"@example.org`}, "pass example.org mailfrom"},
		"no address":  {auth.Client{Sender: "a@example.org"}, "none  mailfrom"},
		"no domain":   {auth.Client{IP: "192.0.2.1", Sender: "joe"}, "none  mailfrom"},
		"literal":     {auth.Client{IP: "192.0.2.1", Helo: "[192.0.2.1]"}, "none  helo"},
		"one label":   {auth.Client{IP: "192.0.2.1", Helo: "localhost"}, "none  helo"},
		"odd DNS":     {auth.Client{IP: "192.0.2.1", Sender: "a@odd.example"}, "temperror odd.example mailfrom"},
		"fail":        {auth.Client{IP: "192.0.2.9", Sender: "a@example.org"}, "fail example.org mailfrom"},
	} {
		r, err := service(z).SPF(t.Context(), c.client)
		if got := r.Result + " " + r.Domain + " " + r.Identity; err != nil || got != c.want {
			t.Errorf("%s: %+v %v, want %s", name, r, err, c.want)
		}
		if name == "fail" && (!strings.HasPrefix(r.Explanation, "no: a@example.org???x") || len(r.Explanation) != 300) {
			t.Errorf("%q", r.Explanation)
		}
	}
}
