package milter

import (
	"fmt"

	wire "github.com/emersion/go-milter"
)

// command serves one packet. The order in which an MTA sends them is not
// checked: sessions take them in any order, Postfix and Sendmail differ in it.
// But the first is the negotiation, and there is only one.
func (r *runner) command(code byte, p []byte) error {
	if code == byte(wire.CodeOptNeg) || !r.input.negotiated {
		return r.negotiate(code, p)
	}
	r.macros.command(code)
	r.c.payload = p
	return r.dispatch(code, p)
}

// dispatch calls the Session.
func (r *runner) dispatch(code byte, p []byte) error {
	switch wire.Code(code) {
	case wire.CodeMacro:
		return r.macros.set(p)
	case wire.CodeConn:
		info, err := parseConnect(p)
		if err != nil {
			return err
		}
		r.begin(code)
		return r.answer(code, r.session.Connect(info.host, info.family, info.port, info.addr))
	case wire.CodeHelo:
		name, err := parseString(p)
		if err != nil {
			return err
		}
		r.begin(code)
		return r.answer(code, r.session.Helo(name))
	case wire.CodeMail, wire.CodeRcpt:
		return r.envelope(code, p)
	case wire.CodeData:
		r.begin(code)
		return r.answer(code, r.session.Data())
	case wire.CodeHeader:
		name, value, err := parseHeader(p)
		if err != nil {
			return err
		}
		r.begin(code)
		return r.answer(code, r.session.Header(name, value))
	case wire.CodeEOH:
		r.begin(code)
		return r.answer(code, r.session.EOH())
	case wire.CodeBody:
		r.begin(code)
		return r.answer(code, r.session.Body(p))
	case wire.CodeEOB:
		return r.endOfMessage(code, p)
	case CodeUnknown:
		line, err := parseString(p)
		if err != nil {
			return err
		}
		r.begin(code)
		return r.answer(code, r.session.Unknown(line))
	}
	return r.control(code)
}

// envelope is MAIL and RCPT.
func (r *runner) envelope(code byte, p []byte) error {
	path, params, err := parsePath(p)
	if err != nil {
		return err
	}
	r.begin(code)
	if code == byte(wire.CodeMail) {
		return r.answer(code, r.session.Mail(path, params))
	}
	return r.answer(code, r.session.Rcpt(path, params))
}

// endOfMessage is BODYEOB, which may carry a last chunk (libmilter st_bodyend):
// a verdict on that is the verdict on the message. Each of the two calls has its
// turn: the session that was usurped in the first is not called for the second.
func (r *runner) endOfMessage(code byte, p []byte) error {
	r.mods.reset(r.c.options)
	r.begin(code)
	if len(p) > 0 && r.c.options.Protocol&wire.OptNoBody == 0 {
		reply := r.session.Body(p)
		if !r.end() {
			return errUsurped
		}
		if !goesOn(reply.Action) && ReplyDue(byte(wire.CodeBody), r.c.options.Protocol) {
			return r.settle(code, reply)
		}
		r.begin(code)
	}
	reply := r.session.EOM(&r.mods)
	if !r.end() {
		return errUsurped
	}
	var err error
	r.out, err = r.mods.send(r.out, reply, r.c.options.Protocol, r.c.write)
	r.macros.done(code)
	r.track(code, reply.Action)
	return err
}

// control is what gets no reply.
func (r *runner) control(code byte) error {
	switch wire.Code(code) {
	case wire.CodeAbort:
		r.begin(code)
		r.session.Abort()
		return r.answer(code, Reply{})
	case wire.CodeQuitNewConn:
		r.begin(code)
		r.session.Reset()
		return r.answer(code, Reply{})
	case wire.CodeQuit:
		return errQuit
	}
	return fmt.Errorf("%w: unknown command %q", errMalformed, code)
}

// negotiate makes the session and answers OPTNEG. A connection that ends before
// it, a health check, never has a session.
func (r *runner) negotiate(code byte, p []byte) error {
	switch {
	case code == byte(wire.CodeQuit):
		return errQuit
	case code != byte(wire.CodeOptNeg):
		return fmt.Errorf("%w: command %q before the negotiation", errMalformed, code)
	case r.input.negotiated:
		return fmt.Errorf("%w: a second negotiation", errMalformed)
	}
	offer, err := ParseOptions(p)
	if err != nil {
		return err
	}
	if offer, err = lowerOffer(offer); err != nil {
		return err
	}
	r.begin(code)
	r.session = r.c.srv.cfg.NewSession(r.c)
	answer := r.session.Negotiate(offer)
	if !r.end() {
		return errUsurped
	}
	r.c.options = limitAnswer(answer, offer)
	r.input.negotiated = true
	r.out = AppendOptions(r.out[:0], r.c.options)
	return r.c.write(r.out)
}
