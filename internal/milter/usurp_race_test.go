package milter

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/emersion/go-milter"
)

// race is a connection in whose calls an usurper starts every time: some return
// before it, some after, some at the same time.
type race struct {
	t       *testing.T
	usurper sync.WaitGroup
	usurped atomic.Int64
	kept    atomic.Int64
	closed  atomic.Int64
}

// racer is one of its sessions. It must not be called once it lost.
type racer struct {
	*race
	conn *Conn
	lost atomic.Bool
	seen int // a plain field: only one goroutine at a time may be in a call
}

func (r *racer) call() Reply {
	if r.lost.Load() {
		r.t.Error("a session that lost its connection was called")
	}
	r.seen++
	turn := r.conn.Turn()
	next := &racer{race: r.race, conn: r.conn}
	pause := time.Duration(rand.IntN(60)) * time.Microsecond
	begun := make(chan struct{})
	r.usurper.Go(func() {
		close(begun)
		if pause > 10*time.Microsecond {
			time.Sleep(pause)
		}
		if !r.conn.UsurpTurn(turn, next) {
			r.kept.Add(1)
			return
		}
		r.lost.Store(true)
		r.usurped.Add(1)
	})
	<-begun
	if d := time.Duration(rand.IntN(60)) * time.Microsecond; d > 10*time.Microsecond {
		time.Sleep(d)
	}
	return Reply{Action: wire.ActContinue}
}

func (r *racer) Negotiate(Options) Options {
	return Options{Actions: AllActions, Protocol: wire.OptNoHeaderReply}
}
func (r *racer) Connect(string, wire.ProtoFamily, uint16, string) Reply { return r.call() }
func (r *racer) Helo(string) Reply                                      { return r.call() }
func (r *racer) Mail(string, []string) Reply                            { return r.call() }
func (r *racer) Rcpt(string, []string) Reply                            { return r.call() }
func (r *racer) Data() Reply                                            { return r.call() }
func (r *racer) Header(_, _ []byte) Reply                               { return r.call() }
func (r *racer) EOH() Reply                                             { return r.call() }
func (r *racer) Body(chunk []byte) Reply {
	for _, b := range chunk {
		if b != 'x' {
			r.t.Errorf("a chunk with %q", b)
			break
		}
	}
	return r.call()
}

func (r *racer) EOM(out *Modifications) Reply {
	_ = out.AddHeader("X-Before", "1")
	if i, _ := r.conn.Macros().Get("i"); i != "Q" {
		r.t.Errorf("i is %q", i)
	}
	reply := r.call()
	_ = out.AddHeader("X-After", "1")
	_ = r.conn.Macros().All() // by then perhaps another session's
	return reply
}

func (r *racer) Unknown(string) Reply { return r.call() }
func (r *racer) Abort()               { r.call() }
func (r *racer) Reset()               { r.call() }
func (r *racer) Close() {
	if n := r.closed.Add(1); n > 1 {
		r.t.Error("closed twice")
	}
}

func TestUsurpRacesWithReturns(t *testing.T) {
	ra := &race{t: t}
	srv := NewServer(Config{ProgressEvery: 20 * time.Microsecond, NewSession: func(c *Conn) Session {
		return &racer{race: ra, conn: c}
	}})
	p := dialServer(t, srv, nil)
	p.offer(everything)
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	for range rounds {
		ra.message(p)
	}
	p.send(wire.CodeQuit)
	if _, _, err := p.frames.Next(); err == nil {
		t.Error("more than one reply for a command")
	}
	ra.usurper.Wait()
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	p.wait()
	t.Logf("%d usurped, %d returned before", ra.usurped.Load(), ra.kept.Load())
	if ra.usurped.Load() == 0 || ra.kept.Load() == 0 || ra.closed.Load() != 1 {
		t.Errorf("%d usurped, %d returned before, %d closed", ra.usurped.Load(), ra.kept.Load(), ra.closed.Load())
	}
}

// message is one message, with exactly one reply for each command.
func (ra *race) message(p *peer) {
	p.t.Helper()
	p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
	p.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
	p.ask(wire.CodeRcpt, "<b>\x00", wire.ActContinue)
	p.send(wire.CodeHeader, "Subject\x00x\x00") // NR
	p.ask(wire.CodeBody, "xxxxxxxxxxxxxxxxxxxxxxxx", wire.ActContinue)
	p.send(wire.CodeMacro, "E", "i\x00Q\x00")
	p.send(wire.CodeEOB, "xxxx")
	var frames []frame
	for len(frames) < 3 {
		if f := p.recv(); f.code != byte(ActProgress) {
			frames = append(frames, f)
		}
	}
	want := [3]frame{{'h', "X-Before\x001\x00"}, {'h', "X-After\x001\x00"}, {'c', ""}}
	if [3]frame(frames) != want {
		p.t.Fatalf("at the end of the message: %q", frames)
	}
	p.send(wire.CodeAbort)
	p.send(wire.CodeQuitNewConn)
}
