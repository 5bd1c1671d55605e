package filter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/milter"
)

// fakeWire is a connection with nobody at its other end: Usurp notes who is next.
type fakeWire struct {
	macros  *milter.Macros
	options milter.Options
	next    milter.Session
}

func (w *fakeWire) Listener() string           { return "fuzz" }
func (w *fakeWire) Macros() *milter.Macros     { return w.macros }
func (w *fakeWire) Negotiated() milter.Options { return w.options }
func (w *fakeWire) Usurp(next milter.Session) bool {
	w.next = next
	w.macros = w.macros.Clone()
	return true
}

// gamble is a Spool that fails when the dice say so.
type gamble struct {
	d           *dice
	t           *testing.T
	puts, freed int
	failed      bool // a mail that nobody had refused could not be queued, since the last command
	given       int  // events that came
}

func (*gamble) Has(queue string) bool { return queue == "archive" }
func (*gamble) Names() []string       { return []string{"archive"} }

func (g *gamble) Put(_ context.Context, m *filter.QueuedMail, free func()) error {
	g.puts++
	defer func() { g.freed++; free() }()
	for _, e := range m.Events {
		if m.Verdict != "accept" && !e.Any {
			g.t.Errorf("queued after %s", m.Verdict)
		}
	}
	if len(m.Events) == 0 || m.Verdict == "accept" && g.d.refused {
		g.t.Errorf("%d events, %s", len(m.Events), m.Verdict)
	}
	g.given += len(m.Events)
	if g.d.roll(3) == 1 {
		g.failed = g.failed || m.Verdict == "accept"
		return errors.New("full")
	}
	return nil
}

// dice gives the fuzzer's bytes one by one, then zeros.
type dice struct {
	data    []byte
	refused bool // by a script that has a say, since the last command
	asked   int  // events, in all
}

func (d *dice) roll(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	v := int(d.data[0]) % n
	d.data = d.data[1:]
	return v
}

func (d *dice) enqueue(m *filter.Message, whatever bool) error {
	err := m.Enqueue(filter.Queued{Queue: "archive", Any: whatever})
	if err == nil {
		d.asked++
	}
	return err
}

// any is a handler that does whatever the dice say.
func (d *dice) any(p *play) (filter.Verdict, error) {
	if m := p.m; m != nil {
		_ = []func() error{
			func() error { return nil },
			func() error { return m.AddHeader("X-A", "b") },
			func() error { return m.InsertHeader(d.roll(4), "Subject", "b") },
			func() error { return m.SetHeader("Subject", "ä") },
			func() error { return m.RemoveHeaderAt("subject", d.roll(3)) },
			func() error { return m.AddRecipient("c@example.net", "") },
			func() error { return m.RemoveRecipient("b@example.net") },
			func() error { return m.ReplaceBody([]byte("x\n")) },
			func() error { return m.Quarantine("x") },
			func() error { _, err := m.Raw(); return err },
			func() error { p.s.AddNote(filter.Note{Reason: "x"}); return nil },
			func() error { return m.SetSender("", "") },
			func() error { return d.enqueue(m, false) },
			func() error { return d.enqueue(m, true) },
		}[d.roll(14)]()
	}
	result := d.roll(12)
	message := p.c.Phase >= filter.Mail && p.c.Phase <= filter.EOM
	if (result == 1 || result == 2 || result == 3 && message) && !p.cast.actors[p.c.Script].Observe && p.c.Phase != filter.Abort && p.c.Phase != filter.Close {
		d.refused = true
	}
	switch result {
	case 0:
		return verdict(filter.Accept), nil
	case 1:
		return verdict(filter.Reject), nil
	case 2:
		return verdict(filter.Tempfail), nil
	case 3:
		return verdict(filter.Discard), nil
	case 4:
		return verdict(filter.Skip), nil
	case 5:
		return filter.Verdict{}, &filter.ScriptError{Message: "x", Dropped: d.roll(2) == 0}
	case 6:
		p.c.Overrun(&filter.ScriptError{Message: "x", Dropped: true})
		return filter.Verdict{}, filter.ErrAbandoned
	}
	return filter.Verdict{}, nil
}

