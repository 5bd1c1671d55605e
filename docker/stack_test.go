package docker

import (
	"errors"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestStack does what README.md tells a newcomer to do, and sees what it says: mail from
// each way in is filtered, delivered and read by IMAP; an edit of a script changes the next
// mail; while pmilterd is dead nothing passes and nothing is lost.
func TestStack(t *testing.T) {
	if os.Getenv("PMILTER_STACK") == "" {
		t.Skip("needs a Docker engine: make stack-test")
	}
	scripts := filepath.Join(t.TempDir(), "scripts")
	must(t, os.CopyFS(scripts, os.DirFS("../scripts")))
	s := start(t, scripts)

	_ = t.Run("mail is filtered and delivered, whichever way it comes", s.testWaysIn) &&
		t.Run("a refusal reaches the client", s.testRefusal) &&
		t.Run("it tells a monitor on the host", s.testMonitor) &&
		t.Run("the archive has what was accepted", s.testArchive) &&
		t.Run("an edit on the host changes the next mail", s.testEdit) &&
		t.Run("without its store a script fails to tempfail", s.testNoStore) &&
		t.Run("pmilterd is killed: nothing passes, nothing is lost", s.testKill)
}

func (s *stack) testWaysIn(t *testing.T) {
	for _, way := range []struct {
		name  string
		stamp string // what 90-stamp.ts writes, up to the address
		send  func(subject string) error
	}{
		{"host to postfix", "pmilterd for outside.example.com [", func(subject string) error { return s.send("postfix", "bob@example.net", subject) }},
		{"host to sendmail", "pmilterd for outside.example.com [", func(subject string) error { return s.send("sendmail", "bob@example.net", subject) }},
		{"mail to postfix", "pmilterd for mail.example.net [", func(subject string) error { return s.swaks("postfix", subject) }},
		{"mail to sendmail", "pmilterd for mail.example.net [", func(subject string) error { return s.swaks("sendmail", subject) }},
		{"sendmail(1)", "pmilterd for localhost [127.0.0.1]", s.submit},
	} {
		must(t, way.send(way.name))
		got := s.read(t, "bob@example.net", way.name)
		if stamp := got.Get("X-Filtered-By"); !strings.HasPrefix(stamp, way.stamp) {
			t.Errorf("%s: X-Filtered-By is %q, not %q", way.name, stamp, way.stamp)
		}
		if number(got) == 0 {
			t.Errorf("%s: X-Mail-Number is %q: no number of the store", way.name, got.Get("X-Mail-Number"))
		}
	}
}

func (s *stack) testRefusal(t *testing.T) {
	for _, mta := range []string{"postfix", "sendmail"} {
		if err := s.send(mta, "refuse@example.net", "never"); code(err) != 550 || !strings.Contains(err.Error(), "wants no mail") {
			t.Errorf("%s: refuse@example.net: %v", mta, err)
		}
		if err := s.send(mta, "bob@elsewhere.example", "never"); code(err) < 500 {
			t.Errorf("%s: mail for elsewhere: %v", mta, err)
		}
	}
}

func (s *stack) testMonitor(t *testing.T) {
	for path, want := range map[string]string{"/readyz": "ok", "/metrics": `pmilter_verdicts_total{phase="rcpt",script="scripts/20-refuse.js",verdict="reject"} 2`} {
		if got := s.output(t, "curl", "-sS", "--max-time", "20", "http://"+s.addr["admin"]+path); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s:\n%s", path, want, got)
		}
	}
	if got := s.output(t, append(s.command, "exec", "-T", "pmilterd", "pmilterd", "explain", "refuse@example.net")...); !strings.Contains(got, "wants no mail") {
		t.Errorf("explain: %s", got)
	}
}

func (s *stack) testArchive(t *testing.T) {
	s.read(t, "archive@example.net", "host to postfix")
	s.read(t, "archive@example.net", "host to sendmail")
}

