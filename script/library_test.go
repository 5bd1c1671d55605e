package script

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/filter"
)

// library is a Library of a project's scripts folder whose sets need no world.
func library(t testing.TB, base string) (*Library, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	l := NewLibrary(Options{Base: base, Scripts: []string{"scripts"}, Log: zap.New(core), Settle: testSettle})
	l.prepare = bareSet
	t.Cleanup(l.Close)
	return l, logs
}

// bareSet is a set that nothing has run.
func bareSet(_ context.Context, b *bundle) (*Set, Faults) {
	s := &Set{bundle: b}
	for _, f := range b.files {
		s.scripts = append(s.scripts, filter.Script{Name: f})
	}
	return s, nil
}

func namesOf(s *Set) string {
	if s == nil {
		return "no set"
	}
	var names []string
	for _, one := range s.List() {
		names = append(names, strings.TrimPrefix(one.Name, "scripts/"))
	}
	return strings.Join(names, " ")
}

func TestLibraryKeepsTheOldSetUntilAllIsWell(t *testing.T) {
	base := project(t, map[string]string{"scripts/a.js": "export const a = 1", "scripts/b.js": "export const b = 1"})
	l, logs := library(t, base)
	if l.Current() != nil || l.Version() != "" {
		t.Error("a set before the first load")
	}
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, loaded := l.Current(), l.Loaded()
	if loaded.IsZero() || first.Version() != l.Version() || l.LastError() != nil {
		t.Errorf("status %+v", l.Status())
	}

	// One of two is broken: neither changes.
	put(t, filepath.Join(base, "scripts/a.js"), "export const a = 2")
	put(t, filepath.Join(base, "scripts/b.js"), "export const b = ;")
	err := l.Reload(t.Context())
	if want := `scripts/b.js:1:18: Unexpected ";"`; err == nil || err.Error() != want || l.LastError().Error() != want {
		t.Errorf("error %v, kept %v", err, l.LastError())
	}
	if l.Current() != first || l.Status().Failed != 1 {
		t.Errorf("the set was swapped, or the failure not counted: %+v", l.Status())
	}
	failed := logs.FilterMessage("scripts not reloaded: those in use stay").All()
	if len(failed) != 1 || failed[0].Level != zap.ErrorLevel {
		t.Fatalf("logged %v", failed)
	}
	fields := failed[0].ContextMap()
	if fields["file"] != "scripts/b.js" || fields["line"] != int64(1) || fields["column"] != int64(18) {
		t.Errorf("fields %v", fields)
	}

	// Mended as it was: the same set, no error any more.
	put(t, filepath.Join(base, "scripts/a.js"), "export const a = 1")
	put(t, filepath.Join(base, "scripts/b.js"), "export const b = 1")
	if err := l.Reload(t.Context()); err != nil || l.LastError() != nil || l.Current() != first || !l.Loaded().Equal(loaded) {
		t.Errorf("mended: %v, %+v", err, l.Status())
	}
	// Mended and changed: another.
	put(t, filepath.Join(base, "scripts/b.js"), "export const b = 2")
	if err := l.Reload(t.Context()); err != nil || l.Current() == first || l.Status().Failed != 1 {
		t.Errorf("changed: %v, %+v", err, l.Status())
	}
	info := logs.FilterMessage("scripts loaded").All()
	if len(info) != 3 {
		t.Fatalf("%d info lines", len(info))
	}
	if f := info[2].ContextMap(); f["version"] != l.Version() || f["scripts"] != int64(2) || f["ms"] == nil {
		t.Errorf("fields %v", f)
	}
	// Unchanged: silence.
	if err := l.Reload(t.Context()); err != nil || logs.FilterMessage("scripts loaded").Len() != 3 {
		t.Errorf("unchanged: %v", err)
	}
}

func TestLibraryFirstLoad(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"scripts: the folder has no scripts (*.js *.mjs *.ts *.mts)": {"scripts/readme.md": ""},
		"scripts: no such file or folder":                            {"x": ""},
		"scripts/a.js:1:8: Unexpected end of file":                   {"scripts/a.js": "export "},
	} {
		l, _ := library(t, project(t, files))
		if err := l.Load(t.Context()); err == nil || err.Error() != name {
			t.Errorf("%v, want %s", err, name)
		}
		if l.Current() != nil {
			t.Error("a set all the same")
		}
	}
}

func TestLibraryFaultsOfTheSet(t *testing.T) {
	base := project(t, map[string]string{"scripts/a.js": "export const a = (x) => x === -0"})
	l, logs := library(t, base)
	l.prepare = func(ctx context.Context, b *bundle) (*Set, Faults) {
		s, _ := bareSet(ctx, b)
		return s, Faults{{Message: "odd", Warning: true}}
	}
	if err := l.Load(t.Context()); err != nil || len(l.Status().Warnings) != 2 || logs.FilterMessage("script warning").Len() != 2 {
		t.Errorf("%v, %v", err, l.Status().Warnings)
	}
	put(t, filepath.Join(base, "scripts/a.js"), "export const a = 1")
	l.prepare = func(context.Context, *bundle) (*Set, Faults) { return nil, Faults{{Message: "threw"}} }
	if err := l.Reload(t.Context()); err == nil || err.Error() != "threw" || l.Current() == nil {
		t.Errorf("%v", err)
	}
	l.prepare = func(context.Context, *bundle) (*Set, Faults) { panic("compiler") }
	if err := l.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "internal error") || l.Current() == nil {
		t.Errorf("after a panic: %v", err)
	}
}

func TestLibraryLoadsOneAtATime(t *testing.T) {
	base := project(t, map[string]string{"scripts/a.js": "export const a = 1"})
	l, _ := library(t, base)
	var mu sync.Mutex
	l.prepare = func(ctx context.Context, b *bundle) (*Set, Faults) {
		if !mu.TryLock() {
			t.Error("two loads at once")
		}
		defer mu.Unlock()
		return bareSet(ctx, b)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := os.WriteFile(filepath.Join(base, "scripts/b.js"), []byte("export const b = 1"), 0o600); err != nil {
				t.Error(err)
			}
			_ = l.Reload(t.Context()) // b.js may be half written
			_ = l.Current()
			_ = l.Status()
		})
	}
	all.Wait()
	if err := l.Reload(t.Context()); err != nil || namesOf(l.Current()) != "a.js b.js" {
		t.Errorf("%v, %s", err, namesOf(l.Current()))
	}
}
