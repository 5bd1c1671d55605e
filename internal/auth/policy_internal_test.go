package auth

import (
	"strings"
	"testing"
)

func TestParsePolicy(t *testing.T) {
	for record, want := range map[string]policy{
		"v=DMARC1; p=none":                        {p: "none", sp: "none", percent: 100},
		"v=DMARC1;p=REJECT;sp=quarantine;pct=25;": {p: "reject", sp: "quarantine", percent: 25},
		"v = DMARC1 ; p = quarantine ; aspf = s ; adkim=r; rua=mailto:a@example.org; unknown; x=y": {p: "quarantine", sp: "quarantine", percent: 100, spf: true},
		"v=DMARC1; p=reject; adkim=S; pct=101; sp=what; fo=7; rf=x":                                {p: "reject", sp: "reject", percent: 100, dkim: true},
		"v=DMARC1; p=reject; p=none":                    {p: "reject", sp: "reject", percent: 100},
		"v=DMARC1; p=nothing; rua=mailto:a@example.org": {p: "none", sp: "none", percent: 100},
		"v=DMARC1; rua=mailto:a@example.org; sp=reject": {p: "none", sp: "none", percent: 100},
	} {
		if got, ok := parsePolicy(record); !ok || *got != want {
			t.Errorf("%s: %+v %v, want %+v", record, got, ok, want)
		}
	}
	for _, record := range []string{
		"", "v=spf1 -all", "p=reject; v=DMARC1", "v=DMARC2; p=none", "v=dmarc1; p=none", "v=DMARC1", "v=DMARC1; p=nothing",
		"v=DMARC1; rua=ftp://x", "v=DMARC1; p=none; x=" + strings.Repeat("y", 9000),
	} {
		if got, ok := parsePolicy(record); ok {
			t.Errorf("%s: %+v", record, got)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; pct=50; aspf=s; adkim=r; rua=mailto:a@b")
	f.Fuzz(func(t *testing.T, record string) {
		p, ok := parsePolicy(record)
		if !ok {
			return
		}
		for _, word := range []string{p.p, p.sp} {
			if word != policyNone && word != policyQuarantine && word != policyReject {
				t.Errorf("%q asks for %q", record, word)
			}
		}
		if p.percent < 0 || p.percent > 100 || !strings.HasPrefix(trimFWS(record), "v") {
			t.Errorf("%q: %+v", record, p)
		}
	})
}
