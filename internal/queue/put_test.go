package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/event"
)

// brokenDisk fails at the n-th operation, counted from 1, and does all before and after it.
type brokenDisk struct {
	realDisk
	mu    sync.Mutex
	n     int
	err   error
	steps []string
}

func (d *brokenDisk) step(op, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n == 0 {
		return nil
	}
	d.steps = append(d.steps, op+" "+filepath.Base(filepath.Dir(path)))
	if len(d.steps) == d.n {
		return &fs.PathError{Op: op, Path: path, Err: d.err}
	}
	return nil
}

func (d *brokenDisk) Create(name string) (file, error) {
	if err := d.step("create", name); err != nil {
		return nil, err
	}
	f, err := d.realDisk.Create(name)
	return &brokenFile{f, d, name}, err
}

func (d *brokenDisk) Rename(from, to string) error {
	if err := d.step("rename", from); err != nil {
		return err
	}
	return d.realDisk.Rename(from, to)
}

func (d *brokenDisk) Remove(name string) error {
	if err := d.step("remove", name); err != nil {
		return err
	}
	return d.realDisk.Remove(name)
}

func (d *brokenDisk) SyncDir(dir string) error {
	if err := d.step("sync", dir+"/x"); err != nil {
		return err
	}
	return d.realDisk.SyncDir(dir)
}

type brokenFile struct {
	file
	d    *brokenDisk
	name string
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if err := f.d.step("write", f.name); err != nil {
		n, _ := f.file.Write(p[:len(p)/2])
		return n, err
	}
	return f.file.Write(p)
}

func (f *brokenFile) Sync() error {
	if err := f.d.step("fsync", f.name); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *brokenFile) Close() error {
	err := f.file.Close()
	if e := f.d.step("close", f.name); e != nil {
		return e
	}
	return err
}

func someEvent() *event.Event {
	return &event.Event{Sender: "a@example.org", Recipients: []string{"b@example.net"}, Verdict: "accept", Complete: true}
}

// TestPutFails: whatever step fails, none of the events is left, in either
// queue; the error names the step; and the next Put works.
func TestPutFails(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		d := &brokenDisk{err: syscall.ENOSPC}
		broken := func(o *Options) { o.disk = d }
		a, b, w := newQueue(t, broken), newQueue(t, broken), NewWriter()
		put := func() error {
			freed := 0
			err := w.Put(t.Context(), []Entry{{a, someEvent()}, {b, someEvent()}, {a, someEvent()}}, func() { freed++ },
				[]byte("Subject: x\r\n"), []byte("\r\nbody\r\n"))
			if freed != 1 {
				t.Errorf("step %d: the message was freed %d times", n, freed)
			}
			return err
		}
		d.n = n
		err := put()
		steps := d.steps
		if d.n = 0; len(steps) < n {
			if err != nil || n < 16 {
				t.Errorf("without a fault: %v after %d steps %q", err, len(steps), steps)
			}
			if got := len(files(t, a)) + len(files(t, b)); got != 3 {
				t.Errorf("%d files", got)
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "queue archive: put: ") {
			t.Errorf("step %d %s: %v", n, steps[n-1], err)
		}
		wantFiles(t, a)
		wantFiles(t, b)
		if err := put(); err != nil {
			t.Errorf("after step %d: %v", n, err)
		}
	}
}

// TestPutSyncs: each file is synced before it is renamed, and each folder after.
func TestPutSyncs(t *testing.T) {
	t.Parallel()
	d := &brokenDisk{}
	q := newQueue(t, func(o *Options) { o.disk = d })
	d.n = 1000
	if err := NewWriter().Put(t.Context(), []Entry{{q, someEvent()}, {q, someEvent()}}, func() {}, []byte("\r\n")); err != nil {
		t.Fatal(err)
	}
	want := "create tmp|write tmp|fsync tmp|close tmp|create tmp|write tmp|fsync tmp|close tmp|rename tmp|rename tmp|sync new"
	if got := strings.Join(d.steps, "|"); got != want {
		t.Errorf("steps %s", got)
	}
}

func TestPutWithoutPermission(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	q := newQueue(t)
	if err := os.Chmod(q.sub("", "tmp"), 0o500); err != nil {
		t.Fatal(err)
	}
	if err := q.Check(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("check: %v", err)
	}
	if err := NewWriter().Put(t.Context(), []Entry{{q, someEvent()}}, func() {}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("put: %v", err)
	}
}

// hangingDisk waits in Sync of a folder or of a file.
type hangingDisk struct {
	realDisk
	hangs   bool
	arrived chan struct{}
	release chan struct{}
}

func (d *hangingDisk) SyncDir(dir string) error {
	if d.hangs && filepath.Base(dir) == "new" {
		d.arrived <- struct{}{}
		<-d.release
	}
	return d.realDisk.SyncDir(dir)
}

// TestPutHangs: Put ends with its context, and what it wrote goes when the disk comes back.
func TestPutHangs(t *testing.T) {
	t.Parallel()
	d := &hangingDisk{arrived: make(chan struct{}, 1), release: make(chan struct{})}
	q := newQueue(t, func(o *Options) { o.disk = d })
	d.hangs = true
	w := NewWriter()
	decided := make(chan struct{})
	w.decided = func() { close(decided) }
	ctx, cancel := context.WithCancel(t.Context())
	freed := make(chan struct{})
	result := make(chan error, 1)
	go func() {
		result <- w.Put(ctx, []Entry{{q, someEvent()}}, func() { close(freed) }, []byte("\r\n"))
	}()
	<-d.arrived
	<-freed // it is written
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no answer from the disk") {
		t.Errorf("%v", err)
	}
	if n := len(files(t, q)); n != 1 {
		t.Errorf("%d files", n)
	}
	close(d.release)
	<-decided
	for start := time.Now(); len(files(t, q)) > 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatal("the event is still there, though the MTA has heard no")
		}
	}
	if len(w.slots) != 0 {
		for start := time.Now(); len(w.slots) != 0 && time.Since(start) < 20*time.Second; time.Sleep(time.Millisecond) {
		}
		if len(w.slots) != 0 {
			t.Error("its slot is not free")
		}
	}
}

