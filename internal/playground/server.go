package playground

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"pmilter/internal/maildir"
)

// server is the listener that go-smtp accepts from, and the owner of all
// connections.
type server struct {
	net.Listener
	cfg   Config
	inbox *maildir.Maildir
	smtp  *smtp.Server
	print *printer
	slots chan struct{}
	// closing is closed when no client is taken any more.
	closing chan struct{}

	// hard ends when connections must be gone.
	hard    context.Context //nolint:containedctx // the lifetime of connections, whose calls come from go-smtp without one
	hardEnd context.CancelFunc

	mu      sync.Mutex
	clients map[*client]struct{}
}

func newServer(cfg Config, inbox *maildir.Maildir, ln net.Listener) *server {
	s := &server{
		Listener: ln, cfg: cfg, inbox: inbox,
		print:   &printer{out: cfg.Out, color: cfg.Color, now: time.Now},
		slots:   make(chan struct{}, cfg.MaxConnections),
		closing: make(chan struct{}),
		clients: map[*client]struct{}{},
	}
	s.hard, s.hardEnd = context.WithCancel(context.Background())
	s.smtp = newSMTP(cfg, smtp.BackendFunc(newSession), s.print)
	return s
}

// Accept waits for a free place before the next client.
func (s *server) Accept() (net.Conn, error) {
	select {
	case s.slots <- struct{}{}:
	case <-s.closing:
		return nil, net.ErrClosed
	}
	conn, err := s.Listener.Accept()
	if err != nil {
		<-s.slots
		return nil, err
	}
	c := newClient(s, conn)
	s.mu.Lock()
	s.clients[c] = struct{}{}
	s.mu.Unlock()
	return c, nil
}

// gone forgets a client.
func (s *server) gone(c *client) {
	s.mu.Lock()
	_, known := s.clients[c]
	delete(s.clients, c)
	s.mu.Unlock()
	if known {
		<-s.slots
	}
}

// isClosing tells whether a client that has finished its message should go.
func (s *server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// refuse takes no more clients; go-smtp's Serve ends.
func (s *server) refuse() {
	close(s.closing)
	s.Listener.Close()
}

// stop closes idle clients at once, the others when their message is finished
// or the grace is over, and waits for all of them, or ctx. Serve must have ended: as of
// v0.25.1 go-smtp's Shutdown races with it.
func (s *server) stop(ctx context.Context) {
	s.mu.Lock()
	for c := range s.clients {
		c.closeIfIdle()
	}
	s.mu.Unlock()
	grace := time.AfterFunc(s.cfg.Grace, func() {
		s.hardEnd()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.clients {
			c.Conn.Close()
		}
	})
	// It waits for every connection; its error is the listener's, closed twice.
	_ = s.smtp.Shutdown(ctx)
	grace.Stop()
	s.hardEnd()
}
