package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// disk is what is done to files where a failure must not lose or double an
// event. A test makes each of these fail.
type disk interface {
	Create(name string) (file, error) // 0600; it must not be there
	Rename(from, to string) error
	Remove(name string) error
	SyncDir(dir string) error
	Mkdir(dir string) error // 0700
}

// file is one that is being written.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

type realDisk struct{}

// Create implements disk, as the following do.
func (realDisk) Create(name string) (file, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// Rename is os.Rename.
func (realDisk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove.
func (realDisk) Remove(name string) error { return os.Remove(name) }

// Mkdir makes a folder that is private to the user.
func (realDisk) Mkdir(dir string) error { return os.Mkdir(dir, 0o700) }

// SyncDir has a folder's entries on the disk.
func (realDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeIfThere removes what another may have removed already.
func removeIfThere(d disk, name string) error {
	if err := d.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// checkFolder tells why nothing can be written to a folder, nil if it can.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}
