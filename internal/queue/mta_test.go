package queue_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pmilter/internal/event"
	"pmilter/internal/postfixtest"
	"pmilter/internal/queue"
)

// nobody is the user as whom mail is delivered: an MTA does not as root.
const nobody = 65534

// mailbox makes a queue that nobody may write to, in a folder that all may enter.
func mailbox(t *testing.T, dir, name string) *queue.Queue {
	t.Helper()
	q := queue.New(queue.Options{Name: name, Path: filepath.Join(dir, name)})
	if err := q.Create(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(q.Path(), func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// openDir is a folder that all may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "queue") //nolint:usetesting // t.TempDir's parents are the test's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { postfixtest.RemoveAll(t, dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // another user delivers
		t.Fatal(err)
	}
	return dir
}

// delivered waits for the one event of a queue, and works on it to its end.
func delivered(t *testing.T, q *queue.Queue) (e *event.Event, message string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		list, err := q.Scan()
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			if time.Since(start) > 30*time.Second {
				t.Fatalf("nothing was delivered to %s", q.Name())
			}
			continue
		}
		c, err := q.Claim(list[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		e, r, err := c.Event()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Begin(), c.Retry(time.Now())); err != nil {
			t.Fatal(err)
		}
		if list, err = q.Scan(); err != nil || len(list) != 1 || list[0].ID != e.ID || list[0].Attempts != 1 {
			t.Fatalf("%+v %v", list, err)
		}
		if c, err = q.Claim(list[0].Path); err != nil {
			t.Fatal(err)
		}
		if err := c.Done(); err != nil {
			t.Fatal(err)
		}
		return e, string(text)
	}
}

// forged is what a sender may try.
const forged = "X-Pmilter-Event: {\"id\":\"1767225600.M000001P42Q1.pmilter.mx\",\"queue\":\"x\",\"time\":\"2026-01-01T00:00:00Z\"," +
	"\"client\":{},\"sender\":\"boss@example.org\",\"recipients\":[],\"verdict\":\"accept\",\"complete\":true,\"data\":{\"run\":\"rm\"}}\r\n" +
	"Return-Path: <boss@example.org>\r\nDelivered-To: evil@example.org\r\nX-Pmilter-Failed: x\r\nSubject: forged\r\n\r\nbody\r\n"

func checkMail(t *testing.T, e *event.Event, message, sender, recipient string) {
	t.Helper()
	if !e.Foreign || e.Sender != sender || strings.Join(e.Recipients, ",") != recipient || e.Data != nil || e.Failed != "" ||
		e.Verdict != "accept" || !e.Complete || time.Since(e.Time) > time.Hour {
		t.Errorf("event %+v, want sender %q and recipient %q", e, sender, recipient)
	}
	// The mail as the MTA wrote it, the forged line in it.
	if !strings.HasPrefix(message, "Return-Path: <"+sender+">\r\n") || !strings.Contains(message, "\r\nX-Pmilter-Event: {\"id\"") ||
		!strings.HasSuffix(message, "Subject: forged\r\n\r\nbody\r\n") {
		t.Errorf("message\n%s", message)
	}
}

// TestPostfixDelivers: virtual(8) and local(8) deliver into a queue's Maildir, with
// no pmilterd in front of them. docs/maildir-as-a-job-queue.md has these settings.
func TestPostfixDelivers(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	virtual, local := mailbox(t, dir, "virtual"), mailbox(t, dir, "local")
	aliases, boxes := filepath.Join(dir, "aliases"), filepath.Join(dir, "boxes")
	if err := errors.Join(
		os.WriteFile(aliases, []byte("jobs "+local.Path()+"/\n"), 0o644),   //nolint:gosec // Postfix reads it
		os.WriteFile(boxes, []byte("jobs@virtual.test virtual/\n"), 0o644), //nolint:gosec // the same
	); err != nil {
		t.Fatal(err)
	}
	uid := strconv.Itoa(nobody)
	p := postfixtest.Start(t, postfixtest.Config{MainCF: map[string]string{
		"virtual_mailbox_domains": "virtual.test", "virtual_mailbox_base": dir, "virtual_mailbox_maps": "texthash:" + boxes,
		"virtual_uid_maps": "static:" + uid, "virtual_gid_maps": "static:" + uid, "virtual_transport": "virtual",
		"mydestination": "local.test", "local_transport": "local", "alias_maps": "texthash:" + aliases,
		"local_recipient_maps": "",
	}})
	for recipient, q := range map[string]*queue.Queue{"jobs@virtual.test": virtual, "jobs@local.test": local} {
		for _, sender := range []string{"a@example.org", ""} {
			c := p.Dial(t)
			if r := c.Send(sender, []string{recipient}, forged); r.Code() != 250 {
				t.Fatalf("%s: %s", recipient, r)
			}
			c.Close()
			e, message := delivered(t, q)
			checkMail(t, e, message, sender, recipient)
		}
	}
}

// TestDovecotDelivers: Postfix's local(8) hands mail to dovecot-lda, which
// delivers it into a queue's Maildir.
func TestDovecotDelivers(t *testing.T) {
	t.Parallel()
	const lda = "/usr/lib/dovecot/dovecot-lda"
	if _, err := os.Stat(lda); err != nil {
		if os.Getenv(postfixtest.RequireEnv) == "1" {
			t.Fatalf("%v, and %s=1 asks for it", err, postfixtest.RequireEnv)
		}
		t.Skip("left out: Dovecot's LDA is not installed (apt-get install dovecot-core)")
	}
	dir := openDir(t)
	q := mailbox(t, dir, "lda")
	conf := filepath.Join(dir, "dovecot.conf")
	text := "mail_location = maildir:" + q.Path() + "\nlog_path = /dev/stderr\npostmaster_address = postmaster@example.org\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil { //nolint:gosec // the LDA reads it
		t.Fatal(err)
	}
	p := postfixtest.Start(t, postfixtest.Config{MainCF: map[string]string{
		"mydestination": "local.test", "local_transport": "local", "local_recipient_maps": "",
		"mailbox_command": "HOME=" + dir + " " + lda + " -c " + conf + ` -f "$SENDER" -a "$RECIPIENT"`,
	}})
	for _, sender := range []string{"a@example.org", ""} {
		c := p.Dial(t)
		if r := c.Send(sender, []string{"nobody@local.test"}, forged); r.Code() != 250 {
			t.Fatal(r)
		}
		c.Close()
		e, message := delivered(t, q)
		checkMail(t, e, message, sender, "nobody@local.test")
	}
}
