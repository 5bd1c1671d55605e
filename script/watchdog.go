package script

import (
	"fmt"
	"math"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"

	"pmilter/filter"
)

const (
	// tick is how often the watchdog looks: a deadline is met within one tick.
	tick = 20 * time.Millisecond
	// grace is how long an interrupted call has before another goroutine
	// answers for it: built-ins cannot be interrupted.
	grace = 100 * time.Millisecond
	// spared is how long a handler has run at least before memory is held against it while
	// another hangs in a built-in, or is being stopped, or was a moment ago: that one is at
	// fault, most likely, and its memory comes free soon.
	spared = time.Second
	// lateLook is how long after a look the next one is late: this process had no processor
	// meanwhile, or was stopped by the collector, and those whose time is up had none either.
	lateLook = 5 * tick
)

// watchdog stops stretches of JavaScript that run past their deadline, and the
// longest-running one when the heap is over its limit. One goroutine serves
// all worlds: arming a deadline is one atomic store.
type watchdog struct {
	limits Limits
	start  time.Time

	mu      sync.Mutex
	worlds  map[*World]struct{}
	running bool // the goroutine is there: from the first world on
	retired bool // it ends with the last one

	stuck  atomic.Int32 // stretches that were abandoned and run on
	looked atomic.Int64 // when run came round last, in watchdog time

	pardoned bool  // by the last look; this and stopped are run's own
	stopped  int64 // when a handler was stopped last, in watchdog time
	stop     chan struct{}
	done     sync.WaitGroup
}

// watched is a world as the watchdog sees it.
type watched struct {
	// until is when the stretch under way must end, in watchdog time; or idle,
	// interrupted, abandoned. The end of a stretch and the watchdog settle by
	// compare-and-swap who was first.
	until   atomic.Int64
	since   atomic.Int64 // when the stretch began
	stopped atomic.Int64 // when it was interrupted
	why     atomic.Pointer[string]
}

const (
	idle        = 0
	interrupted = -1
	abandoned   = -2
)

func newWatchdog(limits Limits) *watchdog {
	return &watchdog{limits: limits, start: time.Now(), worlds: make(map[*World]struct{}), stop: make(chan struct{})}
}

// close ends the watchdog's goroutine. Worlds must not be called afterwards.
func (d *watchdog) close() {
	close(d.stop)
	d.done.Wait()
}

// retire ends the watchdog's goroutine whenever no world is left. A connection
// that came before may still make its world afterwards.
func (d *watchdog) retire() {
	d.mu.Lock()
	d.retired = true
	d.mu.Unlock()
}

func (d *watchdog) add(w *World) {
	d.mu.Lock()
	d.worlds[w] = struct{}{}
	if !d.running {
		d.running = true
		d.looked.Store(int64(time.Since(d.start)))
		d.done.Add(1)
		go d.run()
	}
	d.mu.Unlock()
}

func (d *watchdog) remove(w *World) {
	d.mu.Lock()
	delete(d.worlds, w)
	d.mu.Unlock()
}

// quiet is how long run has not come round; 0 when nothing is to be watched.
func (d *watchdog) quiet() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return 0
	}
	return time.Since(d.start) - time.Duration(d.looked.Load())
}

func (d *watchdog) run() {
	defer d.done.Done()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for {
		select {
		case <-d.stop:
			return
		case <-ticker.C:
		}
		now := int64(time.Since(d.start))
		longest, until, end := d.sweep(now, d.late(now, d.looked.Swap(now)))
		if end {
			return
		}
		if longest == nil || d.limits.Memory <= 0 {
			continue
		}
		metrics.Read(heap)
		if heap[0].Value.Uint64() > uint64(d.limits.Memory) {
			d.stopped = now
			longest.interrupt(now, until, fmt.Sprintf("memory is over its limit of %d bytes, and this handler has run longest", d.limits.Memory))
		}
	}
}

// late tells whether a look is late. After one that was the next counts, however late.
func (d *watchdog) late(now, before int64) bool {
	d.pardoned = now-before > int64(lateLook) && !d.pardoned
	return d.pardoned
}

// sweep stops what is over its deadline, unless that is pardoned, and returns the stretch that has run
// longest of the others, if it has for long enough to hold memory against it: its world
// and its end. end is true when there is nothing left to watch.
func (d *watchdog) sweep(now int64, pardoned bool) (longest *World, longestUntil int64, end bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	since, enough := now, tick
	if pardoned || d.stuck.Load() > 0 || d.stopped > 0 && now < d.stopped+int64(grace) {
		enough = spared
	}
	for w := range d.worlds {
		until := w.watch.until.Load()
		switch {
		case until == idle || until == abandoned:
		case until == interrupted:
			enough = spared
			// Nobody answers for a world that is only tried while loading.
			if !pardoned && now > w.watch.stopped.Load()+int64(grace) && w.call.Overrun != nil && w.watch.until.CompareAndSwap(interrupted, abandoned) {
				delete(d.worlds, w)
				d.stuck.Add(1)
				go w.giveUp()
			}
		case now > until && !pardoned:
			enough, d.stopped = spared, now
			w.interrupt(now, until, "")
		case w.watch.since.Load() < since:
			longest, longestUntil, since = w, until, w.watch.since.Load()
		}
	}
	if now-since <= int64(enough) {
		longest = nil
	}
	end = d.retired && len(d.worlds) == 0
	if end {
		d.running = false
	}
	return longest, longestUntil, end
}

