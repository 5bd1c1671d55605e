package filter

import (
	"errors"
	"fmt"
	"time"
)

// decision is what all scripts together say in one phase.
type decision struct {
	verdict Verdict
	phase   Phase
	script  int // that decided, -1 for none
	fault   *ScriptError
	// abandoned: another goroutine has taken the connection while a handler was
	// stuck in this one, which must touch nothing any more.
	abandoned bool
}

// ErrAbandoned is what Handler.Call returns when Overrun was called meanwhile.
var ErrAbandoned = errors.New("the call was given up")

// ask asks all scripts that have a handler for the phase, in order; the first
// that refuses decides.
func (c *Conn) ask(p Phase) decision {
	if !c.needs.phases.Has(p) && p != Mail { // at Mail it is noted who saw it
		return decision{script: -1}
	}
	return c.askUntil(p, c.o.Now().Add(c.o.Timeout), func(int) bool { return true })
}

// askSome asks those scripts that are early, or those that are not.
func (c *Conn) askSome(p Phase, early bool) decision {
	if !c.needs.phases.Has(p) {
		return decision{script: -1}
	}
	return c.askUntil(p, c.o.Now().Add(c.o.Timeout), func(i int) bool { return c.list[i].Early == early })
}

func (c *Conn) askUntil(p Phase, deadline time.Time, chosen func(int) bool) decision {
	c.call.Phase, c.call.Deadline = p, deadline
	for i := c.resumeAt(p); i < len(c.list); i++ {
		if p >= Mail && p <= EOM {
			c.states[i].sawMail = true
		}
		if !c.list[i].Phases.Has(p) || !chosen(i) || c.out(i, p) {
			continue
		}
		d := c.askOne(i, p)
		if d.abandoned || d.verdict.Refuses() {
			return d
		}
	}
	if c.resuming(p) {
		c.resume = nil // what comes next is asked of all again
	}
	return decision{script: -1}
}

// out tells whether script i has no more interest in the phase.
func (c *Conn) out(i int, p Phase) bool {
	st := &c.states[i]
	return st.outOfConnection || p > Helo && p < Abort && st.outOfMessage || p == Body && st.skipsBody
}

// askOne calls one handler and makes of its answer a decision: a refusal, or
// a Continue after noting what an accept or a skip changes.
func (c *Conn) askOne(i int, p Phase) decision {
	m := c.session.Message
	c.call.Script = i
	c.before = c.session.checkpoint()
	v, err := c.callHandler(i, p)
	if errors.Is(err, ErrAbandoned) {
		c.lose()
		return decision{abandoned: true}
	}
	fault := c.judge(i, p, v, err)
	if m != nil && (fault != nil || c.list[i].Observe) {
		if fault == nil {
			if !v.Refuses() {
				c.logWouldChange(i, p, m.edits[len(c.before.edits):])
			}
			c.logWouldQueue(i, p, m.queued[len(c.before.queued):])
		}
		m.rollback(c.before)
	}
	d := decision{verdict: v, phase: p, script: i, fault: fault}
	if fault != nil {
		c.session.notes.list = c.before.notes
		c.faulted(i, p, fault)
		d.verdict = c.onError(i, fault)
		if !d.verdict.Refuses() {
			c.asideFault(p, fault)
		}
	}
	if c.list[i].Observe {
		return c.observed(d, p)
	}
	return c.heed(d, p)
}

// heed notes what an accept or a skip changes; only a refusal goes on up.
func (c *Conn) heed(d decision, p Phase) decision {
	st := &c.states[d.script]
	switch d.verdict.Action {
	case Accept:
		if p == Connect || p == Helo {
			st.outOfConnection = true
		} else if c.session.Message != nil {
			st.outOfMessage = true
		}
	case Skip:
		st.skipsBody = true
	case Reject, Tempfail, Discard:
		return d
	case Continue:
	}
	return decision{script: -1}
}

// observed logs what an observing script would do, and does nothing of it but
// take it out of what its verdict would have ended.
func (c *Conn) observed(d decision, p Phase) decision {
	if !d.verdict.Refuses() {
		return c.heed(d, p)
	}
	c.logWouldBe(d, p)
	switch {
	case p < Mail:
		c.states[d.script].outOfConnection = true
	case endsMessage(p, d.verdict.Action):
		c.states[d.script].outOfMessage = true
	}
	return decision{script: -1}
}

// callHandler calls the handler in the connection's world, made at the first call.
func (c *Conn) callHandler(i int, p Phase) (Verdict, error) {
	switch {
	case c.lost:
		return Verdict{}, ErrAbandoned
	case c.dropped && c.resuming(p) && c.resume.script == i:
		return Verdict{}, c.resume.fault
	case c.dropped:
		return Verdict{}, &ScriptError{Script: c.list[i].Name, Phase: p, Message: c.why, Kind: NotAsked, Dropped: true}
	}
	c.since = time.Now()
	if err := c.open(); err != nil {
		return Verdict{}, err
	}
	v, err := c.world.Call(&c.call)
	if c.taken.Load() || errors.Is(err, ErrAbandoned) {
		return Verdict{}, ErrAbandoned // whatever it says
	}
	took := time.Since(c.since)
	c.spent += took
	c.meter.Called(i, p, took)
	if err != nil && faultOf(err, "", p).Dropped {
		c.dropped, c.why = true, whyOverrun
		c.world.Close()
		c.f.worlds.alive.Add(-1)
		c.f.worlds.dropped.Add(1)
	}
	return v, err
}

