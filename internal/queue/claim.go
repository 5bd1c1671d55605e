package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pmilter/internal/event"
)

// Why an event cannot be claimed, for errors.Is. Neither is a fault.
var (
	// ErrBusy: another works on it.
	ErrBusy = errors.New("another works on the event")
	// ErrGone: the file is not there any more, or is called otherwise by now.
	ErrGone = errors.New("the event is gone")
)

// Claim is an event that nobody else works on until Done, Retry, Fail or
// Release, one of which must be called, or the process ends. It is for one
// goroutine.
type Claim struct {
	q    *Queue
	file *os.File // locked; its descriptor is not inherited by programs
	path string
	name event.Name
}

// Claim takes the event whose file is path, without waiting: ErrBusy if another
// has it, ErrGone if it is not there. Any other error is a fault of the file, such
// as one that this user may not write to.
func (q *Queue) Claim(path string) (*Claim, error) {
	// Open for writing, as NFS needs for an exclusive lock. Nothing but a plain
	// file, and none that is elsewhere.
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("queue %s: %s: %w", q.o.Name, filepath.Base(path), ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("queue %s: claim: %w", q.o.Name, err)
	}
	if err := lock(f, path); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("queue %s: %s: %w", q.o.Name, filepath.Base(path), err)
	}
	return &Claim{q: q, file: f, path: path, name: event.ParseName(filepath.Base(path))}, nil
}

// lock takes the lock and makes sure that path still is the file: who had the
// lock before may have renamed or removed it.
func lock(f *os.File, path string) error {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return ErrBusy
	case err != nil:
		return fmt.Errorf("lock: %w", err)
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if !mine.Mode().IsRegular() {
		return errors.New("not a plain file")
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, there) {
		return ErrGone
	}
	return err
}

// ID is the event's: see event.Event.
func (c *Claim) ID() string { return c.name.Unique }

// Path is where the file is now.
func (c *Claim) Path() string { return c.path }

// Attempts is how many attempts have begun, this one included after Begin.
func (c *Claim) Attempts() int { return c.name.Attempts }

// Event reads the event. message gives the mail with CRLF line ends until the
// next Event, or the claim's end. event.ErrDamaged is for Fail.
func (c *Claim) Event() (e *event.Event, message io.Reader, err error) {
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return nil, nil, fmt.Errorf("queue %s: %w", c.q.o.Name, err)
	}
	e, message, err = event.Read(c.file, c.name.String())
	if err != nil {
		return nil, nil, fmt.Errorf("queue %s: %s: %w", c.q.o.Name, c.ID(), err)
	}
	c.q.complete(e, c.file)
	return e, message, nil
}

// complete adds to an event what only the file's place and its time tell.
func (q *Queue) complete(e *event.Event, f *os.File) {
	if e.Queue == "" {
		e.Queue = q.o.Name
	}
	if e.Time.IsZero() {
		if info, err := f.Stat(); err == nil {
			e.Time = info.ModTime()
		}
	}
}

// Begin counts an attempt: in the file's name, before the job starts, so that a
// job that kills its worker is counted. It is not synced: a loss of power may
// forget it.
func (c *Claim) Begin() error {
	n := c.name
	n.Attempts++
	n.Next = time.Time{}
	return c.rename(n)
}

// Retry has the event wait until at (to the second, not before), and ends the claim.
func (c *Claim) Retry(at time.Time) error {
	n := c.name
	n.Next = at.Add(time.Second - 1).Truncate(time.Second)
	err := c.rename(n)
	return errors.Join(err, c.Release())
}

// Inherit has the programs that this process starts from now on hold the lock too,
// until they end or the claim does: if this process is killed, nobody else takes the
// event while they live.
func (c *Claim) Inherit() error {
	if _, err := unix.FcntlInt(c.file.Fd(), unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("queue %s: %w", c.q.o.Name, err)
	}
	return nil
}

