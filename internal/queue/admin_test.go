package queue

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// only is the one event of a state.
func only(t *testing.T, q *Queue, state State) Waiting {
	t.Helper()
	list, err := q.List(state)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %+v %v", state, list, err)
	}
	return list[0]
}

// TestInspectTellsWhatRuns: who looks sees what is worked on, and keeps nobody from it.
func TestInspectTellsWhatRuns(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	c := claim(t, q, drop(t, q, "new", ""))
	state := func() State {
		t.Helper()
		info, err := q.Inspect(only(t, q, StateWaiting), StateWaiting, nil)
		if err != nil {
			t.Fatal(err)
		}
		return info.State
	}
	if s := state(); s != StateWaiting {
		t.Errorf("claimed and not begun: %s", s) // it is not asked: so a claim finds it free
	}
	if err := c.Begin(); err != nil {
		t.Fatal(err)
	}
	if s := state(); s != StateRunning {
		t.Errorf("begun: %s", s)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	if s := state(); s != StateWaiting {
		t.Errorf("released: %s", s)
	}
	other, err := os.Open(only(t, q, StateWaiting).Path) // another who looks
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	if s := state(); s != StateWaiting {
		t.Errorf("looked at by two: %s", s)
	}
	other.Close()
	w := only(t, q, StateWaiting)
	_, err = q.Inspect(w, StateWaiting, func(io.Reader) error { // as long as its mail is shown
		c, err := q.Claim(w.Path)
		if err != nil {
			return err
		}
		return c.Release()
	})
	if err != nil {
		t.Errorf("claim of what is shown: %v", err)
	}
}

// TestRetryNow: what is asked for is due at once and seen by who watches; what has failed
// is as new.
func TestRetryNow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		suffix string
		named  func(suffix string) bool
	}{
		"new":             {"", func(s string) bool { return s == "" }},
		"delayed":         {",A=2,N=32503680000", func(s string) bool { return strings.HasPrefix(s, ",A=2,N=") }},
		"left by a crash": {",A=1", func(s string) bool { return strings.HasPrefix(s, ",A=1,N=") }},
		"delayed and new": {",N=32503680000", func(s string) bool { return strings.HasPrefix(s, ",N=") }},
	} {
		q := newQueue(t)
		drop(t, q, "new", tt.suffix)
		w := only(t, q, StateWaiting)
		if err := q.RetryNow(w, StateWaiting); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		now := only(t, q, StateWaiting)
		if suffix := strings.TrimPrefix(filepath.Base(now.Path), now.ID); !tt.named(suffix) || !now.Due(time.Now()) || now.ID != w.ID {
			t.Errorf("%s: %q, due %v", name, suffix, now.Next)
		}
	}
	q := newQueue(t)
	c := claim(t, q, drop(t, q, "new", ",A=3"))
	if err := q.RetryNow(only(t, q, StateWaiting), StateWaiting); !errors.Is(err, ErrBusy) {
		t.Errorf("while another works on it: %v", err)
	}
	if err := c.Fail("no"); err != nil {
		t.Fatal(err)
	}
	if err := q.RetryNow(only(t, q, StateFailed), StateFailed); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, q, "new/"+c.ID())
	if data, err := os.ReadFile(only(t, q, StateWaiting).Path); err != nil || strings.Contains(string(data), "X-Pmilter-Failed") {
		t.Errorf("as new: %q %v", data, err)
	}
}

// TestClaimFindsItsOwn: beside a file that was moved lies a copy of that name.
func TestClaimFindsItsOwn(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	path := drop(t, q, "new", "")
	c := claim(t, q, path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(q.Path(), "cur", c.ID()+":2,F")
	if err := errors.Join(os.WriteFile(copied, content, 0o600), os.Rename(path, path+":2,S")); err != nil {
		t.Fatal(err)
	}
	if err := c.Done(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, q, "cur/"+c.ID()+":2,F")
}

// TestClaimOfAPipe: it could be opened, and locked.
func TestClaimOfAPipe(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	path := filepath.Join(q.Path(), "new", "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Claim(path); err == nil || errors.Is(err, ErrBusy) || errors.Is(err, ErrGone) {
		t.Errorf("%v", err)
	}
}
