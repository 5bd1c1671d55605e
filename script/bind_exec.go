package script

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// Exec is what pmilter/exec does its work with.
type Exec interface {
	// Run runs a program and waits for its end. That it ends with a status other
	// than 0 is no error. Errors have Name() "ExecError" with a Code(),
	// "PermissionError", or are context.DeadlineExceeded: the program is gone then.
	Run(ctx context.Context, p ExecProgram) (ExecResult, error)
}

// ExecProgram is what to run.
type ExecProgram struct {
	Path    string
	Args    []string
	Input   []byte
	Env     []string // "NAME=value", besides what every program gets
	MaxSize int64    // bytes of standard output, and of standard error
}

// ExecResult is how a program ended.
type ExecResult struct {
	Code           int    // its exit status; 128 and the signal's number when a signal ended it
	Signal         string // "SIGTERM", "" for none
	Stdout, Stderr []byte
}

// execExport is an export of pmilter/exec.
func (w *World) execExport(name string) goja.Value { return w.function(name, w.run) }

func (w *World) run(call goja.FunctionCall) goja.Value {
	p := ExecProgram{Path: w.stringArg(call, 0, "exec.run: the program")}
	at := 1
	if list, ok := call.Argument(1).(*goja.Object); ok && list.ClassName() == "Array" {
		p.Args = w.names(list, "exec.run: the arguments")
		at = 2
	} else if goja.IsUndefined(call.Argument(1)) {
		at = 2
	}
	s := w.settingsArg(call, at, "exec.run", "input", "timeout", "env", "maxSize")
	p.Input, p.MaxSize = s.bytes("input"), s.size("maxSize", defaultMaxSize)
	if env := s.get("env"); env != nil {
		p.Env = w.environment(env)
	}
	for _, text := range append(append([]string{p.Path}, p.Args...), p.Env...) {
		if strings.ContainsRune(text, 0) {
			panic(w.rt.NewTypeError("exec.run: an argument has a NUL in it"))
		}
	}
	timeout := s.duration("timeout", 24*time.Hour) // the job's own deadline is nearer
	service := w.set.o.Services.Exec
	return async(w, "exec.run", func(ctx context.Context) (ExecResult, error) {
		if service == nil {
			return ExecResult{}, missingServiceError{"pmilter/exec"}
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return service.Run(ctx, p)
	}, func(r ExecResult) goja.Value {
		return w.object("code", r.Code, "signal", r.Signal, "stdout", string(r.Stdout), "stderr", string(r.Stderr))
	})
}

// environment is an object of variables.
func (w *World) environment(v goja.Value) []string {
	o, ok := v.(*goja.Object)
	if !ok {
		panic(w.rt.NewTypeError("exec.run: env is %s, which is no object", shown(v)))
	}
	all := map[string]string{}
	for _, e := range entriesOf(w.rt, o) {
		key := textBytes(e.key)
		if key == "" || strings.ContainsRune(key, '=') {
			panic(w.rt.NewTypeError("exec.run: env: %.50q is no variable's name", key))
		}
		all[key] = bytesOf(e.value)
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, key+"="+all[key])
	}
	return list
}