// Release ends the claim and leaves the event as it is: it may be claimed again at once.
func (c *Claim) Release() error {
	// What a program inherited is let go of as well: the lock is of the open file (flock(2)).
	_ = unix.Flock(int(c.file.Fd()), unix.LOCK_UN) // closing does it otherwise
	if err := c.file.Close(); err != nil {
		return fmt.Errorf("queue %s: %w", c.q.o.Name, err)
	}
	return nil
}

// Done ends the claim and the event: its file is deleted, or moved to .done if
// the queue keeps what is finished. With an error the event may come again. That
// the file is gone already is none.
func (c *Claim) Done() error {
	var err error
	if c.q.o.Keep {
		err = c.move(doneFolder, "")
	} else {
		err = c.remove()
	}
	return errors.Join(err, c.Release())
}

// Fail ends the claim and moves the event to .failed, with the reason in its
// X-Pmilter-Failed. With an error the event is still where it was.
func (c *Claim) Fail(reason string) error {
	if reason == "" {
		reason = "no reason given"
	}
	return errors.Join(c.move(failedFolder, reason), c.Release())
}

// move is write, sync, rename, sync, unlink: a crash leaves two files, never none.
func (c *Claim) move(maildir, reason string) error {
	n := event.Name{Unique: c.name.Unique, Attempts: c.name.Attempts}
	if err := c.q.copyTo(maildir, n, c.file, c.name, reason); err != nil {
		return fmt.Errorf("queue %s: to %s: %w", c.q.o.Name, maildir, err)
	}
	return c.remove()
}

// copyTo writes what f, whose name is from, holds into one of the queue's
// Maildirs under another name, synced.
func (q *Queue) copyTo(maildir string, to event.Name, f *os.File, from event.Name, reason string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	tmp := filepath.Join(q.sub(maildir, "tmp"), q.unique())
	err := q.write(tmp, func(w io.Writer) error { return event.Mark(w, f, from.String(), reason) })
	if err == nil {
		err = q.disk.Rename(tmp, filepath.Join(q.sub(maildir, "new"), to.String()))
	}
	if err != nil {
		return errors.Join(err, removeIfThere(q.disk, tmp))
	}
	return q.syncs[q.sub(maildir, "new")].Sync()
}

// rename gives the file another name in its folder.
func (c *Claim) rename(n event.Name) error {
	err := c.there(func(path string, flags string) error {
		n.Flags = flags
		to := filepath.Join(filepath.Dir(path), n.String())
		if err := c.q.disk.Rename(path, to); err != nil {
			return err
		}
		c.path, c.name = to, n
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue %s: %s: %w", c.q.o.Name, c.ID(), err)
	}
	return nil
}

// remove deletes the file, if nobody has.
func (c *Claim) remove() error {
	err := c.there(func(path, _ string) error { return c.q.disk.Remove(path) })
	if err != nil && !errors.Is(err, ErrGone) {
		return fmt.Errorf("queue %s: %s: %w", c.q.o.Name, c.ID(), err)
	}
	return nil
}

// there does something to the file where it is: a mail reader, which asks for no
// lock, may move it from new to cur, or give it flags, at any time.
func (c *Claim) there(do func(path, flags string) error) error {
	const tries = 5 // it is not moved for ever
	for range tries {
		err := do(c.path, c.name.Flags)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := c.find(); err != nil {
			return err
		}
	}
	return ErrGone
}

// find looks for the file under another name.
func (c *Claim) find() error {
	mine, err := c.file.Stat()
	if err != nil {
		return err
	}
	maildir := filepath.Dir(filepath.Dir(c.path))
	for _, folder := range [...]string{"cur", "new", "cur"} {
		names, err := readNames(filepath.Join(maildir, folder))
		if err != nil {
			return err
		}
		for _, file := range names {
			if n := event.ParseName(file); n.Unique == c.name.Unique {
				path := filepath.Join(maildir, folder, file)
				if there, err := os.Lstat(path); err == nil && os.SameFile(mine, there) {
					c.path, c.name.Flags = path, n.Flags
					return nil
				}
			}
		}
	}
	return ErrGone
}
