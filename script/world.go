package script

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dop251/goja"
	"go.uber.org/zap"

	"pmilter/filter"
)

// maxCallDepth bounds recursion. Unwinding it through native frames is
// quadratic in goja, and Go's stack overflow would end the process.
const maxCallDepth = 400

// World is the JavaScript world of one SMTP connection: one goja runtime that
// holds all scripts of a set. It belongs to one goroutine at a time.
type World struct {
	rt     *goja.Runtime
	set    *Set
	log    *zap.Logger
	limits Limits
	clock  Clock
	watch  watched // the watchdog's view of the call under way
	end    int64   // of the stretch under way, in watchdog time
	// spoiled: a stretch was stopped. No JavaScript runs in this world any more.
	spoiled  *overrun
	warnings int // logged, of what no verdict depends on
	tasks    taskQueue
	waits    map[*wait]struct{} // work under way outside, for promises of this world
	working  sync.WaitGroup     // goroutines that do it
	timers   *timers            // nil until a script uses one
	holds    *holding           // nil until a script holds something

	session  *filter.Session // nil while only top-level code has run
	test     *testWorld      // of a file of tests, else nil
	handlers [][filter.NumPhases]goja.Callable
	job      *job         // of a job's world, once it has one
	call     *filter.Call // under way, or the last one
	args     [3]goja.Value
	rejected []*goja.Promise // without a handler, so far
	objects  objects
	auth     *authWork // of the message under way, once a script asks
}

var _ filter.Handler = (*World)(nil)

// newWorld makes a runtime and runs the set's top-level code in it, as part of
// the call that needs the world: under its deadline, and answered for by its
// Overrun.
func newWorld(s *Set, session *filter.Session, first *filter.Call) (*World, error) {
	return openWorld(s, session, first, nil)
}

// openWorld is newWorld, or makes the world of a file of tests.
func openWorld(s *Set, session *filter.Session, first *filter.Call, tests *testWorld) (*World, error) {
	w := &World{rt: goja.New(), set: s, session: session, test: tests, log: s.o.Log, limits: s.o.Limits, clock: s.o.Clock, call: first}
	w.tasks.ready = make(chan struct{}, 1)
	w.objects.init()
	w.rt.SetMaxCallStackSize(maxCallDepth)
	w.rt.SetTimeSource(func() time.Time { return w.clock.Now() })
	w.rt.SetPromiseRejectionTracker(w.trackRejection)
	if session != nil {
		w.log = w.log.WithLazy(zap.String(s.sessionField(), session.ID)) // most worlds log nothing
	}
	s.o.watchdog.add(w)
	if err := w.start(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// start installs what the scripts can reach and runs their top-level code.
func (w *World) start() error {
	err := w.stretch(w.call.Deadline, func() error {
		if err := w.set.globals.install(w.rt, worldGlobals(w)); err != nil {
			return err
		}
		if err := w.set.guards.install(w.rt, w.limits.MaxValue); err != nil {
			return err
		}
		if err := w.countLines(); err != nil {
			return err
		}
		run, err := w.rt.RunProgram(w.set.bundle.program)
		if err != nil {
			return err
		}
		call, ok := goja.AssertFunction(run)
		if !ok {
			return errors.New("the bundle is no function")
		}
		exports, err := call(goja.Undefined(), w.rt.ToValue(w.native))
		if err != nil {
			return err
		}
		if thrown := w.rt.Try(func() { err = w.bindHandlers(exports) }); thrown != nil {
			return thrown
		}
		return err
	})
	return topLevel(w.ended(w.call, err))
}

// topLevel blames the script whose top-level code failed, as far as that is
// known, and not the one whose handler needed the world.
func topLevel(err error) error {
	var fault *filter.ScriptError
	if errors.As(err, &fault) {
		if fault.Pos.File != "" {
			fault.Script = fault.Pos.File
		}
		fault.Message = "top-level code: " + fault.Message
	}
	return err
}

// bindHandlers keeps the functions that the scripts export. It may panic with
// what an export's getter throws.
func (w *World) bindHandlers(exports goja.Value) error {
	list, ok := exports.(*goja.Object)
	if !ok {
		return errors.New("the bundle gives no exports")
	}
	w.objects.exports = list
	w.handlers = make([][filter.NumPhases]goja.Callable, len(w.set.scripts))
	for i, s := range w.set.scripts {
		module := list.Get(fmt.Sprint(i)).ToObject(w.rt)
		if w.set.o.jobs {
			continue // see World.main
		}
		for p := range filter.Phase(filter.NumPhases) {
			if !s.Phases.Has(p) {
				continue
			}
			fn, ok := goja.AssertFunction(module.Get(p.String()))
			if !ok {
				return &answerError{p.String() + " is no function any more", filter.Position{File: s.Name}}
			}
			w.handlers[i][p] = fn
		}
	}
	return nil
}

// Close implements filter.Handler.
func (w *World) Close() {
	w.set.o.watchdog.remove(w)
	if w.timers != nil {
		w.timers.stopAll()
	}
	w.stopWaits()
	if w.holds != nil {
		w.holds.end()
	}
	w.tasks.close()
}

// native is $native of the bundle: the exports of the pmilter modules.
func (w *World) native(name, export string) goja.Value {
	m, ok := w.set.modules[name]
	if !ok {
		panic(w.rt.NewTypeError("no module " + name))
	}
	return m.export(w, export)
}

func (w *World) trackRejection(p *goja.Promise, op goja.PromiseRejectionOperation) {
	if op == goja.PromiseRejectionReject {
		if len(w.rejected) < 16 {
			w.rejected = append(w.rejected, p)
		}
		return
	}
	for i, known := range w.rejected {
		if known == p {
			w.rejected = append(w.rejected[:i], w.rejected[i+1:]...)
			return
		}
	}
}
