package queue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"pmilter/internal/event"
)

// Entry is an event for a queue. Put gives the event its ID, Queue and Time.
type Entry struct {
	Queue *Queue
	Event *event.Event
}

// Writer puts events into queues. Its methods may be called concurrently.
type Writer struct {
	// slots are the Puts under way, also those that nobody waits for any more:
	// on a disk that hangs they must not become ever more.
	slots chan struct{}
	// decided, when set, is called just before a Put's outcome is decided: a test steers there.
	decided func()
}

// maxPuts is how many Puts write at once. More would not be faster.
const maxPuts = 256

// NewWriter makes a Writer.
func NewWriter() *Writer { return &Writer{slots: make(chan struct{}, maxPuts)} }

// Put makes one message's events durable, in whatever queues: when it returns nil
// each is in new/ and survives a loss of power; with an error none is left, as
// far as the file system lets us remove it. (A worker may have seen one that was
// there for a moment.) The message is the parts one after the other, with CRLF
// line ends.
//
// It blocks on the disk until ctx ends, and then returns without waiting for a
// disk that hangs: the events are removed when that comes back. free is called
// once, whatever happens, when the parts are not needed any more, which may be
// after Put has returned.
func (w *Writer) Put(ctx context.Context, entries []Entry, free func(), parts ...[]byte) error {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		free()
		return fmt.Errorf("queue: put: no answer from the disk: %w", ctx.Err())
	}
	p := &put{entries: entries, parts: parts, files: make([]string, len(entries))}
	done := make(chan error, 1)
	go func() {
		defer func() { <-w.slots }()
		err := p.write(ctx)
		free()
		if err == nil {
			err = p.commit(ctx)
		}
		if w.decided != nil {
			w.decided()
		}
		if err == nil && !p.settled.CompareAndSwap(false, true) {
			err = context.Cause(ctx) // nobody waits: the MTA has heard no
		}
		if err != nil {
			err = errors.Join(err, p.undo())
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if p.settled.CompareAndSwap(false, true) {
			return fmt.Errorf("queue: put: no answer from the disk: %w", ctx.Err())
		}
		return <-done // it was decided at the same moment
	}
}

// put is one Put under way, on a goroutine of its own.
type put struct {
	entries []Entry
	parts   [][]byte
	files   []string // where each event is by now, "" for nowhere
	settled atomic.Bool
}

// write writes all events to tmp/, synced.
func (p *put) write(ctx context.Context) error {
	for i, e := range p.entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		q := e.Queue
		e.Event.ID, e.Event.Queue, e.Event.Time = q.unique(), q.o.Name, q.o.Now()
		p.files[i] = filepath.Join(q.sub("", "tmp"), e.Event.ID)
		if err := q.write(p.files[i], func(w io.Writer) error { return event.Write(w, e.Event, p.parts...) }); err != nil {
			return fmt.Errorf("queue %s: put: %w", q.o.Name, err)
		}
	}
	return nil
}

// commit moves all events to new/ and syncs the folders.
func (p *put) commit(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i, e := range p.entries {
		to := filepath.Join(e.Queue.sub("", "new"), e.Event.ID)
		if err := e.Queue.disk.Rename(p.files[i], to); err != nil {
			return fmt.Errorf("queue %s: put: %w", e.Queue.o.Name, err)
		}
		p.files[i] = to
	}
	for i, e := range p.entries {
		if sameQueueBefore(p.entries[:i], e.Queue) {
			continue
		}
		if err := e.Queue.syncs[e.Queue.sub("", "new")].Sync(); err != nil {
			return fmt.Errorf("queue %s: put: %w", e.Queue.o.Name, err)
		}
	}
	return nil
}

func sameQueueBefore(entries []Entry, q *Queue) bool {
	for _, e := range entries {
		if e.Queue == q {
			return true
		}
	}
	return false
}

// undo removes what is there of the events.
func (p *put) undo() (err error) {
	for i, e := range p.entries {
		if p.files[i] != "" {
			err = errors.Join(err, removeIfThere(e.Queue.disk, p.files[i]))
		}
	}
	return err
}

// unique is a name that no other event has.
func (q *Queue) unique() string {
	return event.Unique(q.o.Now(), os.Getpid(), q.count.Add(1), q.host)
}

// bufferSize is enough for most mail to be written at once.
const bufferSize = 16 << 10

// write makes a file that is synced. With an error it may be there in part.
func (q *Queue) write(path string, content func(io.Writer) error) error {
	f, err := q.disk.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, bufferSize)
	if err = content(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
