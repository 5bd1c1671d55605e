package script

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// ages is longer than any test moves its clock: a test has no deadline in that time.
const ages = 200 * 365 * 24 * time.Hour

// runTest runs one test with the hooks around it, and leaves nothing of it behind.
func (w *World) runTest(ctx context.Context, c *testCase, o TestOptions) TestReport {
	r := TestReport{File: w.test.file.name, Path: c.path(), Line: c.pos.Line, Status: Skipped, Why: c.why}
	if c.skipped {
		return r
	}
	begun := time.Now()
	timeout := c.timeout
	if timeout == 0 {
		timeout = o.Timeout
	}
	w.test.until = begun.Add(timeout)
	ctx, cancel := context.WithDeadline(ctx, w.test.until)
	defer cancel()
	stand, err := o.Bench.Begin(ctx)
	if err != nil {
		r.Status, r.Failure = Failed, &Failure{Message: err.Error(), Pos: c.pos}
		return r
	}
	w.stand(stand)
	r.Failure = w.runHooked(c, timeout)
	w.unstand()
	r.Log = stand.End()
	r.Status, r.Duration = Passed, time.Since(begun)
	if r.Failure != nil {
		r.Status = Failed
	}
	return r
}

// stand puts the world on a test's stand.
func (w *World) stand(s Stand) {
	w.test.stand = s
	set := *w.set
	set.o.Services, set.o.Clock = s.Services(), s.Clock()
	w.set, w.clock, w.log = &set, set.o.Clock, s.Log()
}

// unstand takes it away. Work that is still under way would come back into
// another test: then the world is spent.
func (w *World) unstand() {
	if w.timers != nil {
		w.timers.stopAll()
		w.timers = nil
	}
	w.test.spent = w.test.spent || w.spoiled != nil || len(w.waits) > 0
	w.stopWaits()
	w.tasks.take()
	w.rejected = w.rejected[:0]
	w.test.stand = nil
}

// runHooked runs what comes before the test, the test, and in any case what comes
// after it. The first failure counts.
func (w *World) runHooked(c *testCase, timeout time.Duration) *Failure {
	var before, after []goja.Callable
	for s := c.in; s != nil; s = s.above {
		before = append(slices.Clone(s.before), before...)
		after = append(after, s.after...)
	}
	var failure *Failure
	for _, f := range append(before, c.run) {
		if failure = w.runPart(c, f, timeout); failure != nil {
			break
		}
	}
	for _, f := range after {
		if w.test.spent {
			break
		}
		if again := w.runPart(c, f, timeout); failure == nil {
			failure = again
		}
	}
	return failure
}

// runPart calls the test or one of its hooks and waits for its promise.
func (w *World) runPart(c *testCase, f goja.Callable, timeout time.Duration) *Failure {
	w.limits.CPU = max(time.Until(w.test.until), tick)
	w.call = &filter.Call{Script: -1, Deadline: w.clock.Now().Add(ages)}
	var result goja.Value
	err := w.stretch(w.call.Deadline, func() (err error) {
		result, err = f(goja.Undefined())
		return err
	})
	if promise, ok := promiseOf(result); ok && err == nil {
		_, err = w.await(promise, w.call.Deadline)
	}
	lost := w.rejected
	w.rejected = w.rejected[:0]
	if err == nil {
		err = w.test.stray
	}
	w.test.stray = nil
	switch {
	case err != nil:
		return w.failure(c, err, timeout)
	case len(lost) > 0:
		f := w.failure(c, &rejection{lost[0].Result()}, timeout)
		f.Message = "a promise was rejected, and nobody awaits it:\n" + f.Message
		return f
	case len(w.waits) > 0:
		return &Failure{Pos: c.pos, Message: "the test ended while " + w.underWay() + " was still under way: is an await missing?"}
	}
	return nil
}

// underWay names one of the calls whose promise is not settled.
func (w *World) underWay() string {
	for this := range w.waits {
		return this.what
	}
	return "a call"
}

// failure makes of an error why the test failed.
func (w *World) failure(c *testCase, err error, timeout time.Duration) *Failure {
	var stopped *overrun
	var deep *goja.StackOverflowError // what it has left to do would be done in the next test
	w.test.spent = w.test.spent || errors.As(err, &stopped) || errors.As(err, &deep)
	if stopped != nil {
		f := &Failure{Message: fmt.Sprintf("timed out: it did not end within %s", timeout), Pos: stopped.pos}
		switch {
		case time.Now().Before(w.test.until):
			f.Message = stopped.message // of recursion, or a fault of a built-in
		case f.Pos.File != "":
			f.Message = fmt.Sprintf("timed out: it ran for %s without an end or an await", timeout)
		}
		return f.at(c)
	}
	fault := w.fault(w.call, err)
	f := &Failure{Message: fault.Message, Pos: fault.Pos, Stack: fault.Stack}
	switch e := err.(type) { //nolint:errorlint // see World.fault
	case *goja.Exception:
		w.thrown(f, e.Value())
	case *rejection:
		w.thrown(f, e.reason)
	}
	if len(w.waits) > 0 {
		f.Message += "\n(" + w.underWay() + " was still under way: is an await missing?)"
	}
	return f.at(c)
}

// at is the failure at a place that the author knows, the test itself if nothing better is known.
func (f *Failure) at(c *testCase) *Failure {
	if f.Pos.File == "" {
		f.Pos = c.pos
	}
	return f
}

// thrown takes from an Error all of its message, and where it was made. Anything
// else is shown.
func (w *World) thrown(f *Failure, v goja.Value) {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "Error" {
		w.show(func() {
			brief, _ := goja.AssertFunction(w.testLibrary().Get("brief"))
			text, err := brief(goja.Undefined(), v)
			throwAgain(err)
			f.Message = text.String() + " was thrown, which is no Error"
		})
		return
	}
	w.show(func() {
		text := o.Get("message").String()
		if name := o.Get("name").String(); name != assertionName {
			text = name + ": " + text
		}
		f.Message = strings.TrimRight(strings.ToValidUTF8(text[:min(len(text), 64<<10)], ""), "\n ")
	})
	frames := authorFrames(w.stackOf(v))
	if len(frames) == 0 {
		return
	}
	f.Pos = frames[0].pos
	lines := make([]string, len(frames))
	for i, at := range frames {
		lines[i] = "at " + at.function + " (" + at.pos.String() + ")"
	}
	f.Stack = strings.Join(lines, "\n")
}

// assertionName is the name of the errors that expect throws.
const assertionName = "AssertionError"
