package milter

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	wire "github.com/emersion/go-milter"
)

func serverOf(connections int) *Server {
	return NewServer(Config{MaxConnections: connections, NewSession: func(c *Conn) Session { return &recorder{conn: c} }})
}

// opened wants that many connections to be served when all is quiet.
func opened(t testing.TB, srv *Server, want int, when string) {
	t.Helper()
	synctest.Wait()
	if n := srv.Connections(); n != want {
		t.Fatalf("%s %d connections are served, want %d", when, n, want)
	}
}

// Those that wait in the backlog need nobody to leave when a reload allows more.
func TestMoreConnectionsAreAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serverOf(1)
		first := dialServer(t, srv, nil)
		first.offer(everything)
		ln, ends := newFlaky(), make(chan error)
		go func() { ends <- srv.Serve(t.Context(), ln, "flaky") }()
		var more [4]*peer
		for i := range more {
			more[i] = dialServer(t, srv, nil)
		}
		opened(t, srv, 1, "at first")
		srv.Configure(Limits{MaxConnections: 4})
		opened(t, srv, 4, "with three more allowed")
		srv.Configure(Limits{MaxConnections: 6})
		opened(t, srv, 5, "with room for all")
		here, there := net.Pipe() // the listener, too, goes on
		ln.conns <- there
		late := &peer{t: t, nc: here, frames: NewFrameReader(here, 0), srv: srv, served: closedChan()}
		for _, p := range append(more[:], late) {
			p.offer(everything)
		}
		opened(t, srv, 6, "with the listener's")
		for _, p := range append(more[:], late, first) {
			p.quit()
		}
		if r := <-stop(t.Context(), srv); r.err != nil {
			t.Error(r.err)
		}
		<-ends
	})
}

// A reload that allows fewer than are open ends none, and lets nobody in before
// as many as are too many have left, and one more.
func TestFewerConnectionsAreAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serverOf(4)
		var open [4]*peer
		for i := range open {
			open[i] = dialServer(t, srv, nil)
			open[i].offer(everything)
		}
		srv.Configure(Limits{MaxConnections: 2})
		for _, p := range open {
			p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
		}
		late := dialServer(t, srv, nil)
		opened(t, srv, 4, "with two allowed")
		open[0].quit()
		opened(t, srv, 3, "when one has left")
		open[1].quit()
		opened(t, srv, 2, "when two have left")
		open[2].quit()
		opened(t, srv, 2, "when three have left")
		late.offer(everything)

		last := dialServer(t, srv, nil)
		srv.Configure(Limits{MaxConnections: 1})
		opened(t, srv, 2, "with one allowed")
		srv.Configure(Limits{MaxConnections: 2}) // as many as there are
		opened(t, srv, 2, "with two allowed again")
		srv.Configure(Limits{MaxConnections: 3})
		opened(t, srv, 3, "with three allowed")
		last.offer(everything)
		for _, p := range []*peer{open[3], late, last} {
			p.quit()
		}
	})
}

// A connection that was accepted and had no slot yet when its listener ended counts
// while it is served, though it is one too many.
func TestAConnectionTooManyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serverOf(1)
		ctx, cancel := context.WithCancel(t.Context())
		ln, ends := newFlaky(), make(chan error)
		go func() { ends <- srv.Serve(ctx, ln, "flaky") }()
		synctest.Wait() // it accepts: there was a slot
		first := dialServer(t, srv, nil)
		first.offer(everything)
		here, there := net.Pipe()
		ln.conns <- there
		second := &peer{t: t, nc: here, frames: NewFrameReader(here, 0), srv: srv, served: closedChan()}
		opened(t, srv, 1, "while it waits for a slot")
		cancel()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		opened(t, srv, 2, "when the listener has ended")
		second.offer(everything)
		first.quit()
		third := dialServer(t, srv, nil)
		opened(t, srv, 1, "with one of one")
		second.quit()
		opened(t, srv, 1, "when that has left")
		third.offer(everything)
		third.quit()
	})
}
