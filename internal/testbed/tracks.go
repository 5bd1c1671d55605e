package testbed

import (
	"context"
	"sync"

	"pmilter/filter"
	"pmilter/internal/milter"
)

// tracks follows what the MTA gets no reply to: when the filter has forgotten a
// message, and when the session is closed. A test goes on only then, so that
// what abort and close handlers do has happened.
type tracks struct {
	mu      sync.Mutex
	count   int           // of aborts that are done
	changed chan struct{} // closed and made anew at each
	end     chan struct{} // closed at the end
	once    sync.Once     // a Close that was stuck may return after its successor's
}

func newTracks() *tracks {
	return &tracks{changed: make(chan struct{}), end: make(chan struct{})}
}

// follow follows a session, and those that take over from it.
func (t *tracks) follow(s milter.Session) milter.Session { return &trackedSession{s, t} }

type trackedSession struct {
	milter.Session
	t *tracks
}

// Abort implements milter.Session.
func (s *trackedSession) Abort() {
	s.Session.Abort()
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.count++
	close(s.t.changed)
	s.t.changed = make(chan struct{})
}

// Close implements milter.Session.
func (s *trackedSession) Close() {
	s.Session.Close()
	s.t.once.Do(func() { close(s.t.end) })
}

// trackedWire has those that take over followed too.
type trackedWire struct {
	filter.Wire
	t *tracks
}

// Usurp implements filter.Wire.
func (w trackedWire) Usurp(next milter.Session) bool { return w.Wire.Usurp(w.t.follow(next)) }

// aborts is how many there have been.
func (t *tracks) aborts() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// aborted waits until there have been more than before, or the session is closed.
func (t *tracks) aborted(ctx context.Context, before int) error {
	for {
		t.mu.Lock()
		count, changed := t.count, t.changed
		t.mu.Unlock()
		if count > before {
			return nil
		}
		select {
		case <-changed:
		case <-t.end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closed waits for the end.
func (t *tracks) closed(ctx context.Context) error {
	select {
	case <-t.end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