// FuzzConn: whatever order commands come in and whatever scripts say, nothing
// panics, each call has one reply, what was refused is not passed, and what should be
// on a queue and is not is not passed either.
func FuzzConn(f *testing.F) {
	f.Add([]byte{}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{1, 2, 3, 4}, []byte{8, 8, 8, 2, 6, 6, 7, 9, 9, 10})
	f.Add([]byte{0, 5, 0, 6, 0, 3, 0, 6}, []byte{2, 8, 2, 8, 2, 8, 9, 2})
	f.Add([]byte("000000000701"), []byte("0")) // an event that cannot be queued
	f.Fuzz(func(t *testing.T, answers, commands []byte) {
		if len(commands) > 200 {
			return
		}
		d := &dice{data: answers}
		every := func() on {
			h := on{}
			bits := d.roll(256) | d.roll(256)<<8
			for p := range filter.Phase(filter.NumPhases) {
				if bits>>p&1 == 0 {
					h[p] = d.any
				}
			}
			return h
		}
		actions := []filter.Action{filter.Continue, filter.Accept, filter.Reject, filter.Tempfail}
		var actors []*actor
		for range 1 + d.roll(3) {
			actors = append(actors, script("s", every(), func(s *filter.Script) {
				s.Early, s.Observe, s.OnError = d.roll(2) == 1, d.roll(4) == 1, actions[d.roll(4)]
			}))
		}
		c := newCast(actors...)
		g := &gamble{d: d, t: t}
		w := &fakeWire{macros: new(milter.Macros)}
		fl := filter.New(filter.Options{
			Scripts: func() filter.Scripts { return c }, Timeout: time.Second, EOMTimeout: time.Second, OnError: actions[d.roll(4)],
			MaxMessage: int64(100 + 100*d.roll(20)), Oversize: actions[d.roll(4)], Log: zap.NewNop(), Spool: g,
		})
		s := fl.NewSession(w)
		w.options = s.Negotiate(milter.Options{Version: 6, Actions: milter.AllActions, Protocol: milter.AllProtocol})
		for _, command := range commands {
			d.refused, g.failed = false, false
			reply := run(s, command)
			for w.next != nil { // a stuck call: its successor answers the same command
				s, w.next = w.next, nil
				if reply = run(s, command); reply.Action == 0 && command%13 < 11 {
					t.Fatalf("no reply to command %d", command%13)
				}
			}
			if d.refused && reply.Action != wire.ActReplyCode && reply.Action != wire.ActDiscard {
				t.Fatalf("a script refused, the reply is %q", reply.Action)
			}
			if g.failed && reply.Action != wire.ActReplyCode {
				t.Fatalf("the message is not queued, the reply is %q", reply.Action)
			}
			switch reply.Action {
			case 0, wire.ActContinue, wire.ActAccept, wire.ActSkip, wire.ActDiscard:
				if reply.Code != 0 {
					t.Fatalf("code %d with %q", reply.Code, reply.Action)
				}
			case wire.ActReplyCode:
				if reply.Code < 400 || reply.Code > 599 {
					t.Fatalf("code %d", reply.Code)
				}
			default:
				t.Fatalf("reply %q", reply.Action)
			}
		}
		s.Close()
		if w.next != nil {
			w.next.Close()
		}
		if g.freed != g.puts || g.given > d.asked {
			t.Fatalf("%d of %d mails were freed, %d of %d events came", g.freed, g.puts, g.given, d.asked)
		}
		if made, alive := c.open(); int64(alive) > fl.Overruns() {
			t.Fatalf("%d of %d worlds were not closed, %d overran", alive, made, fl.Overruns())
		}
	})
}

func run(s milter.Session, command byte) milter.Reply {
	switch command % 13 {
	case 0:
		return s.Connect("mail.example.org", wire.FamilyInet, 25, "192.0.2.1")
	case 1:
		return s.Helo("x")
	case 2:
		return s.Mail("<a@example.org>", []string{"SIZE=1"})
	case 3:
		return s.Rcpt("<b@example.net>", nil)
	case 4:
		return s.Data()
	case 5:
		return s.Header([]byte("Subject"), []byte(" x"))
	case 6:
		return s.EOH()
	case 7:
		return s.Body(make([]byte, 50))
	case 8, 9:
		return s.EOM(new(milter.Modifications))
	case 10:
		return s.Unknown("FOO")
	case 11:
		s.Abort()
	default:
		s.Reset()
	}
	return milter.Reply{}
}
