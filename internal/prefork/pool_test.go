package prefork_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pmilter/internal/prefork"
)

// fakes makes workers that are goroutines. A job says what they do: "sleep 3s",
// "die", "leave", "quit 1m"; others are answered with themselves.
type fakes struct {
	*testing.T // of the bubble
	mu         sync.Mutex
	begun      []time.Time // each start
	exits      []prefork.Exit
	setup      string       // what new workers are told
	fault      func() error // of setting up
	memory     int64
	count      int
	setups     map[int]string
}

func (f *fakes) options(o prefork.Options) prefork.Options {
	f.setups = map[int]string{}
	o.Setup = func() []byte { f.mu.Lock(); defer f.mu.Unlock(); return []byte(f.setup) }
	o.Hooks.OnReap = func(e prefork.Exit) { f.mu.Lock(); defer f.mu.Unlock(); f.exits = append(f.exits, e) }
	return prefork.WithStarter(o, f.start)
}

func (f *fakes) start(*prefork.Options) (*prefork.Fake, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	id := f.count
	f.begun = append(f.begun, time.Now())
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		_ = prefork.ServeOn(ctx, theirs, func(_ context.Context, setup []byte, _ func([]byte) error) (prefork.Do, error) {
			f.mu.Lock()
			f.setups[id] = string(setup)
			f.mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			f.mu.Lock()
			fault := f.fault
			f.mu.Unlock()
			if fault != nil {
				if err := fault(); err != nil {
					return nil, err
				}
			}
			return func(_ context.Context, job []byte) ([]byte, bool) {
				word, rest, _ := strings.Cut(string(job), " ")
				switch word {
				case "sleep":
					d, _ := time.ParseDuration(rest)
					select {
					case <-time.After(d):
					case <-ctx.Done():
					}
				case "die":
					cancel()
					theirs.Close()
				case "leave":
					return job, true
				case "quit": // asks to end, as at a SIGTERM, and takes its time with the job
					cancel()
					d, _ := time.ParseDuration(rest)
					time.Sleep(d)
				}
				return append(job, fmt.Sprint(" by ", id)...), false
			}, nil
		})
	}()
	return &prefork.Fake{
		Conn: ours, ID: id, Done: done,
		End: func() { cancel(); theirs.Close() },
		RSS: func() int64 { f.mu.Lock(); defer f.mu.Unlock(); return f.memory },
	}, nil
}

func (f *fakes) fails(fault func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *fakes) reasons() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.exits {
		list = append(list, e.Reason)
	}
	return list
}

// in runs a test in a bubble of synthetic time, with a pool that is stopped at its end.
func in(t *testing.T, o prefork.Options, test func(f *fakes, p *prefork.Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{T: t}
		p := prefork.New(f.options(o))
		test(f, p)
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

func do(t *testing.T, p *prefork.Pool, job string) string {
	t.Helper()
	answer, err := p.Do(t.Context(), prefork.Job{What: job, Data: []byte(job)})
	if err != nil {
		t.Fatalf("%s: %v", job, err)
	}
	return string(answer)
}

// begin does a job in the background.
func begin(t *testing.T, p *prefork.Pool, job string) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := p.Do(context.Background(), prefork.Job{What: job, Data: []byte(job)})
		done <- err
	}()
	synctest.Wait()
	return done
}

func states(p *prefork.Pool) string {
	var list []string
	for _, w := range p.Status().Workers {
		list = append(list, string(w.State))
	}
	return strings.Join(list, " ")
}

func TestTheFirstJobStartsTheFirstWorker(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Max: 2, IdleTimeout: time.Minute}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		time.Sleep(time.Hour)
		if s := states(p); s != "" {
			t.Fatalf("workers without a job: %s", s)
		}
		if got := do(t, p, "a"); got != "a by 1" {
			t.Errorf("answer %q", got)
		}
		if got := do(t, p, "b"); got != "b by 1" {
			t.Errorf("the second job: %q", got)
		}
		time.Sleep(59 * time.Second)
		if s := states(p); s != "idle" {
			t.Errorf("before its idle time is over: %q", s)
		}
		time.Sleep(2 * time.Second)
		if s := states(p); s != "" {
			t.Errorf("after its idle time: %q", s)
		}
		if r := f.reasons(); len(r) != 1 || r[0] != "idle" {
			t.Errorf("reasons %q", r)
		}
	})
}

func TestMinAndMax(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 2, Max: 3, IdleTimeout: time.Minute}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		time.Sleep(time.Second)
		if s := states(p); s != "idle idle" {
			t.Fatalf("started ahead: %q", s)
		}
		var jobs []<-chan error
		for range 5 {
			jobs = append(jobs, begin(t, p, "sleep 10s"))
		}
		time.Sleep(time.Second)
		if s := p.Status(); len(s.Workers) != 3 || s.Waiting != 2 {
			t.Errorf("%d workers, %d jobs wait", len(s.Workers), s.Waiting)
		}
		for _, j := range jobs {
			if err := <-j; err != nil {
				t.Error(err)
			}
		}
		time.Sleep(2 * time.Minute)
		if s := states(p); s != "idle idle" {
			t.Errorf("after the idle time: %q", s)
		}
	})
}

