package milter

import (
	"errors"
	"fmt"
	"runtime/debug"

	wire "github.com/emersion/go-milter"
)

// runner is the part of a connection that belongs to the goroutine that serves
// it. An usurper makes another one and leaves this to the goroutine that is
// stuck: nothing in it is shared but what that one does not touch any more.
type runner struct {
	c       *Conn
	frames  *FrameReader
	input   *timedReader
	session Session // nil until the MTA negotiates
	macros  *Macros
	mods    Modifications
	out     []byte // for replies
	turn    uint64 // of the call that runs
}

var (
	errQuit    = errors.New("milter: quit")
	errUsurped = errors.New("milter: usurped")
)

// panicError is what a Session's call panicked with.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// keepOut is the largest output buffer that a connection keeps.
const keepOut = 64 << 10

// serve answers commands until the connection ends.
func (r *runner) serve() {
	r.finish(r.guard(r.loop))
}

// takeOver answers the command at hand anew where another runner was usurped,
// and goes on. Of a Negotiate or a Close that was usurped only the end is left.
func (r *runner) takeOver(code byte, payload []byte) {
	if code == codeClose {
		r.finish(nil)
		return
	}
	err := r.guard(func() error {
		if code == byte(wire.CodeOptNeg) {
			return errSilent // there is nothing to go on with
		}
		if err := r.dispatch(code, payload); err != nil {
			return err
		}
		return r.loop()
	})
	r.finish(err)
}

// heir makes the runner that goes on with another session. It reads from r what
// r does not write while its session is called.
func (r *runner) heir(next Session) *runner {
	return &runner{c: r.c, frames: r.frames.heir(), input: r.input, session: next, macros: r.macros.Clone()}
}

// guard is the border at which panics of a Session end: they cost the
// connection, and the command at hand is answered with a tempfail.
func (r *runner) guard(f func() error) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		err = &panicError{value: v, stack: debug.Stack()}
		if r.turn&1 == 0 {
			return // not within a call: a fault of the engine
		}
		if !r.end() {
			r.c.logEnd(err) // a bug all the same
			err = errUsurped
			return
		}
		if ReplyDue(r.c.code, r.c.options.Protocol) && r.c.code != byte(wire.CodeOptNeg) {
			_ = r.reply(r.c.code, Reply{Action: wire.ActTempFail}) // the connection ends in any case
		}
	}()
	return f()
}

func (r *runner) loop() error {
	for {
		if r.c.srv.closing() && !r.input.inMessage && r.frames.Buffered() == 0 {
			return errStopping
		}
		code, payload, err := r.frames.Next()
		if err != nil {
			return err
		}
		if err := r.command(code, payload); err != nil {
			return err
		}
		r.c.payload = nil
		if r.input.inMessage && r.frames.Buffered() > 0 {
			r.frames.shrink(largeBlock)
		} else { // it will wait
			r.frames.shrink(smallBlock)
		}
	}
}

func (r *runner) begin(code byte) { r.turn = r.c.begin(code) }

func (r *runner) end() bool {
	turn := r.turn
	if !r.c.end(turn) {
		return false
	}
	r.turn++
	return true
}

// answer ends a call of the Session.
func (r *runner) answer(code byte, reply Reply) error {
	if !r.end() {
		return errUsurped
	}
	return r.settle(code, reply)
}

// settle writes the reply to a command, if one is due, and keeps track of what
// the command and its reply end.
func (r *runner) settle(code byte, reply Reply) error {
	var err error
	if ReplyDue(code, r.c.options.Protocol) {
		err = r.reply(code, reply)
	} else {
		reply = Reply{} // the MTA does not hear of it and goes on
	}
	r.macros.done(code)
	r.track(code, reply.Action)
	return err
}

// track follows where messages begin and end, for stopping and for buffers.
func (r *runner) track(code byte, action wire.ActionCode) {
	was := r.input.inMessage
	switch wire.Code(code) {
	case wire.CodeMail:
		r.input.inMessage = goesOn(action)
	case wire.CodeRcpt: // a refusal is for that recipient alone
		if action == wire.ActAccept || action == wire.ActDiscard {
			r.input.inMessage = false
		}
	case wire.CodeData, wire.CodeHeader, wire.CodeEOH, wire.CodeBody:
		r.input.inMessage = was && goesOn(action)
	case wire.CodeEOB, wire.CodeAbort, wire.CodeQuitNewConn:
		r.input.inMessage = false
	}
	if was && !r.input.inMessage {
		if cap(r.out) > keepOut {
			r.out = nil
		}
		if cap(r.mods.buf) > keepOut {
			r.mods.buf = nil
		}
	}
}

// goesOn: the MTA goes on with the message after that reply.
func goesOn(action wire.ActionCode) bool {
	return action == 0 || action == wire.ActContinue || action == wire.ActSkip
}

// reply writes the final reply to a command, after an EOM's modifications.
func (r *runner) reply(code byte, reply Reply) error {
	r.out = AppendReply(r.out[:0], reply, code, r.c.options.Protocol)
	return r.c.write(r.out)
}

// finish ends the connection: the network first, then the session. A Close that
// does not come back can be usurped like any call.
func (r *runner) finish(err error) {
	if errors.Is(err, errUsurped) {
		return
	}
	r.c.hangUp()
	r.c.logEnd(err)
	if r.session != nil {
		closing := r.guard(func() error {
			r.begin(codeClose)
			r.session.Close()
			if !r.end() {
				return errUsurped
			}
			return nil
		})
		if errors.Is(closing, errUsurped) {
			return
		}
		r.c.logEnd(closing)
	}
	r.frames.release()
	r.c.srv.remove(r.c)
}
