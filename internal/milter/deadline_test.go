package milter

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap/zapcore"
)

// endsAfter waits for the server to close and wants one log line.
func (p *peer) endsAfter(began time.Time, want time.Duration, level zapcore.Level, line string) {
	p.t.Helper()
	if rest, err := io.ReadAll(p.nc); len(rest) > 0 || err != nil {
		p.t.Errorf("before the end: %q, %v", rest, err)
	}
	if got := time.Since(began); got != want {
		p.t.Errorf("ended after %v, want %v", got, want)
	}
	p.wait()
	_ = p.nc.Close()
	if logs := p.logs.FilterLevelExact(level).All(); len(logs) != 1 || p.logs.Len() != 1 {
		p.t.Errorf("log: %v", p.logs.All())
	} else if text := logs[0].Message + ": " + logs[0].ContextMap()["error"].(string); !strings.Contains(text, line) {
		p.t.Errorf("log: %s", text)
	}
}

// dribble sends one byte a second.
func (p *peer) dribble(bytes []byte) {
	for i := range bytes {
		if _, err := p.nc.Write(bytes[i : i+1]); err != nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-p.served:
			return
		}
	}
}

func timeouts(c *Config) {
	c.NegotiateTimeout = 20 * time.Second
	c.FrameTimeout = 30 * time.Second
	c.IdleTimeout = 5 * time.Minute
	c.WriteTimeout = 40 * time.Second
}

func TestTrap25NoNegotiation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recorder{}
		p := dial(t, s, timeouts)
		p.endsAfter(time.Now(), 20*time.Second, zapcore.WarnLevel, "no negotiation")
		wantCalls(t, s)
	})
}

func TestTrap25DribbledNegotiation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, &recorder{}, timeouts)
		began := time.Now()
		go p.dribble(append([]byte("\x00\x00\x00\xff"), make([]byte, 100)...))
		p.endsAfter(began, 20*time.Second, zapcore.WarnLevel, "no negotiation")
	})
}

func TestTrap25Idle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recorder{}
		p := dial(t, s, timeouts)
		p.offer(everything)
		for range 5 {
			time.Sleep(5*time.Minute - time.Second)
			p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
			s.take()
		}
		p.endsAfter(time.Now(), 5*time.Minute, zapcore.InfoLevel, "idle timeout")
		wantCalls(t, s, "close")
	})
}

// The MTA is not idle while it waits for us.
func TestTrap25ASlowSessionIsNotAnIdleMTA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, &recorder{on: func(call string) Reply {
			if call != "close" {
				time.Sleep(time.Hour)
			}
			return Reply{}
		}}, timeouts)
		p.offer(everything)
		for range 3 {
			p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
			time.Sleep(4 * time.Minute)
		}
		p.endsAfter(time.Now(), time.Minute, zapcore.InfoLevel, "idle timeout")
	})
}

func TestTrap25DribbledPacket(t *testing.T) {
	frame := AppendFrame(nil, byte(wire.CodeBody), make([]byte, 1000))
	for _, tc := range []struct {
		name  string
		first int // bytes that come at once
		wait  time.Duration
	}{
		{"from its first byte", 0, 0},
		{"from within its length", 3, 0},
		{"after its length", 4, 0},
		{"half of it", 500, 0},
		{"some time after the last one", 0, 17 * time.Second},
		{"long after the last one", 0, 290 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &recorder{}
				p := dial(t, s, timeouts)
				p.offer(everything)
				time.Sleep(tc.wait)
				began := time.Now()
				go func() {
					_, _ = p.nc.Write(frame[:tc.first])
					p.dribble(frame[tc.first:])
				}()
				p.endsAfter(began, 30*time.Second, zapcore.WarnLevel, "frame timeout")
				wantCalls(t, s, "close")
			})
		})
	}
}

// The start of a packet may come with the end of the one before it.
func TestTrap25PacketCutAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, &recorder{}, timeouts)
		p.offer(everything)
		stream := AppendFrame(nil, byte(wire.CodeHelo), []byte("h\x00"))
		if _, err := p.nc.Write(append(stream, 0, 0)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p.expect(wire.ActContinue)
		p.endsAfter(began, 30*time.Second, zapcore.WarnLevel, "frame timeout")
	})
}

// A slow MTA that keeps within the limits is served.
func TestTrap25SlowButInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, &recorder{}, timeouts)
		p.offer(everything)
		for range 20 {
			go p.dribble(AppendFrame(nil, byte(wire.CodeBody), make([]byte, 20)))
			p.expect(wire.ActContinue)
		}
		p.quit()
	})
}

func TestTrap25PeerThatDoesNotRead(t *testing.T) {
	for _, after := range []time.Duration{0, 15 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := &recorder{}
			p := dial(t, s, timeouts)
			p.offer(everything)
			time.Sleep(after)
			p.send(wire.CodeHelo, "h\x00")
			began := time.Now()
			<-p.served
			// A write has between half of its timeout and all of it.
			if d := time.Since(began); d < 20*time.Second || d > 40*time.Second {
				t.Errorf("ended after %v", d)
			}
			if logs := p.logs.FilterLevelExact(zapcore.WarnLevel).All(); len(logs) != 1 || !strings.Contains(logs[0].Message, "does not read") {
				t.Errorf("log: %v", p.logs.All())
			}
			wantCalls(t, s, `helo "h"`, "close")
			_ = p.nc.Close()
		})
	}
}

// Over a real socket, whose buffers take some of what is written.
func TestTrap25PeerThatDoesNotReadTheEdits(t *testing.T) {
	s := &recorder{eom: func(out *Modifications) Reply {
		_ = out.ReplaceBody(make([]byte, 64<<20))
		return Reply{}
	}}
	srv := NewServer(Config{
		WriteTimeout: time.Second,
		NewSession:   func(c *Conn) Session { s.conn = c; return s },
	})
	here, there := socketPair(t)
	p := &peer{t: t, nc: here, frames: NewFrameReader(here, 0), served: make(chan struct{})}
	go func() {
		defer close(p.served)
		srv.ServeConn(there, "test")
	}()
	p.offer(everything)
	p.send(wire.CodeEOB)
	p.wait()
	if n, err := io.Copy(io.Discard, here); n >= 64<<20 || err != nil {
		t.Errorf("%d bytes came, %v", n, err)
	}
	_ = here.Close()
	wantCalls(t, s, "eom", "close")
}

// socketPair is a connection over a unix socket.
func socketPair(t testing.TB) (here, there net.Conn) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var d net.Dialer
	if here, err = d.DialContext(t.Context(), "unix", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return here, there
}