// Why a world is not there any more, for the log.
const (
	whyOverrun = "its world was dropped after an earlier overrun"
	whyNoWorld = "there is no world: the scripts' top-level code failed earlier"
)

// open makes the connection's world if there is none.
func (c *Conn) open() error {
	if c.world != nil {
		return nil
	}
	world, err := c.scripts.Open(c.session, &c.call)
	if c.taken.Load() || errors.Is(err, ErrAbandoned) {
		return ErrAbandoned // top-level code was stuck
	}
	if err != nil {
		c.spent += time.Since(c.since)
		c.dropped, c.why = true, whyNoWorld
		c.f.worlds.dropped.Add(1)
		return err
	}
	c.world = world
	c.f.worlds.alive.Add(1)
	now := time.Now()
	c.o.Meter.Opened(now.Sub(c.since))
	c.spent += now.Sub(c.since)
	c.since = now
	return nil
}

// faulted logs and counts a fault of script i in a phase.
func (c *Conn) faulted(i int, p Phase, fault *ScriptError) {
	c.meter.Failed(i, p, fault.Kind)
	c.logFault(fault)
}

// faultOf is an error of a handler as the fault of a script.
func faultOf(err error, script string, p Phase) *ScriptError {
	var fault *ScriptError
	if errors.As(err, &fault) {
		return fault
	}
	return &ScriptError{Script: script, Phase: p, Message: err.Error()}
}

// judge says whether an answer is one that the phase allows.
func (c *Conn) judge(i int, p Phase, v Verdict, err error) *ScriptError {
	switch {
	case err != nil:
		return faultOf(err, c.list[i].Name, p)
	case v.Action == Skip && p != Body:
		return c.misuse(i, p, v, "skip() is for body only")
	case v.Action == Discard && (p < Mail || p > EOM):
		return c.misuse(i, p, v, fmt.Sprintf("discard() means nothing in %s: it drops a message", p))
	case v.Action != Continue && (p == Abort || p == Close):
		return c.misuse(i, p, v, fmt.Sprintf("%s can give no verdict", p))
	case v.Action > Skip:
		return c.misuse(i, p, v, fmt.Sprintf("verdict %d is none", v.Action))
	}
	return nil
}

func (c *Conn) misuse(i int, p Phase, v Verdict, message string) *ScriptError {
	e := &ScriptError{Script: c.list[i].Name, Phase: p, Message: message, Kind: Nonsense}
	if v.Where != nil {
		e.Pos = v.Where()
	}
	return e
}

// onError is the verdict that a fault of script i gives.
func (c *Conn) onError(i int, fault *ScriptError) Verdict {
	action := c.list[i].OnError
	if action == Continue {
		action = c.o.OnError
	}
	where := func() Position { return fault.Pos }
	switch action {
	case Accept:
		return Verdict{Action: Accept, Where: where}
	case Reject:
		return Verdict{Action: Reject, Code: 550, Enhanced: "5.3.0", Text: "Message filter error", Where: where}
	default:
		v := Verdict{Action: Tempfail, Code: 451, Enhanced: "4.3.0", Text: "Message filter error, try again later", Where: where}
		if fault.Dropped {
			v.Code = 421 // the client hangs up and comes back to a fresh world
		}
		return v
	}
}

// tell calls abort or close handlers, which have no say. After accept() too;
// abort only of scripts that saw the message's MAIL.
func (c *Conn) tell(p Phase) {
	if !c.needs.phases.Has(p) || c.dropped {
		return
	}
	deadline := c.o.Now().Add(c.o.Timeout)
	if c.decided != nil && c.call.Deadline.Before(deadline) {
		// A reply waits: both together have the time of the phase, and a second.
		deadline = c.call.Deadline.Add(time.Second)
	}
	c.call.Phase, c.call.Deadline = p, deadline
	for i := range c.list {
		if !c.list[i].Phases.Has(p) || p == Abort && !c.states[i].sawMail {
			continue
		}
		c.call.Script = i
		c.before = c.session.checkpoint()
		v, err := c.callHandler(i, p)
		if errors.Is(err, ErrAbandoned) {
			c.lose()
			return
		}
		fault := c.judge(i, p, v, err)
		if fault != nil {
			c.faulted(i, p, fault)
			c.asideFault(p, fault)
		}
		if m := c.session.Message; m != nil && (fault != nil || c.list[i].Observe) {
			if fault == nil {
				c.logWouldQueue(i, p, m.queued[len(c.before.queued):])
			}
			m.rollback(c.before)
		}
		if c.dropped {
			return
		}
	}
}
