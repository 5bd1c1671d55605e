package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"pmilter/internal/config"
	"pmilter/internal/milter"
)

// listenSet is the listeners from which the server takes connections. A reload changes
// which; connections that are open stay so.
type listenSet struct {
	front   front
	sockets *sockets
	failed  chan error // why one ended unasked; has room for the first

	mu      sync.Mutex
	list    []*listening
	entries []string // of the configuration
}

// listening is one listener.
type listening struct {
	namedListener
	entry string // as it is configured, for scripts and the log
	stop  context.CancelFunc
	done  chan struct{} // closed when no connection is taken from it any more
}

func newServing(f front, s *sockets) *listenSet {
	return &listenSet{front: f, sockets: s, failed: make(chan error, 1)}
}

// listenChange is a change of what is listened on, not made yet.
type listenChange struct {
	list, added []*listening
	entries     []string
}

// open opens what a configuration has and is not open yet: all, or none.
func (s *listenSet) open(ctx context.Context, cfg *config.Config) (c *listenChange, err error) {
	if _, many := s.front.(*fleet); many && s.names() != nil {
		return s.unchanged(), nil // the processes have inherited theirs
	}
	c = &listenChange{entries: cfg.Listen}
	defer func() {
		if err != nil {
			s.forget(c)
		}
	}()
	o := socketOptions(cfg)
	for _, entry := range cfg.Listen {
		addr, err := milter.ParseAddr(entry) //nolint:contextcheck // it looks up a service's name in a file
		if err != nil {
			return c, fmt.Errorf("daemon: listen: %w", err)
		}
		if there := s.at(addr); len(there) > 0 {
			c.list = append(c.list, there...)
			continue
		}
		opened, err := s.sockets.listen(ctx, "milter", addr, o)
		if err != nil {
			return c, fmt.Errorf("daemon: %w", err)
		}
		for _, l := range opened {
			c.added = append(c.added, &listening{namedListener: l, entry: entry})
		}
	}
	c.list = append(c.list, c.added...)
	return c, nil
}

func (s *listenSet) unchanged() *listenChange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &listenChange{list: s.list, entries: s.entries}
}

func socketOptions(cfg *config.Config) milter.SocketOptions {
	return milter.SocketOptions{Mode: cfg.Milter.SocketMode, Group: cfg.Milter.SocketGroup}
}

// at is the open listeners of an address.
func (s *listenSet) at(addr milter.Addr) (list []*listening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.list {
		if l.name == "milter "+addr.String() {
			list = append(list, l)
		}
	}
	return list
}

// permit sets the rights of a configuration on the unix sockets that are open.
func (s *listenSet) permit(cfg *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.list {
		if err := milter.Permit(l.Listener, socketOptions(cfg)); err != nil {
			return fmt.Errorf("daemon: %w", err)
		}
	}
	return nil
}

// forget closes what was opened for a change that is not made.
func (s *listenSet) forget(c *listenChange) {
	for _, l := range c.added {
		s.sockets.close(l.namedListener)
	}
}

// use makes the change. It returns when connections come from all that was added and
// from nothing that is not in it.
func (s *listenSet) use(ctx context.Context, c *listenChange) error {
	if len(c.added) > 0 {
		if err := s.front.serve(ctx, c.added, s.failed); err != nil {
			return err
		}
	}
	s.mu.Lock()
	before := s.list
	s.list, s.entries = c.list, c.entries
	s.mu.Unlock()
	var gone []*listening
	for _, l := range before {
		if !slices.Contains(c.list, l) {
			gone = append(gone, l)
		}
	}
	s.end(gone)
	return nil
}

// end takes no more connections from listeners, and closes them. Who was accepted is served.
func (s *listenSet) end(list []*listening) {
	for _, l := range list {
		if l.stop != nil { // else other processes accept from it
			l.stop()
		}
	}
	for _, l := range list {
		if l.done != nil {
			<-l.done
		}
		s.sockets.close(l.namedListener)
	}
}

// stop is end of all.
func (s *listenSet) stop() {
	s.mu.Lock()
	list := s.list
	s.list = nil
	s.mu.Unlock()
	s.end(list)
}

// names is what is listened on, as configured.
func (s *listenSet) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

// alive tells whether connections are taken from all listeners, and what front.alive tells.
func (s *listenSet) alive(quiet time.Duration) error {
	s.mu.Lock()
	want := len(s.list)
	s.mu.Unlock()
	return s.front.alive(want, quiet)
}

// entriesOf is the listeners' names, as configured.
func entriesOf(list []*listening) []string {
	entries := make([]string, len(list))
	for i, l := range list {
		entries[i] = l.entry
	}
	return entries
}
