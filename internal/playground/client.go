package playground

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"pmilter/internal/mta"
)

// maxCommand is how much of a command line is kept.
const maxCommand = 1024

// errGone: the client hung up while the milter was asked.
var errGone = errors.New("the client is gone")

// client is one SMTP connection, between the network and go-smtp. go-smtp has
// no hook for the greeting, for a second HELO and for commands that it does not
// know; what passes through the connection tells of these.
type client struct {
	net.Conn
	server *server
	addr   netip.AddrPort
	in     *bufio.Reader
	ctx    context.Context //nolint:containedctx // the connection's lifetime, as server.hard
	cancel context.CancelFunc

	// Of go-smtp's goroutine of this connection alone.
	line    []byte // the command line that is being answered
	lineEnd bool
	greeted bool

	// mu guards the rest: BDAT has its message read by a goroutine of its own.
	mu      sync.Mutex
	session *mta.Session // nil before the greeting or without a milter
	broken  error        // why there is no milter
	refused mta.Reply    // the refusal of the connection, if there was one
	helo    string       // a HELO the milter has not been told of
	last    mta.Step     // the one that decided, or the last one
	mailing bool         // from MAIL to the milter's last word
	content bool         // from DATA to the end of the message: lines are no commands
	closed  bool

	busy atomic.Bool // from MAIL until the client has the last reply
}

func newClient(s *server, conn net.Conn) *client {
	c := &client{Conn: conn, server: s, in: bufio.NewReader(conn)}
	c.addr, _ = netip.ParseAddrPort(conn.RemoteAddr().String())
	c.ctx, c.cancel = context.WithCancel(s.hard)
	return c
}

// Read gives at most one line at a time, so that the last line read is the
// command that go-smtp answers.
func (c *client) Read(p []byte) (int, error) {
	if _, err := c.in.Peek(1); err != nil {
		return 0, err
	}
	b, _ := c.in.Peek(c.in.Buffered())
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i+1]
	}
	n := copy(p, b)
	if c.lineEnd {
		c.line = c.line[:0]
	}
	c.line = append(c.line, b[:min(n, maxCommand-len(c.line))]...)
	c.lineEnd = b[n-1] == '\n'
	_, err := c.in.Discard(n)
	return n, err
}

// Write gets one line of a reply at a time. The first is the greeting, before
// which the milter hears of the client.
func (c *client) Write(p []byte) (int, error) {
	out := p
	switch {
	case !c.greeted:
		c.greeted = true
		if r := c.connect(); r.Disconnects() {
			out = smtpReply(r)
		}
	case isUnknown(p):
		out = c.unknown(p)
	default:
		out = sober(p)
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	if bytes.HasPrefix(out, []byte("421 ")) {
		c.Conn.Close() // RFC 5321 §3.8: after a 421 the server closes
	}
	return len(p), nil
}

// Close also ends the milter's connection.
func (c *client) Close() error {
	c.cancel() // a milter that is being waited for
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		if c.session != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), time.Second)
			defer cancel()
			_ = c.session.Close(ctx) // how a goodbye goes is of no interest
		}
		c.server.gone(c)
	}
	return err
}

// closeIfIdle ends a connection that has no message under way.
func (c *client) closeIfIdle() {
	if !c.busy.Load() {
		c.cancel()
		c.Conn.Close()
	}
}

// connect begins the milter's session and tells it of the client.
func (c *client) connect() mta.Reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn, err := c.server.cfg.Dial(c.ctx)
	if err != nil {
		return c.fail(err)
	}
	m, err := mta.NewClient(c.ctx, conn, mta.Options{})
	if err != nil {
		return c.fail(err)
	}
	peer := mta.PeerOf(c.addr, "")
	if c.addr.Addr().IsLoopback() {
		peer.Name = "localhost"
	}
	c.session = mta.NewSession(m, mta.PostfixMacros(c.server.cfg.Hostname, peer))
	c.session.Observe = c.observe
	r, err := c.session.Connect(c.ctx, peer)
	return c.take(r, err)
}

// observe keeps the step that decided: what follows it is implied.
func (c *client) observe(s mta.Step) {
	if !s.Reply.Implied || s.Reply.Verdict() == "continue" {
		c.last = s
	}
}

// ask runs one step of the milter's session. What it gives is what the client
// is told: nil, or a refusal.
func (c *client) ask(step func(*mta.Session) (mta.Reply, error)) *smtp.SMTPError {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.refused.Refuses():
		return smtpError(c.refused)
	case c.broken != nil || c.session == nil:
		return unavailable()
	}
	r, err := step(c.session)
	r = c.take(r, err)
	if c.broken != nil {
		return unavailable()
	}
	if r.Refuses() {
		return smtpError(r)
	}
	return nil
}

// take notes and prints what a reply means; mu is held.
func (c *client) take(r mta.Reply, err error) mta.Reply {
	if err != nil {
		return c.fail(err)
	}
	if r.Refuses() {
		if c.last.Phase == mta.PhaseConnect || c.last.Phase == mta.PhaseHelo {
			c.refused = r
		}
		c.server.print.verdict(c.describe(r), r, c.last.Detail)
	}
	return r
}

// fail notes that there is no milter any more: everything is put off, as with
// Postfix's milter_default_action = tempfail.
func (c *client) fail(err error) mta.Reply {
	c.broken = err
	if c.ctx.Err() != nil {
		c.broken = errGone
		return mta.Reply{}
	}
	c.server.print.trouble(err)
	return mta.Reply{}
}

// describe is the last step for people and for Config.Where.
func (c *client) describe(r mta.Reply) decision {
	d := decision{Decision: Decision{Client: c.addr, QueueID: c.session.QueueID(), Phase: c.last.Phase, Verdict: r.Verdict()}}
	if c.server.cfg.Where != nil {
		place := c.server.cfg.Where(d.Decision)
		d.where = place.Script
		if place.Phase != "" {
			d.Phase = place.Phase
		}
	}
	return d
}

// unknown asks the milter about a command that go-smtp does not know; reply is
// what the client is told unless the milter says otherwise.
func (c *client) unknown(reply []byte) []byte {
	// Postfix gives the first word alone.
	word, _, _ := strings.Cut(strings.TrimSpace(string(c.line)), " ")
	var told mta.Reply
	refusal := c.ask(func(s *mta.Session) (_ mta.Reply, err error) {
		told, err = s.Unknown(c.ctx, word)
		return told, err
	})
	if refusal != nil && told.Refuses() {
		return smtpReply(told)
	}
	return reply
}

// sober replaces what go-smtp promises for an address with what is true so
// far (the codes are RFC 3463's): the message may still be refused.
func sober(reply []byte) []byte {
	switch {
	case bytes.HasPrefix(reply, []byte("250 2.0.0 Roger, ")):
		return []byte("250 2.1.0 Ok\r\n")
	case bytes.HasPrefix(reply, []byte("250 2.0.0 I'll make sure ")):
		return []byte("250 2.1.5 Ok\r\n")
	default:
		return reply
	}
}

// isUnknown tells whether a reply is go-smtp's to a command it does not know.
func isUnknown(reply []byte) bool {
	return bytes.HasPrefix(reply, []byte("500 5.5.2 Syntax errors,")) || bytes.HasPrefix(reply, []byte("501 5.5.2 Bad command")) ||
		(bytes.HasPrefix(reply, []byte("502 5.5.1 ")) && bytes.Contains(reply, []byte("command not implemented")))
}
