package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// code is a bundle on its way to another process: bundled, rewritten, and only to
// be compiled there. So workers need not bundle, and all have the same, whatever the
// files hold meanwhile.
type code struct {
	Files    []string          `json:"files"`
	Imports  []map[string]bool `json:"imports"`
	Code     string            `json:"code"`
	Mapping  json.RawMessage   `json:"mapping"`
	Authored int               `json:"authored"`
	Version  string            `json:"version"`
}

// Code is the set for LoadCode of another process of the same binary.
func (s *Set) Code() ([]byte, error) { return s.bundle.encode() }

func (b *bundle) encode() ([]byte, error) {
	data, err := json.Marshal(code{b.files, b.imports, b.code, b.mapping, b.authored, b.version})
	if err != nil {
		return nil, fmt.Errorf("scripts: %w", err)
	}
	return data, nil
}

func decodeBundle(data []byte) (*bundle, error) {
	var c code
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("scripts: %w", err)
	}
	tree, err := parseMapped(c.Code, c.Mapping)
	if err != nil {
		return nil, fmt.Errorf("scripts: %w", err)
	}
	found := inspect(tree, c.Authored)
	guardOperators(tree, found.usage)
	program, err := goja.CompileAST(tree, true)
	if err != nil {
		return nil, fmt.Errorf("scripts: %w", err)
	}
	return &bundle{
		program: program, usage: found.usage, files: c.Files, imports: c.Imports, version: c.Version,
		code: c.Code, mapping: c.Mapping, authored: c.Authored,
	}, nil
}

// LoadCode makes a set of what Set.Code of another process gave: it runs the
// top-level code once. An error may be Faults. close frees it, when its worlds are closed.
func LoadCode(data []byte, o Options) (s *Set, close func(), err error) {
	b, err := decodeBundle(data)
	if err != nil {
		return nil, nil, err
	}
	w := newWatchdog(o.Limits)
	set, faults := newSet(b, o.set(w))
	if err := faults.Err(); err != nil {
		w.close()
		return nil, nil, err
	}
	return set, w.close, nil
}

// LibraryOf is a Library with the set of what Set.Code of another process gave, which it
// keeps: there is nothing to load or to watch. It runs the top-level code once. An error
// may be Faults. Retire frees it.
func LibraryOf(data []byte, o Options) (*Library, error) {
	l := NewLibrary(o)
	b, err := decodeBundle(data)
	if err != nil {
		l.Close()
		return nil, err
	}
	set, faults := newSet(b, l.o.set(l.watchdog))
	if err := faults.Err(); err != nil {
		l.Close()
		return nil, err
	}
	l.current.Store(set)
	l.status.Store(&Status{Version: set.Version(), Loaded: time.Now(), Warnings: faults})
	return l, nil
}

// triedElsewhere makes a set without worlds, of scripts that were tried in another process.
func triedElsewhere(ctx context.Context, b *bundle, try func(context.Context, []byte) error) (*Set, Faults) {
	data, err := b.encode()
	if err == nil {
		err = try(ctx, data)
	}
	var faults Faults
	if errors.As(err, &faults) {
		if faults.Fatal() {
			return nil, faults
		}
	} else if err != nil {
		return nil, Faults{{Message: err.Error()}}
	}
	s := &Set{bundle: b}
	for _, file := range b.files {
		s.scripts = append(s.scripts, filter.Script{Name: file})
	}
	return s, faults
}