// interrupt stops a stretch that was to end at until, unless it has ended.
func (w *World) interrupt(now, until int64, why string) {
	if until <= 0 {
		return
	}
	if why == "" {
		why = ranTooLong
	}
	w.watch.why.Store(&why)
	w.watch.stopped.Store(now)
	if w.watch.until.CompareAndSwap(until, interrupted) {
		w.rt.Interrupt(errOverrun)
	}
}

const errOverrun = "overrun"

// giveUp has the call answered by another goroutine: its own hangs in a place
// that cannot be interrupted.
func (w *World) giveUp() {
	c := w.call
	c.Overrun(&filter.ScriptError{
		Script: w.set.nameOf(c.Script), Phase: c.Phase, Kind: w.whyKind(), Dropped: true,
		Message: w.why() + "; it hangs in a built-in function",
	})
}

func (w *World) why() string {
	if why := w.watch.why.Load(); why != nil {
		return *why
	}
	return "ran too long"
}

const ranTooLong = "ran too long without an end or an await"

// whyKind is the kind of fault for which the watchdog stopped a stretch.
func (w *World) whyKind() filter.FaultKind {
	if why := w.watch.why.Load(); why != nil && *why != ranTooLong {
		return filter.OutOfMemory
	}
	return filter.TimedOut
}

// overrun is the error of a stretch that the watchdog stopped, or that ended in
// a panic out of a built-in: its world is in an unknown state.
type overrun struct {
	message string
	pos     filter.Position
	kind    filter.FaultKind
}

func (e *overrun) Error() string { return e.message }

// stretch runs one piece of JavaScript without an await, under the limits. It
// returns what f returns, an *overrun when the watchdog stopped it or a stretch
// before it, or filter.ErrAbandoned when another goroutine has answered for it,
// now or before. Within another stretch f is part of that one.
func (w *World) stretch(deadline time.Time, f func() error) (err error) {
	switch w.watch.until.Load() { // only this goroutine makes it anything else when it is idle
	case idle:
	case abandoned:
		return filter.ErrAbandoned
	default:
		return f()
	}
	if w.spoiled != nil {
		return w.spoiled
	}
	since := int64(time.Since(w.set.o.watchdog.start))
	until := since + int64(min(w.limits.CPU, max(w.left(deadline, since), tick)))
	w.watch.since.Store(since)
	w.end = until
	w.watch.until.Store(until)
	defer func() {
		if x := recover(); x != nil {
			err = failure(x)
		}
		err = w.settleWatch(w.end, err)
		w.spoiled, _ = err.(*overrun) //nolint:errorlint // f's own errors are no concern
	}()
	return f()
}

// left is how long it is to a deadline, now in watchdog time.
func (w *World) left(deadline time.Time, now int64) time.Duration {
	if w.clock == Clock(wallClock{}) { // the clock need not be read again
		return deadline.Sub(w.set.o.watchdog.start) - time.Duration(now)
	}
	return deadline.Sub(w.clock.Now())
}

// untimed runs f, which is Go's work for a script that is only tried: reading a
// large table may take longer than any handler may run. In a world that serves
// somebody it takes its time as everything does.
func (w *World) untimed(f func()) {
	until := w.watch.until.Load()
	if w.session != nil || until <= idle || !w.watch.until.CompareAndSwap(until, math.MaxInt64) {
		f()
		return
	}
	begun := time.Now()
	f()
	// Unless memory ran out meanwhile, the stretch goes on.
	if end := until + int64(time.Since(begun)); w.watch.until.CompareAndSwap(math.MaxInt64, end) {
		w.end = end
	}
}

// interrupted tells whether the watchdog has stopped the stretch under way.
func (w *World) interrupted() bool { return w.watch.until.Load() < idle }

// failure is what a stretch panicked with as an error: what JavaScript cannot
// catch, or a fault of goja's.
func failure(x any) error {
	switch e := x.(type) {
	case *goja.InterruptedError:
		return e
	case *goja.StackOverflowError:
		return &overrun{message: tooDeep, pos: position(e.Stack())}
	}
	return &overrun{message: fmt.Sprintf("a built-in function failed: %v", x)}
}

const tooDeep = "too much recursion"

// abandoned tells whether another goroutine has answered for the call under way.
func (w *World) abandoned() bool { return w.watch.until.Load() == abandoned }

// settleWatch ends a stretch: who was first, it or the watchdog?
func (w *World) settleWatch(until int64, err error) error {
	if w.watch.until.CompareAndSwap(until, idle) {
		return err
	}
	if !w.watch.until.CompareAndSwap(interrupted, idle) {
		w.set.o.watchdog.stuck.Add(-1)
		return filter.ErrAbandoned
	}
	stopped := &overrun{message: w.why(), kind: w.whyKind()}
	if in, ok := err.(*goja.InterruptedError); ok { //nolint:errorlint // goja does not wrap it
		stopped.pos = position(in.Stack())
	}
	return stopped
}
