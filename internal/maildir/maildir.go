// Package maildir delivers messages into a Maildir so that none is lost and
// none is half read: a message is written to tmp and synced, renamed to new, and
// the folder is synced, before Deliver says that it is there.
//
// The format is https://cr.yp.to/proto/maildir.html; folders are Maildir++'s.
package maildir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Maildir is one Maildir. Its methods may be called concurrently.
type Maildir struct {
	path  string
	host  string
	seq   atomic.Uint64
	fsync func(*os.File) error // a test makes it fail
}

// Open makes the Maildir at path, and the folders above it, where they are
// missing; all are private to the user.
func Open(path string) (*Maildir, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	m := &Maildir{
		path:  path,
		host:  strings.NewReplacer("/", `\057`, ":", `\072`).Replace(host),
		fsync: (*os.File).Sync,
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := m.makeDir(filepath.Join(path, sub)); err != nil {
			return nil, fmt.Errorf("maildir: %w", err)
		}
	}
	return m, nil
}

// Path is the Maildir's folder.
func (m *Maildir) Path() string { return m.path }

// Folder opens the Maildir++ folder of that name ("Quarantine" is
// .Quarantine within this one), made where it is missing.
func (m *Maildir) Folder(name string) (*Maildir, error) {
	if name == "" || strings.ContainsAny(name, "/\x00") {
		return nil, fmt.Errorf("maildir: %q is no name of a folder", name)
	}
	f, err := Open(filepath.Join(m.path, "."+name))
	if err != nil {
		return nil, err
	}
	mark, err := os.OpenFile(filepath.Join(f.path, "maildirfolder"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	if err := mark.Close(); err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	return f, nil
}

// Deliver stores the message that write writes and gives its file. When it
// returns without an error the message survives a loss of power; with an error
// nothing of it is left, as far as the file system lets us remove it.
func (m *Maildir) Deliver(write func(io.Writer) error) (file string, err error) {
	name := m.unique()
	return m.deliver(name, name, write)
}

// DeliverOnce is Deliver under a name that the caller gives, unless a message of that
// name is there already, read or not: then it is left as it is, and isNew is false. Two
// at the same time leave one message.
func (m *Maildir) DeliverOnce(name string, write func(io.Writer) error) (file string, isNew bool, err error) {
	if name == "" || name[0] == '.' || strings.ContainsAny(name, "/:\x00\n") || len(name) > 200 {
		return "", false, fmt.Errorf("maildir: %q cannot be a message's name", name)
	}
	if there := m.named(name); there != "" {
		// Who put it there may have been killed before the folder was synced.
		if err := m.syncDir(filepath.Dir(there)); err != nil {
			return "", false, fmt.Errorf("maildir: %w", err)
		}
		return there, false, nil
	}
	file, err = m.deliver(m.unique(), name, write)
	return file, err == nil, err
}

// named is the file of that name, "" if there is none. Flags come after a colon (maildir(5)).
func (m *Maildir) named(name string) string {
	for _, folder := range []string{"new", "cur"} {
		path := filepath.Join(m.path, folder, name)
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	entries, err := os.ReadDir(filepath.Join(m.path, "cur"))
	if err != nil {
		return "" // the delivery will say what is wrong
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), name+":") {
			return filepath.Join(m.path, "cur", e.Name())
		}
	}
	return ""
}

// deliver writes to tmp under one name and renames to new under another.
func (m *Maildir) deliver(first, name string, write func(io.Writer) error) (file string, err error) {
	tmp := filepath.Join(m.path, "tmp", first)
	if err := m.store(tmp, write); err != nil {
		return "", fmt.Errorf("maildir: %w", errors.Join(err, remove(tmp)))
	}
	file = filepath.Join(m.path, "new", name)
	if err := os.Rename(tmp, file); err != nil {
		return "", fmt.Errorf("maildir: %w", errors.Join(err, remove(tmp)))
	}
	if err := m.syncDir(filepath.Join(m.path, "new")); err != nil {
		return "", fmt.Errorf("maildir: %w", errors.Join(err, remove(file)))
	}
	return file, nil
}

func (m *Maildir) store(file string, write func(io.Writer) error) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = m.fsync(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// unique is a name that no other delivery has: time, process and a count.
func (m *Maildir) unique() string {
	now := time.Now()
	return fmt.Sprintf("%d.M%06dP%dQ%d.%s", now.Unix(), now.Nanosecond()/1000, os.Getpid(), m.seq.Add(1), m.host)
}

// makeDir is os.MkdirAll that syncs the folder above each new one.
func (m *Maildir) makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrNotExist) {
		if err := m.makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, os.ErrExist) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a folder", dir)
		}
		return err
	}
	if err != nil {
		return err
	}
	return m.syncDir(filepath.Dir(dir))
}

func (m *Maildir) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = m.fsync(d)
	return errors.Join(err, d.Close())
}

// remove is os.Remove of what may not be there.
func remove(file string) error {
	if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
