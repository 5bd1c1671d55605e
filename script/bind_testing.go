package script

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/dop251/goja"
	"github.com/rogpeppe/go-internal/diff"
)

//go:embed testing.js
var testingSource string

// canned are the modules whose answers a test gives beforehand, with the functions
// that it gives them by: `vars.set(...)` of pmilter/test is Stand.Answer("vars",
// "set", ...). To add one, name it here and in pmilter.d.ts, and implement it in
// internal/testbed (canned.go says how).
func canned() map[string][]string {
	return map[string][]string{
		"dns": {"answer"}, "http": {"answer"}, "net": {"answer"},
		"exec": {"answer"}, "smtp": {"answer"},
		"vars": {"set"},
	}
}

// testExports are those of pmilter/test.
func testExports() []string {
	own := []string{"test", "describe", "beforeEach", "afterEach", "only", "skip", "expect", "session", "job", "clock"}
	return append(own, slices.Sorted(maps.Keys(canned()))...)
}

// testExport is one of them.
func (w *World) testExport(name string) goja.Value {
	return w.single("test."+name, func() goja.Value {
		switch name {
		case "test":
			f := w.declaration("test", normal, w.declareTest)
			set := f.(*goja.Object).Set
			throwAgain(set("only", w.testExport("only")))
			throwAgain(set("skip", w.testExport("skip")))
			return f
		case "only":
			return w.declaration(name, only, w.declareTest)
		case "skip":
			return w.declaration(name, skip, w.declareTest)
		case "describe":
			f := w.declaration(name, normal, w.declareSuite)
			set := f.(*goja.Object).Set
			throwAgain(set("only", w.declaration("describe.only", only, w.declareSuite)))
			throwAgain(set("skip", w.declaration("describe.skip", skip, w.declareSuite)))
			return f
		case "beforeEach", "afterEach":
			return w.function(name, func(c goja.FunctionCall) goja.Value { return w.declareHook(name, c) })
		case "expect":
			return w.testLibrary().Get(name)
		case "session":
			return w.function(name, w.openSession)
		case "job":
			return w.function(name, w.playJob)
		case "clock":
			return w.testClock()
		}
		return w.cannedModule(name)
	})
}

// compileTesting compiles testing.js, which makes expect.
func compileTesting() (*goja.Program, error) {
	program, err := goja.Compile(ownPrefix+"testing.js", "(function(diff, fieldsOf) {\"use strict\";"+testingSource+"})", true)
	if err != nil {
		return nil, fmt.Errorf("script: testing.js: %w", err)
	}
	return program, nil
}

// testLibrary is what testing.js makes, once for a world.
func (w *World) testLibrary() *goja.Object {
	if w.test.library != nil {
		return w.test.library
	}
	made, err := w.rt.RunProgram(w.set.testing)
	throwAgain(err)
	call, _ := goja.AssertFunction(made)
	exports, err := call(goja.Undefined(), w.rt.ToValue(diffOf), w.rt.ToValue(w.fieldsOf))
	throwAgain(err)
	w.test.library = exports.ToObject(w.rt)
	return w.test.library
}

// diffOf is what differs between two texts, "- " before the lines that are only
// expected and "+ " before those that are only received, with some lines around.
func diffOf(expected, received string) string {
	text := diff.Diff("expected", []byte(expected+"\n"), "received", []byte(received+"\n"))
	// Its first lines name the texts; those that begin with @@ say where it goes on.
	head := regexp.MustCompile(`\A(?:.*\n){3}`)
	gap := regexp.MustCompile(`(?m)^@@.*\n`)
	mark := regexp.MustCompile(`(?m)^([-+ ])`)
	first := gap.FindIndex(text)
	if first == nil {
		return ""
	}
	text = append(text[:first[0]:first[0]], text[first[1]:]...)
	text = head.ReplaceAll(text, nil)
	return string(mark.ReplaceAll(gap.ReplaceAll(text, []byte("  ...\n")), []byte("$1 ")))
}

// fieldsOf tells the header of a message as pairs, and nothing of any other value.
func (w *World) fieldsOf(v goja.Value) any {
	h, ok := hostOf(v, w.set.classes.partHeaders)
	if !ok {
		return nil
	}
	pairs := []any{}
	for _, f := range w.fields(h.self) {
		pairs = append(pairs, w.rt.NewArray(w.text(f.Name), w.text(f.Decoded())))
	}
	return w.rt.NewArray(pairs...)
}

// declaration is a function that declares tests.
func (w *World) declaration(name string, mode testMode, declare func(string, testMode, goja.FunctionCall)) goja.Value {
	return w.function(name, func(c goja.FunctionCall) goja.Value {
		w.declares(name)
		declare(name, mode, c)
		return goja.Undefined()
	})
}

