package prefork_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"

	"pmilter/internal/prefork"
)

// TestInheritedFilesAreClosed: what a worker inherits is not kept open here.
func TestInheritedFilesAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		fakes := &fakes{}
		o := prefork.Options{Min: 1, Max: 1, Hooks: prefork.Hooks{BeforeSpawn: func() ([]*os.File, error) { return []*os.File{f}, nil }}}
		p := prefork.New(fakes.options(o))
		do(t, p, "x")
		if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("it is open: %v", err)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
