package milter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap/zapcore"
)

// stuckIn is a session whose calls of that prefix wait until they are released.
func stuckIn(call string) (s *recorder, release func()) {
	gate := make(chan struct{})
	s = &recorder{on: func(c string) Reply {
		if strings.HasPrefix(c, call) {
			<-gate
		}
		return Reply{Action: wire.ActAccept}
	}}
	return s, func() { close(gate) }
}

// successor is a session that answers with a reply of its own.
func successor(c *Conn) *recorder {
	return &recorder{conn: c, on: func(call string) Reply {
		return Reply{Action: wire.ActReplyCode, Code: 451, Enhanced: "4.7.1", Text: "instead: " + strings.Fields(call)[0]}
	}}
}

func TestUsurpAnswersTheCommandAnew(t *testing.T) {
	for _, tc := range []struct {
		code    wire.Code
		payload string
		call    string
		replied bool
	}{
		{wire.CodeConn, "h\x004\x00\x19192.0.2.1\x00", `connect "h" 4 25 "192.0.2.1"`, true},
		{wire.CodeHelo, "h\x00", `helo "h"`, true},
		{wire.CodeMail, "<a>\x00SIZE=1\x00", `mail "<a>" ["SIZE=1"]`, true},
		{wire.CodeRcpt, "<b>\x00", `rcpt "<b>" []`, true},
		{wire.CodeData, "", "data", true},
		{wire.CodeHeader, "Subject\x00 s\x00", `header "Subject" " s"`, true},
		{wire.CodeEOH, "", "eoh", false}, // NR
		{wire.CodeBody, "chunk", "body 5", true},
		{wire.CodeEOB, "", "eom", true},
		{CodeUnknown, "XFOO\x00", `unknown "XFOO"`, true},
		{wire.CodeAbort, "", "abort", false},
		{wire.CodeQuitNewConn, "", "reset", false},
	} {
		t.Run(tc.call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, release := stuckIn(tc.call)
				s.negotiate = func(Options) Options { return Options{Protocol: wire.OptNoEOHReply} }
				p := dial(t, s)
				answer := p.offer(everything)
				p.send(tc.code, tc.payload)
				synctest.Wait()
				wantCalls(t, s, tc.call)

				next := successor(s.conn)
				turn := s.conn.Turn()
				if s.conn.UsurpTurn(turn-2, next) {
					t.Error("an earlier turn was usurped")
				}
				if !s.conn.UsurpTurn(turn, next) {
					t.Fatal("not usurped")
				}
				if s.conn.UsurpTurn(turn, next) {
					t.Error("usurped twice")
				}
				if tc.replied {
					if f := p.recv(); f.code != 'y' || !strings.HasPrefix(f.payload, "451 4.7.1 instead: ") {
						t.Errorf("answered with %c %q", f.code, f.payload)
					}
				}
				synctest.Wait()
				wantCalls(t, next, tc.call)
				if s.conn.Usurp(next) {
					t.Error("usurped between two calls")
				}
				p.ask(wire.CodeHelo, "more\x00", wire.ActReplyCode)

				release() // the call comes back late: nobody hears of it
				synctest.Wait()
				p.ask(wire.CodeHelo, "late\x00", wire.ActReplyCode)
				p.quit()
				synctest.Wait()
				wantCalls(t, next, `helo "more"`, `helo "late"`, "close")
				wantCalls(t, s)
				if s.conn.Negotiated() != answer || p.srv.Connections() != 0 || p.logs.Len() != 0 {
					t.Error(s.conn.Negotiated(), p.srv.Connections(), p.logs.All())
				}
				if s.conn.Usurp(next) {
					t.Error("usurped after the end")
				}
			})
		})
	}
}

func TestUsurpInClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := stuckIn("close")
		p := dial(t, s)
		p.offer(everything)
		p.send(wire.CodeQuit)
		synctest.Wait()
		if p.srv.Connections() != 1 {
			t.Error("the connection is forgotten before its session is closed")
		}
		next := successor(s.conn)
		if !s.conn.Usurp(next) {
			t.Fatal("not usurped")
		}
		synctest.Wait()
		if p.srv.Connections() != 0 {
			t.Error("the connection is still known")
		}
		release()
		p.ended()
		wantCalls(t, s, "close")
		wantCalls(t, next, "close")
		if p.logs.Len() != 0 {
			t.Errorf("log: %v", p.logs.All())
		}
	})
}

func TestUsurpInNegotiate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &recorder{negotiate: func(o Options) Options { <-gate; return o }}
		p := dial(t, s)
		p.send(wire.CodeOptNeg, string(AppendOptions(nil, everything)[5:]))
		synctest.Wait()
		next := successor(s.conn)
		if !s.conn.Usurp(next) {
			t.Fatal("not usurped")
		}
		if _, err := p.nc.Read(make([]byte, 1)); err == nil {
			t.Error("the offer was answered")
		}
		close(gate)
		p.wait()
		synctest.Wait()
		wantCalls(t, s)
		wantCalls(t, next, "close")
		if logs := p.logs.All(); len(logs) != 1 || !strings.Contains(fmt.Sprint(logs[0].ContextMap()), "no negotiation") {
			t.Errorf("log: %v", logs)
		}
	})
}