// declares throws when it is too late to declare anything.
func (w *World) declares(what string) {
	if w.test.closed {
		panic(w.rt.NewTypeError("%s() is called in a test: tests are declared at the top level of the file or in describe()", what))
	}
}

func (w *World) declareTest(what string, mode testMode, c goja.FunctionCall) {
	t := &testCase{name: w.stringArg(c, 0, "the test's name"), in: w.test.at, mode: mode, pos: position(w.rt.CaptureCallStack(8, nil))}
	if fn, ok := goja.AssertFunction(c.Argument(1)); ok {
		t.run = fn
	} else if mode != skip {
		panic(w.rt.NewTypeError("%s(%q) has no function", what, t.name))
	}
	limit := c.Argument(2)
	if o, ok := limit.(*goja.Object); ok {
		limit = orUndefined(o.Get("timeout"))
	}
	if !goja.IsUndefined(limit) {
		var err error
		t.timeout, err = spanOf(limit)
		if err != nil || t.timeout <= 0 {
			panic(w.rt.NewTypeError("the timeout of %q is %s: say milliseconds, or \"10s\"", t.name, shown(limit)))
		}
	}
	w.test.cases = append(w.test.cases, t)
}

func (w *World) declareSuite(what string, mode testMode, c goja.FunctionCall) {
	s := &suite{name: w.stringArg(c, 0, "the name"), above: w.test.at, mode: mode}
	fn, ok := goja.AssertFunction(c.Argument(1))
	if !ok {
		panic(w.rt.NewTypeError("%s(%q) has no function", what, s.name))
	}
	w.test.at = s
	result, err := fn(goja.Undefined())
	w.test.at = s.above
	throwAgain(err)
	if _, promise := promiseOf(result); promise {
		panic(w.rt.NewTypeError("%s(%q) returns a promise: tests are declared without waiting", what, s.name))
	}
}

func (w *World) declareHook(what string, c goja.FunctionCall) goja.Value {
	w.declares(what)
	fn, ok := goja.AssertFunction(c.Argument(0))
	if !ok {
		panic(w.rt.NewTypeError("%s() has no function", what))
	}
	if what == "beforeEach" {
		w.test.at.before = append(w.test.at.before, fn)
	} else {
		w.test.at.after = append(w.test.at.after, fn)
	}
	return goja.Undefined()
}

// onStand is the stand of the test that runs; it throws when none does.
func (w *World) onStand(what string) Stand {
	if w.test.stand == nil {
		panic(w.rt.NewTypeError("%s is called outside a test", what))
	}
	return w.test.stand
}

// testClock is the export clock.
func (w *World) testClock() goja.Value {
	o := w.rt.NewObject()
	set := func(name string, f func(goja.FunctionCall) goja.Value) {
		_ = o.DefineDataProperty(name, w.function(name, f), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE)
	}
	set("advance", func(c goja.FunctionCall) goja.Value {
		d, err := spanOf(c.Argument(0))
		if err != nil || d < 0 {
			panic(w.rt.NewTypeError("clock.advance: %s is no span of time: say milliseconds, or \"90s\", \"10m\", \"2h\", \"1d\"", shown(c.Argument(0))))
		}
		w.onStand("clock.advance").Advance(d)
		return goja.Undefined()
	})
	set("set", func(c goja.FunctionCall) goja.Value {
		at, err := w.rt.New(w.rt.Get("Date"), c.Argument(0))
		throwAgain(err)
		t, ok := at.Export().(time.Time)
		if !ok || goja.IsUndefined(c.Argument(0)) {
			panic(w.rt.NewTypeError("clock.set: %s is no date: say \"2026-03-01T09:00:00Z\", milliseconds or a Date", shown(c.Argument(0))))
		}
		w.throw(w.onStand("clock.set").Set(t))
		return goja.Undefined()
	})
	set("now", func(goja.FunctionCall) goja.Value {
		return w.rt.ToValue(w.onStand("clock.now").Clock().Now().UnixMilli())
	})
	return o
}

// cannedModule is an export whose functions give answers beforehand.
func (w *World) cannedModule(module string) goja.Value {
	o := w.rt.NewObject()
	for _, name := range canned()[module] {
		_ = o.DefineDataProperty(name, w.function(name, func(c goja.FunctionCall) goja.Value {
			args := make([]any, len(c.Arguments))
			for i, a := range c.Arguments {
				args[i] = a.Export()
			}
			if err := w.onStand(module+"."+name).Answer(module, name, args); err != nil {
				panic(w.rt.NewTypeError("%s.%s: %s", module, name, err))
			}
			return goja.Undefined()
		}), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE)
	}
	return o
}
