package decisions

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The folder has the current file, those that were it, and the file that who
// changes their names locks.
const (
	currentName = "decisions.jsonl"
	lockName    = "lock"
	oldPrefix   = "decisions-"
	oldSuffix   = ".jsonl"
	// oldFormat is when a file ceased to be the current one: all its lines but a few
	// of writers that were late are older.
	oldFormat = "20060102T150405.000000000Z"
)

// segment is a file that was the current one.
type segment struct {
	path  string
	ended time.Time
	size  int64
}

// segments lists them, the oldest first.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), oldPrefix)
		if !ok {
			continue
		}
		name, ok = strings.CutSuffix(name, oldSuffix)
		ended, err := time.Parse(oldFormat, name)
		if !ok || err != nil {
			continue // not ours
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // removed meanwhile
		}
		list = append(list, segment{filepath.Join(dir, entry.Name()), ended, info.Size()})
	}
	slices.SortFunc(list, func(a, b segment) int { return cmp.Or(a.ended.Compare(b.ended), strings.Compare(a.path, b.path)) })
	return list, nil
}

// lock takes the folder's lock. Without waiting: errBusy when another has it, who
// does then what there is to do.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errBusy
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}

var errBusy = errors.New("locked by another")

// openCurrent opens the current file to append to, made if it is missing.
func openCurrent(dir string) (*os.File, error) {
	return openRegular(filepath.Join(dir, currentName), os.O_RDWR|os.O_APPEND|os.O_CREATE)
}

// openRegular opens a regular file, and nothing else that somebody put in its place: the
// folder is the account's of the server, and root may read in it.
func openRegular(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("no regular file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// began is when a file's first line was written; of a file without one now.
func began(f *os.File, now time.Time) time.Time {
	head := make([]byte, 64)
	n, _ := f.ReadAt(head, 0) // an error is as good as no line
	if t, ok := timeOf(head[:n]); ok {
		return t
	}
	return now
}

// retire makes the current file one of the old ones, if it is still f. Only for who
// has the lock.
func retire(dir string, f *os.File, now time.Time) error {
	path := filepath.Join(dir, currentName)
	if !same(f, path) {
		return nil
	}
	for {
		old := filepath.Join(dir, oldPrefix+now.UTC().Format(oldFormat)+oldSuffix)
		if _, err := os.Lstat(old); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(path, old)
		} else if err != nil {
			return err
		}
		now = now.Add(time.Nanosecond)
	}
}

// same tells whether f is what path names.
func same(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

// prune removes old files that ended before a time, and the oldest until all files
// together have at most so many bytes. Only for who has the lock.
func prune(dir string, before time.Time, most int64) error {
	list, err := segments(dir)
	if err != nil {
		return err
	}
	var total int64
	if info, err := os.Lstat(filepath.Join(dir, currentName)); err == nil {
		total = info.Size()
	}
	for _, s := range list {
		total += s.size
	}
	var faults []error
	for _, s := range list {
		if total <= most && !s.ended.Before(before) {
			continue
		}
		if err := os.Remove(s.path); err != nil {
			faults = append(faults, err)
			continue
		}
		total -= s.size
	}
	return errors.Join(faults...)
}
