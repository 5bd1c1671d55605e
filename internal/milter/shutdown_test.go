package milter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/emersion/go-milter"
)

// timedServer serves sessions in which HELO with the name of a duration takes
// that long, and so does a last chunk of that many bytes in seconds.
func timedServer() *Server {
	return NewServer(Config{NewSession: func(c *Conn) Session {
		return &recorder{conn: c, on: func(call string) Reply {
			var seconds int
			if n, _ := fmt.Sscanf(call, "body %d", &seconds); n == 1 {
				time.Sleep(time.Duration(seconds) * time.Second)
			}
			if name, ok := strings.CutPrefix(call, "helo "); ok {
				d, _ := time.ParseDuration(strings.Trim(name, `"`))
				time.Sleep(d)
			}
			return Reply{}
		}}
	}})
}

// stop begins Shutdown; what it returned and when comes over the channel.
func stop(ctx context.Context, srv *Server) chan shutdownResult {
	done, began := make(chan shutdownResult, 1), time.Now()
	go func() {
		err := srv.Shutdown(ctx)
		done <- shutdownResult{err, time.Since(began)}
	}()
	synctest.Wait()
	return done
}

type shutdownResult struct {
	err   error
	after time.Duration
}

func (p *peer) message() {
	p.t.Helper()
	p.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
	p.ask(wire.CodeRcpt, "<b>\x00", wire.ActContinue)
	p.ask(wire.CodeEOB, "", wire.ActContinue)
}

// cut wants the connection to end, which it may have done already.
func (p *peer) cut() {
	p.t.Helper()
	p.ended()
	_ = p.nc.Close()
}

func TestTrap26Drain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := timedServer()
		var mtas [6]*peer
		for i := range mtas {
			mtas[i] = dialServer(t, srv, nil)
			if i > 0 {
				mtas[i].offer(everything)
			}
		}
		silent, idle, leaver, between, within, slow := mtas[0], mtas[1], mtas[2], mtas[3], mtas[4], mtas[5]
		within.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
		slow.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
		between.message()

		began := time.Now()
		done := stop(t.Context(), srv)
		slow.send(wire.CodeEOB, strings.Repeat("x", 33))
		verdict := make(chan time.Duration)
		go func() {
			for slow.recv().code == byte(ActProgress) {
			}
			verdict <- time.Since(began)
		}()
		go func() { _, _ = io.Copy(io.Discard, silent.nc) }()

		late := dialServer(t, srv, nil) // no new ones
		late.cut()
		for range 29 { // nobody is pushed
			time.Sleep(time.Second)
			between.message()
			leaver.message()
		}
		leaver.quit()
		if n := srv.Connections(); n != 5 {
			t.Errorf("after 29 s %d connections are served, want 5", n)
		}

		time.Sleep(time.Second + time.Millisecond) // the second stage
		idle.cut()
		between.cut()
		silent.wait()
		if n := srv.Connections(); n != 2 {
			t.Errorf("after 30 s %d connections are served, want 2", n)
		}
		time.Sleep(time.Second)
		within.ask(wire.CodeRcpt, "<b>\x00", wire.ActContinue)
		within.ask(wire.CodeEOB, "", wire.ActContinue) // has its verdict
		within.cut()
		if d := <-verdict; d != 33*time.Second {
			t.Errorf("the slow verdict came after %v", d)
		}
		slow.cut()
		if r := <-done; r.err != nil || r.after != 33*time.Second {
			t.Errorf("Shutdown: %v after %v", r.err, r.after)
		}
		for _, p := range mtas {
			_ = p.nc.Close()
		}
	})
}

func TestShutdownEndsWithTheLastConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := timedServer()
		p := dialServer(t, srv, nil)
		p.offer(everything)
		first, second := stop(t.Context(), srv), stop(t.Context(), srv)
		time.Sleep(3 * time.Second)
		p.quit()
		for _, done := range []chan shutdownResult{first, second} {
			if r := <-done; r.err != nil || r.after != 3*time.Second {
				t.Errorf("Shutdown: %v after %v", r.err, r.after)
			}
		}
		if r := <-stop(t.Context(), srv); r.err != nil || r.after != 0 {
			t.Errorf("Shutdown once more: %v after %v", r.err, r.after)
		}
	})
}

func TestShutdownOfAnIdleServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if r := <-stop(t.Context(), timedServer()); r.err != nil || r.after != 0 {
			t.Errorf("Shutdown: %v after %v", r.err, r.after)
		}
	})
}

// A message that does not end is given up after FinishTimeout.
func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := timedServer()
		p := dialServer(t, srv, nil)
		p.offer(everything)
		p.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
		done := stop(t.Context(), srv)
		p.cut()
		if r := <-done; r.err != nil || r.after != 35*time.Second {
			t.Errorf("Shutdown: %v after %v", r.err, r.after)
		}
	})
}

func TestShutdownInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := timedServer()
		p := dialServer(t, srv, nil)
		p.offer(everything)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		done := stop(ctx, srv)
		p.cut()
		if r := <-done; !errors.Is(r.err, context.DeadlineExceeded) || r.after != 2*time.Second {
			t.Errorf("Shutdown: %v after %v", r.err, r.after)
		}
	})
}

// A session that does not come back holds nobody up for longer than a second.
func TestShutdownWithAStuckSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := timedServer()
		p := dialServer(t, srv, nil)
		p.offer(everything)
		p.send(wire.CodeHelo, "10m\x00")
		done := stop(t.Context(), srv)
		if r := <-done; !errors.Is(r.err, ErrStillCalled) || r.after != 36*time.Second {
			t.Errorf("Shutdown: %v after %v", r.err, r.after)
		}
		if n := srv.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
		<-p.served
		p.cut()
		if r := <-stop(t.Context(), srv); r.err != nil {
			t.Errorf("Shutdown when it has returned: %v", r.err)
		}
	})
}

// A verdict that is not sent, to a command without reply, does not end the
// message: the MTA goes on with it.
func TestTrap26VerdictOfANoReplyCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recorder{
			negotiate: func(Options) Options { return Options{Protocol: wire.OptNoHeaderReply} },
			on: func(call string) Reply {
				if strings.HasPrefix(call, "header") {
					return Reply{Action: wire.ActReject}
				}
				return Reply{}
			},
		}
		p := dial(t, s)
		p.offer(everything)
		p.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
		p.send(wire.CodeHeader, "a\x00b\x00")
		done := stop(t.Context(), p.srv)
		time.Sleep(31 * time.Second)
		p.ask(wire.CodeEOB, "", wire.ActContinue)
		p.cut()
		if r := <-done; r.err != nil || r.after != 31*time.Second {
			t.Errorf("Shutdown: %v after %v", r.err, r.after)
		}
	})
}

// What ends a message, and what does not, is what closing goes by.
func TestTrap26WhereAMessageEnds(t *testing.T) {
	for _, tc := range []struct {
		name    string
		code    wire.Code
		payload string
		action  wire.ActionCode
		ends    bool
	}{
		{"MAIL passed", wire.CodeMail, "", wire.ActContinue, false},
		{"MAIL refused", wire.CodeMail, "", wire.ActReject, true},
		{"RCPT refused", wire.CodeRcpt, "", wire.ActReject, false},
		{"RCPT discarded", wire.CodeRcpt, "", wire.ActDiscard, true},
		{"DATA refused", wire.CodeData, "", wire.ActTempFail, true},
		{"header refused", wire.CodeHeader, "a\x00b\x00", wire.ActReject, true},
		{"body skipped", wire.CodeBody, "", wire.ActSkip, false},
		{"body accepted", wire.CodeBody, "", wire.ActAccept, true},
		{"unknown command", CodeUnknown, "", wire.ActReject, false},
		{"a second HELO", wire.CodeHelo, "", wire.ActContinue, false},
		{"aborted", wire.CodeAbort, "", 0, true},
		{"QUIT_NC", wire.CodeQuitNewConn, "", 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &recorder{negotiate: func(Options) Options { return Options{Protocol: wire.OptSkip} }}
				p := dial(t, s)
				p.offer(everything)
				p.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
				s.on = func(string) Reply { return Reply{Action: tc.action} }
				p.send(tc.code, tc.payload)
				if tc.action != 0 {
					p.expect(tc.action)
				}
				done := stop(t.Context(), p.srv)
				p.cut()
				want := 35 * time.Second
				if tc.ends {
					want = 30 * time.Second
				}
				if r := <-done; r.err != nil || r.after != want {
					t.Errorf("Shutdown: %v after %v, want %v", r.err, r.after, want)
				}
			})
		})
	}
}

