package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/event"
	"pmilter/internal/queue"
)

// QueueTool looks at and repairs the queues of a configuration, whether a server
// runs or not: the lock on an event's file says whether somebody works on it.
type QueueTool struct{ queues *queues }

// NewQueueTool makes a QueueTool; it changes nothing.
func NewQueueTool(cfg *config.Config) *QueueTool {
	return &QueueTool{newQueues(cfg, zap.NewNop())}
}

// QueuedEvent is an event as the commands show it.
type QueuedEvent struct {
	ID         string       `json:"id"`
	Queue      string       `json:"queue"`
	State      string       `json:"state"` // waiting, running, failed, done
	Attempts   int          `json:"attempts"`
	Time       time.Time    `json:"time"`
	Next       *time.Time   `json:"next,omitempty"` // not before; absent: at once
	Size       int64        `json:"size"`           // of the file
	Sender     string       `json:"sender"`
	Recipients []string     `json:"recipients"`
	Verdict    string       `json:"verdict"`
	Complete   bool         `json:"complete"`
	QueueID    string       `json:"queueId,omitempty"`
	Client     event.Client `json:"client"`
	Helo       string       `json:"helo,omitempty"`
	Data       any          `json:"data,omitempty"`
	Failed     string       `json:"failed,omitempty"` // why
	Damaged    string       `json:"damaged,omitempty"`
	Path       string       `json:"path"`
}

// QueueError is for a user who named what is not there, or is worked on.
type QueueError struct{ message string }

func (e *QueueError) Error() string { return e.message }

func queueErrorf(format string, args ...any) error {
	return &QueueError{fmt.Sprintf(format, args...)}
}

// chosen is the queues of those names; without names all.
func (t *QueueTool) chosen(names []string) ([]*queue.Queue, error) {
	if len(t.queues.list) == 0 {
		return nil, queueErrorf("the configuration has no [queue.NAME]")
	}
	if len(names) == 0 {
		return t.queues.list, nil
	}
	var list []*queue.Queue
	for _, name := range names {
		q := t.queues.byName[name]
		if q == nil {
			return nil, queueErrorf("there is no queue %q: the configuration has %s", name, strings.Join(t.queues.Names(), ", "))
		}
		if !slices.Contains(list, q) {
			list = append(list, q)
		}
	}
	return list, nil
}

// hint says of a Maildir that is missing who makes it, and of one that this user may not
// read who may.
func hint(q *queue.Queue, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && isFolder(filepath.Dir(q.Path())):
		return fmt.Errorf("%w: pmilterd run makes it at its start", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is missing, too, and is not made by pmilterd", err, filepath.Dir(q.Path()))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the command needs the rights of the server's user", err)
	}
	return err
}

// List calls show for each event of the queues with these names (all without
// names): those that wait or are worked on, or those that have failed. hidden is
// how many have failed and were not shown.
func (t *QueueTool) List(names []string, failed bool, show func(*QueuedEvent) error) (hidden int, err error) {
	list, err := t.chosen(names)
	if err != nil {
		return 0, err
	}
	state := queue.StateWaiting
	if failed {
		state = queue.StateFailed
	}
	var faults []error // of one queue: the others are shown
	for _, q := range list {
		waiting, err := q.List(state)
		if err != nil {
			faults = append(faults, hint(q, err))
			continue
		}
		for _, w := range waiting {
			e, err := inspect(q, w, state, nil)
			if err != nil {
				continue // finished meanwhile
			}
			if err := show(e); err != nil {
				return hidden, err
			}
		}
		if failed {
			continue
		}
		given, err := q.List(queue.StateFailed)
		if err != nil {
			faults = append(faults, hint(q, err))
		}
		hidden += len(given)
	}
	return hidden, errors.Join(faults...)
}

