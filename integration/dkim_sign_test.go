package integration

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pmilter/internal/auth"
	"pmilter/internal/postfixtest"
	"pmilter/internal/sendmailtest"
)

// withEd25519 gives the signer another key, of selector "ed".
func (s *signer) withEd25519(t *testing.T) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "ed", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	s.write(t, "public", s.read(t, "public")+"ed._domainkey.example.org v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(public)+"\n")
}

func (s *signer) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// LookupTXT gives the public keys that opendkim has in a file.
func (s *signer) LookupTXT(_ context.Context, name string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(s.dir, "public"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if key, record, _ := strings.Cut(strings.TrimSpace(line), " "); key == name {
			return []string{record}, nil
		}
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// toSign are messages of all kinds. What Sendmail does to the header on the way
// out must not matter.
func toSign() map[string]string {
	header := "From: Alice  <a@example.org>\r\nTo: b@example.org\r\nSubject:\t odd  \r\n  folded \r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
	long := strings.Repeat("long ", 199)
	return map[string]string{
		"white space": signedMessage,
		"plain":       header + "\r\nbody\r\n",
		"no body":     header + "\r\n",
		"blank lines": header + "\r\n\r\n\r\n \r\n\t\r\nlast  \r\n\r\n \r\n\r\n",
		"eight bits":  header + "X-Raw: caf\xe9\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe \xff\xfe\r\n",
		"long lines":  header + "X-Long: " + long + "\r\n\r\n" + long + "\r\n" + strings.Repeat("x", 997) + "\r\n",
		"dots":        header + "\r\n.\r\n..\r\n...three\r\n.dot\r\nFrom here\r\n",
		"multipart": header + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"b\"\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain\r\n\r\none\r\n" +
			"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n",
		"several addresses": strings.Replace(header, "To: b@example.org", "To: b@example.org,c@example.org , \"D, d\" <d@example.org>,\r\n\te@example.org\r\nCc: f@example.org,g@example.org", 1) + "\r\nbody\r\n",
		"nothing but From":  "From: a@example.org\r\n\r\nbody\r\n",
	}
}

// What pmilterd signs opendkim verifies, after Postfix or Sendmail has delivered
// it: RSA and Ed25519, one signature or two, and every edit of a script that runs
// before or after.
func TestDKIMSign(t *testing.T) {
	s := newSigner(t)
	s.withEd25519(t)
	t.Run("Postfix", func(t *testing.T) {
		m := startMTA(t, map[string]string{"smtpd_milters": "unix:$queue_directory/../m.sock"})
		far := startMTA(t, map[string]string{"smtpd_milters": "inet:127.0.0.1:" + s.verify(t)})
		s.playSign(t, m, far)
	})
	t.Run("Sendmail", func(t *testing.T) {
		m := startSendmail(t, sendmailtest.Config{Filters: []sendmailtest.Filter{{Socket: "unix:{dir}/m.sock", Flags: "T"}}})
		far := startSendmail(t, sendmailtest.Config{Filters: []sendmailtest.Filter{{Socket: "inet:" + s.verify(t) + "@127.0.0.1", Flags: "T"}}})
		s.playSign(t, m, far)
	})
	t.Run("Sendmail rewrites", func(t *testing.T) { // it completes and rewrites the header
		m := startSendmail(t, sendmailtest.Config{Mailer: "mDFMuXz", Filters: []sendmailtest.Filter{{Socket: "unix:{dir}/m.sock", Flags: "T"}}})
		far := startMTA(t, map[string]string{"smtpd_milters": "inet:127.0.0.1:" + s.verify(t)})
		s.playSign(t, m, far)
	})
}

func (s *signer) playSign(t *testing.T, m, far behind) {
	t.Helper()
	call := func(selector, key string) string {
		return fmt.Sprintf(`auth.sign(s.message, { domain: "example.org", selector: %q, key: %q });`, selector, filepath.Join(s.dir, key))
	}
	script := func(edits string) map[string]string {
		return map[string]string{
			"10-sign.js": `import auth from "pmilter/auth"; export const options = { headers: true, body: true };` +
				"\nexport function mail(s) { " + call("test", "private") + " }\nexport function eom(s) { " + call("ed", "ed") + " }",
			"20-edit.js": "export function eom(session) { const m = session.message, h = m.headers; " + edits + " }",
		}
	}
	check := func(t *testing.T, message string) {
		t.Helper()
		mail := passOn(t, m, message)
		if n := strings.Count(mail.Header(), "DKIM-Signature: "); n != 2 {
			t.Fatalf("%d signatures:\n%s", n, mail.Header())
		}
		s.checkVerified(t, mail)
		checked := passOn(t, far, string(mail.Data)).Header()
		if n := strings.Count(checked, "dkim=pass "); n != 2 {
			t.Errorf("%d pass:\n%s", n, checked)
		}
	}
	t.Run("messages", func(t *testing.T) {
		m.serve(t, script(""), nil)
		for name, message := range toSign() {
			t.Run(name, func(t *testing.T) { check(t, message) })
		}
	})
	for name, edits := range map[string]string{
		"header":    `h.set("Subject", "Grüße"); h.add("X-New", "n"); h.prepend("X-Top", "t"); h.insert(1, "Reply-To", "r@example.org"); h.remove("Date");`,
		"body":      `m.replaceBody("another\n\nGr\xfc\n.dot\n");`,
		"text":      `m.appendText({ text: "\n-- \nfooter\n" });`,
		"wrap":      `m.wrap({ subject: "wrapped", text: "see below" });`,
		"recipient": `m.addRecipient("c@example.org"); m.setSender("x@example.org");`,
	} {
		t.Run(name, func(t *testing.T) {
			m.serve(t, script(edits), nil)
			check(t, toSign()["plain"])
		})
	}
}

// What opendkim signs we verify, in all its ways, after Postfix has delivered it.
// With Diagnostics it writes z=, in which quoted words end in "b=".
func TestDKIMVerify(t *testing.T) {
	s := newSigner(t)
	s.withEd25519(t)
	const names = "Domain example.org\nSignHeaders From,To,Cc,Subject,Date,X-None,X-Two,X-Tab,X-Mixed,X-Empty,X-Fold,X-Raw,X-Long,MIME-Version\nOversignHeaders From,Cc\n"
	var chain []string
	for _, config := range []string{
		"Selector test\nKeyFile " + s.dir + "/private\nCanonicalization simple/simple\nDiagnostics yes\n",
		"Selector test\nKeyFile " + s.dir + "/private\nCanonicalization relaxed/simple\nSignatureTTL 3600\n",
		"Selector test\nKeyFile " + s.dir + "/private\nCanonicalization simple/relaxed\nSignatureAlgorithm rsa-sha256\n",
		"Selector ed\nKeyFile " + s.dir + "/ed\nCanonicalization relaxed/relaxed\nSignatureAlgorithm ed25519-sha256\n",
	} {
		chain = append(chain, "inet:127.0.0.1:"+s.run(t, "Mode s\nInternalHosts "+s.dir+"/hosts\nRequireSafeKeys no\n"+names+config))
	}
	m := startMTA(t, map[string]string{"smtpd_milters": strings.Join(chain, " ")})
	for name, message := range toSign() {
		t.Run(name, func(t *testing.T) {
			mail := passOn(t, m, strings.Replace(message, "From: Alice  <a@", "From: Bob B <b@", 1))
			if n := strings.Count(mail.Header(), "DKIM-Signature: "); n != len(chain) || !strings.Contains(mail.Header(), "z=From:") {
				t.Fatalf("%d signatures:\n%s", n, mail.Header())
			}
			s.checkVerified(t, mail)
		})
	}
}

// checkVerified has our own verifier look at what was delivered.
func (s *signer) checkVerified(t *testing.T, mail *postfixtest.Mail) {
	t.Helper()
	header, body, _ := strings.Cut(string(mail.Data), "\r\n\r\n")
	var fields []auth.Field
	for line := range strings.SplitSeq(header, "\r\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			fields[len(fields)-1].Value += "\r\n" + line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, auth.Field{Name: name, Value: value})
	}
	service := auth.New(auth.Options{Resolver: resolver{s}})
	results, err := service.DKIM(t.Context(), service.Read(fields, []byte(body)))
	if err != nil || len(results) == 0 {
		t.Errorf("%v, %d signatures", err, len(results))
	}
	for _, r := range results {
		if r.Result != "pass" {
			t.Errorf("%+v\n%s", r, header)
		}
	}
}

// resolver has TXT records alone.
type resolver struct{ *signer }

func (resolver) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, nil }

func (resolver) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) { return nil, nil }

func (resolver) LookupAddr(context.Context, string) ([]string, error) { return nil, nil }
