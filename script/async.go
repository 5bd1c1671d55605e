package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// maxWaits is how much work a world may have under way outside at once.
const maxWaits = 1000

// wait is work under way outside a world, whose result settles a promise.
type wait struct {
	what   string
	cancel context.CancelFunc
	at     []goja.StackFrame // of the call that began it
}

// async begins work on a goroutine of its own and returns the promise of what
// value makes of its result; value runs on the world's goroutine. what names the
// call in errors: "store.get". The work's context ends at the deadline of the call
// that began it, and with the world: the work must return then. An error becomes
// an exception: see World.exception. It throws while scripts are only tried.
//
//nolint:contextcheck,nolintlint // contextcheck reads it here, unseen by nolintlint; the work ends with the call and the world that began it
func async[T any](w *World, what string, work func(ctx context.Context) (T, error), value func(T) goja.Value) goja.Value {
	w.effect(what)
	if len(w.waits) >= maxWaits {
		throwError(w.rt, "RangeError", "%s: more than %d calls wait for an answer", what, maxWaits)
	}
	promise, resolve, reject := w.rt.NewPromise()
	ctx, cancel := context.WithTimeout(context.Background(), w.callTime())
	at := w.rt.CaptureCallStack(8, nil)
	this := &wait{what, cancel, at}
	if w.waits == nil {
		w.waits = map[*wait]struct{}{}
	}
	w.waits[this] = struct{}{}
	release := w.clock.Hold()
	w.working.Go(func() {
		defer release()
		result, err := work(ctx)
		w.post(func() {
			delete(w.waits, this)
			cancel()
			w.settle(resolve, reject, func() goja.Value {
				if err != nil {
					panic(w.exception(what, err, at))
				}
				return value(result)
			})
		})
	})
	return w.rt.ToValue(promise)
}

// callTime is how long the call under way may still take, in real time: in a
// test, whose clock moves at will, what is left of the test's own time.
func (w *World) callTime() time.Duration {
	if w.test != nil {
		return time.Until(w.test.until)
	}
	return w.call.Deadline.Sub(w.clock.Now())
}

// settle gives a promise what value returns, or throws. What resolve and reject
// return is an interrupt that has ended the stretch, which is seen there.
func (w *World) settle(resolve, reject func(any) error, value func() goja.Value) {
	var v goja.Value
	if thrown := w.rt.Try(func() { v = value() }); thrown != nil {
		_ = reject(thrown.Value())
		return
	}
	_ = resolve(v)
}

// settled is a promise of a value that is there already.
func (w *World) settled(v goja.Value) goja.Value {
	promise, resolve, _ := w.rt.NewPromise()
	_ = resolve(v)
	return w.rt.ToValue(promise)
}

// late is the fault of a promise that is not settled at its deadline: it names
// what is still under way, and the line if all of that began at one.
func (w *World) late() *overrun {
	e := &overrun{message: "its promise was not settled in time", kind: filter.TimedOut}
	var list []string
	for this := range w.waits {
		e.pos = position(this.at)
		list = append(list, this.what+" at "+e.pos.String())
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if len(list) != 1 {
		e.pos = filter.Position{}
	}
	if len(list) > maxLate {
		list = append(list[:maxLate], "...")
	}
	if len(list) > 0 {
		e.message += ": no answer yet for " + strings.Join(list, ", ")
	}
	return e
}

// maxLate is how many calls a fault names.
const maxLate = 5

// stopWaits ends what is under way: nobody waits for it any more.
func (w *World) stopWaits() {
	for this := range w.waits {
		this.cancel()
	}
	clear(w.waits)
}

// effect throws in a world that is only tried: what a script does to others, or
// asks of them, it does for a client and not while it is loaded.
func (w *World) effect(what string) {
	if w.session == nil && (w.test == nil || w.test.stand == nil) {
		panic(w.rt.NewTypeError("%s: top-level code runs while scripts are loaded and can have no effect; call it in a handler", what))
	}
}

// exception is an error of Go's as scripts catch it: an Error whose name is the
// error's Name() if it has one, "TimeoutError" for a deadline that passed, else
// "Error"; with the property code if the error has a Code(), or is a TimeoutError.
// Its stack is where the call was made.
func (w *World) exception(what string, err error, at []goja.StackFrame) goja.Value {
	o, made := w.rt.New(w.rt.GlobalObject().Get("Error"), w.rt.ToValue(what+": "+message(err)))
	if made != nil {
		return w.rt.ToValue(what + ": " + message(err)) // a script has broken its Error
	}
	set := func(key, value string) {
		_ = o.DefineDataProperty(key, w.rt.ToValue(value), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	name := "Error"
	var named interface{ Name() string }
	switch {
	case errors.As(err, &named):
		name = named.Name()
	case isTimeout(err):
		name = "TimeoutError"
		set("code", "ETIMEOUT")
	}
	set("name", name)
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		set("code", coded.Code())
	}
	var described interface {
		describe(w *World, o *goja.Object)
	}
	if errors.As(err, &described) {
		described.describe(w, o)
	}
	var stack bytes.Buffer
	fmt.Fprintf(&stack, "%s: %s: %s\n", name, what, message(err))
	for i := range at {
		stack.WriteString("\tat ")
		at[i].Write(&stack)
		stack.WriteByte('\n')
	}
	set("stack", stack.String())
	return o
}

// message is an error in a script's words. One with a name speaks for itself.
func message(err error) string {
	var named interface{ Name() string }
	if !errors.As(err, &named) && isTimeout(err) {
		return "no answer in time"
	}
	return err.Error()
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
