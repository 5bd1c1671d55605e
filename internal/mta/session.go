package mta

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
)

// Session is one SMTP session as Postfix tells it to a milter, and what Postfix
// makes of the answers: after an accept in connect or helo the milter is not
// asked again, after a refusal there every command is refused, an accept or
// discard of a message spares the milter the rest of it, a refused recipient is
// one recipient. It is for one goroutine.
//
// An error means the milter cannot be relied on any more; every later call
// gives the same error. Postfix then takes its milter_default_action, tempfail
// by default.
type Session struct {
	client *Client
	macros Macros
	// Observe, if set, is called with each step, in order.
	Observe func(Step)
	// NewQueueID names a message when its first recipient is accepted.
	NewQueueID func() string

	closed  bool  // the milter connection is over, by an accept or a refusal
	final   Reply // the accept or refusal that closed it: what every command gets from now on
	over    Reply // accept or discard of the message under way
	queueID string
	err     error
}

// Step is one command and its reply. Header is one step a field, body one a chunk.
type Step struct {
	Phase  Phase
	Detail string // the command's argument, for people
	Reply  Reply
	Edits  []Modification // PhaseEOM
}

// NewSession begins an SMTP session on a client that has had none yet, or only
// QuitNC since.
func NewSession(c *Client, m Macros) *Session {
	return &Session{client: c, macros: m, NewQueueID: randomQueueID}
}

// QueueID names the message under way, or the last one; "" from MAIL to the
// first accepted recipient.
func (s *Session) QueueID() string { return s.queueID }

// Connect tells of the SMTP client.
func (s *Session) Connect(ctx context.Context, p Peer) (Reply, error) {
	return s.ask(ctx, milter.CodeConn, p.Name+" "+p.Addr, func() (Reply, error) {
		return s.client.Connect(ctx, p)
	})
}

// Helo is HELO or EHLO.
func (s *Session) Helo(ctx context.Context, name string) (Reply, error) {
	return s.ask(ctx, milter.CodeHelo, name, func() (Reply, error) { return s.client.Helo(ctx, name) })
}

// Mail is MAIL FROM with an address without brackets.
func (s *Session) Mail(ctx context.Context, address string, params ...string) (Reply, error) {
	s.over = Reply{}
	if s.queueID != "" {
		s.queueID = ""
		delete(s.macros, "i")
	}
	s.setAddress("mail", address)
	return s.ask(ctx, milter.CodeMail, pathDetail(address, params), func() (Reply, error) {
		return s.client.Mail(ctx, "<"+address+">", params...)
	})
}

// Rcpt is RCPT TO.
func (s *Session) Rcpt(ctx context.Context, address string, params ...string) (Reply, error) {
	s.setAddress("rcpt", address)
	r, err := s.ask(ctx, milter.CodeRcpt, pathDetail(address, params), func() (Reply, error) {
		return s.client.Rcpt(ctx, "<"+address+">", params...)
	})
	if err == nil && !r.Refuses() && s.queueID == "" {
		s.queueID = s.NewQueueID()
		s.macros["i"] = s.queueID
	}
	return r, err
}

// Data is the DATA command.
func (s *Session) Data(ctx context.Context) (Reply, error) {
	return s.ask(ctx, milter.CodeData, "", func() (Reply, error) { return s.client.Data(ctx) })
}

// Unknown is a command that the server does not know.
func (s *Session) Unknown(ctx context.Context, command string) (Reply, error) {
	return s.ask(ctx, imilter.CodeUnknown, command, func() (Reply, error) { return s.client.Unknown(ctx, command) })
}

// Content shows the milter the message, and makes its edits in m when it is
// neither refused nor discarded. The last step says in which phase the verdict
// fell. The message is then over for the milter.
func (s *Session) Content(ctx context.Context, m *Message) (Reply, error) {
	r, err := s.content(ctx, m)
	if err == nil {
		// Postfix sends one after every message. The verdict stands even if the
		// milter is gone; the next call finds out.
		_ = s.Abort(ctx)
	}
	return r, err
}

func (s *Session) content(ctx context.Context, m *Message) (Reply, error) {
	for _, f := range m.Visible() {
		r, err := s.ask(ctx, milter.CodeHeader, f.Name(), func() (Reply, error) {
			return s.client.Header(ctx, f.Name(), f.Value())
		})
		if err != nil || s.decided(r) {
			return r, err
		}
	}
	r, err := s.ask(ctx, milter.CodeEOH, "", func() (Reply, error) { return s.client.EOH(ctx) })
	if err != nil || s.decided(r) {
		return r, err
	}
	for chunk := range slices.Chunk(m.Body, milter.MaxBodyChunk) {
		r, err := s.ask(ctx, milter.CodeBody, fmt.Sprintf("%d bytes", len(chunk)), func() (Reply, error) {
			return s.client.Body(ctx, chunk)
		})
		if err != nil || s.decided(r) {
			return r, err
		}
	}
	return s.eom(ctx, m)
}

