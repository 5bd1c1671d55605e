package script

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/dop251/goja"
	"go.uber.org/zap"

	"pmilter/filter"
)

// In is the same scripts in other surroundings.
func (s *Set) In(o Surroundings) *Set {
	n := *s
	n.o.Clock, n.o.Services, n.o.Log = o.Clock, o.Services, o.Log
	return &n
}

// TestFile is a file of tests, bundled and compiled. Run may be called once at a
// time; Close frees it.
type TestFile struct {
	set    *Set
	name   string
	folder string
	look   seen
}

// LoadTests loads a file of tests. The file may be relative to o.Base; o.Scripts
// is not looked at. It is returned with its inputs, so that they can be watched,
// even when there are faults; then it cannot be run.
func LoadTests(o Options, file string) (*TestFile, error) {
	o.Scripts, o.tests, o.Coverage, o.Queues = []string{file}, true, nil, nil
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	f := &TestFile{name: file}
	b, look, faults := newBundle(o)
	f.look = look
	if err := faults.Err(); err != nil {
		return f, err
	}
	f.name = b.files[0]
	f.look.paths = append(f.look.paths, b.inputs...)
	f.folder = filepath.Dir(f.name)
	if !filepath.IsAbs(f.folder) {
		f.folder = filepath.Join(o.Base, f.folder)
	}
	var err error
	f.set, err = prepareSet(b, setOptions{
		Limits: o.Limits, Vars: o.Vars, Services: o.Services, Log: o.Log, watchdog: newWatchdog(o.Limits), base: o.Base,
	})
	if err != nil {
		return f, Faults{{Message: err.Error()}}
	}
	if f.set.testing, err = compileTesting(); err != nil {
		return f, err
	}
	return f, nil
}

// Name is the file as users see it.
func (f *TestFile) Name() string { return f.name }

// Inputs are the paths that were read or looked for, absolute and sorted.
func (f *TestFile) Inputs() []string {
	list := slices.Clone(f.look.paths)
	slices.Sort(list)
	return slices.Compact(list)
}

// Inputs are the paths that the scripts in use came from, or could come from.
func (l *Library) Inputs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := append(slices.Clone(l.seen.paths), l.seen.folders...)
	if set := l.current.Load(); set != nil {
		list = append(list, set.bundle.inputs...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Close frees the file.
func (f *TestFile) Close() {
	if f.set != nil {
		f.set.o.watchdog.retire()
	}
}

// TestOptions is how tests are run.
type TestOptions struct {
	Bench   Bench
	Timeout time.Duration // of one test, unless it has its own: real time
	// Chosen tells whether a test, by the names of what it is in and its own, is
	// to run at all; nil: all are. The others are not reported.
	Chosen func(path []string) bool
}

// Run runs the tests of the file one after the other and reports each, on the
// caller's goroutine. An error is of the top-level code: no test has run, or none
// after the one that it was needed anew for. After a test that ran out of time,
// or was stopped, the next one gets a fresh world.
func (f *TestFile) Run(ctx context.Context, o TestOptions, report func(TestReport)) error {
	for next := 0; ; {
		w, err := f.open(o)
		if err != nil {
			return err
		}
		cases := w.test.plan(o.Chosen)
		if len(cases) == 0 && len(w.test.cases) == 0 {
			w.Close()
			return Faults{{Pos: filter.Position{File: f.name}, Message: "has no tests"}}
		}
		for next < len(cases) && !w.test.spent {
			if ctx.Err() != nil {
				w.Close()
				return ctx.Err()
			}
			report(w.runTest(ctx, cases[next], o))
			next++
		}
		w.Close()
		if next >= len(cases) {
			return nil
		}
	}
}

// open makes a world and has the file declare its tests.
func (f *TestFile) open(o TestOptions) (*World, error) {
	set := *f.set
	set.o.Limits.CPU = max(set.o.Limits.CPU, o.Timeout)
	first := &filter.Call{Script: -1, Deadline: set.o.Clock.Now().Add(set.o.Limits.Timeout)}
	t := &testWorld{file: f, root: &suite{}}
	t.at = t.root
	w, err := openWorld(&set, nil, first, t)
	if err != nil {
		fault := faultOf(err)
		// Elsewhere they are globals.
		if m := regexp.MustCompile(`ReferenceError: (\w+) is not defined$`).FindStringSubmatch(fault.Message); m != nil && slices.Contains(testExports(), m[1]) {
			fault.Message += fmt.Sprintf(": import { %s } from \"pmilter/test\"", m[1])
		}
		return nil, Faults{fault}
	}
	return w, nil
}

// testWorld is what a world of tests has besides.
type testWorld struct {
	file    *TestFile
	root    *suite
	at      *suite // whose describe runs
	closed  bool   // top-level code has run: nothing is declared any more
	cases   []*testCase
	stand   Stand        // of the test that runs
	until   time.Time    // when its time is over, in real time
	library *goja.Object // what testing.js made
	stray   error        // that a timer of the test threw first
	spent   bool         // the world cannot be used for another test
}

// suite is a describe, or the file.
type suite struct {
	name          string
	above         *suite
	mode          testMode
	before, after []goja.Callable
}

type testMode uint8

const (
	normal testMode = iota
	only
	skip
)

// testCase is one test, in the order in which they are declared.
type testCase struct {
	name    string
	in      *suite
	mode    testMode
	run     goja.Callable
	timeout time.Duration
	pos     filter.Position
	skipped bool
	why     string // if it is not the test's own wish
}

func (c *testCase) path() []string {
	path := []string{c.name}
	for s := c.in; s.above != nil; s = s.above {
		path = append([]string{s.name}, path...)
	}
	return path
}

// is tells whether the test, or what it is in, has that mode.
func (c *testCase) is(mode testMode) bool {
	for s := c.in; s != nil; s = s.above {
		if s.mode == mode {
			return true
		}
	}
	return c.mode == mode
}

// plan is the tests that are chosen; with an only anywhere the others are skipped.
func (t *testWorld) plan(chosen func([]string) bool) []*testCase {
	t.closed = true
	exclusive := slices.ContainsFunc(t.cases, func(c *testCase) bool { return c.is(only) })
	var list []*testCase
	for _, c := range t.cases {
		if chosen != nil && !chosen(c.path()) {
			continue
		}
		if c.skipped = c.is(skip); exclusive && !c.skipped && !c.is(only) {
			c.skipped, c.why = true, "there is an only"
		}
		list = append(list, c)
	}
	return list
}
