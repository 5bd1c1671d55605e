package milter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Config says how a Server serves. Zero fields have the defaults named.
type Config struct {
	// NewSession makes the Session of a connection, when its MTA negotiates. It
	// is called from the connection's goroutine and must not return nil.
	NewSession func(*Conn) Session
	// Log gets one line for each connection that did not end as it should. Nil
	// logs nothing.
	Log *zap.Logger

	MaxConnections   int           // served at a time; more wait in the backlog. 10000
	IdleTimeout      time.Duration // a connection that says nothing. 1h
	NegotiateTimeout time.Duration // until the MTA has negotiated. 1 min, at most IdleTimeout
	FrameTimeout     time.Duration // from a packet's first byte to its last. 1 min
	WriteTimeout     time.Duration // one reply. 1 min
	ProgressEvery    time.Duration // between PROGRESS packets at the end of a message. 5s
	DrainTimeout     time.Duration // stopping, first stage: all are served. 30s
	FinishTimeout    time.Duration // stopping, second stage: messages under way. 5s
	MaxFrame         int           // limit of a packet's length field. MaxFrame
}

func (c *Config) setDefaults() {
	def := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	def(&c.IdleTimeout, time.Hour)
	def(&c.NegotiateTimeout, time.Minute)
	def(&c.FrameTimeout, time.Minute)
	def(&c.WriteTimeout, time.Minute)
	def(&c.ProgressEvery, 5*time.Second)
	def(&c.DrainTimeout, 30*time.Second)
	def(&c.FinishTimeout, 5*time.Second)
	if c.MaxConnections <= 0 {
		c.MaxConnections = 10000
	}
	if c.MaxFrame <= 0 {
		c.MaxFrame = MaxFrame
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
}

// ErrServerClosed is returned by Serve after Shutdown was called.
var ErrServerClosed = errors.New("milter: server closed")

// Server serves milter connections. Its methods are safe for concurrent use.
type Server struct {
	cfg    Config
	limits atomic.Pointer[Limits]
	slots  slots
	blocks blockPool
	phase  atomic.Int32
	lastID atomic.Uint64

	mu        sync.Mutex
	stopping  chan struct{} // closed when Shutdown begins
	empty     chan struct{} // closed when it ends: no connection is left
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
}

// The phases of a server's life.
const (
	phaseServing  int32 = iota
	phaseDraining       // no new connections, the open ones are served
	phaseClosing        // those between messages are closed
	phaseClosed         // all are
)

// NewServer makes a server that serves nothing yet.
func NewServer(cfg Config) *Server {
	cfg.setDefaults()
	s := &Server{
		cfg:       cfg,
		stopping:  make(chan struct{}),
		empty:     make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*Conn]struct{}),
	}
	s.setLimits(&cfg)
	return s
}

// Limits are the fields of Config of the same names, as they are now.
type Limits struct {
	MaxConnections int
	IdleTimeout    time.Duration
	DrainTimeout   time.Duration

	negotiate time.Duration
	tick      time.Duration
}

// Configure changes the limits, also for connections that are open: these may notice
// a shorter idle timeout only after FrameTimeout. More connections than there may be
// now are served on. Zero fields have the defaults of Config.
func (s *Server) Configure(l Limits) {
	cfg := s.cfg
	cfg.MaxConnections, cfg.IdleTimeout, cfg.DrainTimeout = l.MaxConnections, l.IdleTimeout, l.DrainTimeout
	cfg.setDefaults()
	s.setLimits(&cfg)
}

func (s *Server) setLimits(c *Config) {
	negotiate := min(c.NegotiateTimeout, c.IdleTimeout)
	s.limits.Store(&Limits{
		MaxConnections: c.MaxConnections, IdleTimeout: c.IdleTimeout, DrainTimeout: c.DrainTimeout, negotiate: negotiate,
		// A read deadline is armed that far ahead. It must not be longer than any limit: a
		// limit that begins while a deadline is armed is then seen in time.
		tick: min(c.FrameTimeout, c.IdleTimeout, negotiate),
	})
	s.slots.allow(c.MaxConnections)
}

// Listeners is the number of listeners from which connections are taken.
func (s *Server) Listeners() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.listeners)
}

