package testbed

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"pmilter/filter"
	"pmilter/script"
)

// Options say which tests a Runner runs, and how.
type Options struct {
	Bench *Bench
	// Load is how files of tests are loaded: base folder, variables, limits.
	Load script.Options
	// Filter chooses the tests in whose names, joined by " > ", it is; "": all.
	Filter  string
	Timeout time.Duration // of one test; 0: 5 s
	// Report is told what became of each file, in the order of the files.
	Report Reporter
}

// Reporter shows results. It is called from one goroutine at a time.
type Reporter interface {
	File(FileReport)
	End(Summary) error
}

// FileReport is what became of a file.
type FileReport struct {
	Name     string // as users see it
	Base     string // the folder that names in reports are relative to
	Tests    []script.TestReport
	Err      error // the file could not be run, or not to its end: script.Faults
	Duration time.Duration
}

// Failed tells whether anything in it failed.
func (f *FileReport) Failed() bool {
	return f.Err != nil || slices.ContainsFunc(f.Tests, func(t script.TestReport) bool { return t.Status == script.Failed })
}

// Faults is Err as places and messages; of a Reporter, each is shown as the
// failure of a test is.
func (f *FileReport) Faults() []*script.Failure {
	var faults script.Faults
	if !errors.As(f.Err, &faults) {
		return []*script.Failure{{Message: f.Err.Error(), Pos: filter.Position{File: f.Name}}}
	}
	var list []*script.Failure
	for _, one := range faults {
		if one.Pos.File == "" {
			one.Pos.File = f.Name
		}
		list = append(list, &script.Failure{Message: one.Message, Pos: one.Pos})
	}
	return list
}

// Summary counts.
type Summary struct {
	Files, Passed, Failed, Skipped int
	Faults                         int // files that could not be run
	Duration                       time.Duration
}

// Good tells whether nothing failed, and something has run.
func (s Summary) Good() bool { return s.Failed == 0 && s.Faults == 0 && s.Passed+s.Skipped > 0 }

func (s *Summary) add(f *FileReport) {
	s.Files++
	if f.Err != nil {
		s.Faults++
	}
	for _, t := range f.Tests {
		switch t.Status {
		case script.Passed:
			s.Passed++
		case script.Failed:
			s.Failed++
		default:
			s.Skipped++
		}
	}
}

// defaultTimeout is how long a test may take.
const defaultTimeout = 5 * time.Second

// result is a file that has run, with what it was made of.
type result struct {
	report FileReport
	inputs []string
}

// Run runs files, as many at a time as there are processors, and reports. For each
// file the paths are returned on which its results depend, those of the scripts
// that it tests included, so that it can be run again when one of them changes.
func Run(ctx context.Context, files []string, o Options) (Summary, map[string][]string, error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	begun := time.Now()
	results := make([]chan result, len(files))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range files {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	for range min(len(files), max(runtime.GOMAXPROCS(0), 1)) {
		go func() {
			for i := range next {
				results[i] <- runFile(ctx, files[i], o)
			}
		}()
	}
	var sum Summary
	inputs := map[string][]string{}
	for i, file := range files {
		select {
		case r := <-results[i]:
			inputs[file] = r.inputs
			sum.add(&r.report)
			o.Report.File(r.report)
		case <-ctx.Done():
			return sum, inputs, ctx.Err()
		}
	}
	sum.Duration = time.Since(begun)
	return sum, inputs, o.Report.End(sum)
}

// runFile runs one file.
func runFile(ctx context.Context, file string, o Options) (r result) {
	begun := time.Now()
	r.report.Base, r.report.Name = o.Load.Base, file
	if rel, err := filepath.Rel(o.Load.Base, file); err == nil && !strings.HasPrefix(rel, "..") {
		r.report.Name = rel
	}
	// A panic of the bundler or of goja's compiler is this file's fault alone.
	defer func() {
		if p := recover(); p != nil {
			r.report.Err = fmt.Errorf("internal error: %v", p)
		}
		r.report.Duration = time.Since(begun)
	}()
	bench := o.Bench.ofFile()
	f, err := script.LoadTests(o.Load, file)
	if err == nil {
		defer f.Close()
		r.report.Name = f.Name()
		err = f.Run(ctx, script.TestOptions{
			Bench: bench, Timeout: o.Timeout,
			Chosen: func(path []string) bool { return strings.Contains(strings.Join(path, " > "), o.Filter) },
		}, func(t script.TestReport) { r.report.Tests = append(r.report.Tests, t) })
	}
	r.report.Err, r.inputs = err, append(f.Inputs(), bench.inputs()...)
	return r
}