func TestScoreboard(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		f.mu.Lock()
		f.memory = 4711
		f.mu.Unlock()
		time.Sleep(time.Second)
		done := begin(t, p, "sleep 10s")
		time.Sleep(3 * time.Second)
		w := p.Status().Workers[0]
		if w.State != prefork.Busy || w.What != "sleep 10s" || time.Since(w.Since) != 3*time.Second || w.PID != 1 || w.Memory != 4711 {
			t.Errorf("busy: %+v", w)
		}
		<-done
		synctest.Wait()
		if w := p.Status().Workers[0]; w.State != prefork.Idle || w.What != "" || w.Jobs != 1 || time.Since(w.Since) != 0 {
			t.Errorf("idle: %+v", w)
		}
	})
}

func TestASharesJitter(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 8, Max: 8, MaxRequests: 100}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		time.Sleep(time.Second)
		for range 3000 {
			do(t, p, "x")
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		shares := map[int]bool{}
		for _, e := range f.exits {
			if e.Reason != "max_requests" || e.Jobs < 90 || e.Jobs > 100 {
				t.Errorf("%+v", e)
			}
			shares[e.Jobs] = true
		}
		if len(f.exits) < 20 || len(shares) < 3 {
			t.Errorf("%d ended, after %d different numbers of jobs", len(f.exits), len(shares))
		}
	})
}

func TestTooMuchMemory(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1, Memory: 1000}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		do(t, p, "a")
		f.mu.Lock()
		f.memory = 1001
		f.mu.Unlock()
		if got := do(t, p, "b"); got != "b by 1" {
			t.Errorf("the job itself: %q", got)
		}
		if got := do(t, p, "c"); got != "c by 2" {
			t.Errorf("the next: %q", got)
		}
		if r := f.reasons(); len(r) == 0 || r[0] != "memory" {
			t.Errorf("reasons %q", r)
		}
	})
}

func TestAHungWorkerIsKilled(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		_, err := p.Do(t.Context(), prefork.Job{What: "hang", Data: []byte("sleep 1h"), Timeout: 5 * time.Second})
		var died *prefork.DiedError
		if !errors.As(err, &died) || !died.Timeout || died.PID != 1 {
			t.Fatalf("error %v", err)
		}
		if got := do(t, p, "x"); got != "x by 2" {
			t.Errorf("the next: %q", got)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if e := f.exits[0]; e.Reason != "timeout" || e.What != "hang" {
			t.Errorf("%+v", e)
		}
	})
}

func TestOneThatDiesIsReplaced(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		_, err := p.Do(t.Context(), prefork.Job{Data: []byte("die")})
		var died *prefork.DiedError
		if !errors.As(err, &died) || died.Timeout {
			t.Fatalf("error %v", err)
		}
		before := time.Now()
		do(t, p, "x")
		if waited := time.Since(before); waited > 100*time.Millisecond {
			t.Errorf("it was replaced after %v: a job killed it, it was not of no use", waited)
		}
		if s := p.Status(); s.Died != 1 || s.Spawned != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWorkersThatCannotStartAreTriedEverMoreSeldom(t *testing.T) {
	t.Parallel()
	o := prefork.Options{Min: 1, Max: 4, ErrorInterval: time.Second, MaxErrorInterval: 8 * time.Second}
	in(t, o, func(f *fakes, p *prefork.Pool) {
		t := f.T
		f.fails(func() error { return errors.New("no such file") })
		time.Sleep(40 * time.Second)
		f.mu.Lock()
		var gaps []time.Duration
		for i, b := range f.begun[1:] {
			gaps = append(gaps, b.Sub(f.begun[i]).Round(time.Second))
		}
		f.mu.Unlock()
		if got := fmt.Sprint(gaps); got != "[1s 2s 4s 8s 8s 8s 8s]" {
			t.Errorf("gaps %s", got)
		}
		if s := p.Status(); s.Fault != "no such file" || s.Retry.Before(time.Now()) {
			t.Errorf("status %+v", s)
		}
		f.fails(nil)
		do(t, p, "x") // waits for the next try
		if s := p.Status(); s.Fault != "" {
			t.Errorf("after a job: fault %q", s.Fault)
		}
	})
}

func TestOneThatIsNeverReadyIsKilled(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1, StartTimeout: 3 * time.Second}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		f.fails(func() error { time.Sleep(10 * time.Second); return nil })
		time.Sleep(12 * time.Second) // the sleeper is no process: it ends in its own time
		if s := p.Status(); s.Fault != "it was not ready in time" {
			t.Errorf("%+v", s)
		}
		f.fails(nil)
		time.Sleep(30 * time.Second) // for the sleeper to end
	})
}

