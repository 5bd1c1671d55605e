package queue

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pmilter/internal/event"
)

func TestClaimLife(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	path := drop(t, q, "new", "")
	id := filepath.Base(path)
	c := claim(t, q, path)
	if _, err := q.Claim(path); !errors.Is(err, ErrBusy) {
		t.Errorf("second claim: %v", err)
	}
	e, message, err := c.Event()
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(message); err != nil || string(content) != "Subject: hi\r\n\r\nbody\r\n" {
		t.Errorf("message %q %v", content, err)
	}
	if e.ID != id || c.ID() != id || e.Queue != "archive" || e.Sender != "a@example.org" || e.Foreign {
		t.Errorf("event %+v", e)
	}
	if err := c.Begin(); err != nil {
		t.Fatal(err)
	}
	if c.Attempts() != 1 || c.Path() != path+",A=1" {
		t.Errorf("attempt %d, path %s", c.Attempts(), c.Path())
	}
	if _, err := q.Claim(path); !errors.Is(err, ErrGone) {
		t.Errorf("claim of the old name: %v", err)
	}
	if _, err := q.Claim(c.Path()); !errors.Is(err, ErrBusy) {
		t.Errorf("claim of the new name: %v", err)
	}
	if err := c.Retry(time.Unix(1767225600, 1)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, q, "new/"+id+",A=1,N=1767225601")

	c = claim(t, q, path+",A=1,N=1767225601")
	if err := c.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, q, "new/"+id+",A=2")

	c = claim(t, q, path+",A=2")
	if err := c.Done(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, q)
}

func TestFailKeepsTheMessageAndTheReason(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	path := drop(t, q, "cur", ",A=3:2,S")
	before, _ := os.ReadFile(path)
	c := claim(t, q, path)
	id := c.ID()
	if err := c.Fail("no such\nhost"); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, q, ".failed/new/"+id+",A=3")
	after, err := os.ReadFile(filepath.Join(q.Path(), ".failed/new", id+",A=3"))
	if err != nil || strings.Replace(string(after), "X-Pmilter-Failed: no such host\n", "", 1) != string(before) {
		t.Errorf("%q %v", after, err)
	}
	list, err := q.Failed()
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].Attempts != 3 {
		t.Errorf("failed %+v %v", list, err)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	q := newQueue(t, func(o *Options) { o.Keep = true })
	c := claim(t, q, drop(t, q, "new", ""))
	if err := errors.Join(c.Begin(), c.Done()); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, q, ".done/new/"+c.ID()+",A=1")
}

// TestMailReaderMoves: a mail reader moves a file that is worked on, and flags it.
func TestMailReaderMoves(t *testing.T) {
	t.Parallel()
	for step, do := range map[string]func(c *Claim) error{
		"begin": (*Claim).Begin,
		"done":  (*Claim).Done,
		"fail":  func(c *Claim) error { return c.Fail("x") },
		"retry": func(c *Claim) error { return c.Retry(time.Unix(1767225600, 0)) },
	} {
		q := newQueue(t)
		path := drop(t, q, "new", "")
		c := claim(t, q, path)
		id := c.ID()
		if err := os.Rename(path, filepath.Join(q.Path(), "cur", id+":2,S")); err != nil {
			t.Fatal(err)
		}
		if err := do(c); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		wantFiles(t, q, map[string][]string{
			"begin": {"cur/" + id + ",A=1:2,S"}, "retry": {"cur/" + id + ",N=1767225600:2,S"}, "fail": {".failed/new/" + id},
		}[step]...)
	}
}

// TestDeletedMeanwhile: somebody deletes the file, and another takes its name.
func TestDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	path := drop(t, q, "new", "")
	c := claim(t, q, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := c.Begin(); !errors.Is(err, ErrGone) {
		t.Errorf("begin: %v", err)
	}
	if err := c.Done(); err != nil {
		t.Errorf("done: %v", err)
	}
	if _, err := q.Claim(path); !errors.Is(err, ErrGone) {
		t.Errorf("claim: %v", err)
	}
}

func TestClaimRefuses(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	link, dir := filepath.Join(q.Path(), "new", "link"), filepath.Join(q.Path(), "new", "dir")
	target := filepath.Join(t.TempDir(), "target")
	if err := errors.Join(os.WriteFile(target, nil, 0o600), os.Symlink(target, link), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dir} {
		if _, err := q.Claim(path); err == nil || errors.Is(err, ErrBusy) || errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
}

// TestForeignEvent: what an MTA delivered is an event of this queue.
func TestForeignEvent(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	path := filepath.Join(q.Path(), "new", "mail")
	if err := os.WriteFile(path, []byte("Return-Path: <a@x>\nDelivered-To: b@y\nSubject: x\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := claim(t, q, path)
	defer c.Release()
	e, _, err := c.Event()
	if err != nil || e.Queue != "archive" || !e.Foreign || e.Sender != "a@x" || time.Since(e.Time) > time.Hour {
		t.Errorf("%+v %v", e, err)
	}
}

func TestDamagedEvent(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	path := drop(t, q, "new", "")
	if err := os.Truncate(path, 40); err != nil {
		t.Fatal(err)
	}
	c := claim(t, q, path)
	if _, _, err := c.Event(); !errors.Is(err, event.ErrDamaged) {
		t.Errorf("%v", err)
	}
	if err := c.Fail("damaged"); err != nil {
		t.Error(err)
	}
	wantFiles(t, q, ".failed/new/"+c.ID())
}

func TestDelay(t *testing.T) {
	t.Parallel()
	r := Retry{Attempts: 10, Backoff: 10 * time.Second, MaxBackoff: time.Hour}
	for attempt, want := range map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 3: 40 * time.Second, 9: 2560 * time.Second, 10: time.Hour, 1 << 30: time.Hour} {
		least, middle, most := r.Delay(attempt, 0), r.Delay(attempt, 0.5), r.Delay(attempt, 0.999999999)
		if least != want*4/5 || middle != want || most < want*119/100 || most > want*6/5 {
			t.Errorf("attempt %d: %v %v %v, want about %v", attempt, least, middle, most, want)
		}
	}
}

// TestClaimOfAnotherFile: between open and lock the file was finished, and another has
// its name. Who has a lock on what is gone has no event.
func TestClaimOfAnotherFile(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	path := drop(t, q, "new", "")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(path, path+",A=1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lock(f, path); !errors.Is(err, ErrGone) {
		t.Errorf("lock: %v", err)
	}
	if err := lock(f, path+",A=1"); err != nil {
		t.Errorf("lock under its own name: %v", err)
	}
}
