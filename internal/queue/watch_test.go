package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// longInterval is one that does not come to pass in a test.
func longInterval(o *Options) { o.Interval = time.Hour }

func TestWatchFindsOldAndNew(t *testing.T) {
	t.Parallel()
	q := newQueue(t, longInterval)
	first, second := drop(t, q, "new", ""), drop(t, q, "cur", ",A=1:2,S")
	due := watched(t, q)
	if a, b := receive(t, due), receive(t, due); a.Path != first || b.Path != second || b.Attempts != 1 || b.ID+",A=1:2,S" != filepath.Base(second) {
		t.Errorf("found %+v, %+v", a, b)
	}
	third := drop(t, q, "new", "")
	if c := receive(t, due); c.Path != third || c.Attempts != 0 || !c.Next.IsZero() || time.Since(c.Made) > time.Minute {
		t.Errorf("found %+v", c)
	}
	moved := filepath.Join(q.Path(), "cur", filepath.Base(third)+":2,")
	if err := os.Rename(third, moved); err != nil { // a mail reader
		t.Fatal(err)
	}
	if d := receive(t, due); d.Path != moved {
		t.Errorf("found %+v", d)
	}
}

// TestWatchWaitsUntilDue: a retry comes when it is due, and what is begun does
// not come until somebody looks anew.
func TestWatchWaitsUntilDue(t *testing.T) {
	t.Parallel()
	q := newQueue(t, longInterval)
	due := watched(t, q)
	drop(t, q, "new", "")
	c := claim(t, q, receive(t, due).Path)
	if err := c.Begin(); err != nil {
		t.Fatal(err)
	}
	begun := c.Path()
	at := time.Now().Add(time.Second)
	if err := c.Retry(at); err != nil {
		t.Fatal(err)
	}
	w := receive(t, due)
	if now := time.Now(); now.Before(at) || w.Attempts != 1 || w.Next.Before(at) || w.Path == begun {
		t.Errorf("%v before its time, %+v", at.Sub(now), w)
	}
	c = claim(t, q, w.Path)
	if err := errors.Join(c.Begin(), c.Release()); err != nil {
		t.Fatal(err)
	}
	last := drop(t, q, "new", "")
	if w := receive(t, due); w.Path != last {
		t.Errorf("%+v came", w)
	}
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	q.Rescan()
	if w := receive(t, due); w.Path != c.Path() || w.Attempts != 2 {
		t.Errorf("%+v came", w)
	}
}

// TestWatchAtInterval: what no notice comes of is seen.
func TestWatchAtInterval(t *testing.T) {
	t.Parallel()
	q := newQueue(t, func(o *Options) { o.Interval = 50 * time.Millisecond })
	path := drop(t, q, "new", ",A=1")
	due := watched(t, q)
	for range 3 {
		if w := receive(t, due); w.Path != path {
			t.Errorf("%+v came", w)
		}
	}
}

