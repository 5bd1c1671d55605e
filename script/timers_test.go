package script

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dop251/goja"
)

// fakeClock moves when told to; what it posts is run then.
type fakeClock struct {
	now    time.Time
	alarms []*fakeAlarm
	tasks  []func()
}

type fakeAlarm struct {
	at      time.Time
	f       func()
	stopped bool
}

func (a *fakeAlarm) Stop() bool { was := !a.stopped; a.stopped = true; return was }

func (c *fakeClock) Now() time.Time { return c.now }

func (c *fakeClock) AfterFunc(d time.Duration, f func()) Stopper {
	a := &fakeAlarm{at: c.now.Add(d), f: f}
	c.alarms = append(c.alarms, a)
	return a
}

func (c *fakeClock) post(f func()) { c.tasks = append(c.tasks, f) }

// advance moves the time in steps of a millisecond, running what is due.
func (c *fakeClock) advance(d time.Duration) {
	c.runTasks()
	for end := c.now.Add(d); c.now.Before(end); {
		c.now = c.now.Add(time.Millisecond)
		for _, a := range c.alarms {
			if !a.stopped && !a.at.After(c.now) {
				a.stopped = true
				a.f()
			}
		}
		c.runTasks()
	}
}

func (c *fakeClock) runTasks() {
	for i := 0; len(c.tasks) > 0 && i < 100; i++ {
		task := c.tasks[0]
		c.tasks = c.tasks[1:]
		task()
	}
}

func TestTimers(t *testing.T) {
	const all = "setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate; "
	for _, c := range []struct {
		name, source string
		after        time.Duration
		want         string
	}{
		{"order", `setTimeout(() => log("b"), 20); setTimeout(() => log("a"), 10); setImmediate(() => log("i"))`, time.Second, "i a b"},
		{"same time in order", `for (const x of ["1", "2", "3"]) setTimeout(log, 5, x)`, time.Second, "1 2 3"},
		{"not before", `setTimeout(() => log("x"), 50)`, 49 * time.Millisecond, ""},
		{"arguments", `setTimeout((a, b) => log(a + b), 1, "p", "q")`, time.Second, "pq"},
		{"interval", `setInterval(() => log("t"), 10)`, 35 * time.Millisecond, "t t t"},
		{"interval cleared inside", `let n = 0; const id = setInterval(() => { log(n); if (++n === 2) clearInterval(id) }, 10)`, time.Second, "0 1"},
		{"cleared", `clearTimeout(setTimeout(() => log("no"), 5)); clearImmediate(setImmediate(() => log("no")))`, time.Second, ""},
		{"cleared by one due with it", `let id; setTimeout(() => clearTimeout(id), 5); id = setTimeout(() => log("no"), 5)`, time.Second, ""},
		{"nonsense cleared", `clearTimeout(); clearTimeout("x"); clearTimeout(-5); clearTimeout(null); clearTimeout({})`, time.Second, ""},
		{"odd delays", `for (const d of [undefined, NaN, -5, 0, "3", null, Infinity, 2**40]) setTimeout(() => log(d), d)`, 2 * time.Millisecond, "undefined NaN -5 0 null Infinity 1099511627776"},
		{"nested", `setTimeout(() => { log("a"); setTimeout(() => log("b"), 1); setImmediate(() => log("c")) }, 5)`, time.Second, "a c b"},
		{"microtasks between", `setTimeout(() => { log(1); Promise.resolve().then(() => log(2)) }, 1); setTimeout(() => log(3), 1)`, time.Second, "1 2 3"},
		{"an earlier one later", `setTimeout(() => log("b"), 100); setTimeout(() => log("a"), 5)`, 10 * time.Millisecond, "a"},
		{"one throws", `setTimeout(() => { throw new Error("x") }, 1); setTimeout(() => log("next"), 1)`, time.Second, "next"},
		{"one recurses", `setTimeout(function f() { f() }, 1); setTimeout(() => log("next"), 1)`, time.Second, "next"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newGlobalsFixture(t, all+c.source)
			var lines []string
			if err := f.rt.Set("log", func(v goja.Value) { lines = append(lines, v.String()) }); err != nil {
				t.Fatal(err)
			}
			if got := f.run(c.source); strings.HasPrefix(got, "threw") {
				t.Fatal(got)
			}
			f.clock.advance(c.after)
			if got := strings.Join(lines, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if failed := len(f.failed) == 1; failed != strings.HasPrefix(c.name, "one ") {
				t.Errorf("failed: %v", f.failed)
			}
			f.timers.stopAll()
			before := len(lines)
			f.clock.advance(time.Second)
			if len(lines) != before || f.timers.pending() != 0 {
				t.Error("a timer outlived stopAll")
			}
		})
	}
}

func TestTimersRefuse(t *testing.T) {
	testGlobals(t, []globalsCase{
		{`setTimeout("code()", 1)`, "threw TypeError: the timer's handler is not a function"},
		{`setInterval()`, "threw TypeError: the timer's handler is not a function"},
		{`for (let i = 0; i < 1000; i++) setTimeout(() => {}, 1e6); "all"`, "all"},
		{`for (let i = 0; i < 1001; i++) setTimeout(() => {}, 1e6)`, "threw RangeError: more than 1000 timers"},
		{`setTimeout.name + setTimeout.length`, "setTimeout1"},
		{`typeof setTimeout(() => {})`, "number"},
	})
}

// TestTimersInterrupted: an interrupt is not a timer's failure, it ends the stretch.
func TestTimersInterrupted(t *testing.T) {
	f := newGlobalsFixture(t, "setTimeout")
	f.run(`setTimeout(() => { for (;;); }, 1)`)
	stop := time.AfterFunc(20*time.Millisecond, func() { f.rt.Interrupt("enough") })
	defer stop.Stop()
	defer func() {
		var interrupted *goja.InterruptedError
		if err, ok := recover().(error); !ok || !errors.As(err, &interrupted) {
			t.Errorf("ended with %v", err)
		}
		if len(f.failed) > 0 {
			t.Error(f.failed)
		}
	}()
	f.clock.advance(10 * time.Millisecond)
}

func TestTimersWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := goja.New()
		tasks := make(chan func(), 10)
		tm := newTimers(rt, wallClock{}, func(f func()) { tasks <- f }, func(err error) { t.Error(err) })
		g, err := newGlobals(usageOf("setTimeout"))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.install(rt, globalsHost{timers: func() *timers { return tm }}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := rt.RunString(`var done = 0; setTimeout(() => { done = 1 }, 3600000); setTimeout(() => {}, 7200000)`); err != nil {
			t.Fatal(err)
		}
		(<-tasks)()
		if rt.Get("done").ToInteger() != 1 || time.Since(start) != time.Hour {
			t.Errorf("after %v: done %v", time.Since(start), rt.Get("done"))
		}
		if tm.pending() != 1 {
			t.Errorf("%d pending", tm.pending())
		}
		tm.stopAll()
	})
}
