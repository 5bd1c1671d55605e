package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/testbed"
)

// TestOptions is what Test is asked for.
type TestOptions struct {
	Paths   []string // files and folders; none: the configuration's folder
	Filter  string   // only tests with this in their names
	Timeout time.Duration
	Format  string // "pretty", "tap" or "json"
	JUnit   string // file, "" for none
	// Coverage shows which lines of the filters ran, and LCOV is the file for it.
	Coverage bool
	LCOV     string
	Watch    bool // run again what a change touches, until ctx is done
	Color    bool
	Out      io.Writer
}

// ErrTestsFailed is returned by Test when a test has failed. It has been reported.
var ErrTestsFailed = errors.New("tests failed")

// Test runs the tests of scripts with the filters of the configuration, and
// reports. An error other than ErrTestsFailed is one of what was asked for.
func Test(ctx context.Context, cfg *config.Config, o TestOptions) error {
	_ = limitProcess(cfg)
	return test(ctx, cfg, o)
}

// test is Test within a process whose limits are set.
func test(ctx context.Context, cfg *config.Config, o TestOptions) error {
	paths := o.Paths
	if len(paths) == 0 {
		paths = []string{base(cfg)}
	}
	files, err := testbed.Find(paths)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no tests in %s: their files are named *.test.js, *.test.mjs, *.test.ts or *.test.mts", shownPaths(paths))
	}
	reporter, finish, err := reporterOf(o)
	if err != nil {
		return err
	}
	bench, run := benchOf(cfg, o, reporter)
	defer bench.Close()
	sum, _, err := testbed.Run(ctx, files, run)
	if err = errors.Join(err, finish()); err != nil {
		return err
	}
	if !sum.Good() {
		return ErrTestsFailed
	}
	return nil
}

// benchOf is what tests of a configuration's filters run on, and how.
func benchOf(cfg *config.Config, o TestOptions, reporter testbed.Reporter) (*testbed.Bench, testbed.Options) {
	load := libraryOptions(cfg, NewServices(cfg, zap.NewNop()), zap.NewNop())
	if abs, err := filepath.Abs(load.Base); err == nil {
		load.Base = abs
	}
	bench := testbed.NewBench(testbed.BenchOptions{Scripts: load, Filter: filterOptions(cfg), Vars: cfg.Vars})
	return bench, testbed.Options{Bench: bench, Load: load, Filter: o.Filter, Timeout: o.Timeout, Report: reporter}
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

func shownPaths(paths []string) string {
	text := ""
	for i, p := range paths {
		if i > 0 {
			text += ", "
		}
		text += p
	}
	return text
}