func TestBeforeSpawnMayRefuse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, asked := &fakes{}, 0
		var failed error
		o := prefork.Options{Min: 1, Max: 1, Hooks: prefork.Hooks{
			BeforeSpawn: func() ([]*os.File, error) {
				if asked++; asked < 3 {
					return nil, errors.New("not yet")
				}
				return nil, nil
			},
			SpawnFailed: func(err error) { failed = err },
		}}
		p := prefork.New(f.options(o))
		start := time.Now()
		do(t, p, "x")
		if waited := time.Since(start).Round(time.Second); waited != 3*time.Second || failed == nil {
			t.Errorf("after %v, told of %v", waited, failed)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSpawnInterval(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 3, Max: 3, SpawnInterval: time.Second}, func(f *fakes, _ *prefork.Pool) {
		t := f.T
		time.Sleep(1500 * time.Millisecond)
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.begun) != 2 {
			t.Errorf("%d started in a second and a half", len(f.begun))
		}
	})
}

func TestReplaceIsOneByOneAndInterruptsNothing(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 4, Max: 4}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		time.Sleep(time.Second)
		long := begin(t, p, "sleep 30s")
		f.mu.Lock()
		f.setup = "new"
		f.mu.Unlock()
		stop := make(chan struct{})
		var watching sync.WaitGroup
		least := 4
		watching.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				ready := 0
				for _, w := range p.Status().Workers {
					if w.State == prefork.Idle || w.State == prefork.Busy {
						ready++
					}
				}
				least = min(least, ready)
			}
		})
		start := time.Now()
		if err := p.Replace(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 28*time.Second || took > 31*time.Second {
			t.Errorf("took %v: the busy one ends after its job", took)
		}
		if err := <-long; err != nil {
			t.Errorf("the long job: %v", err)
		}
		time.Sleep(time.Second)
		close(stop)
		watching.Wait()
		if least < 3 {
			t.Errorf("at one moment only %d of 4 were there", least)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for id := 5; id <= 8; id++ {
			if f.setups[id] != "new" {
				t.Errorf("worker %d was set up with %q", id, f.setups[id])
			}
		}
		if f.count != 8 {
			t.Errorf("%d workers were started", f.count)
		}
	})
}

func TestReplaceInABusyPool(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 2, Max: 2}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 4 { // more than there are workers: none is ever idle for long
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := p.Do(context.Background(), prefork.Job{Data: []byte("sleep 100ms")}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		time.Sleep(time.Second)
		f.mu.Lock()
		before := f.count
		f.mu.Unlock()
		if err := p.Replace(t.Context()); err != nil {
			t.Error(err)
		}
		cancel()
		wg.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.count != before+2 {
			t.Errorf("%d were started for 2", f.count-before)
		}
	})
}

func TestReplaceKeepsTheOldWhileNewOnesCannotStart(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 3, Max: 3}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		time.Sleep(time.Second)
		f.fails(func() error { return errors.New("broken") })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Replace(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("replace: %v", err)
		}
		do(t, p, "x")
		idle := strings.Count(states(p), "idle")
		if idle != 2 {
			t.Errorf("%d of the old are left: %s", idle, states(p))
		}
	})
}

func TestStopLetsJobsFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{}
		p := prefork.New(f.options(prefork.Options{Max: 1}))
		running, waiting := begin(t, p, "sleep 10s"), begin(t, p, "x")
		time.Sleep(time.Second)
		start := time.Now()
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-running; err != nil || time.Since(start) < 8*time.Second {
			t.Errorf("the running job: %v after %v", err, time.Since(start))
		}
		if err := <-waiting; !errors.Is(err, prefork.ErrStopped) {
			t.Errorf("the waiting job: %v", err)
		}
		if _, err := p.Do(t.Context(), prefork.Job{}); !errors.Is(err, prefork.ErrStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestStopKillsAtTheEndOfItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{}
		p := prefork.New(f.options(prefork.Options{Max: 1}))
		running := begin(t, p, "sleep 1h")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stop: %v", err)
		}
		var died *prefork.DiedError
		if err := <-running; !errors.As(err, &died) {
			t.Errorf("the job: %v", err)
		}
	})
}

func TestWaitingForAWorkerEnds(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Max: 1}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		running := begin(t, p, "sleep 10s")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Do(ctx, prefork.Job{Data: []byte("x")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := <-running; err != nil {
			t.Error(err)
		}
		if s := p.Status(); s.Waiting != 0 {
			t.Errorf("%d wait", s.Waiting)
		}
	})
}

func TestOneThatLeavesIsReplaced(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		if got := do(t, p, "leave"); got != "leave" {
			t.Errorf("answer %q", got)
		}
		if got := do(t, p, "x"); got != "x by 2" {
			t.Errorf("the next: %q", got)
		}
		if s := p.Status(); s.Died != 0 {
			t.Errorf("%d died", s.Died)
		}
	})
}
