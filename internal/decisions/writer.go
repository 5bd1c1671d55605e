package decisions

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Limits is how much is kept. A MaxSize of 0 writes nothing, and leaves what is there.
type Limits struct {
	MaxSize int64         // bytes of all files together
	Keep    time.Duration // how old a file's newest line may be
}

// Options is what a Writer needs.
type Options struct {
	// Folder finds the state folder, in which the log's own is made; it is asked
	// again after an error.
	Folder func() (string, error)
	Log    *zap.Logger
	Now    func() time.Time // nil: the real one
}

// How a Writer collects lines.
const (
	flushEvery = 100 * time.Millisecond // a line waits so long at most
	flushAt    = 256 << 10              // bytes that wait for no clock
	maxPending = 4 << 20                // bytes that may wait for the disk
	tidyEvery  = time.Hour
	tellEvery  = time.Minute     // the server's log of one trouble
	closeWait  = 5 * time.Second // for a disk that does not answer
)

var (
	errSlow   = errors.New("the disk does not keep up")
	errClosed = errors.New("the decision log is closed")
)

// Writer appends to the log. Its methods are safe for concurrent use, and only Close
// waits for the disk.
type Writer struct {
	o       Options
	dropped atomic.Int64

	mu      sync.Mutex
	limits  Limits
	closed  bool
	pending []byte // an LF, then whole lines
	spare   []byte
	failing bool
	spoke   bool      // of failing
	told    time.Time // when it last did

	wake, full, changed, stop, done chan struct{}
	file                            *appendFile // of run alone
}

// NewWriter begins to write. The folder is looked for in the background: what is wrong
// with it goes to the log, once in a while, and lines are dropped until it is well.
func NewWriter(limits Limits, o Options) *Writer {
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Writer{
		o: o, limits: limits, wake: make(chan struct{}, 1), full: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go w.run()
	return w
}

// Add takes a record, and keeps nothing of r. A record without a time is of now.
func (w *Writer) Add(r *Record) {
	w.mu.Lock()
	var err error
	before := len(w.pending)
	switch {
	case w.limits.MaxSize == 0:
		w.mu.Unlock()
		return
	case w.closed:
		err = errClosed
	case before > maxPending-maxLine:
		err = errSlow
	default:
		if before == 0 {
			w.pending = append(w.pending, '\n')
		}
		if r.Time.IsZero() {
			r.Time = w.o.Now()
		}
		w.pending = Append(w.pending, r)
	}
	after := len(w.pending)
	w.mu.Unlock()
	switch {
	case err != nil:
		w.drop(1, err)
	case before == 0:
		signal(w.wake)
	case before < flushAt && after >= flushAt:
		signal(w.full)
	}
}

// Configure changes the limits.
func (w *Writer) Configure(limits Limits) {
	w.mu.Lock()
	w.limits = limits
	w.mu.Unlock()
	signal(w.changed)
}

// Dropped is how many lines were lost so far because they could not be written.
func (w *Writer) Dropped() int64 { return w.dropped.Load() }

// Close writes what waits and ends the Writer. It waits some seconds at most.
func (w *Writer) Close() {
	w.mu.Lock()
	again := w.closed
	w.closed = true
	w.mu.Unlock()
	if !again {
		close(w.stop)
	}
	select {
	case <-w.done:
	case <-time.After(closeWait):
		w.o.Log.Error("decision log not closed: " + errSlow.Error())
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is signalled
	}
}

// run is the goroutine that touches files.
func (w *Writer) run() {
	defer close(w.done)
	defer w.forget()
	w.tidy()
	clock := time.NewTicker(tidyEvery)
	defer clock.Stop()
	for {
		select {
		case <-w.wake:
			soon := time.NewTimer(flushEvery)
			select {
			case <-soon.C:
			case <-w.full:
			case <-w.stop:
			}
			soon.Stop()
			w.flush()
		case <-w.changed:
			w.tidy()
		case <-clock.C:
			w.tidy()
		case <-w.stop:
			w.flush()
			return
		}
	}
}

// flush writes the lines that wait.
func (w *Writer) flush() {
	w.mu.Lock()
	batch, limits := w.pending, w.limits
	w.pending, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	if len(batch) > 0 {
		n, err := w.write(batch, limits)
		if err != nil {
			// A torn line has its end in the rest.
			lost := bytes.Count(batch[max(n, 1):], []byte{'\n'})
			w.drop(int64(lost), err)
		} else {
			w.well()
		}
	}
	if cap(batch) <= 4*flushAt {
		w.mu.Lock()
		w.spare = batch[:0]
		w.mu.Unlock()
	}
}

// write appends a batch by one write(2), and tells how much of it is in the file.
func (w *Writer) write(batch []byte, limits Limits) (n int, err error) {
	if err := w.open(); err != nil {
		return 0, err
	}
	now := w.o.Now()
	size, whole, err := w.file.end()
	if err != nil {
		return 0, err
	}
	if w.file.due(size+int64(len(batch)), limits, now) {
		if err := w.rotate(limits, now); err != nil {
			return 0, err
		}
		if size, whole, err = w.file.end(); err != nil {
			return 0, err
		}
	}
	if size > 0 && size+int64(len(batch)) > limits.MaxSize && limits.MaxSize > 0 {
		return 0, fmt.Errorf("%s has %d bytes, and is not renamed", w.file.Name(), size)
	}
	if !whole { // somebody was killed, or the disk was full
		return w.file.Write(batch)
	}
	n, err = w.file.Write(batch[1:])
	return n + 1, err
}

// open makes w.file the current file.
func (w *Writer) open() error {
	if w.file != nil && same(w.file.File, w.file.Name()) {
		return nil
	}
	w.forget()
	state, err := w.o.Folder()
	if err != nil {
		return err
	}
	dir := Folder(state)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	f, err := openCurrent(dir)
	if err != nil {
		return err
	}
	w.file = &appendFile{f, dir, began(f, w.o.Now())}
	return nil
}

func (w *Writer) forget() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}

