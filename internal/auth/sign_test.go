package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"pmilter/internal/auth"
)

// What we sign go-msgauth and we verify.
func TestSign(t *testing.T) {
	z := zone{}
	keys := map[string]string{"s": pemOf(t, key(t, z, "s", false)), "ed": pemOf(t, key(t, z, "ed", true))}
	s := auth.New(auth.Options{Resolver: z})
	header, body := split(letter)
	for selector, key := range keys {
		sign, err := s.Signer(auth.SignOptions{Domain: "Example.ORG", Selector: selector, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		value, err := sign([]byte(header), []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		text := "DKIM-Signature: " + value + "\r\n" + header + body
		if r, err := s.DKIM(t.Context(), read(t, s, text)); err != nil || r[0].Result != auth.Pass {
			t.Errorf("%+v %v\n%s", r, err, text)
		}
		found, err := dkim.VerifyWithOptions(strings.NewReader(text), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) { return z.LookupTXT(t.Context(), name) }})
		if err != nil || found[0].Err != nil {
			t.Errorf("%+v %v\n%s", found, err, text)
		}
		for _, added := range []string{"From: x@example.org", "Subject: y", "Reply-To: z@example.org", "Cc: z@example.org"} {
			if r, err := s.DKIM(t.Context(), read(t, s, added+"\r\n"+text)); err != nil || r[0].Result != auth.Fail {
				t.Errorf("%s was added: %+v %v", added, r, err)
			}
		}
	}
	sign, err := s.Signer(auth.SignOptions{Domain: "example.org", Selector: "s", Key: keys["s"], Headers: []string{"X-A", "x-none", "from"}})
	if err != nil {
		t.Fatal(err)
	}
	if value, err := sign([]byte(header), []byte(body)); err != nil || !strings.Contains(value, "h=From:From:X-A:X-A;") {
		t.Errorf("%q %v", value, err)
	}
	for _, from := range []string{"X: y\r\n\r\n", "From: a@b\r\nfrom : c@d\r\n\r\n"} {
		if value, err := sign([]byte(from), nil); err == nil {
			t.Errorf("%q is signed: %s", from, value)
		}
	}
}

func TestSignerFaults(t *testing.T) {
	z := zone{}
	good := pemOf(t, key(t, z, "s", true))
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := "root:secret:0"
	for want, o := range map[string]auth.SignOptions{
		"is no domain":               {Domain: "a b", Selector: "s", Key: good},
		"is no selector":             {Domain: "example.org", Selector: "s;x=", Key: good},
		"is no header name":          {Domain: "example.org", Selector: "s", Key: good, Headers: []string{"a:b"}},
		"no PEM text":                {Domain: "example.org", Selector: "s", Key: "a\nb"},
		"no such file":               {Domain: "example.org", Selector: "s", Key: "nowhere.pem"},
		"not a regular file":         {Domain: "example.org", Selector: "s", Key: "pipe"},
		"no private key in PEM":      {Domain: "example.org", Selector: "s", Key: write("secret", secret)},
		"no private key in PEM that": {Domain: "example.org", Selector: "s", Key: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
		"that is RSA or Ed25519":     {Domain: "example.org", Selector: "s", Key: pemOf(t, curve)},
		"is encrypted":               {Domain: "example.org", Selector: "s", Key: string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))},
		"in PEM that is RSA":         {Domain: "example.org", Selector: "s", Key: write("big", strings.Repeat(good, 2000))},
	} {
		s := auth.New(auth.Options{Resolver: z, Base: dir})
		if _, err := s.Signer(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A key file that changes is read again; one that breaks is an error, not the old key.
func TestKeyFile(t *testing.T) {
	z := zone{}
	first, second := pemOf(t, key(t, z, "a", true)), pemOf(t, key(t, z, "b", true))
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pem")
	s := auth.New(auth.Options{Resolver: z, Base: dir})
	header, body := split(letter)
	signs := func(selector string) string {
		sign, err := s.Signer(auth.SignOptions{Domain: "example.org", Selector: selector, Key: "key.pem"})
		if err != nil {
			return err.Error()
		}
		value, err := sign([]byte(header), []byte(body))
		if err != nil {
			return err.Error()
		}
		r, err := s.DKIM(t.Context(), read(t, s, "DKIM-Signature: "+value+"\r\n"+header+body))
		if err != nil {
			return err.Error()
		}
		return r[0].Result
	}
	for i, c := range []struct{ text, selector, want string }{
		{first, "a", "pass"},
		{first, "b", "fail"},
		{second, "b", "pass"},
		{"garbage", "b", "key file " + path + ": no private key in PEM that is RSA or Ed25519 (PKCS#1 or PKCS#8)"},
		{first, "a", "pass"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Unix(1e9+int64(i), 0)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := signs(c.selector); got != c.want {
				t.Errorf("%d: %s, want %s", i, got, c.want)
			}
		}
	}
}
