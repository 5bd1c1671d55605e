package prefork_test

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/prefork"
)

// reaper notes the workers that end.
type reaper struct {
	mu    sync.Mutex
	exits []prefork.Exit
	at    []time.Time
}

func (r *reaper) reap(e prefork.Exit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exits, r.at = append(r.exits, e), append(r.at, time.Now())
}

// wait is the ends once there are n.
func (r *reaper) wait(t *testing.T, n int) ([]prefork.Exit, []time.Time) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		exits, at := slices.Clone(r.exits), slices.Clone(r.at)
		r.mu.Unlock()
		if len(exits) >= n {
			return exits, at
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d workers have ended, not %d", len(exits), n)
		}
	}
}

// full is a pool of n workers that are all ready.
func full(t *testing.T, n int, o prefork.Options) *prefork.Pool {
	t.Helper()
	ready := make(chan int, 16*n)
	o.Min, o.Max = n, n
	o.Hooks.Ready = func(pid int) { ready <- pid }
	p := newPool(t, o)
	for range n {
		<-ready
	}
	return p
}

func pids(p *prefork.Pool) (list []int) {
	for _, w := range p.Status().Workers {
		list = append(list, w.PID)
	}
	slices.Sort(list)
	return list
}

// TestSIGHUPReplacesOneByOne: a real signal to the process that holds the pool, handed
// on; there are never fewer than all but one.
func TestSIGHUPReplacesOneByOne(t *testing.T) {
	t.Parallel()
	var ended reaper
	p := full(t, 3, prefork.Options{
		Signals: map[syscall.Signal]prefork.Reaction{syscall.SIGHUP: {Replace: true}},
		Hooks:   prefork.Hooks{OnReap: ended.reap},
	})
	before := pids(p)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	defer signal.Stop(c)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(t.Context(), (<-c).(syscall.Signal)); err != nil {
		t.Fatal(err)
	}
	exits, _ := ended.wait(t, 3)
	for _, e := range exits {
		if e.Reason != "replaced" || !slices.Contains(before, e.PID) {
			t.Errorf("%+v", e)
		}
	}
	if len(exits) != 3 {
		t.Errorf("%d have ended", len(exits))
	}
	for _, pid := range pids(p) {
		if slices.Contains(before, pid) {
			t.Errorf("%d is still there", pid)
		}
	}
}

// TestSignalsAreStaggered: what a signal maps to reaches one worker after the other.
func TestSignalsAreStaggered(t *testing.T) {
	t.Parallel()
	const every = 300 * time.Millisecond
	var ended reaper
	p := full(t, 3, prefork.Options{
		Signals: map[syscall.Signal]prefork.Reaction{syscall.SIGUSR1: {Send: syscall.SIGTERM, Every: every}},
		Hooks:   prefork.Hooks{OnReap: ended.reap},
	})
	before, begun := pids(p), time.Now()
	if err := p.Signal(t.Context(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	exits, at := ended.wait(t, 3)
	for i, e := range exits[:3] {
		// Not sooner than its turn, however slow the machine is.
		if e.Reason != "signal" || !slices.Contains(before, e.PID) || at[i].Sub(begun) < time.Duration(i)*every {
			t.Errorf("%+v after %s", e, at[i].Sub(begun))
		}
	}
}

func TestSignalsThatAreNotMapped(t *testing.T) {
	t.Parallel()
	p := full(t, 2, prefork.Options{})
	before := pids(p)
	if err := p.Signal(t.Context(), syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	if after := pids(p); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

// TestSignalEnds: it does not hold up who stops the pool.
func TestSignalEnds(t *testing.T) {
	t.Parallel()
	p := full(t, 2, prefork.Options{
		Signals: map[syscall.Signal]prefork.Reaction{syscall.SIGUSR1: {Send: syscall.SIGCONT, Every: time.Hour}},
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Signal(ctx, syscall.SIGUSR1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	over := make(chan error, 1)
	go func() { over <- p.Signal(t.Context(), syscall.SIGUSR1) }()
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}