// TestPutsThatHangAreBounded: when all slots hang the next one waits no longer than its context.
func TestPutsThatHangAreBounded(t *testing.T) {
	t.Parallel()
	q, w := newQueue(t), NewWriter()
	for range cap(w.slots) {
		w.slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	freed := false
	if err := w.Put(ctx, []Entry{{q, someEvent()}}, func() { freed = true }); !errors.Is(err, context.DeadlineExceeded) || !freed {
		t.Errorf("%v, freed %v", err, freed)
	}
	wantFiles(t, q)
}

func TestPutMany(t *testing.T) {
	t.Parallel()
	d := &brokenDisk{}
	q, w := newQueue(t, func(o *Options) { o.disk = d }), NewWriter()
	d.n = 1 << 30
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if err := w.Put(t.Context(), []Entry{{q, someEvent()}}, func() {}, []byte("\r\n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(files(t, q)); n != 80 {
		t.Errorf("%d files", n)
	}
}

// TestSyncIsShared: who comes while syncs run waits for one that began later, and
// all who wait share it.
func TestSyncIsShared(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	begun, release := 0, make(chan struct{})
	arrived := make(chan struct{}, 100)
	d := &funcDisk{sync: func() error {
		mu.Lock()
		begun++
		n := begun
		mu.Unlock()
		arrived <- struct{}{}
		<-release
		return fmt.Errorf("round %d", n)
	}}
	s := newSharedSync("x", d)
	results := make(chan error, 100)
	go func() { results <- s.Sync() }()
	<-arrived
	for range 20 {
		go func() { results <- s.Sync() }()
	}
	for joined := 0; joined < 20; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		joined = s.next.joined
		s.mu.Unlock()
	}
	close(release)
	count := map[string]int{}
	for range 21 {
		count[(<-results).Error()]++
	}
	if begun != 2 || count["round 2"] != 20 {
		t.Errorf("%d syncs: %v", begun, count)
	}
	if err := s.Sync(); err == nil || begun != 3 {
		t.Errorf("the next: %v, %d", err, begun)
	}
}

type funcDisk struct {
	realDisk
	sync func() error
}

func (d *funcDisk) SyncDir(string) error { return d.sync() }

// TestMoveFails: whatever step of Fail or of Done with keep fails, the event is
// still there, once or twice, never not.
func TestMoveFails(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Claim) error{
		"fail": func(c *Claim) error { return c.Fail("why") }, "keep": (*Claim).Done,
	} {
		for n := 1; ; n++ {
			d := &brokenDisk{err: syscall.EIO}
			q := newQueue(t, func(o *Options) { o.disk, o.Keep = d, true })
			path := drop(t, q, "new", "")
			before, _ := os.ReadFile(path)
			c := claim(t, q, path)
			d.n = n
			err := end(c)
			steps := d.steps
			if d.n = 0; len(steps) < n {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: step %d %s: %v", name, n, steps[n-1], err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("%s: after step %d %s the event is gone: %v", name, n, steps[n-1], err)
			}
			for _, f := range files(t, q) {
				if strings.Contains(f, "/tmp/") {
					t.Errorf("%s: after step %d %s: %s", name, n, steps[n-1], f)
				}
			}
			if c, err := q.Claim(path); err != nil {
				t.Errorf("%s: after step %d %s: %v", name, n, steps[n-1], err)
			} else if err := c.Release(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestRenameFails: an attempt that cannot be counted is an error before the job starts.
func TestRenameFails(t *testing.T) {
	t.Parallel()
	d := &brokenDisk{err: syscall.EROFS}
	q := newQueue(t, func(o *Options) { o.disk = d })
	path := drop(t, q, "new", "")
	c := claim(t, q, path)
	d.n = 1
	if err := c.Begin(); !errors.Is(err, syscall.EROFS) || c.Attempts() != 0 || c.Path() != path {
		t.Errorf("%v, %d", err, c.Attempts())
	}
	if _, message, err := c.Event(); err != nil {
		t.Error(err)
	} else if _, err := io.Copy(io.Discard, message); err != nil {
		t.Error(err)
	}
	d.n, d.steps = 1, nil
	if err := c.Retry(time.Now()); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	claim(t, q, path) // it was released
}

// TestMoveSyncs: what moves to .failed is there for good before it is gone from new.
func TestMoveSyncs(t *testing.T) {
	t.Parallel()
	d := &brokenDisk{}
	q := newQueue(t, func(o *Options) { o.disk = d })
	c := claim(t, q, drop(t, q, "new", ""))
	d.n = 1000
	if err := c.Fail("why"); err != nil {
		t.Fatal(err)
	}
	want := "create tmp|write tmp|fsync tmp|close tmp|rename tmp|sync new|remove new"
	if got := strings.Join(d.steps, "|"); got != want {
		t.Errorf("steps %s", got)
	}
}
