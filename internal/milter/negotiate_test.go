package milter

import (
	"fmt"
	"io"
	"slices"
	"testing"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap/zapcore"
)

func TestTrap01Versions(t *testing.T) {
	for offered, want := range map[uint32]uint32{2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 6, 1 << 31: 6} {
		t.Run(fmt.Sprint(offered), func(t *testing.T) {
			s := &recorder{negotiate: func(o Options) Options {
				if o.Version != want {
					t.Errorf("the session hears of version %d", o.Version)
				}
				return Options{Version: 9, Protocol: AllProtocol, Actions: AllActions}
			}}
			p := dial(t, s)
			if got := p.offer(Options{Version: offered}); got.Version != want {
				t.Errorf("answered with %d, want %d", got.Version, want)
			}
			p.quit()
		})
	}
	for _, refused := range []uint32{0, 1} {
		s := &recorder{}
		p := dial(t, s)
		p.send(wire.CodeOptNeg, string(AppendOptions(nil, Options{Version: refused})[5:]))
		p.ended()
		if p.logs.Len() != 1 {
			t.Errorf("version %d: %d log lines", refused, p.logs.Len())
		}
		wantCalls(t, s)
	}
}

func TestTrap02OnlyWhatWasOffered(t *testing.T) {
	for _, offer := range []Options{
		{Version: 2, Actions: 0x3f, Protocol: 0x7f},
		{Version: 3, Actions: 0x3f, Protocol: 0x17f},
		{Version: 4, Actions: 0x3f, Protocol: 0x37f},
		{Version: 6, Actions: 0x1ff, Protocol: 0x1fffff},
		{Version: 6, Actions: 0xffffffff, Protocol: 0xffffffff},
		{Version: 6},
	} {
		s := &recorder{negotiate: func(Options) Options {
			return Options{Actions: 0xffffffff, Protocol: 0xffffffff &^ wire.OptNoBodyReply}
		}}
		p := dial(t, s)
		got := p.offer(offer)
		want := Options{
			Version: offer.Version, Actions: offer.Actions & AllActions,
			Protocol: offer.Protocol & AllProtocol &^ wire.OptNoBodyReply,
		}
		if got != want {
			t.Errorf("offer %+v: answer %+v, want %+v", offer, got, want)
		}
		p.quit()
		if s.conn.Negotiated() != want {
			t.Errorf("the session is told %+v", s.conn.Negotiated())
		}
	}
}

func TestTrap03OneLogLine(t *testing.T) {
	options := string(AppendOptions(nil, everything))
	for _, tc := range []struct{ name, stream string }{
		{"length 0", options + "\x00\x00\x00\x00"},
		{"over the limit", options + "\xff\xff\xff\xff"},
		{"unknown command", options + "\x00\x00\x00\x01z"},
		{"no NUL in HELO", options + "\x00\x00\x00\x03Hab"},
		{"no NUL in MAIL", options + "\x00\x00\x00\x03Mab"},
		{"no NUL in CONNECT", options + "\x00\x00\x00\x03Cab"},
		{"no NUL in an address", options + "\x00\x00\x00\x07Ca\x004\x00\x00b"},
		{"port cut short", options + "\x00\x00\x00\x05Ca\x004\x00"},
		{"bad family", options + "\x00\x00\x00\x04Ca\x00x"},
		{"no NUL in a header", options + "\x00\x00\x00\x04La\x00b"},
		{"header without a value", options + "\x00\x00\x00\x03La\x00"},
		{"empty header", options + "\x00\x00\x00\x01L"},
		{"no NUL in a macro", options + "\x00\x00\x00\x03DMi"},
		{"options cut short", "\x00\x00\x00\x05O\x00\x00\x00\x06"},
		{"no negotiation", "\x00\x00\x00\x03Ha\x00"},
		{"a second negotiation", options + options},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &recorder{}
			p := dial(t, s)
			go func() { _, _ = io.WriteString(p.nc, tc.stream) }()
			_, _ = io.Copy(io.Discard, p.nc)
			p.wait()
			if p.logs.FilterLevelExact(zapcore.WarnLevel).Len() != 1 || p.logs.Len() != 1 {
				t.Errorf("log: %v", p.logs.All())
			}
			if calls := s.take(); len(calls) > 0 && !slices.Equal(calls, []string{"close"}) {
				t.Errorf("calls %q", calls)
			}
		})
	}
}

func TestTrap03CutShort(t *testing.T) {
	p := dial(t, &recorder{})
	p.offer(everything)
	_, _ = io.WriteString(p.nc, "\x00\x00\x00\x05Ha")
	_ = p.nc.Close()
	p.wait()
	if p.logs.FilterLevelExact(zapcore.WarnLevel).Len() != 1 || p.logs.Len() != 1 {
		t.Errorf("log: %v", p.logs.All())
	}
}