// Of an EOM the next session's edits go out, PROGRESS goes on, and whatever the
// stuck call still does to its own Modifications and Macros disturbs nobody.
func TestUsurpInEOM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &recorder{}
		s.eom = func(out *Modifications) Reply {
			macros := s.conn.Macros()
			_ = out.AddHeader("X-Old", "1")
			<-gate
			_ = out.AddHeader("X-Old", "2")
			if i, _ := macros.Get("i"); i != "Q1" {
				t.Errorf("the stuck call sees i = %q", i)
			}
			return Reply{Action: wire.ActReject}
		}
		p := dial(t, s)
		p.offer(everything)
		p.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
		p.send(wire.CodeMacro, "E", "i\x00Q1\x00")
		p.send(wire.CodeEOB, "xyz")
		p.expect(ActProgress) // 5 s
		s.take()

		next := &recorder{conn: s.conn}
		next.eom = func(out *Modifications) Reply {
			if i, _ := s.conn.Macros().Get("i"); i != "Q1" {
				t.Errorf("the next session sees i = %q", i)
			}
			time.Sleep(7 * time.Second)
			_ = out.AddHeader("X-New", "1")
			return Reply{Action: wire.ActAccept}
		}
		usurped := time.Now()
		if !s.conn.Usurp(next) {
			t.Fatal("not usurped")
		}
		p.expect(ActProgress)
		if f := p.recv(); f != (frame{'h', "X-New\x001\x00"}) {
			t.Errorf("%c %q", f.code, f.payload)
		}
		p.expect(wire.ActAccept)
		if d := time.Since(usurped); d != 7*time.Second {
			t.Errorf("answered after %v", d)
		}
		wantCalls(t, next, "body 3", "eom")
		p.send(wire.CodeMacro, "E", "i\x00Q2\x00")
		close(gate)
		time.Sleep(time.Minute) // a PROGRESS that is left over would come now
		p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
		p.quit()
		synctest.Wait()
		wantCalls(t, s)
	})
}

// Usurped in the chunk that BODYEOB carries, a session has no EOM.
func TestUsurpInTheLastChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := stuckIn("body")
		p := dial(t, s)
		p.offer(everything)
		p.send(wire.CodeEOB, "xyz")
		synctest.Wait()
		next := &recorder{conn: s.conn}
		if !s.conn.Usurp(next) {
			t.Fatal("not usurped")
		}
		p.expect(wire.ActContinue)
		release()
		p.quit()
		synctest.Wait()
		wantCalls(t, s, "body 3")
		wantCalls(t, next, "body 3", "eom", "close")
	})
}

// What the MTA sent ahead is not lost, and one usurper can follow the other.
func TestUsurpInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sessions []*recorder
		var release []func()
		for i := range 4 {
			s, r := stuckIn(fmt.Sprintf("body %d", i))
			sessions, release = append(sessions, s), append(release, r)
		}
		first := sessions[0]
		first.negotiate = func(Options) Options { return Options{Protocol: wire.OptNoBodyReply} }
		p := dial(t, first)
		p.offer(everything)
		var stream []byte
		for i := range len(sessions) {
			stream = AppendFrame(stream, byte(wire.CodeBody), make([]byte, i))
		}
		stream = AppendFrame(stream, byte(wire.CodeEOB))
		if _, err := p.nc.Write(stream); err != nil {
			t.Fatal(err)
		}
		for i, s := range sessions[1:] {
			synctest.Wait()
			s.conn = first.conn
			if !first.conn.Usurp(s) {
				t.Fatalf("not usurped by %d", i)
			}
		}
		synctest.Wait()
		if !first.conn.Usurp(&recorder{conn: first.conn}) {
			t.Fatal("the last is not usurped")
		}
		p.expect(wire.ActContinue)
		slices.Reverse(release)
		for _, r := range release {
			r()
		}
		p.quit()
		synctest.Wait()
		for i, s := range sessions {
			want := []string{fmt.Sprintf("body %d", i)}
			if i > 0 { // answered anew what its predecessor was stuck in
				want = append([]string{fmt.Sprintf("body %d", i-1)}, want...)
			}
			wantCalls(t, s, want...)
		}
	})
}

func TestUsurpedCallPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &recorder{on: func(string) Reply { <-gate; panic("a bug") }}
		p := dial(t, s)
		p.offer(everything)
		p.send(wire.CodeHelo, "h\x00")
		synctest.Wait()
		if !s.conn.Usurp(&recorder{conn: s.conn}) {
			t.Fatal("not usurped")
		}
		p.expect(wire.ActContinue)
		close(gate)
		synctest.Wait()
		if p.logs.FilterLevelExact(zapcore.ErrorLevel).Len() != 1 {
			t.Errorf("log: %v", p.logs.All())
		}
		p.ask(wire.CodeHelo, "h\x00", wire.ActContinue)
		p.quit()
	})
}

// The next session panics in its turn: the connection ends with a tempfail.
func TestUsurperPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := stuckIn("helo")
		p := dial(t, s)
		p.offer(everything)
		p.send(wire.CodeHelo, "h\x00")
		synctest.Wait()
		next := &recorder{conn: s.conn, on: func(call string) Reply {
			if call != "close" {
				panic("a bug")
			}
			return Reply{}
		}}
		if !s.conn.Usurp(next) {
			t.Fatal("not usurped")
		}
		p.expect(wire.ActTempFail)
		release()
		p.ended()
		synctest.Wait()
		wantCalls(t, next, `helo "h"`, "close")
		wantCalls(t, s, `helo "h"`)
	})
}