// inspect reads an event; one that cannot be read is shown as far as can be. The
// only error of its own is queue.ErrGone; else it is message's.
func inspect(q *queue.Queue, w queue.Waiting, state queue.State, message func(io.Reader) error) (*QueuedEvent, error) {
	info, err := q.Inspect(w, state, message)
	if errors.Is(err, queue.ErrGone) {
		return nil, err
	}
	if info == nil {
		info = &queue.Info{Waiting: w, State: state}
	}
	shown := &QueuedEvent{
		ID: w.ID, Queue: q.Name(), State: string(info.State), Attempts: w.Attempts, Time: w.Made, Size: info.Size, Path: w.Path,
	}
	if !w.Next.IsZero() {
		shown.Next = &w.Next
	}
	if info.Event == nil {
		shown.Damaged = err.Error()
		return shown, nil
	}
	e := info.Event
	shown.Time, shown.Sender, shown.Recipients, shown.Verdict, shown.Complete = e.Time, e.Sender, e.Recipients, e.Verdict, e.Complete
	shown.QueueID, shown.Client, shown.Helo, shown.Failed = e.QueueID, e.Client, e.Helo, e.Failed
	if e.Data != nil {
		shown.Data = e.Data
	}
	return shown, err
}

// place is where an event is.
type place struct {
	queue *queue.Queue
	at    queue.Waiting
	state queue.State
}

// find finds an event of any state by its id, or by the start of one that no
// other event has.
func (t *QueueTool) find(id string) (*place, error) {
	list, err := t.chosen(nil)
	if err != nil {
		return nil, err
	}
	var exact, near []*place
	var faults []error // of one queue: it may be in another
	for _, q := range list {
		for _, state := range []queue.State{queue.StateWaiting, queue.StateFailed, queue.StateDone} {
			waiting, err := q.List(state)
			if err != nil {
				faults = append(faults, err)
			}
			for _, w := range waiting {
				p := &place{q, w, state}
				if w.ID == id {
					exact = append(exact, p)
				} else if strings.HasPrefix(w.ID, id) {
					near = append(near, p)
				}
			}
		}
	}
	if len(exact) == 0 && len(near) == 1 {
		return near[0], nil
	}
	switch {
	case len(exact) > 0:
		return exact[0], nil // of two that a crash has left the one that waits
	case len(near) > 1:
		return nil, queueErrorf("%s is the start of %d events' ids, %s and %s among them", id, len(near), near[0].at.ID, near[1].at.ID)
	}
	return nil, errors.Join(append(faults, queueErrorf("there is no event %s", id))...)
}

// Show reads an event; message is given its mail with CRLF line ends.
func (t *QueueTool) Show(id string, message func(io.Reader) error) (*QueuedEvent, error) {
	p, err := t.find(id)
	if err != nil {
		return nil, err
	}
	return inspect(p.queue, p.at, p.state, message)
}

// Retry makes an event due at once; one that has failed is as new.
func (t *QueueTool) Retry(id string) (fullID string, err error) {
	return t.change(id, func(p *place) error { return p.queue.RetryNow(p.at, p.state) })
}

// Remove deletes an event.
func (t *QueueTool) Remove(id string) (fullID string, err error) {
	return t.change(id, func(p *place) error { return p.queue.Delete(p.at) })
}

func (t *QueueTool) change(id string, do func(*place) error) (string, error) {
	p, err := t.find(id)
	if err != nil {
		return "", err
	}
	switch err := do(p); {
	case errors.Is(err, queue.ErrBusy):
		return p.at.ID, queueErrorf("%s is being worked on: left as it is", p.at.ID)
	case errors.Is(err, queue.ErrGone):
		return p.at.ID, queueErrorf("%s has just been finished", p.at.ID)
	default:
		return p.at.ID, err
	}
}

// Flush makes all events of the queues due at once that wait for their time, and
// those that have failed, too, if asked for. It tells how many these were.
func (t *QueueTool) Flush(names []string, failed bool) (n int, err error) {
	list, err := t.chosen(names)
	if err != nil {
		return 0, err
	}
	state := queue.StateWaiting
	if failed {
		state = queue.StateFailed
	}
	var faults []error
	for _, q := range list {
		waiting, err := q.List(state)
		if err != nil {
			faults = append(faults, hint(q, err))
		}
		for _, w := range waiting {
			if !failed && w.Due(time.Now()) && (w.Attempts == 0 || !w.Next.IsZero()) {
				continue // it is due
			}
			err := q.RetryNow(w, state)
			if err == nil {
				n++
			} else if !errors.Is(err, queue.ErrBusy) && !errors.Is(err, queue.ErrGone) {
				faults = append(faults, err)
			}
		}
	}
	return n, errors.Join(faults...)
}
