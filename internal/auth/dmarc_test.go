package auth_test

import (
	"strings"
	"testing"

	"pmilter/internal/auth"
)

func TestDMARC(t *testing.T) {
	const reject = "v=DMARC1; p=reject"
	spf := func(domain string) auth.SPF { return auth.SPF{Result: "pass", Domain: domain} }
	dkim := func(list ...string) (all []auth.DKIM) {
		for _, s := range list {
			result, domain, _ := strings.Cut(s, " ")
			all = append(all, auth.DKIM{Result: result, Domain: domain})
		}
		return all
	}
	for name, c := range map[string]struct {
		from   string
		zone   zone
		spf    auth.SPF
		dkim   []auth.DKIM
		result string
		want   string // disposition policy aligned
	}{
		"no record":       {"a@example.org", nil, spf("example.org"), nil, "none", "none "},
		"no From":         {"", nil, spf("example.org"), nil, "permerror", "none "},
		"two From":        {"a@example.org\nFrom: b@example.net", nil, spf("example.org"), nil, "permerror", "none "},
		"no address":      {"nobody", nil, spf("example.org"), nil, "permerror", "none "},
		"group":           {"undisclosed: ;", nil, spf("example.org"), nil, "permerror", "none "},
		"SPF":             {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, spf("example.org"), nil, "pass", "none reject spf"},
		"SPF below":       {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, spf("mail.example.org"), nil, "pass", "none reject spf"},
		"SPF strict":      {"a@example.org", zone{"TXT _dmarc.example.org": {reject + "; aspf=s"}}, spf("mail.example.org"), nil, "fail", "reject reject"},
		"another's SPF":   {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, spf("example.net"), nil, "fail", "reject reject"},
		"SPF fails":       {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, auth.SPF{Result: "fail", Domain: "example.org"}, nil, "fail", "reject reject"},
		"DKIM":            {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, auth.SPF{}, dkim("fail example.org", "pass x.example.org"), "pass", "none reject dkim"},
		"DKIM strict":     {"a@example.org", zone{"TXT _dmarc.example.org": {reject + ";adkim=s"}}, auth.SPF{}, dkim("pass x.example.org"), "fail", "reject reject"},
		"both":            {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, spf("example.org"), dkim("pass example.org"), "pass", "none reject spf dkim"},
		"organization":    {"a@a.b.example.co.uk", zone{"TXT _dmarc.example.co.uk": {reject + "; sp=quarantine"}}, spf("example.co.uk"), nil, "pass", "none quarantine spf"},
		"sp":              {"a@sub.example.org", zone{"TXT _dmarc.example.org": {"v=DMARC1; p=none; sp=reject"}}, auth.SPF{}, nil, "fail", "reject reject"},
		"own before org":  {"a@sub.example.org", zone{"TXT _dmarc.example.org": {reject}, "TXT _dmarc.sub.example.org": {"v=DMARC1; p=none"}}, auth.SPF{}, nil, "fail", "none none"},
		"public suffix":   {"a@x.co.uk", zone{"TXT _dmarc.x.co.uk": {reject}}, spf("y.co.uk"), nil, "fail", "reject reject"},
		"pct lets one go": {"a@example.org", zone{"TXT _dmarc.example.org": {reject + "; pct=49"}}, auth.SPF{}, nil, "fail", "quarantine reject"},
		"pct has one":     {"a@example.org", zone{"TXT _dmarc.example.org": {reject + "; pct=51"}}, auth.SPF{}, nil, "fail", "reject reject"},
		"pct quarantine":  {"a@example.org", zone{"TXT _dmarc.example.org": {"v=DMARC1; p=quarantine; pct=0"}}, auth.SPF{}, nil, "fail", "none quarantine"},
		"two records":     {"a@example.org", zone{"TXT _dmarc.example.org": {reject, reject}}, auth.SPF{}, nil, "none", "none "},
		"other records":   {"a@example.org", zone{"TXT _dmarc.example.org": {"hello", reject}}, auth.SPF{}, nil, "fail", "reject reject"},
		"DNS fails":       {"a@example.org", zone{"TXT _dmarc.example.org": {"SERVFAIL"}}, spf("example.org"), nil, "temperror", "none "},
		"SPF's DNS fails": {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, auth.SPF{Result: "temperror", Domain: "example.org"}, nil, "temperror", "none reject"},
		"a key's DNS":     {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, auth.SPF{}, dkim("temperror example.org"), "temperror", "none reject"},
		"in vain":         {"a@example.org", zone{"TXT _dmarc.example.org": {reject}}, spf("example.net"), dkim("temperror example.net"), "fail", "reject reject"},
		"two authors":     {"a@example.org, b@example.net", zone{"TXT _dmarc.example.org": {reject}, "TXT _dmarc.example.net": {"v=DMARC1; p=none"}}, spf("example.net"), nil, "fail", "reject reject"},
		"hidden author":   {"\"a@example.net\" <a@example.org>", zone{"TXT _dmarc.example.org": {reject}}, spf("example.net"), nil, "fail", "reject reject"},
		"encoded author":  {"=?utf-8?q?a=40example.net?= <a@example.org>", zone{"TXT _dmarc.example.org": {reject}}, spf("example.net"), nil, "fail", "reject reject"},
		"IDN":             {"a@bücher.example", zone{"TXT _dmarc.xn--bcher-kva.example": {reject}}, spf("xn--bcher-kva.example"), nil, "pass", "none reject spf"},
		"case":            {"a@EXAMPLE.org", zone{"TXT _dmarc.example.org": {reject}}, spf("example.org"), nil, "pass", "none reject spf"},
	} {
		t.Run(name, func(t *testing.T) {
			header := "Subject: x\n"
			if c.from != "" {
				header = "From: " + c.from + "\n"
			}
			s := service(c.zone)
			r, err := s.DMARC(t.Context(), read(t, s, header+"\nbody\n"), c.spf, c.dkim)
			got := r.Disposition + " " + r.Policy
			if r.SPF {
				got += " spf"
			}
			if r.DKIM {
				got += " dkim"
			}
			if err != nil || r.Result != c.result || got != c.want {
				t.Errorf("%+v %v\n got %s %s\nwant %s %s", r, err, r.Result, got, c.result, c.want)
			}
		})
	}
}