// A command that the MTA has begun to send, or has sent already, is served: what
// it begins is a message under way.
func TestTrap26CommandUnderWay(t *testing.T) {
	mail := AppendFrame(nil, byte(wire.CodeMail), []byte("<a>\x00"))
	synctest.Test(t, func(t *testing.T) {
		p := dialServer(t, timedServer(), nil)
		p.offer(everything)
		p.write(mail[:6])
		done := stop(t.Context(), p.srv)
		time.Sleep(31 * time.Second)
		p.write(mail[6:])
		p.expect(wire.ActContinue)
		p.ask(wire.CodeEOB, "", wire.ActContinue)
		p.cut()
		if r := <-done; r.err != nil || r.after != 31*time.Second {
			t.Errorf("half a MAIL: Shutdown: %v after %v", r.err, r.after)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := dialServer(t, timedServer(), nil)
		p.offer(everything)
		p.write(append(AppendFrame(nil, byte(wire.CodeHelo), []byte("31s\x00")), mail...))
		done := stop(t.Context(), p.srv)
		p.expect(wire.ActContinue)
		p.expect(wire.ActContinue)
		p.ask(wire.CodeEOB, "", wire.ActContinue)
		p.cut()
		if r := <-done; r.err != nil || r.after != 31*time.Second {
			t.Errorf("MAIL behind a slow HELO: Shutdown: %v after %v", r.err, r.after)
		}
	})
}

// deadlineConn calls before, once, ahead of the next deadline that is set.
type deadlineConn struct {
	net.Conn
	before atomic.Pointer[func()]
}

func (c *deadlineConn) SetReadDeadline(t time.Time) error {
	if before := c.before.Swap(nil); before != nil {
		(*before)()
	}
	return c.Conn.SetReadDeadline(t)
}

// The deadline by which Shutdown wakes a reader may be overwritten by the reader's
// own, which it was about to set.
func TestTrap26WakingIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := timedServer()
		here, there := net.Pipe()
		nc := &deadlineConn{Conn: there}
		p := &peer{t: t, nc: here, frames: NewFrameReader(here, 0), srv: srv, served: make(chan struct{})}
		go func() {
			defer close(p.served)
			srv.ServeConn(nc, "test")
		}()
		p.offer(everything)
		var closed time.Time
		shut := func() {
			closed = time.Now()
			srv.beginDrain()
			srv.beginClose()
		}
		nc.before.Store(&shut)
		p.cut()
		if d := time.Since(closed); d != 0 {
			t.Errorf("it ended %v after it was to be closed", d)
		}
	})
}

func TestShutdownOfListeners(t *testing.T) {
	srv := NewServer(Config{NewSession: func(c *Conn) Session { return &recorder{conn: c} }})
	ends := make(chan error)
	var addrs []net.Addr
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, ln.Addr())
		go func() { ends <- srv.Serve(t.Context(), ln, "one") }()
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, nc: nc, frames: NewFrameReader(nc, 0), served: closedChan()}
		p.offer(everything)
		p.quit()
	}
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for range addrs {
		if err := <-ends; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	}
	for _, addr := range addrs {
		if nc, err := net.Dial("tcp", addr.String()); err == nil {
			_ = nc.Close()
			t.Error("the listener is still open")
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(t.Context(), ln, "late"); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("its listener: %v", err)
	}
}

func closedChan() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
