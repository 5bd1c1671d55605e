package milter

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// moveNew gives the socket its name unless that is taken: ErrSocketInUse.
// QUIRK: a link would do, but Sendmail refuses a socket that has two names, if
// only for a moment (libmilter's SFF_NOLINK; TestListenHasOneName).
func moveNew(made, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EEXIST):
		return ErrSocketInUse
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS): // a file system that cannot
		return os.Rename(made, path)
	}
	return err
}
