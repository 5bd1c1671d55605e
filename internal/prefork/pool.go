package prefork

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrStopped says that the pool takes no jobs any more.
var ErrStopped = errors.New("prefork: the pool has stopped")

// DiedError says that a worker died, or was killed, while it had the job.
type DiedError struct {
	PID     int
	Status  string // "signal: killed"
	Timeout bool   // the pool killed it because the job's time was up
}

func (e *DiedError) Error() string {
	if e.Timeout {
		return fmt.Sprintf("prefork: worker %d: killed, its job's time was up", e.PID)
	}
	return fmt.Sprintf("prefork: worker %d died: %s", e.PID, e.Status)
}

// Job is one piece of work.
type Job struct {
	What    string        // for the scoreboard
	Data    []byte        // for the worker
	Timeout time.Duration // then the worker's group is killed; 0: never
	// Given, when set, is called once the job is a worker's. It must not block.
	Given func(pid int)
}

// Pool is a pool of workers. Safe for concurrent use.
type Pool struct {
	o    Options
	wake chan struct{} // has an element when the keeper should look

	mu         sync.Mutex
	workers    []*worker // all whose process is not reaped yet
	idle       []*worker // of these, the one that became it last at the end
	waiting    []*call   // for a worker, the first at the beginning
	stopping   bool
	stopped    chan struct{} // closed when stopping is set
	generation int
	rolling    *worker // on its way out for another, see roll
	rolled     []chan struct{}
	failures   int // workers that died before they were of use, in a row
	nextSpawn  time.Time
	fault      string // why the last one died before it was of use
	spawned    int
	died       int
	keeper     sync.WaitGroup
	readers    sync.WaitGroup
}

// call is a job on its way.
type call struct {
	job    Job
	answer chan answer
}

type answer struct {
	data []byte
	err  error
}

// New makes a pool and starts its first workers. Stop ends it.
func New(o Options) *Pool {
	o.defaults()
	if o.start == nil {
		o.start = newLauncher()
	}
	p := &Pool{o: o, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	p.keeper.Add(1)
	go p.keep()
	return p
}

// Do has a worker do a job and gives its answer. It waits for a worker as long as
// ctx lasts: then the job has not been begun. Once a worker has the job Do returns
// when that is done, or the worker dead.
func (p *Pool) Do(ctx context.Context, j Job) ([]byte, error) {
	c := &call{job: j, answer: make(chan answer, 1)}
	p.mu.Lock()
	if p.stopping {
		p.mu.Unlock()
		return nil, ErrStopped
	}
	p.waiting = append(p.waiting, c)
	if p.assign(); len(p.waiting) > 0 {
		p.poke()
	}
	p.mu.Unlock()
	select {
	case a := <-c.answer:
		return a.data, a.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if i := slices.Index(p.waiting, c); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.mu.Unlock()
		return nil, fmt.Errorf("prefork: no worker is free: %w", ctx.Err())
	}
	p.mu.Unlock()
	a := <-c.answer
	return a.data, a.err
}

// assign gives waiting calls to idle workers. With the mutex held.
func (p *Pool) assign() {
	for len(p.waiting) > 0 && len(p.idle) > 0 {
		c, w := p.waiting[0], p.idle[len(p.idle)-1]
		p.waiting, p.idle = p.waiting[1:], p.idle[:len(p.idle)-1]
		w.give(c)
	}
}

// Stop takes no more jobs, ends idle workers and waits for the busy ones; when ctx is
// done it kills them. Do returns ErrStopped for jobs that no worker has. It returns
// when every worker is gone, with ctx's error if it had to kill. It may be called again.
func (p *Pool) Stop(ctx context.Context) error {
	p.mu.Lock()
	if !p.stopping {
		p.stopping = true
		close(p.stopped)
	}
	for _, c := range p.waiting {
		c.answer <- answer{err: ErrStopped}
	}
	p.waiting = nil
	for _, w := range p.workers {
		if w.state != Busy {
			p.end(w, "stopping")
		}
	}
	p.settleRolls()
	p.mu.Unlock()
	p.poke()
	p.keeper.Wait() // it starts none any more
	gone := make(chan struct{})
	go func() { p.readers.Wait(); close(gone) }()
	var err error
	select {
	case <-gone:
	case <-ctx.Done():
		if n := p.killAll(); n > 0 {
			err = fmt.Errorf("prefork: stop: %d workers were killed: %w", n, ctx.Err())
		}
		<-gone
	}
	p.o.start.close()
	return err
}

// Tell tells a resident worker something, which its Stay hands on, one that is to end
// too. False: there is none of that number. Tells arrive in their order, after the setup.
func (p *Pool) Tell(pid int, data []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		if w.PID() == pid {
			w.send(frameTell, data)
			return true
		}
	}
	return false
}

// Kill kills a worker, with its group; reason becomes its Exit's.
func (p *Pool) Kill(pid int, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		if w.PID() == pid {
			w.ending = reason
			w.Kill()
		}
	}
}

// Limits are the fields of Options of these names, as they are now.
type Limits struct {
	Min, Max   int
	EndTimeout time.Duration
}

// Configure changes the limits. Resident workers above Max are told to end, the oldest
// first; one that is on its way out keeps the time that it had.
func (p *Pool) Configure(l Limits) {
	p.mu.Lock()
	p.o.Min, p.o.Max, p.o.EndTimeout = l.Min, l.Max, l.EndTimeout
	p.o.defaults()
	p.mu.Unlock()
	p.poke()
}

// killAll kills all workers and tells how many there were.
func (p *Pool) killAll() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		if w.ending == "" {
			w.ending = "stopping"
		}
		w.Kill()
	}
	return len(p.workers)
}

// poke has the keeper look. It does not block.
func (p *Pool) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
