package filter

import (
	"errors"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap"

	"pmilter/internal/milter"
)

// chunkSize is how much of a kept body one body call gets (MILTER_CHUNK_SIZE).
const chunkSize = wire.MaxBodyChunk

// EOM implements milter.Session: header, eoh and body handlers that are not
// early run now, then eom; edits are sent with the verdict.
func (c *Conn) EOM(out *milter.Modifications) milter.Reply {
	if reply, ok := c.settled(EOM); ok {
		return reply
	}
	c.needMessage()
	m := c.session.Message
	m.whole = true
	if c.resume == nil {
		c.o.Meter.Received(m.received)
	}
	if m.oversize {
		return c.oversized(out)
	}
	if m.failed == nil {
		_, m.failed = m.arrivedBody()
	}
	if m.failed != nil {
		return c.unkept(m)
	}
	d := c.content(m)
	if d.abandoned || d.verdict.Refuses() {
		return c.answer(d.phase, d)
	}
	return c.pass(m, out)
}

// pass sends the edits with a Continue, which at the end of a message lets it through.
func (c *Conn) pass(m *Message, out *milter.Modifications) milter.Reply {
	var done []string
	err := m.makeSignatures() // over the message as it will be; what else is made of that comes after
	if err == nil {
		done, err = m.sendEdits(out)
	}
	if err != nil {
		out.Clear()
		c.log.Error("edits cannot be sent", zap.String("qid", c.session.QueueID()), zap.Error(err))
		return c.answer(EOM, putOff())
	}
	// Everything that can go wrong has been done before, but for the answer itself.
	if err := c.queue(Accept.String(), time.Now().Add(c.o.EOMTimeout)); err != nil {
		out.Clear()
		return c.answer(EOM, putOff())
	}
	c.resume = nil
	c.finish(decision{verdict: Verdict{Action: Accept}, phase: EOM, script: -1}, done)
	c.endMessage(false)
	return milter.Reply{Action: wire.ActContinue}
}

// putOff is the decision when we cannot do what scripts asked for.
func putOff() decision {
	v := Verdict{Action: Tempfail, Code: 451, Enhanced: "4.3.0", Text: "Message filter error, try again later"}
	return decision{verdict: v, phase: EOM, script: -1}
}

// oversized answers for a message over max_message, which scripts do not see.
func (c *Conn) oversized(out *milter.Modifications) milter.Reply {
	v := Verdict{Action: c.o.Oversize}
	switch v.Action {
	case Accept:
		c.log.Warn("message is over max_message: passed without asking the scripts",
			zap.String("qid", c.session.QueueID()), zap.Int64("bytes", c.session.Message.received))
		return c.pass(c.session.Message, out)
	case Tempfail:
		v.Code, v.Enhanced, v.Text = 452, "4.3.4", "Message is too big for now"
	default:
		v.Action, v.Code, v.Enhanced, v.Text = Reject, 552, "5.3.4", "Message is too big"
	}
	return c.answer(EOM, decision{verdict: v, phase: EOM, script: -1})
}

// unkept answers for a message whose body could not be kept: most often the
// disk is full (RFC 3463 4.3.1).
func (c *Conn) unkept(m *Message) milter.Reply {
	c.log.Error("body cannot be kept", zap.String("qid", c.session.QueueID()), zap.Error(m.failed))
	v := Verdict{Action: Tempfail, Code: 452, Enhanced: "4.3.1", Text: "Insufficient system storage"}
	if errors.Is(m.failed, errPartsLost) || errors.Is(m.failed, errBodyLost) {
		return c.answer(EOM, putOff())
	}
	return c.answer(EOM, decision{verdict: v, phase: EOM, script: -1})
}

// content calls the handlers of the message's content, phase by phase.
func (c *Conn) content(m *Message) decision {
	deadline := c.o.Now().Add(c.o.EOMTimeout)
	late := func(i int) bool { return !c.list[i].Early }
	for _, p := range [...]Phase{Header, EOH, Body, EOM} {
		if !c.needs.phases.Has(p) || c.resume != nil && p < c.resume.phase {
			continue
		}
		var d decision
		switch p {
		case Header:
			d = c.eachField(m, deadline, late)
		case Body:
			d = c.eachChunk(m, deadline, late)
		case EOH:
			d = c.askUntil(EOH, deadline, late)
		default:
			d = c.askUntil(EOM, deadline, func(int) bool { return true })
		}
		if d.abandoned || d.verdict.Refuses() {
			return d
		}
	}
	return decision{script: -1}
}