// TestWatchWithoutFolder: a folder that is missing, or goes and comes back.
func TestWatchWithoutFolder(t *testing.T) {
	t.Parallel()
	q := newQueue(t, func(o *Options) { o.Interval = 20 * time.Millisecond })
	if err := os.RemoveAll(q.Path()); err != nil {
		t.Fatal(err)
	}
	due := watched(t, q)
	for range 2 {
		if err := q.Create(); err != nil {
			t.Fatal(err)
		}
		path := drop(t, q, "new", "")
		for receive(t, due).Path != path {
		}
		if err := os.RemoveAll(q.Path()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatchManyKeepsOrder: of more events than are remembered each comes, oldest first.
func TestWatchManyKeepsOrder(t *testing.T) {
	t.Parallel()
	now := time.Unix(2_000_000_000, 0)
	q := newQueue(t, longInterval, func(o *Options) { o.Now = func() time.Time { return now } })
	w := &watch{q: q, due: make(chan Waiting)}
	var all []Waiting
	for i := range maxWaiting + 10 {
		all = append(all, q.waiting("/x", strconv.Itoa(1_000_000_000+i)+".h"))
	}
	w.take(all)
	if !w.cut || len(w.events.list) != maxWaiting {
		t.Fatalf("%d are known", len(w.events.list))
	}
	w.add(q.waiting("/x", "1900000000.h")) // after the horizon
	w.add(q.waiting("/x", "900000000.h"))
	w.add(q.waiting("/x", "900000000.h"))
	if len(w.events.list) != maxWaiting+1 {
		t.Errorf("%d are known", len(w.events.list))
	}
	if _, first, _ := w.next(); first.ID != "900000000.h" {
		t.Errorf("first is %+v", first)
	}
	for i := range maxWaiting + 1 { // younger than the horizon of what is cut: retries in between
		w.add(q.waiting("/x", strconv.Itoa(1_000_000_000-i)+".g"))
	}
	if len(w.events.list) > 2*maxWaiting {
		t.Errorf("%d are known", len(w.events.list))
	}
	w.events.remove("/x/900000000.h")
	if _, first, _ := w.next(); first.ID == "900000000.h" {
		t.Errorf("first is %+v", first)
	}
	later := q.waiting("/x", "1.h,A=1,N=2000000010")
	w.take([]Waiting{later})
	if out, _, wait := w.next(); out != nil || wait != 10*time.Second {
		t.Errorf("waits %v", wait)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	old := time.Now().Add(-37 * time.Hour)
	for _, f := range []string{"tmp/old", "tmp/young", ".failed/tmp/old", "new/old"} {
		path := filepath.Join(q.Path(), f)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == "old" {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := q.Sweep(); n != 2 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	wantFiles(t, q, "new/old", "tmp/young")
}

func TestCreateAndCheck(t *testing.T) {
	t.Parallel()
	q := New(Options{Name: "x", Path: filepath.Join(t.TempDir(), "missing", "x")})
	if err := q.Create(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("create without the folder above: %v", err)
	}
	if err := q.Check(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check: %v", err)
	}
	q = newQueue(t)
	if err := q.Check(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{"", "tmp", ".failed/new", ".done/cur"} {
		if info, err := os.Stat(filepath.Join(q.Path(), dir)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", dir, info, err)
		}
	}
	if err := q.Create(); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := errors.Join(os.RemoveAll(q.sub("", "new")), os.WriteFile(q.sub("", "new"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if q.Check() == nil || q.Create() == nil {
		t.Error("a file in place of new/ is not seen")
	}
}

// TestWatchAfterAnOverflow: changes come faster than they are read, the kernel drops
// some, and what they would have told is found all the same.
func TestWatchAfterAnOverflow(t *testing.T) {
	t.Parallel()
	most := 16384
	if text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events"); err == nil {
		most, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if most > 1<<17 {
		t.Skipf("%d changes would be needed", most)
	}
	var gate sync.Mutex // closed, Watch takes in nothing
	q := newQueue(t, longInterval, func(o *Options) {
		o.Now = func() time.Time {
			gate.Lock()
			defer gate.Unlock()
			return time.Now()
		}
	})
	due := watched(t, q)
	first := drop(t, q, "new", "")
	if w := receive(t, due); w.Path != first {
		t.Fatalf("%+v came", w)
	}
	gate.Lock()
	noise := q.sub("", "new") + "/1.noise"
	for range most/2 + 2048 { // two changes each; fsnotify has read some
		if err := errors.Join(os.WriteFile(noise, nil, 0o600), os.Remove(noise)); err != nil {
			t.Fatal(err)
		}
	}
	last := q.sub("", "new") + "/2.last"
	if err := os.WriteFile(last, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gate.Unlock()
	for receive(t, due).Path != last { // the noise, perhaps
	}
}

// TestWatchBeforeTheFirstScan: a change is taken in although the Maildir could not
// be looked through yet.
func TestWatchBeforeTheFirstScan(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	if err := os.RemoveAll(q.sub("", "cur")); err != nil {
		t.Fatal(err)
	}
	due := watched(t, q)
	for i := range 200 { // until new/ is watched, and a while on
		path := filepath.Join(q.sub("", "new"), fmt.Sprintf("%d.M1P1Q1.host", 1000+i))
		if err := os.WriteFile(path, []byte("Subject: x\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case w := <-due:
			if filepath.Dir(w.Path) != q.sub("", "new") {
				t.Errorf("%s", w.Path)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Error("no event came")
}
