package script

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap/zaptest/observer"
)

const (
	testSettle = 10 * time.Millisecond
	patience   = time.Minute
)

// watching is a library under Watch.
type watching struct {
	t    *testing.T
	base string
	l    *Library
	logs *observer.ObservedLogs
}

// watch loads and watches a project. The first load may fail.
func watch(t *testing.T, base string, scripts ...string) *watching {
	t.Helper()
	l, logs := library(t, base)
	if scripts != nil {
		l.o.Scripts = scripts
	}
	_ = l.Load(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	return &watching{t: t, base: base, l: l, logs: logs}
}

func (w *watching) path(name string) string { return filepath.Join(w.base, name) }

// until waits until a condition holds.
func (w *watching) until(what string, holds func() bool) {
	w.t.Helper()
	look, end := time.NewTicker(time.Millisecond), time.After(patience)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-end:
			w.t.Fatalf("never %s: scripts %s, error %v", what, namesOf(w.l.Current()), w.l.LastError())
		}
	}
}

// changes does something that must give another set, and no error. On a slow
// machine what is there half-way may be loaded too: it waits for what is there at the end.
func (w *watching) changes(what string, do func()) {
	w.t.Helper()
	before := w.l.Version()
	do()
	b, _, faults := newBundle(w.l.o)
	if faults.Fatal() || b.version == before {
		w.t.Fatalf("%s: nothing new to load: %v", what, faults.Err())
	}
	w.until("loaded after "+what, func() bool { return w.l.Version() == b.version && w.l.LastError() == nil })
}

// replace writes a file in one step: there is no half of it to be loaded.
func (w *watching) replace(path, text string) {
	w.t.Helper()
	hidden := filepath.Join(filepath.Dir(path), ".new")
	put(w.t, hidden, text)
	w.must(os.Rename(hidden, path))
}

// breaks does something that must fail with a text, and leave the set.
func (w *watching) breaks(what, text string, do func()) {
	w.t.Helper()
	before := w.l.Current()
	do()
	w.until("refused after "+what, func() bool { return w.l.LastError() != nil && strings.Contains(w.l.LastError().Error(), text) })
	if w.l.Current() != before {
		w.t.Errorf("%s: the set was swapped", what)
	}
}

func (w *watching) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestWatchEditors(t *testing.T) {
	w := watch(t, project(t, map[string]string{"scripts/a.js": "export const a = 1", "scripts/b.ts": "export const b = 1"}))
	a := w.path("scripts/a.js")
	w.changes("writing in place", func() { put(t, a, "export const a = 2") })
	w.changes("rename over", func() { // vim, sed -i, most of them
		put(t, w.path("scripts/.a.js.swp"), "x")
		put(t, w.path("scripts/4913"), "export const a = 3")
		w.must(os.Rename(w.path("scripts/4913"), a))
	})
	w.changes("backup, then a new file", func() { // vim with backupcopy=no, emacs
		w.must(os.Rename(a, a+"~"))
		put(t, a, "export const a = 4")
	})
	w.changes("delete, then create", func() {
		w.must(os.Remove(a))
		put(t, a, "export const a = 5")
	})
	w.changes("a file in pieces", func() {
		f, err := os.Create(a)
		w.must(err)
		for _, piece := range []string{"export const ", "a = ", "[6", ", 7];"} {
			_, err := f.WriteString(piece)
			w.must(err)
			w.must(f.Sync())
		}
		w.must(f.Close())
	})
	w.changes("adding", func() { put(t, w.path("scripts/0.mjs"), "export const z = 1") })
	if got := namesOf(w.l.Current()); got != "0.mjs a.js b.ts" {
		t.Error(got)
	}
	w.changes("removing", func() { w.must(os.Remove(w.path("scripts/b.ts"))) })
	w.changes("renaming", func() { w.must(os.Rename(a, w.path("scripts/c.js"))) })
	if got := namesOf(w.l.Current()); got != "0.mjs c.js" {
		t.Error(got)
	}
}

