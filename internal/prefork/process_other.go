//go:build !linux

package prefork

import (
	"errors"
	"os"
)

// launcher refuses: without a parent-death signal workers could be orphaned.
type launcher struct{}

func newLauncher() *launcher { return &launcher{} }

func (*launcher) start(*Options, []*os.File) (process, error) {
	return nil, errors.New("prefork: worker processes need Linux")
}

func (*launcher) close() {}
