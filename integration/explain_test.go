package integration

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// explain runs the command on a server's log until it says enough: decisions are
// written a moment after the reply.
func (s *server) explain(t *testing.T, what string, enough ...string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var out bytes.Buffer
		cmd := exec.Command(os.Getenv(binaryEnv), "explain", what)
		cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &out
		cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+s.dir+"/state", "PMILTER_CONFIG=pmilter.toml", "GORACE=atexit_sleep_ms=10", "TZ=UTC")
		err := cmd.Run() // 1 when there is nothing yet
		missing := ""
		for _, text := range enough {
			if !strings.Contains(out.String(), text) {
				missing = text
			}
		}
		if missing == "" && err == nil {
			return out.String()
		}
		if time.Now().After(deadline) {
			t.Fatalf("explain %s: %v, without %q:\n%s", what, err, missing, &out)
		}
	}
}

// TestExplain: what Postfix logs of a mail, and what its users know of it, leads to why
// it was refused; a kill -9 of the server costs nothing of that.
func TestExplain(t *testing.T) {
	m := startMTA(t, nil)
	s := m.serve(t, one(`
	export function rcpt(session, to) { if (to.local === "nobody") return reject(550, "5.1.1", "No such user"); }
	export function eom(session) {
		note("looked at", { tls: session.tls !== null });
		if (session.message.text.includes("refuse")) return reject(554, "5.7.2", "Not this");
		session.message.headers.add("X-Seen", "yes");
	}`), nil)
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	c.Cmd("MAIL FROM:<Alice@example.org>")
	c.Cmd("RCPT TO:<nobody@example.net>")
	c.Cmd("RCPT TO:<bob@example.net>")
	c.Cmd("DATA")
	passed := c.Data("Message-ID: <first@example.org>\r\n\r\nhello\r\n").QueueID()
	c.Cmd("MAIL FROM:<alice@example.org>")
	c.Cmd("RCPT TO:<bob@example.net>")
	c.Cmd("DATA")
	c.Data("Message-ID: <second@example.org>\r\n\r\nrefuse\r\n")
	all := s.explain(t, "alice@EXAMPLE.org", "554 5.7.2 Not this")
	t.Log("\n" + all)
	s.kill()
	if again := s.explain(t, "alice@EXAMPLE.org"); again != all {
		t.Errorf("after a kill -9:\n%s", again)
	}
	for _, text := range []string{
		"recipient   <nobody@example.net>", "550 5.1.1 No such user", "client      localhost [127.0.0.1], helo client.example.org",
		"message-id  <first@example.org>", "edits       add X-Seen", `looked at {"tls":false}`, "no script had anything against it",
		"message-id  <second@example.org>", "scripts/10-test.js:",
	} {
		if !strings.Contains(all, text) {
			t.Errorf("explain does not say %q", text)
		}
	}
	if one := s.explain(t, passed); passed == "" || !strings.Contains(one, "message "+passed+" accepted\n") || strings.Contains(one, "second@") {
		t.Errorf("explain %s:\n%s", passed, one)
	}
	s.explain(t, "second@example.org", "rejected")
	s.explain(t, "127.0.0.0/8", "rejected", "accepted")
}
