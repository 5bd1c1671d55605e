package prefork_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pmilter/internal/prefork"
)

// One is on its way out at a time, however long it takes and whoever dies meanwhile.
func TestResidentsAreReplacedOneByOne(t *testing.T) {
	t.Parallel()
	r := &residents{takes: time.Minute}
	inResidents(t, r, prefork.Options{Min: 3, Max: 3, EndTimeout: time.Hour, ErrorInterval: time.Millisecond}, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		over := make(chan error, 1)
		go func() { over <- p.Replace(context.Background()) }()
		for minute := range 3 {
			time.Sleep(30 * time.Second)
			if s := states(p); s != "ending idle idle idle" && s != "idle ending idle idle" && s != "idle idle ending idle" {
				t.Errorf("minute %d: %q", minute, s)
			}
			if minute == 0 {
				p.Kill(4, "asked") // the first new one
				synctest.Wait()
				time.Sleep(time.Second)
				if s := states(p); strings.Count(s, "ending") != 1 || strings.Count(s, "idle") != 3 {
					t.Errorf("when another has died: %q", s)
				}
				time.Sleep(29 * time.Second)
				continue
			}
			time.Sleep(30 * time.Second)
		}
		synctest.Wait()
		select {
		case err := <-over:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("not over after three minutes: %q", states(p))
		}
	})
}

// Fewer: the oldest go, and no more than are too many; who is on the way out has the time
// that there was. Limits of nothing are the defaults.
func TestResidentsAreFewer(t *testing.T) {
	t.Parallel()
	r := &residents{takes: 24 * time.Hour}
	inResidents(t, r, prefork.Options{Min: 4, Max: 4, EndTimeout: time.Minute, SpawnInterval: time.Second}, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		time.Sleep(10 * time.Second)
		p.Configure(prefork.Limits{Min: 3, Max: 3, EndTimeout: time.Minute})
		synctest.Wait()
		if s := states(p); s != "ending idle idle idle" {
			t.Errorf("three: %q", s)
		}
		p.Configure(prefork.Limits{})
		synctest.Wait()
		if s := states(p); s != "ending ending ending idle" {
			t.Errorf("none is one: %q", s)
		}
		time.Sleep(4 * time.Second)
		if s := states(p); s != "ending ending ending idle" {
			t.Errorf("after 4 s: %q", s)
		}
		time.Sleep(2 * time.Second)
		if s := states(p); s != "ending idle" {
			t.Errorf("after 6 s: %q", s)
		}
		time.Sleep(time.Minute)
		if s := states(p) + fmt.Sprint(r.reasons()); s != "idle[2 fewer 3 fewer 1 fewer]" && s != "idle[3 fewer 2 fewer 1 fewer]" {
			t.Errorf("after a minute: %q", s)
		}
		p.Configure(prefork.Limits{Min: 2, Max: 2})
		time.Sleep(2 * time.Second)
		if s := states(p); s != "idle idle" {
			t.Errorf("two again: %q", s)
		}
	})
}

// A life of some length makes good for the short ones before it: the next that dies young
// is followed soon.
func TestResidentThatLivedMakesGood(t *testing.T) {
	t.Parallel()
	r := &residents{}
	o := prefork.Options{Min: 1, Max: 1, ErrorInterval: 100 * time.Millisecond, MaxErrorInterval: time.Hour}
	inResidents(t, r, o, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		next := func() (after time.Duration) {
			began, n := time.Now(), p.Status().Spawned
			p.Kill(p.Status().Workers[0].PID, "")
			for p.Status().Spawned == n {
				time.Sleep(time.Millisecond)
			}
			synctest.Wait()
			return time.Since(began).Round(10 * time.Millisecond)
		}
		for i, want := range []time.Duration{100, 200, 400, 800} {
			if got := next(); got != want*time.Millisecond {
				t.Errorf("young death %d: the next came after %v", i+1, got)
			}
		}
		time.Sleep(time.Minute)
		if got := next(); got > 20*time.Millisecond {
			t.Errorf("the next came after %v", got)
		}
		if got := next(); got != 100*time.Millisecond {
			t.Errorf("a young one again: the next came after %v", got)
		}
	})
}

// One that asks to end before it is ready ends when it is, and what kept others from
// getting ready is forgotten when one has.
func TestResidentThatLeavesAsItBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &residents{}
		first := true
		o := r.options(prefork.Options{Min: 1, Max: 1, ErrorInterval: time.Second})
		o = prefork.WithStarter(o, func(o *prefork.Options) (*prefork.Fake, error) {
			if !first {
				return r.start(o)
			}
			first = false
			ours, theirs := net.Pipe()
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer theirs.Close()
				_ = prefork.StayOn(ctx, theirs, func(_ context.Context, _ []byte, link *prefork.Link) (prefork.Resident, error) {
					link.Leave("trouble")
					time.Sleep(10 * time.Second)
					return &residentFake{r: r, id: 100, link: link, ctx: ctx}, nil
				})
			}()
			return &prefork.Fake{Conn: ours, ID: 100, Done: done, RSS: func() int64 { return 0 }, End: func() { theirs.Close(); cancel() }}, nil
		})
		p := prefork.New(o)
		time.Sleep(9 * time.Second)
		if s := states(p); s != "starting" {
			t.Errorf("while it starts: %q", s)
		}
		time.Sleep(2 * time.Second)
		if s := states(p) + fmt.Sprint(r.reasons()); s != "idle[100 trouble]" || p.Status().Died != 0 {
			t.Errorf("when it is ready: %q", s)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
