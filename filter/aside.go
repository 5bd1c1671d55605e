package filter

import "strings"

// asideFault tells of a script's fault that no outcome will name. It runs on the
// watchdog's goroutine, too, and reads only what is not written during a call.
func (c *Conn) asideFault(p Phase, fault *ScriptError) {
	if c.o.Aside == nil {
		return
	}
	o := c.aside(p)
	o.Script, o.Where, o.Fault = fault.Script, fault.Pos, fault.Message
	if p == Rcpt && c.call.Address != nil {
		o.Recipient = c.call.Address.Address
	}
	c.o.Aside(o)
}

// asideWouldBe tells what an observing script would have changed or queued.
func (c *Conn) asideWouldBe(script int, p Phase, edits []string, queued []*Queued) {
	if c.o.Aside == nil {
		return
	}
	o := c.aside(p)
	o.Script, o.Edits, o.Queued, o.WouldBe = c.list[script].Name, edits, queued, true
	if p == Rcpt && c.call.Address != nil {
		o.Recipient = c.call.Address.Address
	}
	c.o.Aside(o)
}

// asideEnded tells of a message's events that were made durable after its outcome, or
// without one.
func (c *Conn) asideEnded() {
	if c.o.Aside != nil {
		c.o.Aside(c.outcome(decision{phase: Abort, script: -1}, nil))
	}
}

// asideNotes tells notes that no outcome has had: of a message that the client gave
// up, or of a connection without one.
func (c *Conn) asideNotes(p Phase) {
	if c.o.Aside != nil && !c.lost && len(c.session.notes.list) > c.session.notes.told {
		o := c.outcome(decision{phase: p, script: -1}, nil)
		o.Queued = nil
		c.o.Aside(o)
	}
}

func (c *Conn) aside(p Phase) *Outcome {
	s := c.session
	o := &Outcome{Session: s.ID, QueueID: s.QueueID(), Client: s.Client, Helo: s.Helo, Phase: p}
	if m := s.Message; m != nil {
		o.Sender = m.Sender.Address
		for _, r := range m.recipients {
			o.Recipients = append(o.Recipients, r.Address)
		}
	}
	return o
}

// messageID is the first Message-ID that arrived; "" when there is none.
func (m *Message) messageID() string {
	f, _ := m.arena.first("Message-ID")
	return strings.TrimSpace(unfold(f.Text()))
}
