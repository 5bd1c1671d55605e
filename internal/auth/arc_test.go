package auth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"pmilter/internal/auth"
)

// sealer adds sets of ARC, by its own reading of RFC 8617 §5.1.
type sealer struct {
	t   testing.TB
	key crypto.Signer
}

func (s sealer) sign(text string) string {
	s.t.Helper()
	sum := sha256.Sum256([]byte(text))
	value, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		s.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(value)
}

// relaxed is a field without its CRLF.
func relaxed(name, value string) string {
	return strings.ToLower(name) + ":" + strings.Join(strings.Fields(value), " ")
}

// seal puts set i above a message whose From is on one line; names are what h= has.
func (s sealer) seal(text string, i int, cv, names string) string {
	s.t.Helper()
	header, body := split(text)
	bodySum := sha256.Sum256([]byte(strings.TrimRight(body, "\r\n") + "\r\n"))
	var signed, chain string
	for _, f := range fields(header) {
		if f.Name == "From" {
			signed = relaxed(f.Name, f.Value) + "\r\n"
		}
	}
	for n := 1; n < i; n++ {
		for _, name := range []string{"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"} {
			for _, f := range fields(header) {
				if f.Name == name && strings.Contains(f.Value, fmt.Sprintf("i=%d;", n)) {
					chain += relaxed(f.Name, f.Value) + "\r\n"
				}
			}
		}
	}
	results := fmt.Sprintf(" i=%d; mx%d.example.net;\r\n spf=pass", i, i)
	ams := fmt.Sprintf(" i=%d; a=rsa-sha256; c=relaxed/simple; d=example.org; s=s;\r\n h=%s; bh=%s; b=", i, names, base64.StdEncoding.EncodeToString(bodySum[:]))
	ams += s.sign(signed + relaxed("ARC-Message-Signature", ams))
	as := fmt.Sprintf(" i=%d; a=rsa-sha256; cv=%s; d=example.org; s=s; b=", i, cv)
	chain += relaxed("ARC-Authentication-Results", results) + "\r\n" + relaxed("ARC-Message-Signature", ams) + "\r\n" + relaxed("ARC-Seal", as)
	as += s.sign(chain)
	return "ARC-Seal:" + as + "\r\nARC-Message-Signature:" + ams + "\r\nARC-Authentication-Results:" + results + "\r\n" + header + body
}

func TestARC(t *testing.T) {
	z := zone{}
	k := sealer{t, key(t, z, "s", false)}
	one := k.seal("From: a@example.org\r\nSubject: x\r\n\r\nbody\r\n", 1, "none", "from")
	two := k.seal(strings.Replace(one, "body", "longer body", 1), 2, "pass", "From")
	three := k.seal(two, 3, "pass", "from:to")
	down := zone{"TXT s._domainkey.example.org": {"SERVFAIL"}}
	cut := func(text, from, to string) string {
		before, rest, _ := strings.Cut(text, from)
		_, after, _ := strings.Cut(rest, to)
		return before + to + after
	}
	for name, c := range map[string]struct {
		zone zone
		text string
		want string
		sets int
	}{
		"none":            {z, letter, "none ", 0},
		"one":             {z, one, "pass ", 1},
		"two":             {z, two, "pass ", 2},
		"three":           {z, three, "pass ", 3},
		"body":            {z, three + "more\r\n", "fail the newest signature: the body", 3},
		"header":          {z, strings.Replace(three, "From: a@", "From: b@", 1), "fail the newest signature: the header", 3},
		"unsigned":        {z, strings.Replace(three, "Subject: x", "Subject: y", 1), "pass ", 3},
		"old results":     {z, strings.Replace(three, "mx1.example.net;\r\n spf=pass", "mx1.example.net;\r\n spf=fail", 1), "fail the seal of set 3: it was changed", 3},
		"no key":          {zone{}, three, "fail the newest signature: no key", 3},
		"DNS":             {down, three, "temperror ", 3},
		"a seal is gone":  {z, cut(three, "ARC-Seal: i=2;", "ARC-Message-Signature: i=2;"), "fail set 2 is not whole", 3},
		"the first gone":  {z, three[strings.Index(three, "ARC-Seal: i=1;")*0:strings.Index(three, "ARC-Seal: i=1;")] + three[strings.Index(three, "From: "):], "fail set 1 is not whole", 2},
		"twice":           {z, one[:strings.Index(one, "From:")] + one, "fail set 1 is not whole", 1},
		"51":              {z, strings.Replace(one, "ARC-Seal: i=1;", "ARC-Seal: i=51;", 1), "fail a field has no instance", 1},
		"0":               {z, strings.Replace(one, "ARC-Seal: i=1;", "ARC-Seal: i=0;", 1), "fail a field has no instance", 1},
		"cv=pass first":   {z, k.seal("From: a@example.org\r\n\r\nbody\r\n", 1, "pass", "from"), "fail the seal of set 1 has a wrong cv", 1},
		"cv=none later":   {z, k.seal(one, 2, "none", "from"), "fail the seal of set 2 has a wrong cv", 2},
		"failed before":   {z, k.seal(one, 2, "fail", "from"), "fail the chain had failed before", 2},
		"of a seal":       {z, k.seal("From: a@example.org\r\n\r\nbody\r\n", 1, "none", "from:arc-seal"), "fail the newest signature: it is of a seal", 1},
		"without From":    {z, k.seal("Subject: x\r\n\r\nbody\r\n", 1, "none", "subject"), "fail the newest signature: From is not", 1},
		"h= in a seal":    {z, strings.Replace(one, "cv=none;", "cv=none; h=from;", 1), "fail a seal has the tags", 1},
		"results alone":   {z, "ARC-Authentication-Results: i=1; x\r\n" + letter, "fail set 1 is not whole", 1},
		"garbage":         {z, "ARC-Seal: garbage\r\n" + letter, "fail the list of tags", 0},
		"too many fields": {z, strings.Repeat("ARC-Seal: i=1; cv=none\r\n", 51) + letter, "fail there are too many", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := service(c.zone)
			r, err := s.ARC(t.Context(), read(t, s, c.text))
			if got := r.Result + " " + r.Error; err != nil || !strings.HasPrefix(got, c.want) || len(r.Chain) != c.sets {
				t.Errorf("%s, %d sets %v; want %s, %d\n%s", got, len(r.Chain), err, c.want, c.sets, c.text)
			}
		})
	}
	s := service(z)
	r, err := s.ARC(t.Context(), read(t, s, two))
	if want := (auth.Set{Instance: 2, Domain: "example.org", Selector: "s", Results: "mx2.example.net; spf=pass"}); err != nil || r.Chain[1] != want {
		t.Errorf("%+v %v, want %+v", r.Chain, err, want)
	}
}