func (s *Session) eom(ctx context.Context, m *Message) (Reply, error) {
	var edits []Modification
	r, err := s.askAnd(ctx, milter.CodeEOB, "", func() (r Reply, err error) {
		r, edits, err = s.client.EOM(ctx)
		return r, err
	}, &edits)
	if err != nil || r.Refuses() || r.Action == milter.ActDiscard {
		return r, err
	}
	for _, e := range edits {
		if err := m.Apply(e, s.client.LeadingSpace()); err != nil {
			return Reply{}, s.fail(err)
		}
	}
	m.Finish()
	return r, nil
}

// decided tells whether the milter needs to see nothing more of the message.
func (s *Session) decided(r Reply) bool {
	return r.Refuses() || r.Action == milter.ActAccept || r.Action == milter.ActDiscard
}

// Abort forgets the message, if there is one.
func (s *Session) Abort(ctx context.Context) error {
	s.over = Reply{}
	delete(s.macros, "i")
	if s.err != nil || s.closed {
		return s.err
	}
	if err := s.client.Abort(ctx); err != nil {
		return s.fail(err)
	}
	return nil
}

// Close ends the SMTP session and the connection, as Postfix does: A, then Q.
// An error is of no interest to a mail.
func (s *Session) Close(ctx context.Context) error {
	if s.err != nil || s.closed {
		return s.client.Close()
	}
	s.closed = true
	if err := s.client.Abort(ctx); err != nil {
		return err
	}
	return s.client.Quit(ctx)
}

func (s *Session) ask(ctx context.Context, code milter.Code, detail string, call func() (Reply, error)) (Reply, error) {
	return s.askAnd(ctx, code, detail, call, nil)
}

// askAnd makes one step: macros, command, and what the reply means for the
// steps to come.
func (s *Session) askAnd(ctx context.Context, code milter.Code, detail string, call func() (Reply, error), edits *[]Modification) (Reply, error) {
	if s.err != nil {
		return Reply{}, s.err
	}
	r := Reply{Action: milter.ActContinue, Implied: true}
	switch {
	case s.closed:
		if s.final.Action != 0 {
			r = s.final
		}
	case s.over.Action != 0 && code != milter.CodeHelo:
		r = s.over
	default:
		err := s.client.Macros(ctx, code, s.macros.forCommand(s.client, code)...)
		if err == nil {
			r, err = call()
		}
		if err != nil {
			return Reply{}, s.fail(err)
		}
		s.note(code, r)
	}
	if s.Observe != nil {
		step := Step{Phase: phaseOf(code), Detail: detail, Reply: r}
		if edits != nil {
			step.Edits = *edits
		}
		s.Observe(step)
	}
	return r, nil
}

// note draws Postfix's conclusions (milter8.c, milter8_event).
func (s *Session) note(code milter.Code, r Reply) {
	connection := code == milter.CodeConn || code == milter.CodeHelo
	switch {
	case connection && (r.Refuses() || r.Action == milter.ActAccept), r.Action == imilter.ActShutdown:
		// The milter connection is closed, without a word.
		s.closed = true
		s.final = r
		s.final.Implied = true
		s.client.Close()
	case !connection && (r.Action == milter.ActAccept || r.Action == milter.ActDiscard):
		s.over = r
		s.over.Implied = true
	}
}

func (s *Session) fail(err error) error {
	s.err = err
	s.client.Close()
	return err
}

// setAddress sets the macros of an address. Postfix asks its transport table
// for host and mailer; here they are what they would be for mail to elsewhere.
func (s *Session) setAddress(prefix, address string) {
	_, domain, _ := strings.Cut(address, "@")
	s.macros[prefix+"_addr"] = address
	s.macros[prefix+"_host"] = domain
	s.macros[prefix+"_mailer"] = "smtp"
}

func pathDetail(address string, params []string) string {
	return strings.Join(append([]string{"<" + address + ">"}, params...), " ")
}

// randomQueueID looks like one of Postfix's.
func randomQueueID() string {
	var b [5]byte
	rand.Read(b[:])
	return fmt.Sprintf("%X", b)
}
