package filter

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/milter"
)

// overrun is called by a watchdog, from its own goroutine, when the call under
// way passed its deadline and could not be stopped. It hands the connection to
// a successor, in which on_error answers. The stuck goroutine keeps the world,
// the session and the message; of them only what is not written during a call is read.
func (c *Conn) overrun(fault *ScriptError) {
	c.taken.Store(true)
	c.f.overruns.Add(1)
	c.f.worlds.stuck.Add(1)
	c.f.worlds.dropped.Add(1)
	c.meter.Called(c.call.Script, c.call.Phase, time.Since(c.since))
	if c.call.Phase == Abort || c.call.Phase == Close {
		c.faulted(c.call.Script, c.call.Phase, fault) // nobody is asked anew, so nobody else logs it
		c.asideFault(c.call.Phase, fault)
	}
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
		f: c.f, o: c.o, wire: c.wire, log: c.log, scripts: c.scripts, list: c.list, meter: c.meter, needs: c.needs, agreed: c.agreed,
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

// lose ends this conn's part in the connection. Until the successor has it, the
// engine must see the call as running.
func (c *Conn) lose() {
	<-c.usurped
	if !c.lost {
		c.f.worlds.stuck.Add(-1)
		if c.world != nil { // else its top-level code was stuck
			c.f.worlds.alive.Add(-1)
		}
	}
	c.lost, c.dropped = true, true
	if m := c.session.Message; m != nil {
		m.dropBody() // the successor does without
	}
}
