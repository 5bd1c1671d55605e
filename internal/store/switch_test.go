package store_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/store"
)

// TestSwitchPause: calls wait for the store, releases are kept for it, and who does not
// want to wait that long does not.
func TestSwitchPause(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	first, second := store.NewMemory(time.Now), store.NewMemory(time.Now)
	w := store.NewSwitch(first)
	if !w.NeverWaits() {
		t.Error("memory waits")
	}
	if ok, n, err := w.Hold(ctx, "k", "h", 0); !ok || n != 1 || err != nil {
		t.Fatal(ok, n, err)
	}
	got, err := w.Pause(ctx)
	if err != nil || got != store.Store(first) || w.NeverWaits() {
		t.Fatal(got, err)
	}
	soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := w.Incr(soon, "n", 1, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	var calls sync.WaitGroup
	for range 10 {
		calls.Go(func() {
			if _, err := w.Incr(ctx, "n", 1, 0); err != nil {
				t.Error(err)
			}
		})
	}
	w.Release("h")
	for _, e := range store.Entries(first) {
		if err := store.Put(ctx, second, e); err != nil {
			t.Error(err)
		}
	}
	if ok, _, _ := second.Hold(ctx, "k", "i", 1); ok {
		t.Error("the hold was not carried over")
	}
	w.Use(second)
	calls.Wait()
	if v, _, _ := second.Get(ctx, "n"); string(v) != "10" {
		t.Errorf("%s", v)
	}
	if ok, n, _ := second.Hold(ctx, "k", "i", 1); !ok || n != 1 {
		t.Error("the release was lost")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := w.Get(ctx, "n"); err == nil {
		t.Error("it answers after the end")
	}
}

// TestEntries: what one store in memory has, another has after it, with the time it has left.
func TestEntries(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), newClock()
	from, to := store.NewMemory(c.Now), store.NewMemory(c.Now)
	_ = from.Set(ctx, "for ever", []byte(`"x"`), 0)
	_ = from.Set(ctx, "minute", []byte("1"), time.Minute)
	_ = from.Set(ctx, "gone", []byte("1"), time.Second)
	for range 3 {
		_, _, _, _ = from.Limit(ctx, "window", 5, time.Hour)
	}
	c.advance(30 * time.Second)
	for _, e := range store.Entries(from) {
		if err := store.Put(ctx, to, e); err != nil {
			t.Error(err)
		}
	}
	has := func(key string, want bool) {
		t.Helper()
		if _, found, err := to.Get(ctx, key); found != want || err != nil {
			t.Errorf("%s: %v %v", key, found, err)
		}
	}
	has("for ever", true)
	has("minute", true)
	has("gone", false)
	if ok, n, _, err := to.Limit(ctx, "window", 5, time.Hour); !ok || n != 4 || err != nil {
		t.Error(ok, n, err)
	}
	c.advance(31 * time.Second)
	has("minute", false)
	for _, e := range []store.Entry{
		{Kind: 'x', Key: "k"}, {Kind: store.EntryValue}, {Kind: store.EntryWindow, Key: "k", Data: []byte{255}}, {Kind: store.EntryHold, Key: "k"},
	} {
		if err := store.Put(ctx, to, e); err == nil {
			t.Errorf("taken: %+v", e)
		}
	}
	file, err := store.OpenFile(filepath.Join(t.TempDir(), "s"), time.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	closed(t, file)
	if err := store.Put(ctx, file, store.Entry{Kind: store.EntryValue, Key: "k"}); err == nil {
		t.Error("a file took a value")
	}
}

// TestServeHeld: what a process held before it was served ends with it.
func TestServeHeld(t *testing.T) {
	t.Parallel()
	m := store.NewMemory(time.Now)
	_, _, _ = m.Hold(t.Context(), "k", "before", 0)
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- store.Serve(context.Background(), ours, m, "before") }()
	c := store.NewClient(theirs)
	if ok, n, err := c.Hold(t.Context(), "k", "after", 0); !ok || n != 2 || err != nil {
		t.Error(ok, n, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, n, _ := m.Hold(t.Context(), "k", "x", 0); n != 1 {
		t.Errorf("%d hold", n)
	}
}

// closing tells whether it was closed.
type closing struct {
	store.Store
	times int
}

func (c *closing) Close() error {
	c.times++
	return c.Store.Close()
}

// TestSwitchClosedWhilePaused: who waits for the store hears that it ended, and the store
// that comes too late is closed: nobody else would.
func TestSwitchClosedWhilePaused(t *testing.T) {
	t.Parallel()
	w := store.NewSwitch(store.NewMemory(time.Now))
	s := &closing{Store: store.NewMemory(time.Now)}
	old, err := w.Pause(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan error)
	go func() {
		_, _, err := w.Get(context.Background(), "k")
		waits <- err
	}()
	if err := errors.Join(w.Close(), old.Close()); err != nil {
		t.Error(err)
	}
	var failed *store.Error
	if err := <-waits; !errors.As(err, &failed) {
		t.Errorf("%v", err)
	}
	w.Use(s)
	if s.times != 1 {
		t.Errorf("closed %d times", s.times)
	}
	if _, _, err := w.Get(t.Context(), "k"); !errors.As(err, &failed) {
		t.Errorf("%v", err)
	}
}

// blocked is a store whose Get waits.
type blocked struct {
	store.Store
	entered, leave chan struct{}
}

func (b *blocked) Get(context.Context, string) ([]byte, bool, error) {
	close(b.entered)
	<-b.leave
	return nil, false, nil
}

// TestSwitchPauseWaits: a pause begins when the calls under way are done; one that is
// given up changes nothing, and who waited for its end goes on with the store as it was.
func TestSwitchPauseWaits(t *testing.T) {
	t.Parallel()
	s := &blocked{Store: store.NewMemory(time.Now), entered: make(chan struct{}), leave: make(chan struct{})}
	w := store.NewSwitch(s)
	called := make(chan struct{})
	go func() {
		defer close(called)
		_, _, _ = w.Get(context.Background(), "k")
	}()
	<-s.entered
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	later := make(chan error)
	go func() {
		<-soon.Done()
		later <- w.Set(context.Background(), "k", []byte("1"), 0)
	}()
	if got, err := w.Pause(soon); got != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused while a call is under way: %v, %v", got, err)
	}
	if err := <-later; err != nil {
		t.Error(err)
	}
	close(s.leave)
	<-called
	if got, err := w.Pause(t.Context()); got != store.Store(s) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
