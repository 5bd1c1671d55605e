package milter

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrStillCalled is returned by Shutdown when sessions did not return from the
// call they were in.
var ErrStillCalled = errors.New("milter: sessions are still being called")

// stuckGrace is how long Shutdown waits, at its very end, for sessions whose
// connection is closed to return and close.
const stuckGrace = time.Second

// Shutdown stops the server; further calls wait for the same end. It closes the
// listeners and waits until all connections are gone:
//
//   - for DrainTimeout, or until the MTAs close them, they are served as before.
//     An MTA whose connection is closed between two messages answers 451 to the
//     rest of its client's session: so nobody is pushed.
//   - then connections between messages are closed, and for FinishTimeout those
//     with a message under way when it has its verdict.
//   - then, or when ctx is done, the rest is closed.
//
// It returns ctx's error if ctx ended it, ErrStillCalled if a session did not
// come back from a call.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginDrain()
	if s.wait(ctx, s.limits.Load().DrainTimeout) {
		return nil
	}
	if ctx.Err() == nil {
		s.beginClose()
		if s.wait(ctx, s.cfg.FinishTimeout) {
			return nil
		}
	}
	s.abort()
	if !s.wait(context.WithoutCancel(ctx), stuckGrace) {
		return fmt.Errorf("%w: %d", ErrStillCalled, s.Connections())
	}
	return ctx.Err()
}

// wait reports whether the last connection ended within the time.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.empty:
		return true
	default:
	}
	select {
	case <-s.empty:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// closing tells connections that they end when they are between messages.
func (s *Server) closing() bool { return s.phase.Load() >= phaseClosing }

func (s *Server) beginDrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.phase.CompareAndSwap(phaseServing, phaseDraining) {
		return
	}
	close(s.stopping)
	for ln := range s.listeners {
		_ = ln.Close() // it takes no more connections either way
	}
	if len(s.conns) == 0 {
		close(s.empty)
	}
}

// beginClose wakes the connections that wait for a command: their readers see
// the phase.
func (s *Server) beginClose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase.CompareAndSwap(phaseDraining, phaseClosing)
	for c := range s.conns {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // closed already: just as well
	}
}

func (s *Server) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase.Store(phaseClosed)
	for c := range s.conns {
		_ = c.nc.Close() // its goroutine sees it and finishes
	}
}
