package auth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"pmilter/internal/auth"
)

// rsaOfRFC8463 is the RSA key of RFC 8463 §A.2.
const rsaOfRFC8463 = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b" +
	"yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"

// The examples of RFC 6376 (§A.2, key of §C) and RFC 8463 (§A.3).
func TestRFCVectors(t *testing.T) {
	s := service(zone{
		"TXT brisbane._domainkey.example.com": {"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631" +
			"uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"},
		"TXT brisbane._domainkey.football.example.com": {"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
		"TXT test._domainkey.football.example.com":     {rsaOfRFC8463},
	})
	for file, signatures := range map[string]int{"rfc6376.eml": 1, "rfc8463.eml": 2} {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		results, err := s.DKIM(t.Context(), read(t, s, string(text)))
		if err != nil || len(results) != signatures {
			t.Fatalf("%s: %v %v", file, results, err)
		}
		for _, r := range results {
			if r.Result != auth.Pass {
				t.Errorf("%s: %+v", file, r)
			}
		}
		results, _ = s.DKIM(t.Context(), read(t, s, strings.Replace(string(text), "hungry", "angry", 1)))
		for _, r := range results {
			if r.Result != auth.Fail {
				t.Errorf("%s, changed: %+v", file, r)
			}
		}
	}
}

// key is a pair whose public half is in a zone.
func key(t testing.TB, z zone, selector string, ed bool) crypto.Signer {
	t.Helper()
	var signer crypto.Signer
	var record string
	if ed {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, record = private, "v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(public)
	} else {
		private, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		signer, record = private, "v=DKIM1; p="+base64.StdEncoding.EncodeToString(der)
	}
	z["TXT "+selector+"._domainkey.example.org"] = []string{record}
	return signer
}

// pemOf is a key as a script has it.
func pemOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// signedBy is a message signed by go-msgauth.
func signedBy(t testing.TB, text string, o dkim.SignOptions) string {
	t.Helper()
	header, body := split(text)
	var out bytes.Buffer
	if o.Domain == "" {
		o.Domain = "example.org"
	}
	if err := dkim.Sign(&out, strings.NewReader(header+body), &o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const letter = "From: Bob <bob@example.org>\nTo: c@example.net\nSubject: two\n  lines\nX-A: 1\n\nhello  \n\n\tthere \n\n\n"

// What is wrong with a signature, a key or a message, and what is all right.
func TestDKIM(t *testing.T) {
	z := zone{}
	k := key(t, z, "s", false)
	ed := key(t, z, "ed", true)
	record := z["TXT s._domainkey.example.org"][0]
	z["TXT strict._domainkey.example.org"] = []string{record + "; t=y:s"}
	z["TXT sha1._domainkey.example.org"] = []string{record + "; h=sha1"}
	z["TXT other._domainkey.example.org"] = []string{record + "; s=other"}
	z["TXT revoked._domainkey.example.org"] = []string{"v=DKIM1; p="}
	z["TXT two._domainkey.example.org"] = []string{record, record}
	z["TXT down._domainkey.example.org"] = []string{"SERVFAIL"}
	z["TXT odd._domainkey.example.org"] = []string{"ODD"}
	z["TXT folded._domainkey.example.org"] = []string{strings.Replace(record, "p=", " k=rsa ; ; n=a note; p= ", 1) + " ; "}
	o := func(selector string) dkim.SignOptions {
		return dkim.SignOptions{Selector: selector, Signer: k, HeaderKeys: []string{"From", "To", "Subject", "Subject"}}
	}
	with := func(selector string, change func(*dkim.SignOptions)) string {
		options := o(selector)
		change(&options)
		return signedBy(t, letter, options)
	}
	relaxed := func(o *dkim.SignOptions) { o.HeaderCanonicalization, o.BodyCanonicalization = "relaxed", "relaxed" }
	good := signedBy(t, letter, o("s"))
	soft := with("s", relaxed)
	for name, c := range map[string]struct{ text, want string }{
		"good":              {good, "pass"},
		"Ed25519":           {with("ed", func(o *dkim.SignOptions) { o.Signer = ed }), "pass"},
		"relaxed":           {soft, "pass"},
		"white space":       {strings.NewReplacer("To: c", "TO :\t c", "hello  ", "hello", "\tthere ", " there").Replace(soft), "pass"},
		"... is simple":     {strings.Replace(good, "To: c", "To:  c", 1), "fail the header"},
		"added unsigned":    {strings.Replace(good, "X-A: 1", "X-A: 2\r\nX-B: 3", 1), "pass"},
		"added, oversigned": {strings.Replace(good, "X-A: 1", "X-A: 1\r\nSubject: three", 1), "fail the header"},
		"added above":       {"To: other@example.org\r\n" + good, "pass"},
		"body":              {good + "more\r\n", "fail the body"},
		"blank lines":       {good + "\r\n\r\n", "pass"},
		"expired":           {with("s", func(o *dkim.SignOptions) { o.Expiration = time.Now().Add(time.Hour) }), "policy the signature has expired"},
		"not yet":           {with("s", func(o *dkim.SignOptions) { o.Expiration = time.Now().Add(1e6 * time.Hour) }), "pass"},
		"no key":            {with("none", relaxed), "permerror no key"},
		"revoked":           {with("revoked", relaxed), "permerror the key was revoked"},
		"two keys":          {with("two", relaxed), "permerror several"},
		"DNS":               {with("down", relaxed), "temperror the key cannot be looked up"},
		"odd DNS":           {with("odd", relaxed), "temperror the key cannot be looked up"},
		"another service":   {with("other", relaxed), "permerror the key is not for mail"},
		"another hash":      {with("sha1", relaxed), "permerror the key is for another hash"},
		"another algorithm": {with("ed", relaxed), "permerror the key is for another algorithm"},
		"odd record":        {with("folded", relaxed), "pass"},
		"subdomain":         {with("s", func(o *dkim.SignOptions) { o.Identifier = "joe@Mail.Example.ORG" }), "pass"},
		"strict":            {with("strict", relaxed), "pass"},
		"strict subdomain":  {with("strict", func(o *dkim.SignOptions) { o.Identifier = "joe@mail.example.org" }), "permerror the key is not for subdomains"},
		"of another":        {with("s", func(o *dkim.SignOptions) { o.Identifier = "joe@example.com" }), "permerror the domain of i="},
		"l=":                {strings.Replace(good, " bh=", " l=0; bh=", 1), "policy l="},
		"sha1":              {strings.Replace(good, "rsa-sha256", "rsa-sha1", 1), "policy rsa-sha1"},
		"version":           {strings.Replace(good, "v=1", "v=2", 1), "neutral the version"},
		"twice":             {strings.Replace(good, "v=1", "v=1; v=1", 1), "neutral a tag is there twice"},
		"no From":           {strings.Replace(good, "h=From:", "h=", 1), "permerror From is not signed"},
		"garbage":           {"DKIM-Signature: garbage\r\n" + letter, "neutral the list"},
		"empty":             {"DKIM-Signature:\r\n" + letter, "neutral d= is no domain"},
		"no name":           {strings.Replace(good, "d=example.org", "d=exam ple..org", 1), "neutral d= is no domain"},
		"canonicalization":  {strings.Replace(good, "c=simple/simple", "c=simple/nofws", 1), "neutral the canonicalization"},
	} {
		t.Run(name, func(t *testing.T) {
			s := auth.New(auth.Options{Resolver: z, Now: time.Now})
			if name == "expired" {
				s = auth.New(auth.Options{Resolver: z, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }})
			}
			results, err := s.DKIM(t.Context(), read(t, s, c.text))
			if err != nil || len(results) != 1 {
				t.Fatal(results, err)
			}
			if got := strings.TrimSpace(results[0].Result + " " + results[0].Error); !strings.HasPrefix(got, c.want) || c.want == "pass" && got != "pass" {
				t.Errorf("%s, want %s\n%s", got, c.want, c.text)
			}
		})
	}
}

// TestDKIMQuoted: a tag that ends in b and an equals sign, as z= may have it, is
// not taken for b=. (What signs here is the test: libraries do not write z=.)
func TestDKIMQuoted(t *testing.T) {
	z := zone{}
	k := key(t, z, "s", false)
	text := signedBy(t, letter, dkim.SignOptions{Selector: "s", Signer: k, HeaderKeys: []string{"From"}, Identifier: "b=b@example.org"})
	s := auth.New(auth.Options{Resolver: z})
	results, err := s.DKIM(t.Context(), read(t, s, text))
	if err != nil || len(results) != 1 || results[0].Result != auth.Pass {
		t.Error(results, err)
	}
}

// Hostile mail costs its own length and no more.
func TestDKIMBounds(t *testing.T) {
	z := zone{}
	k := key(t, z, "s", false)
	huge := strings.Repeat("A", 9<<10)
	z["TXT huge._domainkey.example.org"] = []string{"v=DKIM1; p=" + huge}
	wide := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8200, 1), E: 65537}
	z["TXT wide._domainkey.example.org"] = []string{"p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(wide))}
	s := auth.New(auth.Options{Resolver: z})
	start := time.Now()
	signature, _, _ := strings.Cut(signedBy(t, letter, dkim.SignOptions{Selector: "s", Signer: k}), "\r\nFrom: ")
	results, err := s.DKIM(t.Context(), read(t, s, strings.Repeat(signature+"\r\n", 50)+letter))
	if err != nil || len(results) != 11 || results[9].Result != auth.Pass || results[10].Result != auth.Policy {
		t.Errorf("%d %v %v", len(results), results, err)
	}
	names := strings.Repeat("x:from:", 8000) + "from"
	text := strings.Repeat("From: a@example.org\r\n", 9000) + "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s; h=" + names + "; bh=AAAA; b=AAAA\r\n\r\n"
	blank := strings.Repeat("\r\n", 1<<20) + "x" // 2 MB of line ends
	for selector := range strings.FieldsSeq("s huge wide") {
		for _, c := range []string{"simple", "relaxed"} {
			m := s.Read(fields(strings.Replace(text, "s=s", "s="+selector+"; c="+c+"/"+c, 1)), []byte(blank))
			if results, err := s.DKIM(t.Context(), m); err != nil || len(results) != 1 || results[0].Result == auth.Pass {
				t.Errorf("%s: %v %v", selector, results, err)
			}
		}
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// stuck never answers.
type stuck struct{ zone }

func (stuck) LookupTXT(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Every look-up has a deadline, which is a trouble for now; the end of the call is an error.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := auth.New(auth.Options{Resolver: stuck{}, Timeout: time.Second})
		m := read(t, s, "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s; h=from; bh=AAAA; b=AAAA\r\n"+letter)
		if r, err := s.DKIM(t.Context(), m); err != nil || r[0].Result != auth.TempError {
			t.Error(r, err)
		}
		if r, err := s.SPF(t.Context(), auth.Client{IP: "192.0.2.1", Helo: "h.example", Sender: "a@example.org"}); err != nil || r.Result != auth.TempError {
			t.Error(r, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.DKIM(ctx, m); err == nil {
			t.Error("DKIM: no error")
		}
		if _, err := s.SPF(ctx, auth.Client{IP: "192.0.2.1", Sender: "a@example.org"}); err == nil {
			t.Error("SPF: no error")
		}
	})
}

// FuzzVerify: whatever go-msgauth signs we verify, in both forms; nothing panics.
func FuzzVerify(f *testing.F) {
	z := zone{}
	k := key(f, z, "s", true)
	f.Add("To: a\r\n b", "hello \r\n\r\n", "v=1; a=rsa-sha256; d=example.org; s=s; h=from; bh=AAAA; b=AAAA")
	f.Add("X:\t", strings.Repeat("  long line \t", 20000)+" \r\n\tx y  \r\n\r\n ", "i=1; cv=none; a=rsa-sha256; d=example.org; s=s; b=AAAA; h=from; bh=AAAA")
	f.Fuzz(func(t *testing.T, header, body, tags string) {
		s := auth.New(auth.Options{Resolver: z})
		m := s.Read([]auth.Field{
			{Name: "DKIM-Signature", Value: tags},
			{Name: "ARC-Seal", Value: tags},
			{Name: "From", Value: header},
			{Name: "ARC-Message-Signature", Value: tags},
			{Name: "ARC-Authentication-Results", Value: tags},
		}, []byte(body))
		for _, c := range []func() error{
			func() error { _, err := s.DKIM(t.Context(), m); return err },
			func() error { _, err := s.ARC(t.Context(), m); return err },
			func() error { _, err := s.DMARC(t.Context(), m, auth.SPF{}, nil); return err },
		} {
			if err := c(); err != nil {
				t.Error(err)
			}
		}
		fold := strings.NewReplacer("\r", "", "\n", "\r\n ", ":", "-", "\x00", "")
		header = "From: a@example.org\r\nX-H: " + fold.Replace(header) + "\r\n\r\n"
		// A bare CR or LF is no line end, whatever that library thinks.
		body = strings.ReplaceAll(strings.NewReplacer("\r\n", "\n", "\r", "").Replace(body), "\n", "\r\n")
		for _, c := range []dkim.Canonicalization{"simple", "relaxed"} {
			var out bytes.Buffer
			err := dkim.Sign(&out, io.MultiReader(strings.NewReader(header), strings.NewReader(body)), &dkim.SignOptions{
				Domain: "example.org", Selector: "s", Signer: k, HeaderCanonicalization: c, BodyCanonicalization: c,
			})
			if err != nil {
				t.Skip(err)
			}
			signed, rest, _ := strings.Cut(out.String(), "\r\n\r\n")
			r, err := s.DKIM(t.Context(), s.Read(fields(signed), []byte(rest)))
			if err != nil || len(r) != 1 || r[0].Result != auth.Pass {
				t.Errorf("%s: %+v %v\n%q", c, r, err, out.String())
			}
		}
	})
}
