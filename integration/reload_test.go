package integration

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// load is smtp-source, again and again, until stop.
type load struct {
	stop chan struct{}
	done chan struct{}
	sent atomic.Int64
	err  error // after done
}

// startLoad keeps 4 SMTP sessions busy with the instance, one mail a
// connection, or many with "-d" among args.
func startLoad(m *mta, args ...string) *load {
	l := &load{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		const batch = 40
		args := append([]string{"-s", "4", "-l", "2048", "-m", fmt.Sprint(batch)}, args...)
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			// smtp-source ends with an error at the first reply that is no success.
			if out, err := m.SMTPSource(args...); err != nil {
				l.err = fmt.Errorf("smtp-source: %w: %s", err, out)
				return
			}
			l.sent.Add(batch)
		}
	}()
	return l
}

// end stops the load and fails the test if a mail was not taken.
func (l *load) end(t *testing.T) (sent int) {
	t.Helper()
	close(l.stop)
	<-l.done
	if l.err != nil {
		t.Error(l.err)
	}
	return int(l.sent.Load())
}

// A script is edited, broken and mended during a load, and no mail is lost or
// deferred.
func TestReloadUnderLoad(t *testing.T) {
	version := func(n int) string {
		return eom(fmt.Sprintf(`h.add("X-Version", "%d");`, n))
	}
	isVersion := func(n int) func(*postfixtest.Mail) bool {
		return func(m *postfixtest.Mail) bool {
			return strings.Contains(m.Header(), fmt.Sprintf("\r\nX-Version: %d\r\n", n))
		}
	}
	m := startMTA(t, nil)
	s := m.serve(t, map[string]string{"10-test.js": version(1)}, nil)
	l := startLoad(m)
	m.Sink.WaitFor(t, "version 1", isVersion(1))

	s.writeScript("10-test.js", version(2))
	m.Sink.WaitFor(t, "version 2", isVersion(2))

	s.writeScript("10-test.js", version(3)+"\nexport const = 1;\n")
	s.awaitLog("10-test.js", `"line":6,`)
	broken := len(m.Sink.Mails())
	m.Sink.WaitCount(t, broken+20)

	// A file with a fault at its top level, and one in a new file.
	s.writeScript("10-test.js", version(3)+"\nthrow new Error('at the top');\n")
	s.awaitLog("10-test.js", `"line":6,`, "at the top")
	s.writeScript("20-new.js", "export const = 1;\n")
	s.awaitLog("20-new.js", `"line":1,`)
	for _, mail := range m.Sink.Mails()[broken:] {
		if !isVersion(2)(mail) {
			t.Errorf("while the script is broken: %q", mail.Header())
		}
	}

	s.writeScript("20-new.js", "// nothing yet\n")
	s.writeScript("10-test.js", version(4))
	m.Sink.WaitFor(t, "version 4", isVersion(4))

	sent := l.end(t)
	mails := m.Sink.WaitCount(t, sent)
	if len(mails) != sent {
		t.Errorf("%d mails delivered of %d", len(mails), sent)
	}
	t.Logf("%d mails sent and delivered while the script was edited, broken and mended", sent)
	for _, mail := range mails {
		if n := strings.Count(mail.Header(), "\r\nX-Version: "); n != 1 || isVersion(3)(mail) {
			t.Errorf("%d X-Version fields: %q", n, mail.Header())
		}
	}
	for line := range strings.Lines(m.Log()) {
		for _, word := range []string{"milter-reject", "status=deferred", "status=bounced", "warning: milter"} {
			if strings.Contains(line, word) {
				t.Errorf("in the mail log: %s", line)
			}
		}
	}
}

// A connection keeps the scripts that it began with.
func TestReloadKeepsConnections(t *testing.T) {
	m := startMTA(t, nil)
	refuse := func(text string) map[string]string {
		return one("export function mail() { return reject('" + text + "'); }")
	}
	s := m.serve(t, refuse("old"), nil)
	old := m.Dial(t)
	old.Run(postfixtest.Steps("EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 550 5.7.1 old")...)
	s.writeScript("10-test.js", refuse("new")["10-test.js"])
	awaitReply(t, m, "550 5.7.1 new")
	old.Run(postfixtest.Steps("MAIL FROM:<a@example.org> => 550 5.7.1 old", "RSET => 250", "MAIL FROM:<a@example.org> => 550 5.7.1 old")...)
}

// awaitReply tries MAIL on new connections until it is answered like that.
func awaitReply(t *testing.T, m *mta, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		c := m.Dial(t)
		c.Cmd("EHLO client.example.org")
		reply := c.Cmd("MAIL FROM:<a@example.org>")
		c.Close()
		if reply.Matches(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("reply %q, want %q", reply, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