func (s *stack) testEdit(t *testing.T) {
	stamp := filepath.Join(s.scripts, "90-stamp.ts")
	before := s.status(t).Scripts.Version
	edit(t, stamp, "pmilterd for", "edited on the host for")
	wait(t, "the edited scripts are loaded", func() bool { return s.status(t).Scripts.Version != before })
	must(t, s.send("postfix", "bob@example.net", "after the edit"))
	if got := s.read(t, "bob@example.net", "after the edit").Get("X-Filtered-By"); !strings.HasPrefix(got, "edited on the host for ") {
		t.Errorf("after the edit X-Filtered-By is %q", got)
	}

	edit(t, stamp, "export function eom", "export function function eom")
	wait(t, "the mistake is told", func() bool {
		fault := s.status(t).Scripts.Error
		return fault != nil && strings.Contains(fault.Message, "90-stamp.ts:")
	})
	must(t, s.send("postfix", "bob@example.net", "after the mistake"))
	if got := s.read(t, "bob@example.net", "after the mistake").Get("X-Filtered-By"); !strings.HasPrefix(got, "edited on the host for ") {
		t.Errorf("after a mistake X-Filtered-By is %q: the last good scripts do not stay", got)
	}
	edit(t, stamp, "export function function eom", "export function eom")
	wait(t, "the mistake is gone", func() bool { return s.status(t).Scripts.Error == nil })
}

func (s *stack) testNoStore(t *testing.T) {
	must(t, s.compose("stop", "redis"))
	if err := s.send("postfix", "bob@example.net", "without a store"); code(err) != 451 {
		t.Errorf("without Redis: %v", err)
	}
	must(t, s.compose("start", "redis"))
	s.healthy(t)
	must(t, s.send("postfix", "bob@example.net", "with the store again"))
	s.read(t, "bob@example.net", "with the store again")
}

func (s *stack) testKill(t *testing.T) {
	last := number(s.read(t, "bob@example.net", "with the store again"))
	must(t, s.compose("kill", "pmilterd"))
	for _, mta := range []string{"postfix", "sendmail"} {
		if err := s.send(mta, "bob@example.net", "to "+mta+" after the kill"); code(err) != 451 {
			t.Errorf("%s, pmilterd being dead: %v", mta, err)
		}
	}
	must(t, s.submit("kept in the queue"))
	wait(t, "Postfix says in its queue why it keeps the mail", func() bool { return strings.Contains(s.queue(t), "alice@example.org") })
	if s.has(t, "bob@example.net", "kept in the queue") {
		t.Fatal("mail went past the dead pmilterd")
	}

	must(t, s.compose("start", "pmilterd"))
	s.healthy(t)
	must(t, s.compose("exec", "-T", "postfix", "postqueue", "-f"))
	late := s.read(t, "bob@example.net", "kept in the queue")
	if !strings.HasPrefix(late.Get("X-Filtered-By"), "edited on the host for ") || number(late) <= last {
		t.Errorf("the mail that waited has X-Filtered-By %q, X-Mail-Number %d after %d", late.Get("X-Filtered-By"), number(late), last)
	}
	for _, mta := range []string{"postfix", "sendmail"} {
		subject := "to " + mta + " after the kill"
		must(t, s.send(mta, "bob@example.net", subject)) // as a client does that was told 451
		s.read(t, "bob@example.net", subject)
	}
	if slices.Contains(strings.Fields(s.queue(t)), "alice@example.org") {
		t.Errorf("something stays in Postfix's queue:\n%s", s.queue(t))
	}
}

// edit changes a file as an editor does: a new file takes its place.
func edit(t *testing.T, file, old, now string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	must(t, os.WriteFile(file+"~", []byte(strings.Replace(string(text), old, now, 1)), 0o644))
	must(t, os.Rename(file+"~", file))
}

// number is what 80-count.js wrote, or 0.
func number(m textproto.MIMEHeader) int {
	n, err := strconv.Atoi(m.Get("X-Mail-Number"))
	if err != nil {
		return 0
	}
	return n
}

// code is that of an SMTP reply, or 0.
func code(err error) int {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return reply.Code
	}
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
