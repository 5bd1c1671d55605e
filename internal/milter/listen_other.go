//go:build !linux

package milter

import "os"

// moveNew gives the socket its name. Of two servers that start at once the later
// one has it.
func moveNew(made, path string) error { return os.Rename(made, path) }
