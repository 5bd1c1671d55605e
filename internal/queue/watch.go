package queue

import (
	"container/heap"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"pmilter/internal/event"
)

// maxWaiting is how many events Watch remembers. Of more it knows the oldest,
// and looks again when those are through.
const maxWaiting = 20_000

// Watch sends the events that are due, the oldest first, as they become due,
// until ctx ends. An event may come that another works on or that is gone: Claim
// tells. One for which Claim said ErrBusy, and one that was released, comes again
// at the next look through the whole Maildir: at each interval, and at Rescan.
//
// Faults, such as a folder that is missing, are logged once until they are over,
// and tried again.
func (q *Queue) Watch(ctx context.Context, due chan<- Waiting) {
	w := &watch{q: q, due: due, events: newHeap(nil)} // the first scan may fail
	var events <-chan fsnotify.Event
	var faults <-chan error
	notify, err := fsnotify.NewBufferedWatcher(1024)
	if err != nil {
		q.o.Log.Warn("queue is not watched: events are seen at the interval alone", zap.String("queue", q.o.Name), zap.Error(err))
	} else {
		defer notify.Close()
		w.notify, events, faults = notify, notify.Events, notify.Errors
	}
	ticker := time.NewTicker(q.o.Interval)
	defer ticker.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	w.scan()
	for {
		out, first, wait := w.next()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return
		case out <- first:
			heap.Pop(&w.events)
		case e := <-events:
			w.see(e)
		case err := <-faults:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				q.o.Log.Warn("watching a queue", zap.String("queue", q.o.Name), zap.Error(err))
			}
			w.scan()
		case <-q.rescan:
			w.scan()
		case <-ticker.C:
			w.scan()
		case <-timer.C:
		}
	}
}

// Rescan has Watch look through the whole Maildir now: when a worker has died,
// whose event it cannot otherwise know to be free.
func (q *Queue) Rescan() {
	select {
	case q.rescan <- struct{}{}:
	default: // it will
	}
}

// watch is the state of one Watch.
type watch struct {
	q      *Queue
	due    chan<- Waiting
	notify *fsnotify.Watcher // nil if there is none
	events waitingHeap
	// cut tells that there are more events than are in the heap, all of them
	// after horizon.
	cut     bool
	horizon Waiting
	failed  string // the fault that was logged
}

// next is the channel and the event to send on it, nil when none is due; then
// wait is until the next will be, 0 for nobody knows.
func (w *watch) next() (out chan<- Waiting, first Waiting, wait time.Duration) {
	now := w.q.o.Now()
	if w.cut && (len(w.events.list) == 0 || compare(&w.events.list[0], &w.horizon) > 0) && w.horizon.Due(now) {
		w.scan()
	}
	if len(w.events.list) == 0 {
		return nil, Waiting{}, 0
	}
	first = w.events.list[0]
	if first.Due(now) {
		return w.due, first, 0
	}
	return nil, Waiting{}, first.Next.Sub(now)
}

// scan forgets all and looks through the Maildir.
func (w *watch) scan() {
	fault := w.follow()
	list, err := w.q.Scan()
	if err != nil {
		fault = err
	}
	w.tell(fault)
	if err != nil {
		return
	}
	w.take(list)
}

// take makes a sorted list the events that are known.
func (w *watch) take(list []Waiting) {
	if w.cut = len(list) > maxWaiting; w.cut {
		w.horizon = list[maxWaiting-1]
		list = slices.Clone(list[:maxWaiting])
	}
	w.events = newHeap(list)
}

// follow watches the folders, which may have been made anew.
func (w *watch) follow() error {
	if w.notify == nil {
		return nil
	}
	for _, f := range [...]string{"new", "cur"} {
		if err := w.notify.Add(w.q.sub("", f)); err != nil {
			return err
		}
	}
	return nil
}

// tell logs a fault when it is another than before.
func (w *watch) tell(fault error) {
	switch {
	case fault == nil && w.failed != "":
		w.failed = ""
		w.q.o.Log.Info("queue can be read again", zap.String("queue", w.q.o.Name))
	case fault != nil && fault.Error() != w.failed:
		w.failed = fault.Error()
		w.q.o.Log.Error("queue cannot be read: its events wait", zap.String("queue", w.q.o.Name), zap.Error(fault))
	}
}

// see takes in one change of the folders.
func (w *watch) see(e fsnotify.Event) {
	folder, file := filepath.Split(e.Name)
	if file == "" || strings.HasPrefix(file, ".") {
		return
	}
	switch {
	case e.Has(fsnotify.Create):
		n := event.ParseName(file)
		if n.Attempts > 0 && n.Next.IsZero() {
			return // Begin: somebody works on it
		}
		w.add(w.q.waiting(folder, file))
	case e.Has(fsnotify.Remove), e.Has(fsnotify.Rename):
		w.events.remove(filepath.Clean(e.Name))
	}
}

func (w *watch) add(e Waiting) {
	if w.cut && compare(&e, &w.horizon) > 0 {
		return // it will be found when its turn comes
	}
	w.events.add(e)
	if len(w.events.list) > 2*maxWaiting {
		list := w.events.list
		slices.SortFunc(list, func(a, b Waiting) int { return compare(&a, &b) })
		w.take(list)
	}
}

// waitingHeap is events by compare, each path once.
type waitingHeap struct {
	list []Waiting
	at   map[string]int // by path
}

func newHeap(sorted []Waiting) waitingHeap {
	h := waitingHeap{list: sorted, at: make(map[string]int, len(sorted))}
	for i := range sorted {
		h.at[sorted[i].Path] = i
	}
	return h
}

func (h *waitingHeap) add(e Waiting) {
	if _, known := h.at[e.Path]; !known {
		heap.Push(h, e)
	}
}

func (h *waitingHeap) remove(path string) {
	if i, known := h.at[path]; known {
		heap.Remove(h, i)
	}
}

// Len implements heap.Interface, as the following do.
func (h *waitingHeap) Len() int           { return len(h.list) }
func (h *waitingHeap) Less(i, j int) bool { return compare(&h.list[i], &h.list[j]) < 0 }
func (h *waitingHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.at[h.list[i].Path], h.at[h.list[j].Path] = i, j
}

// Push implements heap.Interface.
func (h *waitingHeap) Push(x any) {
	e, _ := x.(Waiting)
	h.at[e.Path] = len(h.list)
	h.list = append(h.list, e)
}

// Pop implements heap.Interface.
func (h *waitingHeap) Pop() any {
	last := h.list[len(h.list)-1]
	h.list[len(h.list)-1] = Waiting{}
	h.list = h.list[:len(h.list)-1]
	delete(h.at, last.Path)
	return last
}
