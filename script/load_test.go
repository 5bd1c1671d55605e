package script

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// project writes files into a new folder and returns it.
func project(t testing.TB, files map[string]string) string {
	t.Helper()
	base := t.TempDir()
	for name, text := range files {
		put(t, filepath.Join(base, name), text)
	}
	return base
}

// put writes one file, with its folder.
func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// loaded bundles a project's scripts folder, which must be without fault.
func loaded(t *testing.T, files map[string]string) *bundle {
	t.Helper()
	b, _, faults := newBundle(Options{Base: project(t, files), Scripts: []string{"scripts"}})
	if len(faults) > 0 {
		t.Fatalf("faults:\n%v", faults)
	}
	return b
}

// faultsOf is what a project's scripts folder is refused or warned for.
func faultsOf(t *testing.T, files map[string]string, vars map[string]any) []string {
	t.Helper()
	b, _, faults := newBundle(Options{Base: project(t, files), Scripts: []string{"scripts"}, Vars: vars})
	if faults.Fatal() != (b == nil) {
		t.Fatalf("bundle %v with faults %v", b, faults)
	}
	var lines []string
	for _, f := range faults {
		lines = append(lines, f.String())
	}
	return lines
}

// running is a bundle in a plain runtime, in which what our modules export is its own name.
type running struct {
	t       *testing.T
	rt      *goja.Runtime
	exports *goja.Object
}

// run runs a bundle's top-level code.
func run(t *testing.T, b *bundle, natives map[string]any) *running {
	t.Helper()
	r := &running{t: t, rt: goja.New()}
	guards, err := newGuards(b.usage)
	if err != nil {
		t.Fatal(err)
	}
	if err := guards.install(r.rt, 0); err != nil {
		t.Fatal(err)
	}
	fn, err := r.rt.RunProgram(b.program)
	if err != nil {
		t.Fatal(err)
	}
	call, _ := goja.AssertFunction(fn)
	exports, err := call(goja.Undefined(), r.rt.ToValue(func(module, name string) any {
		if v, ok := natives[module+"."+name]; ok {
			return v
		}
		return module + "." + name
	}))
	if err != nil {
		t.Fatal(err)
	}
	r.exports = exports.ToObject(r.rt)
	return r
}

// call calls an export of a script.
func (r *running) call(script int, name string, args ...any) (goja.Value, error) {
	r.t.Helper()
	fn, ok := goja.AssertFunction(r.exports.Get(fmt.Sprint(script)).ToObject(r.rt).Get(name))
	if !ok {
		r.t.Fatalf("script %d has no function %s", script, name)
	}
	var values []goja.Value
	for _, a := range args {
		values = append(values, r.rt.ToValue(a))
	}
	return fn(goja.Undefined(), values...)
}

// string is what an export returns, as text.
func (r *running) string(script int, name string, args ...any) string {
	r.t.Helper()
	v, err := r.call(script, name, args...)
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	if p, ok := v.Export().(*goja.Promise); ok {
		if p.State() != goja.PromiseStateFulfilled {
			r.t.Fatalf("%s: promise %v: %v", name, p.State(), p.Result())
		}
		v = p.Result()
	}
	return v.String()
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

func at(file string, line, column int) filter.Position {
	return filter.Position{File: file, Line: line, Column: column}
}
