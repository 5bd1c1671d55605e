package milter

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// listen serves a loopback port until the test ends.
func listen(t testing.TB, srv *Server, name string) net.Addr {
	t.Helper()
	addr, err := ParseAddr("inet:0@127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	lns, err := Listen(t.Context(), addr, SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), lns[0], name) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return lns[0].Addr()
}

// reach connects to a server.
func reach(t testing.TB, addr net.Addr) *peer {
	t.Helper()
	var d net.Dialer
	nc, err := d.DialContext(t.Context(), addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, nc: nc, frames: NewFrameReader(nc, 0), served: closedChan()}
}

func TestMaxConnections(t *testing.T) {
	const limit, clients = 3, 30
	var now, most atomic.Int64
	srv := NewServer(Config{MaxConnections: limit, NewSession: func(c *Conn) Session {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return &recorder{conn: c, on: func(call string) Reply {
			if call == "close" {
				now.Add(-1)
			}
			return Reply{}
		}}
	}})
	// The listeners share the limit.
	addrs := []net.Addr{listen(t, srv, "one"), listen(t, srv, "two")}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			p := reach(t, addrs[i%len(addrs)])
			p.offer(everything)
			if n := srv.Connections(); n > limit {
				t.Errorf("%d connections", n)
			}
			p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
			time.Sleep(2 * time.Millisecond)
			p.quit()
		})
	}
	all.Wait()
	if most.Load() != limit {
		t.Errorf("at most %d at a time, want %d", most.Load(), limit)
	}
}

// A connection past the limit waits; one that leaves makes room for it.
func TestMaxConnectionsWait(t *testing.T) {
	srv := NewServer(Config{MaxConnections: 1, NewSession: func(c *Conn) Session { return &recorder{conn: c} }})
	addr := listen(t, srv, "one")
	first := reach(t, addr)
	first.offer(everything)
	second := reach(t, addr)
	if _, err := second.nc.Write(AppendOptions(nil, everything)); err != nil {
		t.Fatal(err)
	}
	_ = second.nc.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, err := second.nc.Read(make([]byte, 1)); n > 0 {
		t.Error("served past the limit", err)
	}
	_ = second.nc.SetReadDeadline(time.Time{})
	first.quit()
	second.expect(wire.ActionCode(wire.CodeOptNeg))
	second.quit()
}

// flaky is a listener that fails some times.
type flaky struct {
	errs  []error
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	times []time.Time
}

func (f *flaky) Accept() (net.Conn, error) {
	f.times = append(f.times, time.Now())
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	select {
	case nc := <-f.conns:
		return nc, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *flaky) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

func (*flaky) Addr() net.Addr { return &net.UnixAddr{} }

func newFlaky(errs ...error) *flaky {
	return &flaky{errs: errs, conns: make(chan net.Conn), done: make(chan struct{})}
}

func TestAcceptIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		srv := NewServer(Config{Log: zap.New(core), NewSession: func(c *Conn) Session { return &recorder{conn: c} }})
		trouble := errors.New("out of descriptors")
		ln := newFlaky(trouble, trouble, trouble)
		ends := make(chan error)
		go func() { ends <- srv.Serve(t.Context(), ln, "flaky") }()
		here, there := net.Pipe()
		ln.conns <- there
		p := &peer{t: t, nc: here, frames: NewFrameReader(here, 0), served: closedChan()}
		p.offer(everything)
		p.quit()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ends; !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
		if logs.Len() != 3 {
			t.Errorf("log: %v", logs.All())
		}
		if d := ln.times[3].Sub(ln.times[0]); d != 35*time.Millisecond { // 5 + 10 + 20
			t.Errorf("tried again after %v", d)
		}
	})
}

func TestServeEnds(t *testing.T) {
	t.Run("with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := NewServer(Config{NewSession: func(c *Conn) Session { return &recorder{conn: c} }})
			ctx, cancel := context.WithCancel(t.Context())
			ln, ends := newFlaky(), make(chan error)
			go func() { ends <- srv.Serve(ctx, ln, "flaky") }()
			here, there := net.Pipe()
			ln.conns <- there
			p := &peer{t: t, nc: here, frames: NewFrameReader(here, 0), served: closedChan()}
			p.offer(everything)
			cancel()
			if err := <-ends; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			p.ask(wire.CodeHelo, "h\x00", wire.ActContinue) // what it took is served on
			p.quit()
			<-ln.done
		})
	})
	t.Run("with its listener", func(t *testing.T) {
		ln := newFlaky()
		_ = ln.Close()
		if err := NewServer(Config{}).Serve(t.Context(), ln, "flaky"); !errors.Is(err, net.ErrClosed) || errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Run("while it waits for a slot", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := NewServer(Config{MaxConnections: 1, NewSession: func(c *Conn) Session { return &recorder{conn: c} }})
			p := dialServer(t, srv, nil)
			p.offer(everything)
			ln, ends := newFlaky(), make(chan error)
			go func() { ends <- srv.Serve(t.Context(), ln, "flaky") }()
			synctest.Wait()
			if len(ln.times) > 0 {
				t.Error("a connection is accepted past the limit")
			}
			done := stop(t.Context(), srv)
			if err := <-ends; !errors.Is(err, ErrServerClosed) {
				t.Error(err)
			}
			p.quit()
			<-done
		})
	})
}

func TestConnTellsWhereItCameFrom(t *testing.T) {
	s := &recorder{}
	srv := NewServer(Config{NewSession: func(c *Conn) Session { s.conn = c; return s }})
	p := reach(t, listen(t, srv, "inet:8890"))
	p.offer(everything)
	if s.conn.Listener() != "inet:8890" || s.conn.ID() != 1 || s.conn.Remote().String() != p.nc.LocalAddr().String() || s.conn.Draining() {
		t.Error(s.conn.Listener(), s.conn.ID(), s.conn.Remote(), s.conn.Draining())
	}
	p.quit()
}
