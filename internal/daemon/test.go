package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/testbed"
	"pmilter/script"
)

// TestOptions is what Test is asked for.
type TestOptions struct {
	Paths   []string // files and folders; none: the configuration's folder
	Filter  string   // only tests with this in their names
	Timeout time.Duration
	Format  string // "" for people, "tap" or "json"
	JUnit   string // file, "" for none
	// Coverage shows which lines of the filters ran, and LCOV is the file for it.
	Coverage bool
	LCOV     string
	Watch    bool // run again what a change touches, until ctx is done
	// Reload reads the configuration anew, for Watch.
	Reload func() (*config.Config, error)
	Color  bool
	Out    io.Writer
}

// ErrTestsFailed is returned by Test when a test has failed. It has been reported.
var ErrTestsFailed = errors.New("tests failed")

// Test runs the tests of scripts with the filters of the configuration, and
// reports. An error other than ErrTestsFailed is one of what was asked for. With
// Watch it returns when ctx is done.
func Test(ctx context.Context, cfg *config.Config, o TestOptions) error {
	_ = limitProcess(cfg)
	return test(ctx, cfg, o)
}

// test is Test within a process whose limits are set.
func test(ctx context.Context, cfg *config.Config, o TestOptions) error {
	if o.Watch {
		return watchTests(ctx, cfg, o)
	}
	t := newTestRun(cfg, o)
	defer t.close()
	files, err := t.files()
	if err != nil {
		return err
	}
	good, _, err := t.run(ctx, files)
	if err == nil && !good {
		return ErrTestsFailed
	}
	return err
}

// testRun is the tests of one configuration.
type testRun struct {
	o        TestOptions
	services *Services
	bench    *testbed.Bench
	load     script.Options
	coverage *script.Coverage // nil when it was not asked for
}

func newTestRun(cfg *config.Config, o TestOptions) *testRun {
	t := &testRun{o: o, services: NewServices(cfg, zap.NewNop())}
	t.load = libraryOptions(cfg, t.services, zap.NewNop())
	if abs, err := filepath.Abs(t.load.Base); err == nil {
		t.load.Base = abs
	}
	filters := t.load
	if o.Coverage {
		t.coverage = script.NewCoverage()
		filters.Coverage = t.coverage
	}
	t.bench = testbed.NewBench(testbed.BenchOptions{
		Scripts: filters, Filter: filterOptions(cfg), Vars: cfg.Vars, Queues: queueNames(cfg), Jobs: testJobs(cfg),
		Services: func(now func() time.Time, dns script.DNS) script.Services { return t.services.forTest(cfg, now, dns) },
	})
	return t
}

func queueNames(cfg *config.Config) []string {
	names := []string{} // not nil: they are known
	for _, q := range cfg.Queues {
		names = append(names, q.Name)
	}
	return names
}

// close frees all of it. No test may run any more.
func (t *testRun) close() {
	t.bench.Close()
	t.services.Close()
}

// files finds the tests.
func (t *testRun) files() ([]string, error) {
	paths := t.o.Paths
	if len(paths) == 0 {
		paths = []string{t.load.Base}
	}
	files, err := testbed.Find(paths)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no tests in %s: their files are named *.test.js, *.test.mjs, *.test.ts or *.test.mts", strings.Join(paths, ", "))
	}
	return files, err
}

// run runs files and reports. It tells whether nothing failed, and what the
// results of each file depend on.
func (t *testRun) run(ctx context.Context, files []string) (good bool, inputs map[string][]string, err error) {
	if t.coverage != nil {
		_ = t.bench.Load(ctx) // so that lines are known that no test runs; a test that needs them tells the fault
	}
	reporter, finish, err := reporterOf(t.o)
	if err != nil {
		return false, nil, err
	}
	sum, inputs, err := testbed.Run(ctx, files, testbed.Options{
		Bench: t.bench, Load: t.load, Filter: t.o.Filter, Timeout: t.o.Timeout, Report: reporter,
	})
	if err = errors.Join(err, finish()); err == nil && t.coverage != nil {
		err = t.showCoverage()
	}
	return sum.Good(), inputs, err
}

// showCoverage prints the table, and writes the file that tools read.
func (t *testRun) showCoverage() error {
	files := t.coverage.Files()
	if t.o.Format == "" {
		testbed.PrintCoverage(t.o.Out, files)
	}
	out, err := os.Create(t.o.LCOV)
	if err != nil {
		return err
	}
	return errors.Join(testbed.WriteLCOV(out, t.load.Base, files), out.Close())
}

// reporterOf is who shows the results; finish is called after it.
func reporterOf(o TestOptions) (r testbed.Reporter, finish func() error, err error) {
	switch o.Format {
	case "tap":
		r = testbed.NewTAP(o.Out)
	case "json":
		r = testbed.NewJSON(o.Out)
	default:
		r = testbed.NewPretty(o.Out, o.Color)
	}
	if o.JUnit == "" {
		return r, func() error { return nil }, nil
	}
	file, err := os.Create(o.JUnit)
	if err != nil {
		return nil, nil, err
	}
	return testbed.All(r, testbed.NewJUnit(file)), file.Close, nil
}
