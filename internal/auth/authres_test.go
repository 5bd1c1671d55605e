package auth_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"

	"pmilter/internal/auth"
)

func TestFormat(t *testing.T) {
	got, err := auth.Format("mx.example.net", auth.Results{
		SPF:   &auth.SPF{Result: "pass", Sender: "a@example.org", Identity: "mailfrom"},
		DKIM:  []auth.DKIM{{Result: "pass", Domain: "example.org", Selector: "s", Algorithm: "rsa-sha256", Signature: "ab+/cd12"}, {Result: "fail", Domain: "example.com", Error: `the "body" was\changed`}},
		DMARC: &auth.DMARC{Result: "pass", Domain: "example.org", Policy: "reject"},
		ARC:   &auth.ARC{Result: "none"},
	})
	want := "mx.example.net;\r\n\tspf=pass smtp.mailfrom=a@example.org;\r\n" +
		"\tdkim=pass header.a=rsa-sha256 header.b=ab+/cd12 header.d=example.org header.s=s;\r\n" +
		"\tdkim=fail reason=\"the 'body' was/changed\" header.d=example.com;\r\n" +
		"\tdmarc=pass header.from=example.org policy.dmarc=reject;\r\n\tarc=none"
	if err != nil || got != want {
		t.Errorf("got  %q %v\nwant %q", got, err, want)
	}
	for want, r := range map[string]auth.Results{
		"m; none":                                   {},
		"m;\r\n\tdkim=none":                         {DKIM: []auth.DKIM{}},
		"m;\r\n\tspf=none smtp.helo=h.example":      {SPF: &auth.SPF{Result: "none", Identity: "helo", Domain: "h.example"}},
		"m;\r\n\tspf=fail smtp.mailfrom=@x.example": {SPF: &auth.SPF{Result: "fail", Sender: `"a b"; dkim=pass"@x.example`}},
		"m;\r\n\tspf=permerror":                     {SPF: &auth.SPF{Result: "pass\r\nX: y", Sender: "a@b\r\nX: y"}},
	} {
		if got, err := auth.Format("m", r); err != nil || got != want {
			t.Errorf("got %q %v, want %q", got, err, want)
		}
	}
	for _, id := range []string{"", "a b", "a;b", "a\r\nb", strings.Repeat("x", 300)} {
		if got, err := auth.Format(id, auth.Results{}); err == nil {
			t.Errorf("%q: %q", id, got)
		}
	}
}

func TestClaims(t *testing.T) {
	for _, value := range []string{
		"mx.example.net; spf=pass", " MX.Example.NET 1; none", "mx.example.net", "(c) mx.example.net; x", "\n\t(a (b) \\) c) mx.example.net ; x",
		`"mx.example.net"; x`, `"mx.exam\ple.net" ; x`, "mx.example.net. ; x", "mx.example.net(c); x", "mx.example.net=; x",
		"(open mx.example.net; x", `"mx.example.net; x`, "mx.example.net\n ;x", `" mx.example.net"; x`,
	} {
		if !auth.Claims("mx.example.net", value) {
			t.Errorf("%q is not seen as forged", value)
		}
	}
	for _, value := range []string{"", "mx.example.org; x", "other; mx.example.net", "amx.example.net; x", "mx.example.nets; x", "(mx.example.net) other; x"} {
		if auth.Claims("mx.example.net", value) {
			t.Errorf("%q is taken for ours", value)
		}
	}
}

// FuzzClaims: what we write is ours, whoever reads it, and what is in it is
// still one field. Whatever another reader takes for ours we do too.
func FuzzClaims(f *testing.F) {
	f.Add("(c) mx.example.net; x", "a@b.example", "broken \"quote\\")
	f.Fuzz(func(t *testing.T, value, sender, why string) {
		const id = "mx.example.net"
		if other, _, err := authres.Parse(value); err == nil && strings.EqualFold(other, id) && !auth.Claims(id, value) {
			t.Errorf("%q is not seen as forged", value)
		}
		written, err := auth.Format(id, auth.Results{
			SPF:  &auth.SPF{Result: why, Sender: sender, Identity: "mailfrom", Explanation: why},
			DKIM: []auth.DKIM{{Result: "fail", Domain: sender, Selector: value, Error: why}},
			ARC:  &auth.ARC{Result: sender, Error: value},
		})
		if err != nil || !auth.Claims(id, written) {
			t.Fatalf("%q %v", written, err)
		}
		_, results, err := authres.Parse(quoteless(written))
		if err != nil || len(results) != 3 {
			t.Errorf("%q has %d results: %v", written, len(results), err)
		}
		for line := range strings.SplitSeq(written[len(id)+1:], "\r\n") {
			if line != "" && line[0] != '\t' || strings.ContainsAny(line, "\r\n\x00") || len(line) > 998 {
				t.Errorf("%q", written)
			}
		}
	})
}

// quoteless is a field with its quoted strings emptied, for a reader that does
// not know of them.
func quoteless(s string) string {
	parts := strings.Split(s, `"`)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = ""
	}
	return strings.Join(parts, `""`)
}
