package prefork

import (
	"bufio"
	"slices"
	"time"
)

// worker is a worker as the pool sees it. What is below pool is under its mutex.
type worker struct {
	process
	pool *Pool
	wake chan struct{} // has an element when there is something to write

	out        []frame // to be written
	deaf       bool    // nobody reads any more
	state      State
	what       string    // the job's
	since      time.Time // of state
	started    time.Time
	ending     string // why it was told to end, or killed; "" when it was not
	fault      string // why it could not start
	timedOut   bool
	quits      string // why it asked to end; "" when it has not
	jobs       int
	share      int // of jobs, after which it ends; 0: none
	memory     int64
	generation int
	call       *call
	timer      *time.Timer // kills it, unless something happens before
}

type frame struct {
	kind kind
	data []byte
}

// live is how a worker is served: one goroutine reads, one writes. It returns
// when the process is gone.
func (w *worker) live() {
	defer w.pool.readers.Done()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.write()
	}()
	r := bufio.NewReader(w)
	for {
		k, data, err := readFrame(r)
		if err != nil || !w.heard(k, data) {
			break
		}
	}
	status, stderr := w.Reap()
	w.pool.gone(w, status, stderr)
	<-written
}

// maxUnread is how many frames a worker may leave unread before it counts as hung.
const maxUnread = 256

// send has a frame written. With the mutex held.
func (w *worker) send(k kind, data []byte) {
	if w.out = append(w.out, frame{k, data}); len(w.out) > maxUnread {
		w.Kill()
		return
	}
	w.poke()
}

func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// write writes what is to be written until the worker is gone.
func (w *worker) write() {
	for {
		w.pool.mu.Lock()
		list, deaf := w.out, w.deaf
		w.out = nil
		w.pool.mu.Unlock()
		if deaf {
			return
		}
		for _, f := range list {
			if writeFrame(w, f.kind, f.data) != nil {
				return // its end is seen by the reader
			}
		}
		if len(list) == 0 {
			<-w.wake
		}
	}
}

// heard is told what the worker says. It returns false for nonsense.
func (w *worker) heard(k kind, data []byte) bool {
	p := w.pool
	switch k {
	case frameReady:
		p.mu.Lock()
		first := w.state == Starting
		if first {
			p.rest(w)
		}
		p.mu.Unlock()
		if first {
			p.o.Hooks.Ready(w.PID())
		}
		return true
	case frameFault:
		p.mu.Lock()
		w.fault = string(data)
		p.mu.Unlock()
		return true
	case frameQuit:
		p.mu.Lock()
		if w.quits = string(data); w.state == Idle {
			p.letGo(w)
		}
		p.mu.Unlock()
		return true
	case frameNote:
		p.o.Hooks.Note(w.PID(), data)
		return true
	case frameDone, frameLeave:
		return p.done(w, data, k == frameLeave)
	default:
		return false
	}
}

// done takes an answer: the worker is free for the next job, unless it must go.
func (p *Pool) done(w *worker, data []byte, leaves bool) bool {
	memory := w.Memory()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := w.call
	if c == nil {
		return false
	}
	w.call, w.memory = nil, memory
	w.jobs++
	p.failures, p.fault = 0, ""
	c.answer <- answer{data: data}
	switch {
	case w.ending != "": // it is being killed: its time was up as it answered
	case leaves:
		p.leave(w, "left")
	case w.quits != "":
		p.letGo(w)
	case p.stopping:
		p.end(w, "stopping")
	case w.share > 0 && w.jobs >= w.share:
		p.end(w, "max_requests")
	case p.o.Memory > 0 && memory > p.o.Memory:
		p.end(w, "memory")
	default:
		p.rest(w)
	}
	return true
}

// rest makes a worker idle; and busy again, when there is work. With the mutex held.
func (p *Pool) rest(w *worker) {
	w.become(Idle, "")
	if p.o.Resident {
		p.fault = ""
	}
	switch {
	case p.stopping:
		p.end(w, "stopping")
		return
	case w.quits != "" && p.letGo(w):
		return
	}
	p.idle = append(p.idle, w)
	p.roll()
	p.assign()
	p.poke() // for its idle time
}

// give hands it a job. With the mutex held.
func (w *worker) give(c *call) {
	w.call = c
	w.become(Busy, c.job.What)
	if c.job.Timeout > 0 {
		w.killAfter(c.job.Timeout, func() { w.timedOut, w.ending = true, "timeout" })
	}
	if c.job.Given != nil {
		c.job.Given(w.PID())
	}
	w.send(frameJob, c.job.Data)
}

// end tells a worker that has no job to end. With the mutex held.
func (p *Pool) end(w *worker, reason string) {
	if w.state == Ending {
		return
	}
	p.leave(w, reason)
	w.send(frameEnd, nil)
}

// letGo ends a worker that has asked for it. A resident one may have to wait: as many
// as there may be are on their way out already. With the mutex held.
func (p *Pool) letGo(w *worker) bool {
	if p.o.Resident && len(p.workers)-p.have() >= p.o.Max {
		return false
	}
	p.end(w, w.quits)
	p.poke()
	return true
}

// letNextGo ends one that had to wait. With the mutex held.
func (p *Pool) letNextGo() {
	for _, w := range p.workers {
		if w.state == Idle && w.quits != "" {
			p.letGo(w)
			return
		}
	}
}

// leave notes that a worker ends, and kills it when it does not. With the mutex held.
func (p *Pool) leave(w *worker, reason string) {
	p.idle = slices.DeleteFunc(p.idle, func(i *worker) bool { return i == w })
	w.ending = reason
	w.become(Ending, "")
	w.killAfter(p.o.EndTimeout, func() {})
}

// become changes the state: what was to happen in the old one does not. With the mutex held.
func (w *worker) become(s State, what string) {
	w.state, w.what, w.since = s, what, time.Now()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// killAfter kills it when d has passed in the present state. With the mutex held.
func (w *worker) killAfter(d time.Duration, note func()) {
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		if w.timer != timer {
			return
		}
		note()
		w.Kill()
	})
	w.timer = timer
}

// gone forgets a worker whose process is no more.
func (p *Pool) gone(w *worker, status, stderr string) {
	p.mu.Lock()
	exit := Exit{
		PID: w.PID(), Status: status, Reason: w.ending, What: w.what, Jobs: w.jobs, Age: time.Since(w.started), Fault: w.fault, Stderr: stderr,
	}
	p.workers = slices.DeleteFunc(p.workers, func(i *worker) bool { return i == w })
	p.idle = slices.DeleteFunc(p.idle, func(i *worker) bool { return i == w })
	useless := w.state == Starting || w.ending == "" && w.call == nil && w.jobs == 0 && exit.Age < p.o.ErrorInterval
	c := w.call
	if w.call = nil; w.ending == "" {
		p.died++
	}
	switch {
	case useless && !p.stopping:
		p.failed(cause(exit))
	case p.o.Resident:
		p.failures = 0
	}
	w.become(Ending, "")
	w.deaf = true
	w.poke()
	p.letNextGo()
	if p.rolling == w {
		p.rolling = nil
	}
	p.roll()
	p.mu.Unlock()
	// Whoever hears that the worker died may begin the job anew: the group is dead.
	if c != nil {
		c.answer <- answer{err: &DiedError{PID: exit.PID, Status: status, Timeout: w.timedOut}}
	}
	p.o.Hooks.OnReap(exit)
	p.poke()
}

func cause(e Exit) string {
	if e.Fault != "" {
		return e.Fault
	}
	return e.Status
}