func (c *Conn) eachField(m *Message, deadline time.Time, late func(int) bool) decision {
	fields := m.arena.all()
	for c.at = c.resumeIn(Header); c.at < len(fields); c.at++ {
		f := fields[c.at]
		c.call.HeaderName, c.call.HeaderValue = f.Name, f.Text()
		if d := c.askUntil(Header, deadline, late); d.abandoned || d.verdict.Refuses() {
			return d
		}
	}
	return decision{script: -1}
}

func (c *Conn) eachChunk(m *Message, deadline time.Time, late func(int) bool) decision {
	body, _ := m.arrivedBody() // looked at before, in EOM
	for c.at = c.resumeIn(Body); c.at < int(m.bodySize); c.at += chunkSize {
		if !m.unkept {
			end := min(c.at+chunkSize, len(body))
			c.call.Chunk = body[c.at:end:end]
		}
		if d := c.askUntil(Body, deadline, late); d.abandoned || d.verdict.Refuses() {
			return d
		}
	}
	return decision{script: -1}
}

// answer makes of a decision the reply to the command at hand.
func (c *Conn) answer(p Phase, d decision) milter.Reply {
	if d.abandoned {
		return milter.Reply{Action: wire.ActTempFail} // the successor's answer goes out; if there were none, this
	}
	c.resume = nil
	if d.verdict.Refuses() {
		ends := endsMessage(p, d.verdict.Action)
		if ends {
			d = c.queueRefused(p, d)
		}
		reply := replyOf(d.verdict)
		c.finish(d, nil)
		if ends {
			c.decided = &reply
			c.endMessage(true)
			c.decided = nil
		}
		return reply
	}
	if c.allAccept(p) {
		if c.session.Message != nil {
			c.finish(decision{verdict: Verdict{Action: Accept}, phase: p, script: -1}, nil)
			c.endMessage(false)
		}
		return milter.Reply{Action: wire.ActAccept}
	}
	return milter.Reply{Action: wire.ActContinue}
}

// queueRefused makes durable what scripts want to keep of a message that is
// refused. If that fails, the client must come again.
func (c *Conn) queueRefused(p Phase, d decision) decision {
	m := c.session.Message
	if m == nil {
		return d
	}
	m.refused = d.verdict.Action.String()
	deadline := time.Now().Add(c.o.EOMTimeout)
	if p != EOM { // no PROGRESS holds the MTA
		deadline = c.queueDeadline()
	}
	if err := c.queue(m.refused, deadline); err == nil {
		return d
	}
	d = putOff()
	d.phase = p
	m.refused = d.verdict.Action.String()
	return d
}

// queueDeadline is until when events may be written while a reply waits: as
// long as the handlers had, and a second if they took it all.
func (c *Conn) queueDeadline() time.Time {
	deadline := time.Now().Add(time.Second)
	if c.call.Deadline.After(deadline) {
		return c.call.Deadline
	}
	return deadline
}

// endsMessage tells whether a refusal in p is the message's: in Rcpt it is that
// recipient's, before Mail and in Unknown there may be none.
func endsMessage(p Phase, refusal Action) bool {
	return p >= Mail && p <= EOM && (p != Rcpt || refusal == Discard)
}

// allAccept tells whether an accept can go out now: every script has accepted,
// and nothing asked for so far, nor an abort or close handler, needs what follows.
func (c *Conn) allAccept(p Phase) bool {
	m := c.session.Message
	if p == Unknown || c.needs.phases.Has(Abort) || c.needs.phases.Has(Close) || m != nil && len(m.edits)+len(m.queued) > 0 {
		return false
	}
	for i := range c.states {
		st := &c.states[i]
		if !st.outOfConnection && (m == nil || !st.outOfMessage) {
			return false
		}
	}
	return len(c.states) > 0
}

func replyOf(v Verdict) milter.Reply {
	if v.Action == Discard {
		return milter.Reply{Action: wire.ActDiscard}
	}
	return milter.Reply{Action: wire.ActReplyCode, Code: v.Code, Enhanced: v.Enhanced, Text: v.Text}
}
