package script

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/dop251/goja"
	"go.uber.org/zap"

	"pmilter/filter"
)

// Call implements filter.Handler: it calls one handler and waits for its
// promise, if it returns one.
func (w *World) Call(c *filter.Call) (filter.Verdict, error) {
	w.call = c
	fn := w.handlers[c.Script][c.Phase]
	var result goja.Value
	err := w.stretch(c.Deadline, func() error {
		w.runTasks()
		var err error
		result, err = fn(goja.Undefined(), w.arguments(c)...)
		return err
	})
	if err == nil && result != goja.Undefined() {
		return w.conclude(c, result)
	}
	return filter.Verdict{}, w.ended(c, err)
}

// conclude makes a verdict of what a handler returned.
func (w *World) conclude(c *filter.Call, result goja.Value) (filter.Verdict, error) {
	var err error
	if promise, ok := promiseOf(result); ok {
		result, err = w.await(promise, c.Deadline)
	}
	if err != nil {
		return filter.Verdict{}, w.ended(c, err)
	}
	v, ok := w.verdictOf(result)
	if !ok {
		err = &answerError{fmt.Sprintf("%s returned %s: a handler returns nothing, a verdict, or a promise of either", c.Phase, w.describe(result))}
	}
	return v, w.ended(c, err)
}

// answerError is a fault that we found in what a script answered; nothing was thrown.
type answerError struct{ message string }

func (e *answerError) Error() string { return e.message }

// ended logs what was left over and makes a *filter.ScriptError of err. It is
// the last thing that a call does.
func (w *World) ended(c *filter.Call, err error) error {
	for _, p := range w.rejected {
		w.logger().Warn("unhandled rejection", zap.String("error", w.describe(p.Result())))
	}
	w.rejected = w.rejected[:0]
	if err != nil {
		err = w.fault(c, err)
	}
	if w.abandoned() { // in the handler, or while its error was put into words
		w.Close() // whoever answered has forgotten this world
		return filter.ErrAbandoned
	}
	return err
}

func promiseOf(v goja.Value) (*goja.Promise, bool) {
	o, ok := v.(*goja.Object)
	if !ok || o.ExportType() != reflect.TypeFor[*goja.Promise]() {
		return nil, false
	}
	p, ok := o.Export().(*goja.Promise)
	return p, ok
}

// await waits for a promise: it runs what timers and look-ups bring, each as a
// stretch of its own, until the promise is settled or the deadline passes.
func (w *World) await(p *goja.Promise, deadline time.Time) (goja.Value, error) {
	var timer *time.Timer
	for p.State() == goja.PromiseStatePending {
		if !w.expects() {
			return nil, &answerError{"waits for a promise that nothing can settle"}
		}
		if timer == nil {
			timer = time.NewTimer(time.Until(deadline))
			defer timer.Stop()
		}
		select {
		case <-timer.C:
			return nil, &overrun{message: "its promise was not settled in time"}
		case <-w.tasks.ready:
		}
		if err := w.stretch(deadline, func() error { w.runTasks(); return nil }); err != nil {
			return nil, err
		}
	}
	if p.State() == goja.PromiseStateRejected {
		w.trackRejection(p, goja.PromiseRejectionHandle)
		return nil, &rejection{p.Result()}
	}
	return p.Result(), nil
}

// rejection is a rejected promise as an error.
type rejection struct{ reason goja.Value }

func (e *rejection) Error() string { return "rejected" }

// expects tells whether anything outside may still post a task.
func (w *World) expects() bool {
	w.tasks.mu.Lock()
	queued := len(w.tasks.list) > 0
	w.tasks.mu.Unlock()
	return queued || w.timers != nil && w.timers.pending() > 0
}

// runTasks runs what has been posted. What one throws goes to the log.
func (w *World) runTasks() {
	for _, task := range w.tasks.take() {
		task()
	}
}

// fault makes of an error the script fault that it is.
func (w *World) fault(c *filter.Call, err error) error {
	f := &filter.ScriptError{Script: w.set.nameOf(c.Script), Phase: c.Phase}
	var thrown *goja.Exception
	var rejected *rejection
	var stopped *overrun
	var recursion *goja.StackOverflowError
	switch {
	case errors.As(err, &stopped):
		f.Message, f.Pos, f.Dropped = stopped.message, stopped.pos, true
	case errors.As(err, &recursion):
		f.Message, f.Pos = "too much recursion", position(recursion.Stack())
	case errors.As(err, &thrown):
		f.Message = w.describe(thrown.Value())
		f.Pos, f.Stack = position(thrown.Stack()), authorStack(thrown.Stack())
	case errors.As(err, &rejected):
		f.Message = w.describe(rejected.reason)
		f.Stack = w.stackOf(rejected.reason)
		f.Pos = positionInStack(f.Stack)
	default:
		f.Message = err.Error()
	}
	return f
}

// authorStack is the author's frames, one a line.
func authorStack(frames []goja.StackFrame) string {
	var b strings.Builder
	for i := range frames {
		p := position(frames[i : i+1])
		if p.File == "" || b.Len() > 2000 {
			continue
		}
		fmt.Fprintf(&b, "at %s (%s)\n", frames[i].FuncName(), p)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// describe is a value as one short line for the log. It may run the script's
// toString, so it is a stretch of its own.
func (w *World) describe(v goja.Value) (text string) {
	text = "a value that cannot be shown"
	_ = w.stretch(time.Now().Add(time.Second), func() error {
		if thrown := w.rt.Try(func() { text = v.String() }); thrown != nil {
			return thrown
		}
		return nil
	})
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "..."
	}
	return text
}

// stackOf is the stack property of an Error, "" for anything else.
func (w *World) stackOf(v goja.Value) (stack string) {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "Error" {
		return ""
	}
	_ = w.stretch(time.Now().Add(time.Second), func() error {
		thrown := w.rt.Try(func() {
			if s := o.Get("stack"); s != nil {
				stack = s.String()
			}
		})
		if thrown != nil {
			return thrown
		}
		return nil
	})
	return stack
}

// logger is the world's log with the message's queue id and the script that runs.
func (w *World) logger() *zap.Logger {
	log := w.log
	if w.session != nil && w.session.QueueID() != "" {
		log = log.With(zap.String("qid", w.session.QueueID()))
	}
	if w.call != nil && w.call.Script >= 0 {
		log = log.With(zap.String("script", w.set.nameOf(w.call.Script)), zap.Stringer("phase", w.call.Phase))
	}
	return log
}