func TestWatchBrokenThenMended(t *testing.T) {
	w := watch(t, project(t, map[string]string{"scripts/a.js": "export const a = 1"}))
	a := w.path("scripts/a.js")
	w.breaks("a slip", "scripts/a.js:1:18", func() { w.replace(a, "export const a = ;") })
	w.breaks("another", "scripts/a.js:2:18", func() { w.replace(a, "\nexport const a = ;") })
	w.changes("mending", func() { w.replace(a, "export const a = 2") })
	w.breaks("removing the last", "the folder has no scripts", func() { w.must(os.Remove(a)) })
	w.changes("another one", func() { w.replace(w.path("scripts/b.js"), "export const b = 2") })
	// Each fault was told once, each load once.
	if n := w.logs.FilterMessage("scripts not reloaded: those in use stay").Len(); n != 3 || w.l.Status().Failed != 3 {
		t.Errorf("%d error lines, %d failed", n, w.l.Status().Failed)
	}
	loads := func() int { return w.logs.FilterMessage("scripts loaded").Len() }
	w.until("logged", func() bool { return loads() >= 3 })
	if n := loads(); n != 3 {
		t.Errorf("%d info lines", n)
	}
}

func TestWatchImports(t *testing.T) {
	w := watch(t, project(t, map[string]string{
		"scripts/a.js":                `import { b } from "../lib/deep/b.js"; import c from "./data/c.json"; import t from "./t.txt"; import p from "p"; export const a = [b, c, t, p]`,
		"lib/deep/b.js":               "export const b = 1",
		"scripts/data/c.json":         "{}",
		"scripts/t.txt":               "t",
		"node_modules/p/m.js":         "export default 1",
		"node_modules/p/n.js":         "export default 'n'",
		"node_modules/p/package.json": `{"main": "m.js"}`,
	}))
	w.changes("a neighbour", func() { put(t, w.path("lib/deep/b.js"), "export const b = 2") })
	w.changes("JSON", func() { put(t, w.path("scripts/data/c.json"), `{"x": 1}`) })
	w.changes("text", func() { put(t, w.path("scripts/t.txt"), "tt") })
	w.changes("a package", func() { put(t, w.path("node_modules/p/m.js"), "export default 2") })
	w.changes("a package's main file", func() { put(t, w.path("node_modules/p/package.json"), `{"main": "n.js"}`) })
	w.breaks("a neighbour's removal", `cannot find "../lib/deep/b.js"`, func() { w.must(os.Rename(w.path("lib"), w.path("old"))) })
	w.changes("its return", func() {
		put(t, w.path("old/deep/b.js"), "export const b = 3")
		w.must(os.Rename(w.path("old"), w.path("lib")))
	})
}

func TestWatchWhatIsMissing(t *testing.T) {
	w := watch(t, project(t, map[string]string{"scripts/a.js": `import { b } from "./lib/new/b"; import p from "@s/p"; export const a = [b, p]`}))
	if w.l.Current() != nil {
		t.Fatal("loaded")
	}
	w.breaks("making the file", "cannot find the package", func() {
		put(t, w.path("scripts/lib/new/b.ts"), "export const b = 1")
		w.until("seen", func() bool { return !strings.Contains(w.l.LastError().Error(), "./lib/new/b") })
	})
	w.changes("installing the package", func() {
		put(t, w.path("node_modules/@s/p/package.json"), `{"module": "m.mjs"}`)
		put(t, w.path("node_modules/@s/p/m.mjs"), "export default 1")
	})
}

func TestWatchFolderRemovedAndMadeAgain(t *testing.T) {
	w := watch(t, project(t, map[string]string{"conf/scripts/a.js": "export const a = 1"}), "conf/scripts")
	w.breaks("removal", "no such file", func() { w.must(os.RemoveAll(w.path("conf"))) })
	w.changes("making it again", func() { put(t, w.path("conf/scripts/a.js"), "export const a = 2") })
	w.changes("an edit in the new folder", func() { put(t, w.path("conf/scripts/a.js"), "export const a = 3") })
	w.changes("replacing the folder", func() {
		put(t, w.path("next/scripts/a.js"), "export const a = 4")
		w.must(os.Rename(w.path("conf"), w.path("old")))
		w.must(os.Rename(w.path("next"), w.path("conf")))
	})
	w.changes("an edit in the replaced folder", func() { put(t, w.path("conf/scripts/a.js"), "export const a = 5") })
}

