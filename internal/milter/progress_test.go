package milter

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap/zapcore"
)

func TestTrap12ProgressAtTheEndOfAMessageOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recorder{on: func(call string) Reply {
			if call != "close" {
				time.Sleep(12 * time.Second)
			}
			return Reply{}
		}}
		p := dial(t, s)
		p.offer(everything)
		for _, code := range []wire.Code{wire.CodeMail, wire.CodeData, wire.CodeEOH, wire.CodeBody} {
			p.ask(code, "", wire.ActContinue) // PROGRESS would be the first to come
		}
		for range 2 {
			began := time.Now()
			p.send(wire.CodeEOB)
			for _, want := range []struct {
				code wire.ActionCode
				at   time.Duration
			}{{ActProgress, 5 * time.Second}, {ActProgress, 10 * time.Second}, {wire.ActContinue, 12 * time.Second}} {
				if f := p.recv(); f.code != byte(want.code) || f.payload != "" || time.Since(began) != want.at {
					t.Errorf("%c after %v, want %c after %v", f.code, time.Since(began), want.code, want.at)
				}
			}
		}
		// Nothing after the final reply: a pipe's write waits until it is read, and
		// the next thing read is the next reply.
		time.Sleep(time.Minute)
		p.ask(wire.CodeMail, "", wire.ActContinue)
		p.quit()
	})
}

func TestTrap12NoProgressForAFastEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recorder{eom: func(*Modifications) Reply { time.Sleep(4 * time.Second); return Reply{} }}
		p := dial(t, s)
		p.offer(everything)
		for range 10 { // the timer of one message is no other's
			p.ask(wire.CodeEOB, "", wire.ActContinue)
			time.Sleep(3 * time.Second)
		}
		p.quit()
	})
}

// A PROGRESS of which the MTA read a part only must not be followed by a reply:
// it would be read as the rest of it.
func TestTrap12ProgressCutShortEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recorder{eom: func(*Modifications) Reply { time.Sleep(20 * time.Second); return Reply{} }}
		p := dial(t, s, func(c *Config) { c.WriteTimeout = 2 * time.Second })
		p.offer(everything)
		p.send(wire.CodeEOB)
		if _, err := io.ReadFull(p.nc, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if rest, err := io.ReadAll(p.nc); len(rest) > 0 || err != nil {
			t.Errorf("after half a PROGRESS: %q, %v", rest, err)
		}
		p.wait()
		logs := p.logs.FilterLevelExact(zapcore.WarnLevel).All()
		if len(logs) != 1 || !strings.Contains(logs[0].Message, "does not read") {
			t.Errorf("log: %v", p.logs.All())
		}
		wantCalls(t, s, "eom", "close")
	})
}

// The MTA goes while the end of its message is worked on: PROGRESS finds out,
// and the session's call comes back to a closed connection.
func TestTrap12MTAGoneDuringEOM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recorder{eom: func(*Modifications) Reply { time.Sleep(time.Minute); return Reply{} }}
		p := dial(t, s)
		p.offer(everything)
		p.send(wire.CodeEOB)
		_ = p.nc.Close()
		<-p.served
		if p.logs.Len() != 0 {
			t.Errorf("log: %v", p.logs.All())
		}
		if _, _, err := p.frames.Next(); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		wantCalls(t, s, "eom", "close")
	})
}
