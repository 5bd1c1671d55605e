package main

import (
	"fmt"
	"strings"
	"time"

	"pmilter/internal/daemon"
)

// alarm is one thing that is wrong, with what to do about it.
type alarm struct {
	mark, color string
	text        string // further lines belong to it
}

// The marks tell without colours, too.
const (
	markBad  = "!!  "
	markWarn = "!   "
)

// alarms is what is wrong, the worst first: mail that is not served, then what was
// edited and is not in use, then what was lost or slow.
func (r *reading) alarms() []alarm {
	var bad, warn []alarm
	add := func(to *[]alarm, mark, color, format string, args []any) {
		*to = append(*to, alarm{mark, color, fmt.Sprintf(format, args...)})
	}
	wrong := func(format string, args ...any) { add(&bad, markBad, red, format, args) }
	odd := func(format string, args ...any) { add(&warn, markWarn, yellow, format, args) }

	switch c := r.Connections; {
	case r.Draining:
		wrong("stopping: no new connections; %s still served", several(int64(c.Open), "connection"))
	case r.NotReady != "":
		wrong("not ready: %s", r.NotReady)
	case c.Max > 0 && c.Open >= c.Max:
		wrong("connections: all %d are taken, more wait; see milter.max_connections", c.Max)
	case c.Max > 0 && c.Open >= c.Max/10*9 && c.Open > 0:
		odd("connections: %d of %d are taken; see milter.max_connections", c.Open, c.Max)
	}
	if f := r.Status.Scripts.Error; f != nil {
		wrong("scripts: the last load failed, those of %s ago stay in use:\n%s", lasted(r.now.Sub(r.Status.Scripts.Loaded)), f.Message)
	}
	if f := r.Reload; f != nil {
		wrong("configuration: the reload%s failed, the one before stays in use:\n%s", r.ago(f), f.Message)
	}
	if n := r.Worlds.Stuck; n > 0 {
		still := "script still runs in a built-in function after its time was up"
		if n > 1 {
			still = "scripts still run in built-in functions after their time was up"
		}
		wrong("%d %s: look for \"script error\" in the log", n, still)
	}
	if m := r.MilterWorkers; m != nil {
		if m.Fault != nil {
			wrong("milter workers: one cannot be started: %s", oneLine(m.Fault.Message))
		}
		if m.Died > 0 {
			odd("milter workers: %d of %d died: look for \"died\" in the log", m.Died, m.Started)
		}
	}
	for _, q := range r.Status.Queues {
		r.queueAlarms(q, wrong, odd)
	}
	if f := r.Measured; f != nil {
		odd("figures are missing: %s", f.Message)
	}
	for _, h := range r.Handlers {
		if h.Errors > 0 {
			odd("script %s: %s in %s: look for \"script error\" in the log", h.Script, several(h.Errors, "error"), several(h.Calls, "call"))
		}
	}
	if n := r.StoreErrors; n > 0 {
		odd("store: %s; see [store]", several(n, "error"))
	}
	if n := r.DNSErrors; n > 0 {
		odd("dns: %s failed; see [dns]", several(n, "look-up"))
	}
	return append(bad, warn...)
}

// slowQueue is when somebody should look why an event still waits.
const slowQueue = 15 * time.Minute

func (r *reading) queueAlarms(q daemon.QueueStatus, wrong, odd func(format string, args ...any)) {
	if q.Fault != nil {
		wrong("queue %s: cannot be read: %s", q.Name, oneLine(q.Fault.Message))
	}
	if q.Scripts != nil && q.Scripts.Error != nil {
		wrong("queue %s: last load: %s", q.Name, oneLine(q.Scripts.Error.Message))
	}
	if p := q.Pool; p != nil {
		if p.Fault != nil {
			wrong("queue %s: workers cannot be started: %s", q.Name, oneLine(p.Fault.Message))
		}
		if p.Died > 0 {
			odd("queue %s: %d of %s died", q.Name, p.Died, several(int64(p.Started), "worker"))
		}
	}
	if q.Failed > 0 {
		odd("queue %s: %s failed for good: pmilterd queue ls --failed %s", q.Name, several(int64(q.Failed), "event"), q.Name)
	}
	if q.Job != "" && q.Waiting > 0 && q.Oldest != nil && seconds(*q.Oldest) > slowQueue {
		odd("queue %s: the oldest event is %s old", q.Name, lasted(seconds(*q.Oldest)))
	}
}

// ago is how long ago a fault was, with a space before it; "" when that is not known.
func (r *reading) ago(f *daemon.FaultStatus) string {
	if f.Time.IsZero() {
		return ""
	}
	return " of " + lasted(r.now.Sub(f.Time)) + " ago"
}

// oneLine is a message that has several.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
