package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"pmilter/internal/event"
)

// State is what is done with an event.
type State string

// The states, as users see them.
const (
	StateWaiting State = "waiting" // in new/ or cur/
	StateRunning State = "running" // somebody works on it
	StateFailed  State = "failed"  // in .failed
	StateDone    State = "done"    // in .done
)

// Info is what Inspect tells of an event.
type Info struct {
	Waiting
	State State
	Size  int64 // of the file
	Event *event.Event
}

// List lists the events that are in a state; running are among the waiting.
func (q *Queue) List(state State) ([]Waiting, error) {
	switch state {
	case StateFailed:
		return q.list(failedFolder)
	case StateDone:
		return q.list(doneFolder)
	default:
		return q.list("")
	}
}

// Inspect reads an event without claiming it; state is the one that List was asked
// for. message is given the mail with CRLF line ends, and may be nil. ErrGone is
// for one that was finished meanwhile.
func (q *Queue) Inspect(w Waiting, state State, message func(io.Reader) error) (*Info, error) {
	f, err := os.OpenFile(w.Path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("queue %s: %s: %w", q.o.Name, w.ID, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("queue %s: %w", q.o.Name, err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("queue %s: %w", q.o.Name, err)
	}
	info := &Info{Waiting: w, State: state, Size: stat.Size()}
	if state == StateWaiting && running(w, f) {
		info.State = StateRunning
	}
	e, mail, err := event.Read(f, event.Name{Unique: w.ID}.String())
	if err != nil {
		return info, fmt.Errorf("queue %s: %s: %w", q.o.Name, w.ID, err)
	}
	q.complete(e, f)
	info.Event = e
	if message != nil {
		return info, message(mail)
	}
	return info, nil
}

// running tells whether somebody has the event's lock. Only what has begun is
// asked: whoever claims an event while we look is told that it is busy.
func running(w Waiting, f *os.File) bool {
	if w.Attempts == 0 || !w.Next.IsZero() {
		return false
	}
	err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}

// RetryNow makes an event due at once. One that has failed is as new. ErrBusy:
// somebody works on it already.
func (q *Queue) RetryNow(w Waiting, state State) error {
	c, err := q.Claim(w.Path)
	if err != nil {
		return err
	}
	switch {
	case state == StateFailed || state == StateDone:
		if err = q.copyTo("", event.Name{Unique: c.name.Unique}, c.file, c.name, ""); err != nil {
			err = fmt.Errorf("queue %s: retry %s: %w", q.o.Name, w.ID, err)
		} else {
			err = c.remove()
		}
		return errors.Join(err, c.Release())
	case c.name.Attempts == 0 && c.name.Next.IsZero():
		return c.Release() // it is due
	default:
		// With a time in its name, so that Watch does not take it for one that is worked on.
		return c.Retry(q.o.Now().Add(-time.Second))
	}
}

// Delete removes an event, of any state. ErrBusy: somebody works on it.
func (q *Queue) Delete(w Waiting) error {
	c, err := q.Claim(w.Path)
	if err != nil {
		return err
	}
	return errors.Join(c.remove(), c.Release())
}
