package script

import (
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
		err = &answerError{message: fmt.Sprintf("%s returned %s: a handler returns nothing, a verdict, or a promise of either", c.Phase, w.describe(result))}
	}
	return v, w.ended(c, err)
}

// answerError is a fault that we found in what a script answered; nothing was thrown.
type answerError struct {
	message string
	pos     filter.Position // as far as known
}

func (e *answerError) Error() string { return e.message }

// ended logs what was left over and makes a *filter.ScriptError of err. It is
// the last thing that a call does.
func (w *World) ended(c *filter.Call, err error) error {
	if w.spoiled == nil { // else what was stopped rejected them
		for _, p := range w.rejected {
			w.warn("unhandled rejection", &rejection{p.Result()})
		}
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

// maxWarnings is how many lines of a connection tell what failed beside its handlers.
const maxWarnings = 100

// warn logs what went wrong in a script without a verdict that depends on it.
func (w *World) warn(message string, err error) {
	if w.warnings++; w.warnings > maxWarnings {
		return
	}
	f := w.fault(w.call, err)
	fields := []zap.Field{zap.String("error", f.Message)}
	if f.Pos.File != "" {
		fields = append(fields, zap.String("at", f.Pos.String()), zap.Int("line", f.Pos.Line))
	}
	if w.warnings == maxWarnings {
		fields = append(fields, zap.Bool("last_of_this_connection", true))
	}
	w.logger().Warn(message, fields...)
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
	for p.State() == goja.PromiseStatePending {
		if !w.expects() {
			return nil, &answerError{message: "waits for a promise that nothing can settle"}
		}
		if !w.sleep(deadline) {
			return nil, w.late()
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

// sleep waits for a task, and returns false when the deadline came first.
func (w *World) sleep(deadline time.Time) bool {
	w.tasks.sleeps(true)
	defer w.tasks.sleeps(false)
	return w.clock.Wait(w.tasks.ready, deadline)
}

// rejection is a rejected promise as an error.
type rejection struct{ reason goja.Value }

func (e *rejection) Error() string { return "rejected" }

// expects tells whether anything outside may still post a task.
func (w *World) expects() bool {
	w.tasks.mu.Lock()
	queued := len(w.tasks.list) > 0
	w.tasks.mu.Unlock()
	return queued || len(w.waits) > 0 || w.timers != nil && w.timers.pending() > 0
}

// runTasks runs what has been posted. What one throws goes to the log.
func (w *World) runTasks() {
	for _, task := range w.tasks.take() {
		task()
	}
}

// fault makes of an error the script fault that it is. Errors are not unwrapped:
// goja would ask what was thrown for its prototype, and so run a Proxy's trap.
func (w *World) fault(c *filter.Call, err error) *filter.ScriptError {
	f := &filter.ScriptError{Script: w.set.nameOf(c.Script), Phase: c.Phase}
	switch e := err.(type) { //nolint:errorlint // see above
	case *overrun:
		f.Message, f.Pos, f.Kind, f.Dropped = e.message, e.pos, e.kind, true
	case *goja.StackOverflowError:
		f.Message, f.Pos = tooDeep, position(e.Stack())
	case *goja.Exception:
		f.Message = w.describe(e.Value())
		f.Pos, f.Stack = position(e.Stack()), authorStack(e.Stack())
	case *rejection:
		f.Message = w.describe(e.reason)
		f.Stack = w.stackOf(e.reason)
		f.Pos = positionInStack(f.Stack)
	case *answerError:
		f.Message, f.Pos, f.Kind = e.message, e.pos, filter.Nonsense
	default:
		f.Message = err.Error()
	}
	f.Dropped = f.Dropped || w.spoiled != nil // while it was put into words
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

// maxShown bounds what is looked at of a text that goes into the log: mail may have written it.
const maxShown = 8 << 10

// describe is a value as one short line for the log.
func (w *World) describe(v goja.Value) string {
	text := "a value that cannot be shown"
	w.show(func() { text = v.String() })
	text = strings.ToValidUTF8(text[:min(len(text), maxShown)], "")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "..."
	}
	return text
}

// stackOf is the stack property of an Error, "" for anything else: the end of
// it, where the frames are, when it is long.
func (w *World) stackOf(v goja.Value) (stack string) {
	w.show(func() {
		if o, ok := v.(*goja.Object); ok && o.ClassName() == "Error" {
			if s := o.Get("stack"); s != nil {
				stack = s.String()
			}
		}
	})
	return strings.ToValidUTF8(stack[max(len(stack)-maxShown, 0):], "")
}

// show runs what may call a script's toString or a getter, as a stretch of its
// own. What that throws is of no interest.
func (w *World) show(f func()) {
	_ = w.stretch(w.clock.Now().Add(time.Second), func() error {
		if thrown := w.rt.Try(f); thrown != nil {
			return thrown
		}
		return nil
	})
}

// logger is the world's log with the message's queue id and the script that runs.
func (w *World) logger() *zap.Logger {
	log := w.log
	if w.session != nil && w.session.QueueID() != "" {
		log = log.With(zap.String("qid", w.session.QueueID()))
	}
	if w.call != nil && w.call.Script >= 0 {
		log = log.With(zap.String("script", w.set.nameOf(w.call.Script)))
		if !w.set.o.jobs {
			log = log.With(zap.Stringer("phase", w.call.Phase))
		}
	}
	return log
}
