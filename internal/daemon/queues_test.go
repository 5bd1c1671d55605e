package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pmilter/internal/config"
	"pmilter/internal/event"
)

// withQueue gives the configuration a queue for each name, in a folder of the test's.
func withQueue(t *testing.T, names ...string) (dir string, change func(*config.Config)) {
	t.Helper()
	dir = t.TempDir()
	return dir, func(c *config.Config) {
		for _, name := range names {
			c.Queues = append(c.Queues, config.Queue{Name: name, Maildir: filepath.Join(dir, name)})
		}
	}
}

const queueImport = "import { enqueue } from \"pmilter/queue\";\n"

// eventsIn reads all events in a queue's new/.
func eventsIn(t *testing.T, maildir string) (events []*event.Event, messages []string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(maildir, "new"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range list {
		data, err := os.ReadFile(filepath.Join(maildir, "new", entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		e, message, err := event.Read(bytes.NewReader(data), entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(message)
		if err != nil {
			t.Fatal(err)
		}
		events, messages = append(events, e), append(messages, string(text))
	}
	return events, messages
}

func TestEnqueue(t *testing.T) {
	dir, queues := withQueue(t, "archive", "other")
	s := one(t, queueImport+`
import queue from "pmilter/queue";
import * as all from "pmilter/queue";
export function rcpt(session, to) { enqueue("archive", { data: { to, n: [1, "é\ud800"], none: undefined } }); }
export function eom(session) {
  session.message.headers.add("X-A", "1");
  session.message.addRecipient("c@example.net");
  queue.enqueue("other", { when: "any" });
  all.enqueue("other", { when: "accepted", data: undefined });
}`, queues)
	r := s.send(plain())
	if r.Message == nil {
		t.Fatalf("%s %v", outcomeOf(r), s.entries("script error"))
	}
	events, messages := eventsIn(t, filepath.Join(dir, "archive"))
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	e.Time = e.Time.UTC()
	want := fmt.Sprintf("{ID:%s Queue:archive Time:%s QueueID:%s Client:{IP:192.0.2.7 Port:4711 Name:client.example.org Family:inet} "+
		"Helo:client.example.org Sender:a@example.org Recipients:[b@example.net c@example.net] Verdict:accept Complete:true Data:", e.ID, e.Time, e.QueueID)
	if got := fmt.Sprintf("%+v", *e); !strings.HasPrefix(got, want) || e.QueueID == "" {
		t.Errorf("event\n%s\nwant\n%s", got, want)
	}
	if got := string(e.Data); got != `{"to":"b@example.net","n":[1,"\u00e9\ud800"]}` {
		t.Errorf("data %s", got)
	}
	if want := "From: A <a@example.org>\r\nTo: b@example.net\r\nSubject: hi\r\nX-A: 1\r\n\r\nhello\r\n"; messages[0] != want {
		t.Errorf("message %q", messages[0])
	}
	if others, _ := eventsIn(t, filepath.Join(dir, "other")); len(others) != 2 || others[0].Data != nil || others[0].ID == others[1].ID {
		t.Errorf("others %+v", others)
	}
	if lines := s.entries("message"); len(lines) != 1 || fmt.Sprint(lines[0]["queued"]) != "[archive other other]" {
		t.Errorf("log %v", lines)
	}
}

func TestEnqueueMistakes(t *testing.T) {
	_, queues := withQueue(t, "archive")
	code := []string{
		`enqueue(["arcive"][0])`, `enqueue()`, `enqueue("archive", 1)`, `enqueue("archive", { dat: 1 })`, `enqueue("archive", { when: "ever" })`,
		`const o = {}; o.o = o; enqueue("archive", { data: o })`, `enqueue("archive", { data: "x".repeat(1 << 20) })`,
	}
	want := []string{
		`TypeError: enqueue: there is no queue "arcive": the configuration has archive`,
		`TypeError: the queue's name is missing`,
		`TypeError: enqueue: the options are 1, which is no object`,
		`TypeError: enqueue: option "dat" is not known: there are data and when`,
		`TypeError: enqueue: when is "ever": "accepted" or "any"`,
	}
	s := one(t, queueImport+`
const out = [];
export function connect() { try { enqueue("archive"); } catch (e) { out.push(String(e)); } }
export function eom(session) {
  for (const f of [`+"() => {"+strings.Join(code, "}, () => {")+`}]) { try { f(); out.push("no error"); } catch (e) { out.push(String(e)); } }
  session.message.replaceBody(out.join("\n"));
}`, queues)
	r := s.send(plain())
	if r.Message == nil {
		t.Fatalf("%s %v", outcomeOf(r), s.entries("script error"))
	}
	got := strings.Split(strings.TrimSpace(string(r.Message.Body)), "\r\n")
	want = append([]string{"TypeError: enqueue: there is no message yet, or any more: call it from mail to abort"}, want...)
	if len(got) != 8 || !slices.Equal(got[:6], want) || slices.Contains(got, "no error") {
		t.Errorf("errors\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEnqueueAtTopLevel: loading has no effects.
func TestEnqueueAtTopLevel(t *testing.T) {
	_, queues := withQueue(t, "archive")
	dir := t.TempDir()
	file := filepath.Join(dir, "a.js")
	if err := os.WriteFile(file, []byte(queueImport+`enqueue("archive"); export function eom() {}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Scripts = []string{file}
	queues(cfg)
	if err := Check(t.Context(), cfg, io.Discard); err == nil || !strings.Contains(err.Error(), "a.js:2") {
		t.Errorf("%v", err)
	}
}

// TestEnqueueNamesAQueue: a queue that is written down and not configured is a fault at
// load, at start and at reload alike.
func TestEnqueueNamesAQueue(t *testing.T) {
	_, queues := withQueue(t, "archive")
	file := filepath.Join(t.TempDir(), "a.js")
	if err := os.WriteFile(file, []byte(queueImport+`export function eom() { enqueue("arcive"); }`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Scripts = []string{file}
	queues(cfg)
	err := Check(t.Context(), cfg, io.Discard)
	if err == nil || !strings.HasSuffix(err.Error(), `a.js:2:33: enqueue: there is no queue "arcive": the configuration has archive`) {
		t.Errorf("%v", err)
	}
	s := one(t, queueImport+`export function eom() { enqueue("archive"); }`, queues)
	without := *s.cfg
	without.Queues = nil
	if err := s.e.configure(t.Context(), &without); err == nil || !strings.Contains(err.Error(), `no queue "archive"`) {
		t.Errorf("%v", err)
	}
}

// TestEnqueueFails: a folder that is missing puts the client off, and one line
// tells why; when it is back, all is well without a restart.
func TestEnqueueFails(t *testing.T) {
	dir, queues := withQueue(t, "archive", "gone")
	s := one(t, queueImport+`export function eom() { enqueue("archive"); enqueue("gone"); }`, queues)
	gone := filepath.Join(dir, "gone")
	if err := os.Rename(gone, gone+"~"); err != nil {
		t.Fatal(err)
	}
	if r := s.send(plain()); outcomeOf(r) != "eom 451 4.3.0 Message filter error, try again later" {
		t.Errorf("%s", outcomeOf(r))
	}
	lines := s.entries("message cannot be queued")
	if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["error"]), "queue gone: put: open "+gone+"/tmp/") {
		t.Errorf("log %v", lines)
	}
	for _, folder := range []string{"new", "tmp"} {
		if list, err := os.ReadDir(filepath.Join(dir, "archive", folder)); err != nil || len(list) > 0 {
			t.Errorf("%s has %v %v", folder, list, err)
		}
	}
	if err := os.Rename(gone+"~", gone); err != nil {
		t.Fatal(err)
	}
	if r := s.send(plain()); r.Message == nil {
		t.Errorf("%s", outcomeOf(r))
	}
	if events, _ := eventsIn(t, gone); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
}

func TestQueueThatCannotBeMade(t *testing.T) {
	s := one(t, queueImport+`export function eom() {}`, func(c *config.Config) {
		c.Queues = []config.Queue{{Name: "x", Maildir: filepath.Join(t.TempDir(), "no", "x")}}
	})
	if lines := s.entries("queue cannot be written: mail for it is put off"); len(lines) != 1 {
		t.Errorf("log %v", lines)
	}
	if r := s.send(plain()); r.Message == nil {
		t.Errorf("other mail: %s", outcomeOf(r))
	}
}

func TestCheckTellsOfQueues(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Scripts = nil
	cfg.Queues = []config.Queue{
		{Name: "new", Maildir: filepath.Join(dir, "new")}, {Name: "lost", Maildir: filepath.Join(dir, "no", "lost")},
	}
	var out strings.Builder
	if err := Check(t.Context(), cfg, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"queue new: " + dir + "/new\nqueue new: note: the Maildir is made at start\n",
		"warning: queue lost: stat " + dir + "/no: no such file or directory: mail for this queue will be put off\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %s", out.String(), want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Error("check has made a Maildir")
	}
	cfg.Queues[0].Job = filepath.Join(dir, "job.js")
	if err := Check(t.Context(), cfg, io.Discard); err == nil || !strings.Contains(err.Error(), "queue.new.job: stat "+dir+"/job.js") {
		t.Errorf("%v", err)
	}
}
