package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"pmilter/internal/config"
)

// watchTests runs all tests, and then those that a change touches, until ctx is
// done. Changes settle first, as those of filters do. Folders are watched, since
// editors replace files.
func watchTests(ctx context.Context, cfg *config.Config, o TestOptions) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("tests: watch: %w", err)
	}
	defer notify.Close()
	w := &testWatch{o: o, notify: notify, inputs: map[string][]string{}}
	w.use(cfg)
	defer func() { w.t.close() }()
	files, err := w.t.files()
	if err != nil {
		return err
	}
	w.follow()
	for {
		if len(files) > 0 {
			if err := w.run(ctx, files); err != nil && ctx.Err() == nil {
				return err
			}
			fmt.Fprintln(o.Out, "waiting for changes; Ctrl-C ends")
		}
		changed, err := w.change(ctx)
		if err != nil || ctx.Err() != nil {
			return err
		}
		files = w.touched(changed)
	}
}

// testWatch is the state of one watch.
type testWatch struct {
	o      TestOptions
	notify *fsnotify.Watcher
	cfg    *config.Config
	t      *testRun
	inputs map[string][]string // of each file of tests
}

// use makes a configuration the one of the tests to come.
func (w *testWatch) use(cfg *config.Config) {
	if w.t != nil {
		w.t.close()
	}
	w.cfg, w.t = cfg, newTestRun(cfg, w.o)
}

// run runs files and notes what they depend on.
func (w *testWatch) run(ctx context.Context, files []string) error {
	_, inputs, err := w.t.run(ctx, files)
	for file, list := range inputs {
		w.inputs[file] = list
	}
	w.follow()
	return err
}

// follow watches the folders of all that matters. One that is watched already, or
// not there, is no error.
func (w *testWatch) follow() {
	folders := map[string]bool{w.t.load.Base: true}
	for file, inputs := range w.inputs {
		folders[filepath.Dir(file)] = true
		for _, path := range inputs {
			folders[filepath.Dir(path)] = true
		}
	}
	for _, path := range w.tables() {
		folders[filepath.Dir(path)] = true
	}
	for _, path := range w.o.Paths {
		if abs, err := filepath.Abs(path); err == nil {
			if info, err := os.Stat(abs); err == nil && !info.IsDir() {
				abs = filepath.Dir(abs)
			}
			folders[abs] = true
		}
	}
	for folder := range folders {
		_ = w.notify.Add(folder)
	}
}

// tables are the files of tables that scripts look keys up in, absolute.
func (w *testWatch) tables() (list []string) {
	for _, path := range w.t.services.tables.Paths() {
		if abs, err := filepath.Abs(path); err == nil {
			list = append(list, abs)
		}
	}
	return list
}

// change waits for changes and returns the paths, once there are no more for a while.
func (w *testWatch) change(ctx context.Context) (map[string]bool, error) {
	const settle = 100 * time.Millisecond
	changed := map[string]bool{}
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil, nil //nolint:nilnil // the user has enough
		case event, ok := <-w.notify.Events:
			if !ok {
				return nil, errors.New("tests: watch: the watcher ended")
			}
			if !event.Has(fsnotify.Chmod) {
				changed[event.Name] = true
				quiet = time.After(settle)
			}
		case err := <-w.notify.Errors:
			return nil, fmt.Errorf("tests: watch: %w", err)
		case <-quiet:
			return changed, nil
		}
	}
}

// touched is the files of tests to run again: those that have a changed input, and
// new ones; all of them when the configuration has changed, or a table.
func (w *testWatch) touched(changed map[string]bool) []string {
	all, err := w.t.files()
	if err != nil {
		fmt.Fprintln(w.o.Out, err)
		return nil
	}
	if abs, err := filepath.Abs(w.cfg.File); err == nil && w.cfg.File != "" && changed[abs] {
		cfg, err := w.o.Reload()
		if err != nil {
			fmt.Fprintln(w.o.Out, err)
			return nil
		}
		w.use(cfg)
		return all
	}
	if slices.ContainsFunc(w.tables(), func(path string) bool { return changed[path] }) {
		w.use(w.cfg) // tables are read afresh
		return all
	}
	hit := func(path string) bool {
		if changed[path] {
			return true
		}
		for c := range changed {
			ending := filepath.Ext(c)
			stem := strings.TrimSuffix(c, ending)
			script := slices.Contains([]string{".js", ".mjs", ".ts", ".mts"}, ending) && !strings.HasSuffix(stem, ".test")
			// Imports may leave the ending out, and a folder may have a new script.
			if script && (stem == path || filepath.Dir(c) == path) {
				return true
			}
		}
		return false
	}
	w.t.bench.Forget(hit)
	return slices.DeleteFunc(all, func(file string) bool {
		inputs, known := w.inputs[file]
		return known && !changed[file] && !slices.ContainsFunc(inputs, hit)
	})
}
