package table

import (
	"io/fs"
	"syscall"
)

// fileID names a file for as long as it exists.
type fileID struct{ dev, ino uint64 }

// stampOf is the zero stamp for a file that is not there.
func stampOf(info fs.FileInfo) stamp {
	if info == nil {
		return stamp{}
	}
	s := stamp{modified: info.ModTime(), size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.file = fileID{sys.Dev, sys.Ino}
	}
	return s
}
