package milter

import (
	"strings"
	"testing"

	wire "github.com/emersion/go-milter"
)

func TestTrap08OneReplyForACommand(t *testing.T) {
	commands := []struct {
		code    wire.Code
		payload string
		noReply wire.OptProtocol
	}{
		{wire.CodeConn, "h\x00U", wire.OptNoConnReply},
		{wire.CodeHelo, "h\x00", wire.OptNoHeloReply},
		{wire.CodeMail, "<>\x00", wire.OptNoMailReply},
		{wire.CodeRcpt, "<>\x00", wire.OptNoRcptReply},
		{wire.CodeData, "", wire.OptNoDataReply},
		{wire.CodeHeader, "a\x00b\x00", wire.OptNoHeaderReply},
		{wire.CodeEOH, "", wire.OptNoEOHReply},
		{wire.CodeBody, "x", wire.OptNoBodyReply},
		{CodeUnknown, "x\x00", wire.OptNoUnknownReply},
		{wire.CodeEOB, "", 0},
		{wire.CodeAbort, "", AllProtocol},
		{wire.CodeQuitNewConn, "", AllProtocol},
		{wire.CodeMacro, "M", AllProtocol},
	}
	for _, protocol := range []wire.OptProtocol{
		0, AllProtocol,
		wire.OptNoHeaderReply | wire.OptNoEOHReply | wire.OptNoBodyReply,
		wire.OptNoConnReply | wire.OptNoMailReply, wire.OptNoUnknownReply,
	} {
		s := &recorder{negotiate: func(Options) Options { return Options{Protocol: protocol} }}
		p := dial(t, s)
		p.offer(everything)
		for _, c := range commands {
			before := p.writes.count()
			p.send(c.code, c.payload)
			if protocol&c.noReply != 0 || c.noReply == AllProtocol {
				// What follows must not be answered late: the EOM's reply comes first.
				p.ask(wire.CodeEOB, "", wire.ActContinue)
			} else if f := p.recv(); f.code != byte(wire.ActContinue) || f.payload != "" {
				t.Errorf("%c: %c %q", c.code, f.code, f.payload)
			}
			if n := p.writes.count() - before; n != 1 {
				t.Errorf("%c: %d writes", c.code, n)
			}
		}
		p.quit()
	}
}

func TestTrap10RcptVerdictIsForOneRecipient(t *testing.T) {
	s := &recorder{on: func(call string) Reply {
		if strings.Contains(call, "bad") {
			return Reply{Action: wire.ActReplyCode, Code: 550, Text: "no"}
		}
		return Reply{}
	}}
	p := dial(t, s)
	p.offer(everything)
	p.send(wire.CodeMacro, "M", "{mail_addr}\x00a\x00")
	p.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
	p.ask(wire.CodeRcpt, "<bad>\x00", wire.ActReplyCode)
	p.ask(wire.CodeRcpt, "<good>\x00", wire.ActContinue)
	if v, _ := s.conn.Macros().Get("{mail_addr}"); v != "a" {
		t.Error("the message's macros are gone")
	}
	p.ask(wire.CodeEOB, "", wire.ActContinue)
	p.quit()
	wantCalls(t, s, `mail "<a>" []`, `rcpt "<bad>" []`, `rcpt "<good>" []`, "eom", "close")
}

func TestTrap11Abort(t *testing.T) {
	s := &recorder{}
	p := dial(t, s)
	p.offer(everything)
	p.send(wire.CodeMacro, "C", "j\x00mx\x00")
	p.send(wire.CodeAbort)
	p.send(wire.CodeAbort)
	p.ask(wire.CodeMail, "<1>\x00", wire.ActContinue)
	p.ask(wire.CodeMail, "<2>\x00", wire.ActContinue) // no ABORT between: Sendmail
	p.send(wire.CodeMacro, "R", "i\x00Q1\x00")
	p.ask(wire.CodeRcpt, "<b>\x00", wire.ActContinue)
	p.send(wire.CodeAbort)
	p.send(wire.CodeAbort)
	p.ask(wire.CodeMail, "<3>\x00", wire.ActContinue)
	if _, ok := s.conn.Macros().Get("i"); ok {
		t.Error("the message's macros outlive ABORT")
	}
	if _, ok := s.conn.Macros().Get("j"); !ok {
		t.Error("ABORT took the connection's macros")
	}
	for range 5 { // a close after EOM is not sent: many messages
		p.ask(wire.CodeEOB, "", wire.ActContinue)
		p.ask(wire.CodeMail, "<n>\x00", wire.ActContinue)
	}
	s.take()
	p.quit()
	wantCalls(t, s, "close")
}

func TestTrap13SkipAndNoBodyReply(t *testing.T) {
	skip := func(string) Reply { return Reply{Action: wire.ActSkip} }
	t.Run("they exclude each other", func(t *testing.T) {
		s := &recorder{negotiate: func(Options) Options { return Options{Protocol: wire.OptSkip | wire.OptNoBodyReply} }}
		p := dial(t, s)
		if got := p.offer(everything).Protocol; got != wire.OptNoBodyReply {
			t.Errorf("protocol %#x", got)
		}
		p.quit()
	})
	t.Run("negotiated", func(t *testing.T) {
		s := &recorder{on: skip, negotiate: func(Options) Options { return Options{Protocol: wire.OptSkip} }}
		p := dial(t, s)
		p.offer(everything)
		p.ask(wire.CodeBody, "x", wire.ActSkip)
		p.ask(wire.CodeEOB, "", wire.ActContinue) // means nothing here
		p.quit()
	})
	t.Run("not offered", func(t *testing.T) {
		s := &recorder{on: skip, negotiate: func(Options) Options { return Options{Protocol: wire.OptSkip} }}
		p := dial(t, s)
		p.offer(Options{Version: 2, Protocol: 0x7f})
		p.ask(wire.CodeBody, "x", wire.ActContinue)
		p.quit()
	})
}

func TestLastChunkInEOM(t *testing.T) {
	s := &recorder{on: func(call string) Reply {
		if call == "body 3" {
			return Reply{Action: wire.ActReject}
		}
		return Reply{}
	}}
	p := dial(t, s)
	p.offer(everything)
	p.ask(wire.CodeEOB, "xx", wire.ActContinue)
	p.ask(wire.CodeEOB, "xxx", wire.ActReject)
	p.quit()
	wantCalls(t, s, "body 2", "eom", "body 3", "close")
}
