package prefork_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pmilter/internal/prefork"
)

// started is how many workers were started so far.
func (f *fakes) started() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// ended is the numbers of workers that are gone, in order.
func (f *fakes) ended() (list []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.exits {
		list = append(list, e.PID)
	}
	return list
}

// The last to become idle is the next to work: so others have time to end.
func TestTheOneThatIdlesLongestEnds(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Max: 3, IdleTimeout: time.Minute}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		for _, j := range []<-chan error{begin(t, p, "sleep 1s"), begin(t, p, "sleep 2s"), begin(t, p, "sleep 3s")} {
			if err := <-j; err != nil {
				t.Error(err)
			}
		}
		last := do(t, p, "x")
		for range 4 {
			time.Sleep(20 * time.Second)
			if got := do(t, p, "x"); got != last {
				t.Errorf("%q after %q", got, last)
			}
		}
		if s := states(p); s != "idle" {
			t.Errorf("left: %q", s)
		}
		if e := f.ended(); len(e) != 2 || f.started() != 3 {
			t.Errorf("ended: %v of %d", e, f.started())
		}
	})
}

// As many as there are to be at least never end for want of jobs.
func TestTheLeastNeverIdleAway(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 2, Max: 3, IdleTimeout: time.Minute}, func(f *fakes, p *prefork.Pool) {
		time.Sleep(time.Hour)
		if e := f.ended(); len(e) != 0 || f.started() != 2 || states(p) != "idle idle" {
			f.T.Errorf("ended: %v of %d", e, f.started())
		}
	})
}

// Each job that waits has a worker started for it, and one that works is none for the next.
func TestAWorkerForEachJob(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Max: 4}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		first := begin(t, p, "sleep 10s")
		time.Sleep(time.Second)
		began := time.Now()
		if got := do(t, p, "x"); got != "x by 2" || time.Since(began) > time.Second {
			t.Errorf("beside a long one: %q after %v", got, time.Since(began))
		}
		<-first
		f.fails(func() error { time.Sleep(5 * time.Second); return nil })
		var jobs []<-chan error
		for range 5 {
			jobs = append(jobs, begin(t, p, "sleep 10s"))
		}
		if n := f.started(); n != 4 { // they start side by side
			t.Errorf("%d were started", n)
		}
		for _, j := range jobs {
			<-j
		}
	})
}

// Just as much memory as may be is not too much.
func TestAsMuchMemoryAsMayBe(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1, Memory: 1000}, func(f *fakes, p *prefork.Pool) {
		f.mu.Lock()
		f.memory = 1000
		f.mu.Unlock()
		do(f.T, p, "a")
		if got := do(f.T, p, "b"); got != "b by 1" {
			f.T.Error(got)
		}
	})
}

// One that dies with no job was of use if it had done one before.
func TestOneThatDiesIdleIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1, ErrorInterval: time.Minute, MaxErrorInterval: time.Hour}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		do(t, p, "a")
		p.Kill(1, "")
		synctest.Wait()
		before := time.Now()
		if got := do(t, p, "b"); got != "b by 2" || time.Since(before) > time.Second {
			t.Errorf("%q after %v", got, time.Since(before))
		}
		if s := p.Status(); s.Fault != "" {
			t.Errorf("%+v", s)
		}
	})
}

// One that is asked to end from outside ends after its job, however long that is.
func TestOneThatWantsToEndFinishesItsJob(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1, EndTimeout: 5 * time.Second}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		if got := do(t, p, "quit 1m"); got != "quit 1m by 1" {
			t.Errorf("the job itself: %q", got)
		}
		if got := do(t, p, "x"); got != "x by 2" {
			t.Errorf("the next: %q", got)
		}
		if s := p.Status(); s.Died != 0 {
			t.Errorf("%d died", s.Died)
		}
	})
}

func TestReplaceBeginsWithTheOneThatIdlesLongest(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 3, Max: 3}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		for _, j := range []<-chan error{begin(t, p, "sleep 1s"), begin(t, p, "sleep 2s"), begin(t, p, "sleep 3s")} {
			<-j
		}
		synctest.Wait()
		workers := p.Status().Workers
		slices.SortFunc(workers, func(a, b prefork.Worker) int { return a.Since.Compare(b.Since) })
		if err := p.Replace(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(f.ended()), fmt.Sprint([]int{workers[0].PID, workers[1].PID, workers[2].PID}); got != want {
			t.Errorf("they ended in the order %s, want %s", got, want)
		}
	})
}

// While the next one loads, no other is ended: one that becomes idle has to wait.
func TestReplaceWaitsForTheNextToBeReady(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 2, Max: 2}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		time.Sleep(time.Second)
		job := begin(t, p, "sleep 1s")
		f.fails(func() error { time.Sleep(10 * time.Second); return nil })
		over := make(chan error, 1)
		go func() { over <- p.Replace(context.Background()) }()
		if err := <-job; err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if s := states(p); s != "idle starting" {
			t.Errorf("while the next one starts: %q", s)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// What was wrong with a new worker may be right after a change: nobody waits for the time
// that the last failure asked for.
func TestReplaceTriesAtOnce(t *testing.T) {
	t.Parallel()
	in(t, prefork.Options{Min: 1, Max: 1, ErrorInterval: time.Hour, MaxErrorInterval: 24 * time.Hour}, func(f *fakes, p *prefork.Pool) {
		t := f.T
		f.fails(func() error { return errors.New("broken") })
		time.Sleep(4 * time.Hour)
		before := f.started()
		f.fails(nil)
		if err := p.Replace(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if s := states(p); s != "idle" || f.started() != before+1 {
			t.Errorf("%q after %d starts and %d", s, before, f.started())
		}
	})
}

// Stop leaves nobody waiting for a replacement that does not come.
func TestStopEndsAReplacement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{}
		p := prefork.New(f.options(prefork.Options{Min: 1, Max: 1}))
		job := begin(t, p, "sleep 1m")
		time.Sleep(time.Second)
		over := make(chan time.Duration, 1)
		go func() {
			began := time.Now()
			_ = p.Replace(context.Background())
			over <- time.Since(began)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stop: %v", err)
		}
		if d := <-over; d != 0 {
			t.Errorf("it waited for %v", d)
		}
		<-job
		if r := f.reasons(); len(r) != 1 || r[0] != "stopping" || p.Status().Died != 0 {
			t.Errorf("reasons %q, %d died", r, p.Status().Died)
		}
	})
}

// A worker that is being started as Stop is called is told to end, and killed if it does not.
func TestStopWhileOneIsStarted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{}
		f.fault = func() error { time.Sleep(20 * time.Second); return nil }
		starts, goes := make(chan struct{}), make(chan struct{})
		o := f.options(prefork.Options{Min: 1, Max: 1, StartTimeout: time.Hour, EndTimeout: 5 * time.Second})
		p := prefork.New(prefork.WithStarter(o, func(o *prefork.Options) (*prefork.Fake, error) {
			close(starts)
			<-goes
			fake, err := f.start(o)
			done := make(chan struct{}) // a process is gone when it is killed
			end := fake.End
			fake.End = func() {
				end()
				select {
				case <-done:
				default:
					close(done)
				}
			}
			fake.Done = done
			return fake, err
		}))
		<-starts
		ended := make(chan time.Duration, 1)
		go func() {
			began := time.Now()
			if err := p.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			ended <- time.Since(began)
		}()
		synctest.Wait()
		close(goes)
		if d := <-ended; d != 5*time.Second {
			t.Errorf("stop took %v", d)
		}
		time.Sleep(time.Minute) // for the sleeper, which is no process, to end
	})
}