// Kubernetes: FOLDER/a.js -> ..data/a.js, FOLDER/..data -> ..TIME, replaced by rename.
func TestWatchKubernetes(t *testing.T) {
	base := t.TempDir()
	w := &watching{t: t, base: base}
	publish := func(version, text string) {
		put(t, w.path("mount/.."+version+"/a.js"), text)
		w.must(os.Symlink(".."+version, w.path("mount/..data_tmp")))
		w.must(os.Rename(w.path("mount/..data_tmp"), w.path("mount/..data")))
	}
	publish("v1", "export const a = 1")
	w.must(os.Symlink("..data/a.js", w.path("mount/a.js")))
	w.must(os.Symlink("mount", w.path("scripts")))
	w = watch(t, base)
	w.changes("a new volume", func() {
		publish("v2", "export const a = 2")
		w.must(os.RemoveAll(w.path("mount/..v1")))
	})
	w.changes("another", func() { publish("v3", "export const a = 3") })
	w.breaks("a broken one", "scripts/a.js:1:18", func() { publish("v4", "export const a = ;") })
	w.changes("a mended one", func() { publish("v5", "export const a = 5") })
	w.changes("an added file", func() {
		put(t, w.path("mount/..v6/b.js"), "export const b = 6")
		publish("v6", "export const a = 6")
		w.must(os.Symlink("..data/b.js", w.path("mount/b.js")))
	})
	w.until("both", func() bool { return namesOf(w.l.Current()) == "a.js b.js" })
}

// A release folder behind a link, replaced as deployment tools do.
func TestWatchLinkedRelease(t *testing.T) {
	base := project(t, map[string]string{"releases/1/scripts/a.js": "export const a = 1", "releases/2/scripts/a.js": "export const a = 2", "x": ""})
	other := t.TempDir()
	if err := os.Symlink(filepath.Join(base, "releases/1"), filepath.Join(other, "current")); err != nil {
		t.Fatal(err)
	}
	w := watch(t, filepath.Join(other, "current"))
	if got := w.l.Current().List()[0].Name; got != "scripts/a.js" {
		t.Error(got)
	}
	w.changes("the next release", func() {
		w.must(os.Symlink(filepath.Join(base, "releases/2"), filepath.Join(other, "next")))
		w.must(os.Rename(filepath.Join(other, "next"), filepath.Join(other, "current")))
	})
	w.changes("an edit behind the link", func() { put(t, filepath.Join(base, "releases/2/scripts/a.js"), "export const a = 3") })
}

func TestWatchConcerns(t *testing.T) {
	base := project(t, map[string]string{
		"scripts/a.js":     `import b from "./lib/b"; import c from "../data/c.json"; export const a = [b, c]`,
		"scripts/lib/b.js": "export default 1", "data/c.json": "{}", "named/x.js": "",
	})
	l, _ := library(t, base)
	l.o.Scripts = append(l.o.Scripts, "named/x.js")
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	w := &watcher{library: l, notify: notify, folders: map[string]fs.FileInfo{}}
	if !w.follow() || w.follow() {
		t.Error("the first time folders are new, and the second time not")
	}
	for name, want := range map[string]bool{
		"scripts/a.js": true, "scripts/new.ts": true, "scripts/lib/b.js": true, "scripts/lib/b.ts": true, "data/c.json": true, "scripts/lib": true,
		"named/x.js": true, "tsconfig.json": true, "scripts/jsconfig.json": true, "scripts": true, "data": true, ".": true,
		"scripts/a.test.js": false, "scripts/_x.js": false, "scripts/.a.js.swp": false, "scripts/a.js~": false, "scripts/lib/c.js": false,
		"data/d.json": false, "log.txt": false, "named/y.js": false, "../other": false,
	} {
		path := filepath.Join(base, name)
		if got := w.concerns(fsnotify.Event{Name: path, Op: fsnotify.Write}); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A file that never comes to rest must not keep the others waiting for ever.
func TestWatchUnderConstantChange(t *testing.T) {
	w := watch(t, project(t, map[string]string{"scripts/a.js": "export const a = 1", "scripts/b.js": "export const b = 1"}))
	w.changes("a change among many", func() {
		before := w.l.Version()
		put(t, w.path("scripts/b.js"), "export const b = 2")
		w.until("loaded", func() bool {
			w.must(os.Chtimes(w.path("scripts/a.js"), time.Time{}, time.Now()))
			return w.l.Version() != before
		})
	})
}
