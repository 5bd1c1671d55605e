package milter

import (
	"context"
	"sync"
)

// slots counts the connections that are served and has the next one wait while there
// are as many as may be. How many may be can change. Safe for concurrent use.
type slots struct {
	mu   sync.Mutex
	used int
	most int
	more chan struct{} // closed when a slot may have come free; nil: nobody waits
}

// take takes a slot. It waits for a free one until ctx is done (its error) or stop is
// closed (ErrServerClosed).
func (s *slots) take(ctx context.Context, stop <-chan struct{}) error {
	for {
		more := s.try()
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-stop:
			return ErrServerClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// try takes a slot, or gives what is closed when that is worth another try.
func (s *slots) try() (more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used < s.most {
		s.used++
		return nil
	}
	if s.more == nil {
		s.more = make(chan struct{})
	}
	return s.more
}

// force takes a slot that may be one too many: for a connection that is accepted
// already and must not be dropped.
func (s *slots) force() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used++
}

// free gives a slot back.
func (s *slots) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	s.wake()
}

// allow sets how many there are. Those above it that are in use stay so.
func (s *slots) allow(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = most
	s.wake()
}

func (s *slots) wake() {
	if s.more != nil && s.used < s.most {
		close(s.more)
		s.more = nil
	}
}
