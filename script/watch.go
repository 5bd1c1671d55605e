package script

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// Watch loads the scripts anew whenever a file that they came from, or could
// come from, changes; changes settle first. It blocks until ctx ends, and then
// returns nil; an error means that nothing can be watched. Folders are watched,
// not files: editors replace files, Kubernetes replaces a link two folders up.
func (l *Library) Watch(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("scripts: watch: %w", err)
	}
	defer notify.Close()
	w := &watcher{library: l, notify: notify, folders: map[string]fs.FileInfo{}}
	w.follow()
	// What changed before the folders were watched is found by looking once more.
	timer := time.NewTimer(l.o.Settle)
	defer timer.Stop()
	var first time.Time // of the changes that have not been loaded yet
	settle := func() {
		if first.IsZero() {
			first = time.Now()
		}
		// A file that never comes to rest must not keep the others waiting.
		if time.Since(first) < 10*l.o.Settle {
			timer.Reset(l.o.Settle)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-notify.Events:
			if !ok {
				return errors.New("scripts: watch: the watcher ended")
			}
			if w.concerns(event) {
				settle()
			}
		case err := <-notify.Errors:
			// After an overflow anything may have changed.
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				l.o.Log.Warn("watching scripts", zap.Error(err))
			}
			settle()
		case <-l.built:
			if w.follow() {
				settle()
			}
		case <-timer.C:
			first = time.Time{}
			_ = l.load(ctx, false) // logged and kept there
		}
	}
}

// watcher is the state of one Watch.
type watcher struct {
	library *Library
	notify  *fsnotify.Watcher
	folders map[string]fs.FileInfo // watched, as they were when that began
	failed  bool                   // told that a folder cannot be watched
	names   map[string]bool        // entries of them that matter
	stems   map[string]bool        // entries that matter with any ending
	listed  map[string]bool        // folders of which every script matters
}

// follow watches what the last load looked at. It tells whether a folder is
// newly watched, so that changes in it may have been missed.
func (w *watcher) follow() bool {
	w.library.mu.Lock()
	look := w.library.seen
	w.library.mu.Unlock()

	t := newTracer(w.library.o.Base)
	w.stems, w.listed = map[string]bool{}, map[string]bool{}
	for _, p := range look.paths {
		w.stems[t.trace(p)] = true
	}
	for _, f := range look.folders {
		real := t.trace(f)
		w.listed[real] = true
		t.folders[real] = true
	}
	w.names = t.entries
	for folder := range w.folders {
		if !t.folders[folder] {
			w.drop(folder)
		}
	}
	added := false
	for folder := range t.folders {
		added = w.watch(folder) || added
	}
	return added
}

// watch begins to watch a folder, unless it is the one that is watched under that name.
func (w *watcher) watch(folder string) bool {
	info, err := os.Stat(folder)
	if err != nil || !info.IsDir() {
		w.drop(folder)
		return false
	}
	if known, watched := w.folders[folder]; watched {
		if os.SameFile(known, info) {
			return false
		}
		w.drop(folder)
	}
	if err := w.notify.Add(folder); err != nil {
		if !w.failed {
			w.library.o.Log.Error("a folder cannot be watched: changes in it need SIGHUP", zap.String("folder", folder), zap.Error(err))
		}
		w.failed = true
		return false
	}
	w.folders[folder] = info
	return true
}

func (w *watcher) drop(folder string) {
	if _, watched := w.folders[folder]; watched {
		_ = w.notify.Remove(folder) // it may be gone already
		delete(w.folders, folder)
	}
}

// concerns tells whether an event can change what the scripts are.
func (w *watcher) concerns(event fsnotify.Event) bool {
	name := event.Name
	if _, watched := w.folders[name]; watched && event.Has(fsnotify.Remove|fsnotify.Rename) {
		w.drop(name) // the folder itself: another may take its name
		return true
	}
	if w.names[name] || w.stems[name] || w.stems[strings.TrimSuffix(name, filepath.Ext(name))] {
		return true
	}
	return w.listed[filepath.Dir(name)] && isFilter(filepath.Base(name))
}

// tracer finds the folders in which a change of an entry changes where a path
// leads: those of each symbolic link on the way, of the file itself, and, beneath
// the base and just above it, of each folder on the way.
type tracer struct {
	base    string
	folders map[string]bool
	entries map[string]bool
	known   map[string]string // paths traced before
}

func newTracer(base string) *tracer {
	t := &tracer{folders: map[string]bool{}, entries: map[string]bool{}, known: map[string]string{}}
	if real, err := filepath.EvalSymlinks(base); err == nil {
		t.base = real
	} else {
		t.base = base
	}
	return t
}

// trace notes them for one absolute path, and returns where it leads; for one
// that leads nowhere, what it would be called in the folder that is missing it.
func (t *tracer) trace(path string) string {
	if end, ok := t.known[path]; ok {
		return end
	}
	end := t.follow(path)
	t.known[path] = end
	return end
}

func (t *tracer) follow(path string) string {
	const maxLinks = 40 // as Linux has it
	at, links := "/", 0
	rest := split(path)
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		entry := filepath.Join(at, name)
		info, err := os.Lstat(entry)
		if err != nil {
			t.note(at, entry)
			return entry
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			t.note(at, entry)
			target, err := os.Readlink(entry)
			if links++; err != nil || links > maxLinks {
				return entry
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			rest = append(split(target), rest...)
		case len(rest) > 0 && !info.IsDir():
			t.note(at, entry)
			return entry
		default:
			if len(rest) == 0 || at == filepath.Dir(t.base) || shownBeneath(t.base, at) != at {
				t.note(at, entry)
			}
			at = entry
		}
	}
	return at
}

func (t *tracer) note(folder, entry string) {
	t.folders[folder] = true
	t.entries[entry] = true
}

// split is the names in a path. Empty ones and "." say nothing.
func split(path string) []string {
	var names []string
	for _, name := range strings.Split(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}
