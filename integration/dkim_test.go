package integration

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
	"pmilter/internal/sendmailtest"
)

// signer is a key, and the folder of the opendkims that sign and verify with it.
type signer struct{ dir string }

func newSigner(t *testing.T) *signer {
	t.Helper()
	if _, err := opendkimPath(); err != nil {
		const missing = "opendkim is not installed (apt-get install opendkim)"
		if os.Getenv(postfixtest.RequireEnv) == "1" {
			t.Fatalf("%s, and %s=1 asks for it", missing, postfixtest.RequireEnv)
		}
		t.Skip("left out: " + missing)
	}
	s := &signer{dir: t.TempDir()}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "private", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "public", "test._domainkey.example.org v=DKIM1; k=rsa; p="+base64.StdEncoding.EncodeToString(public)+"\n")
	s.write(t, "hosts", "127.0.0.1\n")
	s.write(t, "nobody", "192.0.2.1\n")
	return s
}

func opendkimPath() (string, error) {
	if path, err := exec.LookPath("opendkim"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/opendkim")
}

func (s *signer) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sign runs an opendkim that signs every field, in the strictest form; verify
// one that says in Authentication-Results what it found. Both return their TCP port.
func (s *signer) sign(t *testing.T) (port string) {
	t.Helper()
	return s.run(t, "Mode s\nDomain example.org\nSelector test\nKeyFile "+s.dir+"/private\nInternalHosts "+s.dir+"/hosts\n"+
		"Canonicalization simple/simple\nSignHeaders From,To,Subject,Date,X-None,X-Two,X-Tab,X-Mixed,X-Empty,X-Fold,X-Raw\n")
}

func (s *signer) verify(t *testing.T) (port string) {
	t.Helper()
	return s.run(t, "Mode v\nTestPublicKeys "+s.dir+"/public\nAlwaysAddARHeader yes\nInternalHosts "+s.dir+"/nobody\n")
}

// run runs an opendkim until the test is over.
func (s *signer) run(t *testing.T, config string) (port string) {
	t.Helper()
	addr := postfixtest.FreeAddr(t, "127.0.0.1")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	name := "conf-" + port
	s.write(t, name, config+"Syslog no\nUserID root\nRequireSafeKeys no\nSocket inet:"+port+"@127.0.0.1\n")
	path, err := opendkimPath()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-f", "-x", filepath.Join(s.dir, name))
	var output lockedBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := dialBriefly("tcp", addr)
		if err == nil {
			conn.Close()
			return port
		}
		if time.Now().After(deadline) {
			t.Fatalf("opendkim: %v: %s", err, output.String())
		}
	}
}

// signedMessage has all kinds of white space, and an address list of one: of
// longer ones Sendmail sets the white space anew, milter or not.
const signedMessage = "From: Alice  <a@example.org>\r\nTo: b@example.org\r\nSubject:\t odd  \r\n  folded \r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n" +
	"X-None:none\r\nX-Two:  two\r\nX-Tab:\ttab\r\nX-Mixed: \t mixed \t\r\nX-Empty:\r\nX-Fold:\r\n\tthen text\r\n \tagain\r\nX-Raw: caf\xe9 \xff\r\nX-Loose: not signed\r\n\r\n" +
	"trailing \t \r\n..dots\r\n.\r\n\r\nraw \xe9\xff\r\n\r\n\r\n"

// A signature that was made before us is valid after us, as long as no script
// changes what it covers.
func TestDKIM(t *testing.T) {
	s := newSigner(t)
	t.Run("Postfix", func(t *testing.T) {
		inet := func(port string) string { return "inet:127.0.0.1:" + port }
		m := startMTA(t, map[string]string{"smtpd_milters": inet(s.sign(t)) + " unix:$queue_directory/../m.sock"})
		far := startMTA(t, map[string]string{"smtpd_milters": inet(s.verify(t))})
		s.playDKIM(t, m, far)
	})
	t.Run("Sendmail", func(t *testing.T) {
		filter := func(socket string) sendmailtest.Filter { return sendmailtest.Filter{Socket: socket, Flags: "T"} }
		inet := func(port string) sendmailtest.Filter { return filter("inet:" + port + "@127.0.0.1") }
		m := startSendmail(t, sendmailtest.Config{Filters: []sendmailtest.Filter{inet(s.sign(t)), filter("unix:{dir}/m.sock")}})
		far := startSendmail(t, sendmailtest.Config{Filters: []sendmailtest.Filter{inet(s.verify(t))}})
		s.playDKIM(t, m, far)
	})
}

// playDKIM sends mails through m, and what it delivers through far, which verifies.
func (s *signer) playDKIM(t *testing.T, m, far behind) {
	t.Helper()
	look := "export function header() {}\nexport function eoh() {}\nexport function body() {}\n"
	for _, c := range []struct{ name, script, want string }{
		{"no script", "", "pass"},
		{"looked at", look + eom(`m.raw(); [...h]; m.body.length;`), "pass"},
		{"early", "export const options = { early: true };\n" + look, "pass"},
		{"others edited", eom(`h.add("X-New", "n"); h.prepend("X-Top", "t"); h.insert(3, "X-Mid", "m"); h.remove("X-Loose"); m.addRecipient("c@example.net");`), "pass"},
		{"the same again", eom(`m.replaceBody(m.body);`), "pass"},
		{"subject changed", eom(`h.set("Subject", "another");`), "fail"},
		{"body changed", eom(`m.replaceBody("another\n");`), "fail"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.serve(t, one(c.script), nil)
			mail := passOn(t, m, signedMessage)
			if !strings.Contains(mail.Header(), "DKIM-Signature: v=1;") {
				t.Fatalf("not signed:\n%s", mail.Header())
			}
			if c.want == "pass" {
				s.checkVerified(t, mail)
			}
			checked := passOn(t, far, string(mail.Data)).Header()
			if want := fmt.Sprintf("dkim=%s ", c.want); !strings.Contains(checked, want) {
				t.Errorf("not %q:\n%s", want, checked)
			}
		})
	}
}

// passOn sends a message and returns what is delivered.
func passOn(t *testing.T, m behind, message string) *postfixtest.Mail {
	t.Helper()
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	reply := c.Send("a@example.org", []string{"b@example.org"}, message)
	c.Cmd("QUIT")
	if reply.Code() != 250 {
		t.Fatal(reply)
	}
	return m.delivered().Wait(t, reply.QueueID())
}
