package playground

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"pmilter/internal/mta"
)

// session is go-smtp's view of a connection, from its first HELO on. Its
// methods are called by go-smtp, and Data possibly by another goroutine than
// the rest.
type session struct {
	c       *client
	message mta.Message // the envelope so far
}

// newSession is the first HELO or EHLO; after a refusal go-smtp calls it again
// for the next one.
func newSession(conn *smtp.Conn) (smtp.Session, error) {
	c, ok := conn.Conn().(*client)
	if !ok {
		return nil, unavailable() // with TLS it would be another; there is none
	}
	if err := c.sayHelo(conn.Hostname()); err != nil {
		return nil, err
	}
	return &session{c: c}, nil
}

// sayHelo returns nil or a refusal; the type is error so that nil is nil.
func (c *client) sayHelo(name string) error {
	if e := c.ask(func(s *mta.Session) (mta.Reply, error) { return s.Helo(c.ctx, name) }); e != nil {
		return e
	}
	return nil
}

// Mail is MAIL FROM.
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	c := s.c
	if name := c.takeHelo(); name != "" {
		// A second HELO: go-smtp has said 250 to it already.
		if err := c.sayHelo(name); err != nil {
			return err
		}
	}
	sender, params := quote(from), mailParams(o)
	if e := c.ask(func(m *mta.Session) (mta.Reply, error) { return m.Mail(c.ctx, sender, params...) }); e != nil {
		return e
	}
	c.setMailing(true)
	c.busy.Store(true)
	s.message = mta.Message{Sender: sender, SenderParams: params}
	return nil
}

// Rcpt is RCPT TO: a refusal is this recipient's alone.
func (s *session) Rcpt(to string, o *smtp.RcptOptions) error {
	c := s.c
	rcpt := mta.Recipient{Address: quote(to), Params: rcptParams(o)}
	if e := c.ask(func(m *mta.Session) (mta.Reply, error) { return m.Rcpt(c.ctx, rcpt.Address, rcpt.Params...) }); e != nil {
		return e
	}
	s.message.Recipients = append(s.message.Recipients, rcpt)
	return nil
}

// Data is DATA, or the first BDAT. go-smtp has said 354 already, so that a
// refusal of DATA itself reaches the client after its message.
func (s *session) Data(r io.Reader) error {
	c := s.c
	c.mu.Lock()
	c.content = true
	c.mu.Unlock()
	if e := c.ask(func(m *mta.Session) (mta.Reply, error) { return m.Data(c.ctx) }); e != nil {
		return e
	}
	data, err := io.ReadAll(r) // no more than MaxMessage: go-smtp sees to it
	if err != nil {
		if tooLarge, ok := err.(*smtp.SMTPError); ok { //nolint:errorlint // as go-smtp itself looks at it
			c.server.print.refused("too large", tooLarge.Code, tooLarge.Message)
			return tooLarge
		}
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "The message was cut short"}
	}
	return s.finish(data)
}

// finish runs the content through the milter and delivers.
func (s *session) finish(data []byte) error {
	c := s.c
	m := mta.ParseMessage(data)
	m.Sender, m.SenderParams, m.Recipients = s.message.Sender, s.message.SenderParams, s.message.Recipients
	var reply mta.Reply
	var done decision
	var edits []mta.Modification
	refusal := c.ask(func(ms *mta.Session) (_ mta.Reply, err error) {
		m.AddReceived(received(c, ms.QueueID()))
		reply, err = ms.Content(c.ctx, m)
		done, edits = c.describe(reply), c.last.Edits
		c.mailing = false // Content ends with an ABORT
		return reply, err
	})
	if refusal != nil {
		return refusal
	}
	return c.deliver(m, done, edits)
}

// Reset is RSET, a second HELO, and the end of each message.
func (s *session) Reset() {
	c := s.c
	s.message = mta.Message{}
	verb, name, _ := strings.Cut(strings.TrimSpace(string(c.line)), " ")
	c.mu.Lock()
	if !c.content && (strings.EqualFold(verb, "EHLO") || strings.EqualFold(verb, "HELO")) {
		c.helo = strings.TrimSpace(name)
	}
	c.content = false
	c.mu.Unlock()
	c.abort()
	c.busy.Store(false)
	if c.server.isClosing() {
		c.Conn.Close()
	}
}

// Logout is the end of the connection; client.Close does what is to do.
func (s *session) Logout() error { return nil }

// abort forgets a message that did not come to its end.
func (c *client) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mailing {
		return
	}
	c.mailing = false
	if c.session == nil || c.broken != nil {
		return
	}
	if err := c.session.Abort(c.ctx); err != nil {
		c.fail(err)
	}
}

func (c *client) setMailing(mailing bool) {
	c.mu.Lock()
	c.mailing = mailing
	c.mu.Unlock()
}

func (c *client) takeHelo() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := c.helo
	c.helo = ""
	return name
}

// received is the value of our own Received (RFC 5321 §4.4).
func received(c *client, id string) string {
	return fmt.Sprintf("from [%s] by %s with ESMTP id %s;\n\t%s",
		c.addr.Addr().Unmap().WithZone(""), c.server.cfg.Hostname, id, time.Now().Format(time.RFC1123Z))
}

// smtpReply is a refusal as it goes to the client.
func smtpReply(r mta.Reply) []byte {
	code, enhanced, text := r.SMTP()
	var b bytes.Buffer
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		sep := '-'
		if i == len(lines)-1 {
			sep = ' '
		}
		fmt.Fprintf(&b, "%d%c%s\r\n", code, sep, strings.TrimSpace(enhanced+" "+line))
	}
	return b.Bytes()
}

// smtpError is a refusal for go-smtp. It would give only the last line the
// enhanced code, and RFC 2034 §4 wants it on each.
func smtpError(r mta.Reply) *smtp.SMTPError {
	code, enhanced, text := r.SMTP()
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(enhanced + " " + line)
	}
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: strings.Join(lines, "\n")}
}

// unavailable is what Postfix says when a milter cannot be relied on.
func unavailable() *smtp.SMTPError {
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Service unavailable - try again later"}
}