func TestTrap04OddPackets(t *testing.T) {
	s := &recorder{}
	p := dial(t, s)
	p.offer(everything)
	for _, tc := range []struct {
		code    wire.Code
		payload string
		want    string
	}{
		{wire.CodeHelo, "before\x00", `helo "before"`},
		{wire.CodeConn, "unknown\x00U", `connect "unknown" U 0 ""`},
		{wire.CodeConn, "unknown\x00", `connect "unknown" U 0 ""`},
		{wire.CodeConn, "unknown\x00U\x00\x00x\x00", `connect "unknown" U 0 ""`},
		{wire.CodeConn, "l\x00L\x00\x00/run/s\x00", `connect "l" L 0 "/run/s"`},
		{wire.CodeConn, "l\x00L/run/s\x00", `connect "l" L 0 "/run/s"`},
		{wire.CodeConn, "l\x00L\x00\x00\x00", `connect "l" L 0 ""`},
		{wire.CodeConn, "l\x00L\x00\x00", `connect "l" L 0 ""`},
		{wire.CodeConn, "l\x00L\x00", `connect "l" L 0 ""`},
		{wire.CodeConn, "l\x00L", `connect "l" L 0 ""`},
		{wire.CodeConn, "h\x004", `connect "h" 4 0 ""`},
		{wire.CodeConn, "h\x004\x00\x00192.0.2.1\x00", `connect "h" 4 0 "192.0.2.1"`},
		{wire.CodeConn, "h\x004\x00\x19", `connect "h" 4 25 ""`},
		{wire.CodeConn, "h\x006\x30\x39IPv6:2001:db8::1\x00", `connect "h" 6 12345 "2001:db8::1"`},
		{wire.CodeConn, "h\x006\x30\x392001:db8::1\x00", `connect "h" 6 12345 "2001:db8::1"`},
		{wire.CodeConn, "[192.0.2.1]\x004\x00\x00unknown\x00", `connect "[192.0.2.1]" 4 0 "unknown"`},
		{wire.CodeHelo, "once\x00", `helo "once"`},
		{wire.CodeHelo, "twice\x00", `helo "twice"`},
		{wire.CodeHelo, "", `helo ""`},
		{wire.CodeMail, "", `mail "" []`},
		{wire.CodeMail, "\x00", `mail "" []`},
		{wire.CodeMail, "<>\x00", `mail "<>" []`},
		{wire.CodeMail, "<a@example.org>\x00SIZE=1\x00SMTPUTF8\x00", `mail "<a@example.org>" ["SIZE=1" "SMTPUTF8"]`},
		{wire.CodeRcpt, "<b@example.org>\x00NOTIFY=NEVER\x00", `rcpt "<b@example.org>" ["NOTIFY=NEVER"]`},
		{wire.CodeRcpt, "<b\xff@example.org>\x00\x00", `rcpt "<b\xff@example.org>" []`},
		{wire.CodeHeader, "Subject\x00 a\n\tb\x00", `header "Subject" " a\n\tb"`},
		{wire.CodeHeader, "\x00\x00", `header "" ""`},
		{wire.CodeBody, "", "body 0"},
		{CodeUnknown, "XFOO bar\x00", `unknown "XFOO bar"`},
		{CodeUnknown, "", `unknown ""`},
	} {
		p.send(wire.CodeMacro)
		p.send(wire.CodeMacro, string(byte(tc.code)))
		p.send(wire.CodeMacro, string(byte(tc.code)), "{odd}\x00v\x00alone\x00")
		p.send(wire.CodeMacro, "z", "of\x00nothing\x00")
		p.ask(tc.code, tc.payload, wire.ActContinue)
		wantCalls(t, s, tc.want)
	}
	p.quit()
	wantCalls(t, s, "close")
}

func TestTrap05HealthChecks(t *testing.T) {
	t.Run("before a byte", func(t *testing.T) {
		s := &recorder{}
		p := dial(t, s)
		_ = p.nc.Close()
		p.wait()
		if p.logs.Len() != 0 {
			t.Error(p.logs.All())
		}
		wantCalls(t, s)
	})
	t.Run("after OPTNEG", func(t *testing.T) {
		s := &recorder{}
		p := dial(t, s)
		p.offer(everything)
		_ = p.nc.Close()
		p.wait()
		if p.logs.Len() != 0 {
			t.Error(p.logs.All())
		}
		wantCalls(t, s, "close")
	})
	t.Run("after a refusal in CONNECT", func(t *testing.T) {
		s := &recorder{on: func(string) Reply { return Reply{Action: wire.ActReject} }}
		p := dial(t, s)
		p.offer(everything)
		p.ask(wire.CodeConn, "h\x00U", wire.ActReject)
		_ = p.nc.Close()
		p.wait()
		if p.logs.Len() != 0 {
			t.Error(p.logs.All())
		}
	})
}

func TestTrap06QuitNCKeepsTheConnection(t *testing.T) {
	s := &recorder{}
	p := dial(t, s)
	answer := p.offer(everything)
	p.send(wire.CodeMacro, "C", "j\x00mx.example.org\x00")
	p.ask(wire.CodeConn, "one\x00U", wire.ActContinue)
	p.send(wire.CodeMacro, "M", "{mail_addr}\x00a\x00")
	p.ask(wire.CodeMail, "<a>\x00", wire.ActContinue)
	s.take()
	p.send(wire.CodeQuitNewConn)
	p.ask(wire.CodeConn, "two\x00U", wire.ActContinue)
	wantCalls(t, s, "reset", `connect "two" U 0 ""`)
	if all := s.conn.Macros().All(); len(all) != 0 {
		t.Errorf("macros of the old session: %v", all)
	}
	if s.conn.Negotiated() != answer {
		t.Error("the options changed")
	}
	p.quit()
}
