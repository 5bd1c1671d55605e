package script

import (
	"math"
	"sort"
	"strconv"
	"time"

	"github.com/dop251/goja"
)

// maxTimers is how many timers of a world may be pending.
const maxTimers = 1000

// timers are the timers of one world: setTimeout, setInterval, setImmediate.
// One alarm of the clock serves all of them, so that those that are due together
// run in order. It belongs to the world's goroutine.
type timers struct {
	rt     *goja.Runtime
	clock  clock
	post   func(task func()) // runs a task on the world's goroutine; from any goroutine
	failed func(err error)   // what a timer's function ended with: thrown, or too much recursion

	list    map[int64]*timer
	last    int64 // the id given last
	order   int64
	alarm   Stopper
	alarmAt time.Time
	posted  bool // a run is on its way
	stopped bool
}

type timer struct {
	id     int64
	order  int64 // among those due at the same time
	due    time.Time
	every  time.Duration // 0: once
	call   goja.Callable
	values []goja.Value
}

func newTimers(rt *goja.Runtime, c clock, post func(func()), failed func(error)) *timers {
	return &timers{rt: rt, clock: c, post: post, failed: failed, list: make(map[int64]*timer)}
}

// pending is how many timers wait.
func (t *timers) pending() int { return len(t.list) }

// stopAll ends all of them for good, at the end of the world.
func (t *timers) stopAll() {
	t.stopped = true
	clear(t.list)
	if t.alarm != nil {
		t.alarm.Stop()
		t.alarm = nil
	}
}

// start is startTimer(handler, delay, repeats, arguments) of globals.js. A delay
// below zero is setImmediate's.
func (t *timers) start(c goja.FunctionCall) goja.Value {
	call, ok := goja.AssertFunction(c.Argument(0))
	if !ok {
		panic(t.rt.NewTypeError("the timer's handler is not a function"))
	}
	if len(t.list) >= maxTimers {
		throwError(t.rt, "RangeError", "more than %d timers", maxTimers)
	}
	if t.stopped {
		return t.rt.ToValue(0)
	}
	delay := timerDelay(c.Argument(1).ToFloat(), c.Argument(2).ToBoolean())
	t.last++
	t.order++
	n := &timer{id: t.last, order: t.order, due: t.clock.Now().Add(delay), call: call, values: listOf(c.Argument(3))}
	if c.Argument(2).ToBoolean() {
		n.every = delay
	}
	t.list[n.id] = n
	t.arm()
	return t.rt.ToValue(n.id)
}

// timerDelay is the delay as node takes it: from one millisecond to 2^31-1, else
// one; and none for setImmediate.
func timerDelay(ms float64, repeats bool) time.Duration {
	switch {
	case ms == -1 && !repeats:
		return 0
	case !(ms >= 1 && ms <= math.MaxInt32): // NaN too
		return time.Millisecond
	}
	return time.Duration(ms) * time.Millisecond
}

// listOf is the elements of an array of ours.
func listOf(v goja.Value) []goja.Value {
	o, ok := v.(*goja.Object)
	if !ok {
		return nil
	}
	n := int(o.Get("length").ToInteger())
	values := make([]goja.Value, n)
	for i := range values {
		values[i] = orUndefined(o.Get(strconv.Itoa(i)))
	}
	return values
}

// clear is stopTimer(id). What is no timer is ignored.
func (t *timers) clear(c goja.FunctionCall) goja.Value {
	if id := c.Argument(0); goja.IsNumber(id) {
		delete(t.list, id.ToInteger())
		t.arm()
	}
	return goja.Undefined()
}

// arm sets the alarm to the earliest timer.
func (t *timers) arm() {
	var first time.Time
	for _, n := range t.list {
		if first.IsZero() || n.due.Before(first) {
			first = n.due
		}
	}
	if t.alarm != nil {
		if first.Equal(t.alarmAt) {
			return
		}
		t.alarm.Stop()
		t.alarm = nil
	}
	if first.IsZero() || t.posted {
		return
	}
	t.alarmAt = first
	wait := first.Sub(t.clock.Now())
	if wait <= 0 {
		t.posted = true
		t.post(t.run)
		return
	}
	t.alarm = t.clock.AfterFunc(wait, func() { t.post(t.run) })
}

// run calls what is due, in order. It is a task on the world's goroutine.
func (t *timers) run() {
	t.posted = false
	t.alarm = nil
	now := t.clock.Now()
	var due []*timer
	for _, n := range t.list {
		if !n.due.After(now) {
			due = append(due, n)
		}
	}
	sort.Slice(due, func(i, j int) bool {
		if !due[i].due.Equal(due[j].due) {
			return due[i].due.Before(due[j].due)
		}
		return due[i].order < due[j].order
	})
	t.posted = true // so that what they start does not set an alarm in between
	for _, n := range due {
		if t.stopped || t.list[n.id] != n {
			continue // cleared by one before it
		}
		if n.every > 0 {
			t.order++
			n.due, n.order = now.Add(n.every), t.order
		} else {
			delete(t.list, n.id)
		}
		t.call(n)
	}
	t.posted = false
	if !t.stopped {
		t.arm()
	}
}

func (t *timers) call(n *timer) {
	_, err := n.call(goja.Undefined(), n.values...)
	switch err.(type) { //nolint:errorlint // see World.fault
	case nil:
	case *goja.InterruptedError:
		panic(err) // the stretch ends
	default:
		t.failed(err)
	}
}

// timerFailed logs what a timer's function ended with; a test fails of it.
func (w *World) timerFailed(err error) {
	if w.test == nil {
		w.warn("timer failed", err)
	} else if w.test.stray == nil {
		w.test.stray = err
	}
}