// rotate begins another file, unless another process is just about to.
func (w *Writer) rotate(limits Limits, now time.Time) error {
	unlock, err := lock(w.file.dir)
	if errors.Is(err, errBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	// Another process may have done it before we had the lock.
	if err := retire(w.file.dir, w.file.File, now); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	if err := prune(w.file.dir, now.Add(-limits.Keep), limits.MaxSize-limits.share()); err != nil {
		w.drop(0, err)
	}
	return nil
}

// tidy does what time asks for.
func (w *Writer) tidy() {
	w.mu.Lock()
	limits := w.limits
	w.mu.Unlock()
	if limits.MaxSize == 0 {
		return
	}
	now := w.o.Now()
	err := w.open()
	if err == nil {
		err = w.tidyOpen(limits, now)
	}
	if err != nil {
		w.drop(0, err)
	}
}

func (w *Writer) tidyOpen(limits Limits, now time.Time) error {
	size, _, err := w.file.end()
	if err != nil {
		return err
	}
	if w.file.due(size, limits, now) {
		return w.rotate(limits, now)
	}
	unlock, err := lock(w.file.dir)
	if errors.Is(err, errBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	return prune(w.file.dir, now.Add(-limits.Keep), limits.MaxSize-limits.share())
}

// drop counts lines that are lost and says so, once in a while.
func (w *Writer) drop(lines int64, err error) {
	total := w.dropped.Add(lines)
	now := w.o.Now()
	w.mu.Lock()
	tell := w.told.IsZero() || now.Sub(w.told) >= tellEvery
	w.failing = true
	if tell {
		w.told, w.spoke = now, true
	}
	w.mu.Unlock()
	if tell {
		w.o.Log.Error("decision log cannot be written: mail goes on without it", zap.Int64("dropped", total), zap.Error(err))
	}
}

// well says that the trouble is over, if it was said that there is one.
func (w *Writer) well() {
	w.mu.Lock()
	tell := w.failing && w.spoke
	w.failing, w.spoke = false, false
	w.mu.Unlock()
	if tell {
		w.o.Log.Info("decision log is written again", zap.Int64("dropped", w.Dropped()))
	}
}

// Folder is the log's folder in a state folder.
func Folder(state string) string { return filepath.Join(state, "decisions") }

// share is how large one file may get: eight of them make the whole.
func (l Limits) share() int64 { return l.MaxSize / 8 }

// appendFile is the current file, or was it.
type appendFile struct {
	*os.File
	dir   string
	began time.Time
}

// end is the file's size, and whether its last line is whole.
func (f *appendFile) end() (size int64, whole bool, err error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, true, err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil {
		return 0, false, err
	}
	return info.Size(), last[0] == '\n', nil
}

// due tells whether the file is to be followed by another before it gets that size:
// it is a day old, or so much younger that Keep is not much exceeded.
func (f *appendFile) due(size int64, limits Limits, now time.Time) bool {
	if size == 0 || limits.MaxSize == 0 {
		return false
	}
	return size > limits.share() || now.Sub(f.began) > min(24*time.Hour, limits.Keep/8)
}
