package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pmilter/internal/event"
	"pmilter/internal/sendmailtest"
)

func TestQueuedMail(t *testing.T)         { queuedMail(t, startMTA(t, nil)) }
func TestSendmailQueuedMail(t *testing.T) { queuedMail(t, startSendmail(t, sendmailtest.Config{})) }

// queuedMail: what is on a queue is what the MTA delivers, edits included, and is
// there when the client hears 250; what is refused is kept only when asked for;
// what cannot be kept is put off.
func queuedMail(t *testing.T, m behind) {
	t.Helper()
	maildir := filepath.Join(t.TempDir(), "archive")
	m.serve(t, one(`import { enqueue } from "pmilter/queue";
	export function rcpt(session, to) { enqueue("archive", { when: to.local === "any" ? "any" : "accepted", data: { to } }); }
	export function eom(session) {
		const { message } = session;
		message.headers.set("Subject", "changed");
		message.headers.add("X-Added", "grüße");
		message.headers.remove("X-Gone");
		message.addRecipient("c@example.net");
		if (message.text.includes("refuse")) return reject("no");
		if (message.text.includes("discard")) return discard();
	}`), map[string]string{"queue.archive": `{ maildir = "` + maildir + `" }`})
	c := m.Dial(t)
	send := func(to, body string) string {
		c.Cmd("MAIL FROM:<a@example.org>")
		c.Cmd("RCPT TO:<" + to + ">")
		c.Cmd("DATA")
		return c.Data("Subject: as it was\r\nX-Gone: 1\r\nX-Folded: a\r\n b\r\n\r\n" + body + "\r\n.dot\r\n").String()
	}
	c.Cmd("EHLO client.example.org")
	if reply := send("b@example.org", "pass"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	e, message := onlyEvent(t, maildir)
	if e.Sender != "a@example.org" || strings.Join(e.Recipients, " ") != "b@example.org c@example.net" || e.QueueID == "" ||
		e.Verdict != "accept" || !e.Complete || e.Helo != "client.example.org" || e.Client.IP != "127.0.0.1" {
		t.Errorf("event %+v", e)
	}
	var data struct{ To string }
	if err := json.Unmarshal(e.Data, &data); err != nil || data.To != "b@example.org" {
		t.Errorf("data %s", e.Data)
	}
	mail := m.delivered().WaitCount(t, 1)[0]
	if _, body, _ := strings.Cut(message, "\r\n\r\n"); body != string(mail.Body()) {
		t.Errorf("body %q, delivered %q", body, mail.Body())
	}
	header, _, _ := strings.Cut(message, "\r\n\r\n")
	for line := range strings.SplitSeq(header, "\r\n") {
		if !strings.Contains(mail.Header(), line+"\r\n") {
			t.Errorf("%q is not in what was delivered:\n%s", line, mail.Header())
		}
	}
	if !strings.Contains(header, "Subject: changed") || !strings.Contains(header, "X-Added: =?") || strings.Contains(header, "X-Gone") {
		t.Errorf("header\n%s", header)
	}

	if reply := send("b@example.org", "refuse"); !strings.HasPrefix(reply, "550") {
		t.Error(reply)
	}
	if reply := send("any@example.org", "refuse"); !strings.HasPrefix(reply, "550") {
		t.Error(reply)
	}
	if e, _ := onlyEvent(t, maildir); e.Verdict != "reject" || !e.Complete || e.Recipients[0] != "any@example.org" {
		t.Errorf("event %+v", e)
	}
	if reply := send("any@example.org", "discard"); !strings.HasPrefix(reply, "250") {
		t.Error(reply)
	}
	if e, _ := onlyEvent(t, maildir); e.Verdict != "discard" {
		t.Errorf("event %+v", e)
	}
	c.Cmd("MAIL FROM:<a@example.org>")
	c.Cmd("RCPT TO:<any@example.org>")
	c.Cmd("QUIT") // after RSET both MTAs tell the milter only with the next MAIL
	if e, _ := onlyEvent(t, maildir); e.Verdict != "abort" || e.Complete {
		t.Errorf("event %+v", e)
	}

	c = m.Dial(t)
	c.Cmd("EHLO client.example.org")
	if err := os.Rename(maildir, maildir+"~"); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"pass", "discard"} {
		if reply := send("any@example.org", body); !strings.HasPrefix(reply, "451") {
			t.Errorf("%s: %s", body, reply)
		}
	}
	if n := len(m.delivered().Mails()); n != 1 {
		t.Errorf("%d mails were delivered", n)
	}
}

// onlyEvent takes the one event out of a queue; the MTA need not have ended what
// it tells nobody.
func onlyEvent(t *testing.T, maildir string) (*event.Event, string) {
	t.Helper()
	var files []string
	for start := time.Now(); len(files) == 0 && time.Since(start) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		files, _ = filepath.Glob(filepath.Join(maildir, "new", "*"))
	}
	if len(files) != 1 {
		t.Fatalf("%d events", len(files))
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	e, r, err := event.Read(bytes.NewReader(data), filepath.Base(files[0]))
	if err != nil {
		t.Fatal(err)
	}
	message, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	return e, string(message)
}
