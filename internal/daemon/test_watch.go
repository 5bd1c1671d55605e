package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	w := &testWatch{o: o, notify: notify, config: cfg.File, inputs: map[string][]string{}}
	w.use(ctx, cfg)
	defer w.drop()
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
		files = w.touched(ctx, changed)
	}
}

// testWatch is the state of one watch.
type testWatch struct {
	o      TestOptions
	notify *fsnotify.Watcher
	config string // file, "" for none
	t      *testRun
	inputs map[string][]string // of each file of tests
	stop   context.CancelFunc  // of what keeps t's services up to date
	done   sync.WaitGroup
}

// use makes a configuration the one of the tests to come.
func (w *testWatch) use(ctx context.Context, cfg *config.Config) {
	if w.t != nil {
		w.drop()
	}
	w.t = newTestRun(cfg, w.o)
	ctx, w.stop = context.WithCancel(ctx)
	w.done.Go(func() { w.t.services.Watch(ctx) })
}

// drop ends what use began.
func (w *testWatch) drop() {
	w.stop()
	w.done.Wait()
	w.t.close()
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
// new ones; all of them when the configuration has changed.
func (w *testWatch) touched(ctx context.Context, changed map[string]bool) []string {
	all, err := w.t.files()
	if err != nil {
		fmt.Fprintln(w.o.Out, err)
		return nil
	}
	if abs, err := filepath.Abs(w.config); err == nil && w.config != "" && changed[abs] {
		cfg, err := w.o.Reload()
		if err != nil {
			fmt.Fprintln(w.o.Out, err)
			return nil
		}
		w.use(ctx, cfg)
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
