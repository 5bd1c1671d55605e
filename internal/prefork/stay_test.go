package prefork_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pmilter/internal/prefork"
)

// residents makes resident workers that are goroutines. Told "leave REASON" one asks to
// leave, told "hang" it does not end for an hour; other things it notes.
type residents struct {
	mu    sync.Mutex
	count int
	told  []string
	notes []string
	exits []prefork.Exit
	takes time.Duration // to end
	deaf  bool
}

func (r *residents) options(o prefork.Options) prefork.Options {
	o.Resident = true
	o.Hooks.OnReap = func(e prefork.Exit) { r.mu.Lock(); defer r.mu.Unlock(); r.exits = append(r.exits, e) }
	o.Hooks.Note = func(pid int, note []byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.notes = append(r.notes, fmt.Sprint(pid, " ", string(note)))
	}
	return prefork.WithStarter(o, r.start)
}

type residentFake struct {
	r    *residents
	id   int
	link *prefork.Link
	ctx  context.Context
}

func (f *residentFake) Told(data []byte) {
	f.r.mu.Lock()
	f.r.told = append(f.r.told, fmt.Sprint(f.id, " ", string(data)))
	f.r.mu.Unlock()
	if reason, ok := strings.CutPrefix(string(data), "leave "); ok {
		f.link.Leave(reason)
		f.link.Leave("again") // once is enough
		return
	}
	_ = f.link.Notify(append([]byte("heard "), data...))
}

func (f *residentFake) End(context.Context) {
	select {
	case <-time.After(f.r.takes):
	case <-f.ctx.Done():
	}
}

func (r *residents) start(*prefork.Options) (*prefork.Fake, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	f := &residentFake{r: r, id: r.count}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	f.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		if r.deaf {
			<-ctx.Done()
			return
		}
		_ = prefork.StayOn(ctx, theirs, func(_ context.Context, _ []byte, link *prefork.Link) (prefork.Resident, error) {
			f.link = link
			return f, nil
		})
	}()
	return &prefork.Fake{
		Conn: ours, ID: f.id, Done: done, RSS: func() int64 { return 0 },
		// In this order: one that ends must not be able to say that it wants to, and wait.
		End: func() { theirs.Close(); cancel() },
	}, nil
}

func (r *residents) reasons() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.exits {
		list = append(list, fmt.Sprint(e.PID, " ", e.Reason))
	}
	return list
}

// inResidents runs a test in a bubble of synthetic time.
func inResidents(t *testing.T, r *residents, o prefork.Options, test func(t *testing.T, p *prefork.Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := prefork.New(r.options(o))
		synctest.Wait()
		test(t, p)
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

func tell(t *testing.T, p *prefork.Pool, pid int, text string) {
	t.Helper()
	if !p.Tell(pid, []byte(text)) {
		t.Errorf("nobody of number %d", pid)
	}
	synctest.Wait()
}

func TestResidentIsToldInOrder(t *testing.T) {
	t.Parallel()
	r := &residents{}
	inResidents(t, r, prefork.Options{Min: 1, Max: 1}, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		for _, text := range []string{"a", "b", "c"} {
			p.Tell(1, []byte(text))
		}
		synctest.Wait()
		if got := fmt.Sprint(r.told, r.notes); got != "[1 a 1 b 1 c] [1 heard a 1 heard b 1 heard c]" {
			t.Error(got)
		}
		if p.Tell(2, nil) {
			t.Error("there is no second one")
		}
	})
}

// The place of one that leaves is taken at once, while it ends, and hears on.
func TestResidentThatLeaves(t *testing.T) {
	t.Parallel()
	r := &residents{takes: time.Minute}
	inResidents(t, r, prefork.Options{Min: 2, Max: 2, EndTimeout: time.Hour}, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		tell(t, p, 1, "leave trouble")
		if got := states(p); got != "ending idle idle" {
			t.Error(got)
		}
		tell(t, p, 1, "still there")
		time.Sleep(61 * time.Second)
		if got := states(p) + fmt.Sprint(r.reasons()); got != "idle idle[1 trouble]" {
			t.Error(got)
		}
		if s := p.Status(); s.Died != 0 || s.Spawned != 3 {
			t.Errorf("%+v", s)
		}
	})
	if got := r.told[len(r.told)-1]; got != "1 still there" {
		t.Error(got)
	}
}

// As many as there are places may be on their way out; another has to wait.
func TestResidentsThatAllLeave(t *testing.T) {
	t.Parallel()
	r := &residents{takes: time.Minute}
	inResidents(t, r, prefork.Options{Min: 2, Max: 2, EndTimeout: time.Hour}, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		for pid := 1; pid <= 4; pid++ {
			tell(t, p, pid, "leave trouble")
		}
		if got := states(p); got != "ending ending idle idle" {
			t.Error(got)
		}
		time.Sleep(61 * time.Second)
		if got := states(p); got != "ending ending idle idle" || len(r.reasons()) != 2 {
			t.Error(got, r.reasons())
		}
		time.Sleep(61 * time.Second)
		if got := states(p); got != "idle idle" || len(r.reasons()) != 4 {
			t.Error(got, r.reasons())
		}
	})
}

func TestResidentThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	r := &residents{takes: 24 * time.Hour}
	inResidents(t, r, prefork.Options{Min: 1, Max: 1, EndTimeout: time.Minute}, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		tell(t, p, 1, "leave trouble")
		time.Sleep(59 * time.Second)
		if got := states(p); got != "ending idle" {
			t.Error(got)
		}
		time.Sleep(2 * time.Second)
		if got := states(p); got != "idle" {
			t.Error(got)
		}
		p.Kill(2, "asked")
		time.Sleep(2 * time.Second)
		if got := states(p) + fmt.Sprint(r.reasons()); got != "idle[1 trouble 2 asked]" {
			t.Error(got)
		}
	})
}

// One that reads nothing must not make the pool keep all that it is told.
func TestResidentThatHearsNothingIsKilled(t *testing.T) {
	t.Parallel()
	r := &residents{deaf: true}
	inResidents(t, r, prefork.Options{Min: 1, Max: 1, StartTimeout: time.Hour}, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		for range 300 {
			p.Tell(1, []byte("x"))
		}
		synctest.Wait()
		if got := r.reasons(); len(got) != 1 {
			t.Error(got)
		}
	})
}

// One that dies young is followed ever later up to the limit, one that does not at once.
func TestResidentsThatDie(t *testing.T) {
	t.Parallel()
	r := &residents{}
	o := prefork.Options{Min: 1, Max: 1, ErrorInterval: 100 * time.Millisecond, MaxErrorInterval: time.Second}
	inResidents(t, r, o, func(t *testing.T, p *prefork.Pool) {
		t.Helper()
		began := time.Now()
		for pid := 1; pid <= 8; pid++ {
			for p.Status().Spawned < pid {
				time.Sleep(time.Millisecond)
			}
			synctest.Wait()
			p.Kill(pid, "")
		}
		if took := time.Since(began); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("8 starts took %v", took)
		}
		time.Sleep(time.Minute)
		before := time.Now()
		p.Kill(p.Status().Workers[0].PID, "")
		for len(p.Status().Workers) == 0 || p.Status().Spawned < 10 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(before); took > 20*time.Millisecond {
			t.Errorf("the next came after %v", took)
		}
	})
}
