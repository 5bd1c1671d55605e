package filter

import (
	"sync/atomic"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap"

	"pmilter/internal/milter"
)

// Conn serves one milter connection: it keeps the session and its message, and
// asks the scripts. The engine's goroutine owns it; see overrun for the one exception.
type Conn struct {
	f       *Filter
	o       *Options // those in force when the connection began
	wire    Wire
	log     *zap.Logger
	scripts Scripts
	list    []Script
	meter   ScriptsMeter // of list
	needs   needs
	agreed  needs // what was negotiated: of the first set, after QUIT_NC too

	session *Session
	world   Handler // nil until a handler is called
	states  []scriptState
	heard   bool          // a command of this SMTP session has come
	spent   time.Duration // in scripts, for this message
	queued  []*Queued     // durable, of this message

	call    Call
	since   time.Time     // when the call under way began
	at      int           // the field, or the chunk's offset, that it is about, at the end of the message
	before  checkpoint    // of edits and notes, before it
	decided *milter.Reply // to the command at hand, while abort handlers are told of it
	dropped bool          // the world cannot be used: on_error answers from now on
	why     string        // it was dropped
	resume  *resumption   // on a conn that took over from a stuck one, for one command
	taken   atomic.Bool   // the call under way was given up
	usurped chan struct{} // closed when a successor has the connection
	lost    bool          // a successor has it: nothing is called any more
}

// scriptState is what one script has said so far.
type scriptState struct {
	outOfConnection bool // accepted in connect or helo
	outOfMessage    bool // accepted the message
	sawMail         bool // was asked at the MAIL of this message
	skipsBody       bool
}

var _ milter.Session = (*Conn)(nil)

var _ Wire = (*milter.Conn)(nil)

func (f *Filter) newConn(w Wire, scripts Scripts) *Conn {
	c := &Conn{f: f, o: f.o.Load(), wire: w, usurped: make(chan struct{})}
	c.take(scripts)
	c.agreed = c.needs
	c.begin()
	return c
}

// take makes scripts the ones that serve this connection.
func (c *Conn) take(scripts Scripts) {
	c.scripts, c.list = scripts, scripts.List()
	c.needs = needsOf(c.list)
	c.meter = c.o.Meter.Scripts(c.list)
	c.states = make([]scriptState, len(c.list))
	c.call.Overrun = c.overrun
}

// begin forgets everything of an SMTP session.
func (c *Conn) begin() {
	c.session = &Session{ID: newID(), Listener: c.wire.Listener(), mta: c.wire.Negotiated(), notes: new(notes), spool: c.o.Spool}
	c.session.ofConnection = c.session.notes
	c.session.Client.Family = "unknown"
	c.log = c.o.Log.WithLazy(zap.String("session", c.session.ID)) // most connections log nothing
	clear(c.states)
	c.heard, c.spent, c.queued = false, 0, nil
	c.dropped, c.resume = false, nil
}

// Negotiate implements milter.Session.
func (c *Conn) Negotiate(offer milter.Options) milter.Options { return c.needs.ask(offer) }

// Connect implements milter.Session.
func (c *Conn) Connect(host string, family wire.ProtoFamily, port uint16, addr string) milter.Reply {
	c.hear(Connect)
	c.session.Client = parseClient(host, family, port, addr)
	return c.answer(Connect, c.ask(Connect))
}

// Helo implements milter.Session.
func (c *Conn) Helo(name string) milter.Reply {
	c.hear(Helo)
	c.session.Helo = name
	c.call.Name = name
	return c.answer(Helo, c.ask(Helo))
}

// Mail implements milter.Session.
// QUIRK: Sendmail may start a message without having ended the one before by
// ABORT (TestTrap11MailWithoutAbort).
func (c *Conn) Mail(path string, params []string) milter.Reply {
	if reply, ok := c.settled(Mail); ok {
		return reply
	}
	if !c.resuming(Mail) {
		c.endMessage(true)
		c.startMessage(path, params)
	}
	c.call.Address = c.session.Message.Sender
	return c.answer(Mail, c.ask(Mail))
}

// Rcpt implements milter.Session. The recipient joins the message's when all
// scripts have passed it.
func (c *Conn) Rcpt(path string, params []string) milter.Reply {
	if reply, ok := c.settled(Rcpt); ok {
		return reply
	}
	c.needMessage()
	recipient := ParseAddress(path, params)
	c.call.Address = recipient
	d := c.ask(Rcpt)
	if !d.abandoned && !d.verdict.Refuses() {
		c.session.Message.addRecipient(recipient)
	}
	return c.answer(Rcpt, d)
}

// Data implements milter.Session.
func (c *Conn) Data() milter.Reply {
	if reply, ok := c.settled(Data); ok {
		return reply
	}
	c.needMessage()
	return c.answer(Data, c.ask(Data))
}

// Header implements milter.Session: it keeps the field, and asks at once only
// those scripts that have options.early.
func (c *Conn) Header(name, value []byte) milter.Reply {
	if reply, ok := c.settled(Header); ok {
		return reply
	}
	c.needMessage()
	if !c.resuming(Header) {
		c.session.Message.addField(name, value, c.o.MaxMessage)
	}
	if !c.needs.earlyHeader {
		return milter.Reply{Action: wire.ActContinue}
	}
	field := Field{Name: string(name), Value: string(value)}
	c.call.HeaderName, c.call.HeaderValue = field.Name, field.Text()
	return c.answer(Header, c.askSome(Header, true))
}

