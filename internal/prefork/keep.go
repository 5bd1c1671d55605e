package prefork

import (
	"context"
	"math/rand/v2"
	"time"
)

// keep starts workers as they are needed and ends those that are not, until the
// pool stops.
func (p *Pool) keep() {
	defer p.keeper.Done()
	for {
		wait, spawn, stop := p.plan()
		switch {
		case stop:
			return
		case spawn:
			p.spawn()
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-p.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// forever is how long the keeper waits when only an event can change anything.
const forever = 24 * time.Hour

// plan ends workers that have idled for too long and tells whether one is to be
// started now, or when to look again.
func (p *Pool) plan() (wait time.Duration, spawn, stop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return 0, false, true
	}
	now := time.Now()
	wait = p.retire(now)
	if p.have() >= p.want() || p.taken() >= p.o.Max {
		return wait, false, false
	}
	if early := p.nextSpawn.Sub(now); early > 0 {
		return min(wait, early), false, false
	}
	return 0, true, false
}

// retire ends idle workers above Min whose time is up: those first that have been
// idle longest. Residents above Max end at once. It tells when the next one's is. With
// the mutex held.
func (p *Pool) retire(now time.Time) (next time.Duration) {
	for p.o.Resident && len(p.idle) > 0 && p.have() > p.o.Max {
		p.end(p.idle[0], "fewer")
	}
	if p.o.IdleTimeout <= 0 {
		return forever
	}
	for len(p.idle) > 0 && p.have() > p.o.Min {
		w := p.idle[0]
		if left := p.o.IdleTimeout - now.Sub(w.since); left > 0 {
			return left
		}
		p.end(w, "idle")
	}
	return forever
}

// have is how many workers there are that do not end, want how many there should
// be. With the mutex held.
func (p *Pool) have() (n int) {
	for _, w := range p.workers {
		if w.state != Ending {
			n++
		}
	}
	return n
}

// taken is how many places are. With the mutex held.
func (p *Pool) taken() int {
	if p.o.Resident {
		return p.have()
	}
	return len(p.workers)
}

func (p *Pool) want() int {
	need := len(p.waiting)
	for _, w := range p.workers {
		if w.state == Busy {
			need++
		}
	}
	return min(max(need, p.o.Min), p.o.Max)
}

// spawn starts a worker.
func (p *Pool) spawn() {
	var proc process
	p.mu.Lock()
	generation := p.generation // before the setup, which may be a newer one's
	p.mu.Unlock()
	setup := p.o.Setup()
	files, err := p.o.Hooks.BeforeSpawn()
	if err == nil {
		proc, err = p.o.start.start(&p.o, files)
	}
	for _, f := range files {
		f.Close()
	}
	p.mu.Lock()
	now := time.Now()
	p.nextSpawn = now.Add(p.o.SpawnInterval)
	if err != nil {
		p.failed(err.Error())
		p.mu.Unlock()
		p.o.Hooks.SpawnFailed(err)
		return
	}
	w := &worker{
		process: proc, pool: p, wake: make(chan struct{}, 1), state: Starting, since: now, started: now,
		share: p.share(), generation: generation,
	}
	w.killAfter(p.o.StartTimeout, func() { w.fault = "it was not ready in time" })
	w.send(frameSetup, setup)
	p.workers = append(p.workers, w)
	p.spawned++
	p.readers.Add(1)
	if p.stopping {
		p.end(w, "stopping")
	}
	p.mu.Unlock()
	p.o.Hooks.AfterSpawn(proc.PID())
	go w.live()
}

// failed puts the next start off. With the mutex held.
func (p *Pool) failed(why string) {
	wait := p.o.ErrorInterval << min(p.failures, 20)
	if wait > p.o.MaxErrorInterval || wait <= 0 {
		wait = p.o.MaxErrorInterval
	}
	p.failures++
	p.fault = why
	p.nextSpawn = time.Now().Add(wait)
}

// share is how many jobs a new worker may do.
func (p *Pool) share() int {
	if p.o.MaxRequests <= 0 {
		return 0
	}
	return p.o.MaxRequests - rand.N(p.o.MaxRequests/10+1) //nolint:gosec // not a secret
}

// Replace has every worker there is now replaced by a new one, without a job being
// interrupted: the next is told to end when the one before it is gone and who takes
// its place is ready. While workers cannot be started those that are there stay. It
// returns when the last is gone, or ctx is done: the replacement goes on then.
func (p *Pool) Replace(ctx context.Context) error {
	over := make(chan struct{})
	p.mu.Lock()
	p.generation++
	p.failures, p.nextSpawn = 0, time.Time{} // what was wrong may be right now
	p.rolled = append(p.rolled, over)
	p.roll()
	p.mu.Unlock()
	p.poke()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// roll goes on with a replacement: when no worker is on its way out, and none is
// missing, the one of the old generation that has been idle longest is told to end.
// Busy ones come by here when they become idle. With the mutex held.
func (p *Pool) roll() {
	old := 0
	for _, w := range p.workers {
		if w.generation != p.generation {
			old++
		}
	}
	if old == 0 || p.stopping {
		p.settleRolls()
		return
	}
	if p.rolling != nil || p.have() < p.want() {
		return
	}
	for _, w := range p.workers {
		if w.state == Starting {
			return
		}
	}
	for _, w := range p.idle {
		if w.generation != p.generation {
			p.rolling = w
			p.end(w, "replaced")
			return
		}
	}
}

func (p *Pool) settleRolls() {
	for _, over := range p.rolled {
		close(over)
	}
	p.rolled = nil
}
