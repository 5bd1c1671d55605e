package filter

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/milter"
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
	return c.askUntil(p, time.Now().Add(c.o.Timeout), func(int) bool { return true })
}

// askSome asks those scripts that are early, or those that are not.
func (c *Conn) askSome(p Phase, early bool) decision {
	if !c.needs.phases.Has(p) {
		return decision{script: -1}
	}
	return c.askUntil(p, time.Now().Add(c.o.Timeout), func(i int) bool { return c.list[i].Early == early })
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
		if fault == nil && !v.Refuses() {
			c.logWouldChange(i, p, m.edits[len(c.before.edits):])
		}
		m.rollback(c.before.edits)
	}
	d := decision{verdict: v, phase: p, script: i, fault: fault}
	if fault != nil {
		c.session.notes.list = c.before.notes
		c.logFault(fault)
		d.verdict = c.onError(i, fault)
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
		return Verdict{}, &ScriptError{Script: c.list[i].Name, Phase: p, Message: c.why, Dropped: true}
	}
	c.since = time.Now()
	if err := c.open(); err != nil {
		return Verdict{}, err
	}
	v, err := c.world.Call(&c.call)
	if errors.Is(err, ErrAbandoned) {
		return v, err
	}
	c.spent += time.Since(c.since)
	var fault *ScriptError
	if errors.As(err, &fault) && fault.Dropped {
		c.dropped, c.why = true, whyOverrun
		c.world.Close()
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
	world, err := c.scripts.Open(c.session)
	if err == nil {
		c.world = world
		return nil
	}
	c.spent += time.Since(c.since)
	c.dropped, c.why = true, whyNoWorld
	if errors.Is(err, ErrAbandoned) {
		return errors.New("the scripts' top-level code ran too long") // there was no call that Overrun could end
	}
	return err
}

// lose ends this conn's part in the connection. Until the successor has it, the
// engine must see the call as running.
func (c *Conn) lose() {
	<-c.usurped
	c.lost, c.dropped = true, true
}

// judge says whether an answer is one that the phase allows.
func (c *Conn) judge(i int, p Phase, v Verdict, err error) *ScriptError {
	var fault *ScriptError
	switch {
	case errors.As(err, &fault):
		return fault
	case err != nil:
		return &ScriptError{Script: c.list[i].Name, Phase: p, Message: err.Error()}
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
	e := &ScriptError{Script: c.list[i].Name, Phase: p, Message: message}
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
	c.call.Phase, c.call.Deadline = p, time.Now().Add(c.o.Timeout)
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
		if fault := c.judge(i, p, v, err); fault != nil {
			c.logFault(fault)
		}
		if c.dropped {
			return
		}
	}
}

// overrun is called by a watchdog, from its own goroutine, when the call under
// way passed its deadline and could not be stopped. It hands the connection to
// a successor, in which on_error answers. The stuck goroutine keeps the world,
// the session and the message; of them only what is not written during a call is read.
func (c *Conn) overrun(fault *ScriptError) {
	c.f.overruns.Add(1)
	if !c.wire.Usurp(c.successor(fault)) && c.call.Phase != Close {
		c.log.Error("script overran and its connection could not be taken over", zap.Error(fault))
	}
	close(c.usurped)
}

// resumption is where a successor goes on.
type resumption struct {
	phase  Phase
	script int
	at     int // as Conn.at
	fault  *ScriptError
	reply  *milter.Reply // decided already: an abort handler was stuck
}

func (c *Conn) successor(fault *ScriptError) *Conn {
	n := &Conn{
		f: c.f, o: c.o, wire: c.wire, log: c.log, scripts: c.scripts, list: c.list, needs: c.needs, agreed: c.agreed,
		states: slices.Clone(c.states), heard: true, spent: c.spent + time.Since(c.since),
		dropped: true, why: whyOverrun, usurped: make(chan struct{}),
		resume: &resumption{phase: c.call.Phase, script: c.call.Script, at: c.at, fault: fault, reply: c.decided},
	}
	n.call.Overrun = n.overrun
	n.session = c.session.successor(c.before)
	return n
}

// resuming tells whether this conn answers the command at hand anew, in place
// of one that is stuck in that phase.
func (c *Conn) resuming(p Phase) bool { return c.resume != nil && c.resume.phase == p }

// resumeAt is the first script to ask in a phase: 0, or the one that was stuck.
func (c *Conn) resumeAt(p Phase) int {
	if !c.resuming(p) {
		return 0
	}
	return c.resume.script
}

// resumeIn is the first field or chunk to ask about: 0, or that of the stuck call.
func (c *Conn) resumeIn(p Phase) int {
	if !c.resuming(p) {
		return 0
	}
	return c.resume.at
}