// EOH implements milter.Session.
func (c *Conn) EOH() milter.Reply {
	if reply, ok := c.settled(EOH); ok {
		return reply
	}
	c.needMessage()
	return c.answer(EOH, c.askSome(EOH, true))
}

// Body implements milter.Session.
func (c *Conn) Body(chunk []byte) milter.Reply {
	if c.resume == nil {
		c.hear(Body)
		c.needMessage()
		c.session.Message.addBody(chunk, c.o.MaxMessage, c.o.NewBody)
	}
	if !c.needs.earlyBody {
		return milter.Reply{Action: wire.ActContinue}
	}
	if c.resume != nil {
		if reply, ok := c.settled(Body); ok {
			return reply
		}
	}
	c.needMessage()
	c.call.Chunk = chunk
	d := c.askSome(Body, true)
	if !d.abandoned && !d.verdict.Refuses() && c.allSkip() {
		c.session.Message.skipped = true
		return milter.Reply{Action: wire.ActSkip}
	}
	return c.answer(Body, d)
}

// allSkip tells whether nobody wants more of the body: skip() of every early
// script, and no other script, nor an event, that needs it (milter §3.7).
func (c *Conn) allSkip() bool {
	if c.wire.Negotiated().Protocol&wire.OptSkip == 0 || len(c.session.Message.queued) > 0 || c.session.Message.toBeSigned() {
		return false
	}
	for i, s := range c.list {
		st := c.states[i]
		if st.outOfConnection || st.outOfMessage {
			continue
		}
		onlyChunks := s.Early && s.Phases.Has(Body) && !s.Phases.Has(EOM) && !s.Queues
		if s.Body && (!onlyChunks || !st.skipsBody) {
			return false
		}
	}
	return true
}

// Unknown implements milter.Session.
func (c *Conn) Unknown(command string) milter.Reply {
	c.hear(Unknown)
	c.call.Name = command
	return c.answer(Unknown, c.ask(Unknown))
}

// Abort implements milter.Session.
func (c *Conn) Abort() {
	c.arrived(Abort)
	c.endMessage(true)
	c.resume = nil
}

// Reset implements milter.Session: after QUIT_NC a new world comes from the
// newest set if its needs fit what was negotiated, else from the old one.
func (c *Conn) Reset() {
	c.endSession()
	if c.lost {
		return
	}
	if newest := c.o.Scripts(); newest != c.scripts && needsOf(newest.List()).fits(c.wire.Negotiated(), c.agreed) {
		c.take(newest)
	}
	c.begin()
}

// Close implements milter.Session.
func (c *Conn) Close() { c.endSession() }

func (c *Conn) endSession() {
	c.endMessage(true)
	if c.heard {
		c.arrived(Close)
		c.tell(Close)
		c.asideNotes(Close)
	}
	c.closeWorld()
}

func (c *Conn) closeWorld() {
	if c.world != nil && !c.dropped {
		c.world.Close()
		c.f.worlds.alive.Add(-1)
	}
	c.world = nil
}

// hear notes that the command of a phase has come, and what was negotiated.
func (c *Conn) hear(p Phase) {
	c.arrived(p)
	c.heard = true
	if s := c.session; s.macros == nil {
		s.mta, s.macros = c.wire.Negotiated(), c.wire.Macros()
	}
}

// arrived counts a command, once when a successor answers it anew.
func (c *Conn) arrived(p Phase) {
	if c.resume == nil {
		c.o.Meter.Arrived(p)
	}
}

// settled is the reply to the command at hand when that was decided before an
// abort handler got stuck: the verdict stands, whoever sends it.
func (c *Conn) settled(p Phase) (milter.Reply, bool) {
	c.hear(p)
	if c.resume == nil || c.resume.reply == nil {
		return milter.Reply{}, false
	}
	reply := *c.resume.reply
	c.resume = nil
	c.tellQueues()
	c.session.end()
	return reply, true
}

func (c *Conn) startMessage(path string, params []string) {
	c.session.begin(&Message{Sender: ParseAddress(path, params), session: c.session, wanted: c.needs})
	c.spent, c.queued = 0, nil
	for i := range c.states {
		c.states[i] = scriptState{outOfConnection: c.states[i].outOfConnection}
	}
}

// needMessage makes up for a MAIL that did not come.
func (c *Conn) needMessage() {
	if c.session.Message == nil {
		c.startMessage("", nil)
	}
}

// endMessage forgets the message. When it was not finished, every script that
// saw its MAIL is told by abort, while session.message is still there.
func (c *Conn) endMessage(aborted bool) {
	if c.session.Message == nil {
		return
	}
	if aborted {
		c.tell(Abort)
		c.tellQueues()
	}
	c.session.end()
}

// tellQueues makes durable what scripts asked for of a message that got no
// verdict, and what abort handlers ask for of any; the log names it, since the
// message's own line is written already, or there is none.
func (c *Conn) tellQueues() {
	m := c.session.Message
	if c.lost || m == nil {
		return
	}
	if m.refused == "" {
		m.refused = "abort"
	}
	deadline := time.Now().Add(c.o.Timeout)
	if c.decided != nil {
		deadline = c.queueDeadline() // a reply waits
	}
	c.queued = nil
	if err := c.queue(m.refused, deadline); err == nil && len(c.queued) > 0 {
		c.log.Info("ended message queued", zap.String("qid", c.session.QueueID()),
			zap.String("verdict", m.refused), zap.Strings("queues", queuesOf(c.queued)))
		c.asideEnded()
	} else {
		c.asideNotes(Abort)
	}
}