// Connections is the number of connections that are served now.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Accepted is the number of connections that there ever were, those included that came
// when the server stopped.
func (s *Server) Accepted() uint64 { return s.lastID.Load() }

// Serve takes connections from ln until Shutdown is called (ErrServerClosed) or
// ctx is done (its error), and closes ln. What it took is served on if ctx ended
// it, so a connection that was accepted is never dropped then. name is what Conn.Listener tells. Many listeners may be served at
// once; they share the limit of connections.
//
// A failing Accept is tried again, at growing intervals: out of file
// descriptors is no reason to stop.
func (s *Server) Serve(ctx context.Context, ln net.Listener, name string) error {
	if !s.addListener(ln) {
		_ = ln.Close() // nothing was accepted: nothing to lose
		return ErrServerClosed
	}
	defer s.removeListener(ln)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	for {
		nc, err := s.accept(ctx, ln)
		if err != nil {
			return err
		}
		s.start(nc, name)
	}
}

// ServeConn serves one connection, in the caller's goroutine unless it is
// usurped, and closes it. Of a server that stops it is closed at once.
func (s *Server) ServeConn(nc net.Conn, name string) {
	if s.slots.take(context.Background(), s.stopping) != nil {
		_ = nc.Close() // the server stops
		return
	}
	if r := s.admit(nc, name); r != nil {
		r.serve()
	}
}

// accept waits for a free slot, for a connection and then for its slot: several
// listeners wait for a connection with one slot free. Only that rare case holds
// a connection that is accepted and not served.
func (s *Server) accept(ctx context.Context, ln net.Listener) (net.Conn, error) {
	if err := s.slots.take(ctx, s.stopping); err != nil {
		return nil, err
	}
	s.slots.free()
	nc, err := s.acceptRetry(ctx, ln)
	if err != nil {
		return nil, err
	}
	switch err := s.slots.take(ctx, s.stopping); {
	case errors.Is(err, ErrServerClosed):
		_ = nc.Close()
		return nil, err
	case err != nil:
		s.slots.force() // only the listener ends: who has come is served
	}
	return nc, nil
}

func (s *Server) acceptRetry(ctx context.Context, ln net.Listener) (net.Conn, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			return nc, nil
		case s.phase.Load() >= phaseDraining:
			return nil, ErrServerClosed
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return nil, fmt.Errorf("milter: accept: %w", err)
		}
		s.cfg.Log.Warn("milter: accept", zap.Error(err), zap.Duration("again_in", wait))
		select {
		case <-time.After(wait):
		case <-s.stopping:
			return nil, ErrServerClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// start serves a connection that has its slot.
func (s *Server) start(nc net.Conn, name string) {
	if r := s.admit(nc, name); r != nil {
		go r.serve()
	}
}

// admit makes the connection known, or closes it if the server stops. TCP
// keepalive is net.ListenConfig's default.
func (s *Server) admit(nc net.Conn, name string) *runner {
	c := &Conn{
		srv: s, nc: nc, listener: name, id: s.lastID.Add(1),
		w: writer{nc: nc, timeout: s.cfg.WriteTimeout},
	}
	r := &runner{c: c, macros: new(Macros), input: &timedReader{c: c, born: time.Now()}}
	r.frames = newFrameReader(r.input, s.cfg.MaxFrame, &s.blocks)
	c.runner = r
	c.macros.Store(r.macros)

	s.mu.Lock()
	late := s.phase.Load() >= phaseDraining
	if !late {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if late {
		_ = nc.Close() // the MTA tries again elsewhere or later
		s.slots.free()
		return nil
	}
	_ = nc.SetReadDeadline(r.input.born.Add(s.limits.Load().tick)) // if it fails, so does the first read
	return r
}

// remove ends what admit began.
func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	last := len(s.conns) == 0 && s.phase.Load() >= phaseDraining
	s.mu.Unlock()
	if last {
		close(s.empty)
	}
	s.slots.free()
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase.Load() >= phaseDraining {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) removeListener(ln net.Listener) {
	s.mu.Lock()
	delete(s.listeners, ln)
	s.mu.Unlock()
	_ = ln.Close() // mostly closed already, by whoever stopped it
}
