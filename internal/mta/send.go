package mta

import (
	"context"
	"time"

	"github.com/emersion/go-milter"
)

// Transaction is one mail and the SMTP session that brings it.
type Transaction struct {
	Peer       Peer
	Helo       string
	Sender     string // without angle brackets
	Params     []string
	Recipients []Recipient
	Message    []byte
	Hostname   string    // the MTA's own; "localhost" if empty
	Received   bool      // the MTA puts a Received of its own on top, hidden from the milter
	Date       time.Time // in that Received; none if zero
	// Macros are set beside, or instead of, PostfixMacros.
	Macros Macros
}

// Result is what became of a mail.
type Result struct {
	Steps []Step // each command that was or would have been sent
	// Verdict is the reply that decided, and Phase where it fell: the refusal,
	// discard or accept, or the continue at the end of the message. When every
	// recipient was refused it is the last refusal.
	Verdict Reply
	Phase   Phase
	Edits   []Modification
	// Message is the mail as it would be delivered; nil when refused or discarded.
	Message *Message
}

// Send brings one mail to a milter as Postfix does, and ends the session. The
// client is closed in any case. An error means that there was no verdict: the
// milter broke the protocol or fell silent; what had happened until then is in
// the result.
func Send(ctx context.Context, c *Client, t Transaction) (Result, error) {
	if t.Hostname == "" {
		t.Hostname = "localhost"
	}
	macros := PostfixMacros(t.Hostname, t.Peer)
	for name, value := range t.Macros {
		macros.Set(name, value)
	}
	var result Result
	s := NewSession(c, macros)
	s.Observe = func(step Step) {
		result.Steps = append(result.Steps, step)
		result.Phase = step.Phase
		result.Edits = append(result.Edits, step.Edits...)
	}
	if id, ok := macros["i"]; ok {
		s.NewQueueID = func() string { return id }
	}
	r, m, err := t.send(ctx, s)
	if err != nil {
		c.Close()
		return result, err
	}
	result.Verdict = r
	if !r.Refuses() && r.Action != milter.ActDiscard {
		result.Message = m
	} else {
		result.Edits = nil
	}
	result.Phase = decidedIn(result.Steps, r)
	// The verdict is there: how the milter takes the goodbye changes nothing.
	_ = s.Close(ctx)
	return result, nil
}

func (t *Transaction) send(ctx context.Context, s *Session) (Reply, *Message, error) {
	if r, err := s.Connect(ctx, t.Peer); err != nil || r.Refuses() {
		return r, nil, err
	}
	if r, err := s.Helo(ctx, t.Helo); err != nil || r.Refuses() {
		return r, nil, err
	}
	if r, err := s.Mail(ctx, t.Sender, t.Params...); err != nil || r.Refuses() {
		return r, nil, err
	}
	m := ParseMessage(t.Message)
	if t.Received {
		m.AddReceived(t.received())
	}
	m.Sender, m.SenderParams = t.Sender, t.Params
	var refused Reply
	for _, rcpt := range t.Recipients {
		r, err := s.Rcpt(ctx, rcpt.Address, rcpt.Params...)
		if err != nil {
			return r, nil, err
		}
		if r.Refuses() {
			refused = r
			continue
		}
		m.Recipients = append(m.Recipients, rcpt)
	}
	if len(m.Recipients) == 0 {
		return refused, nil, nil
	}
	if r, err := s.Data(ctx); err != nil || r.Refuses() {
		return r, nil, err
	}
	r, err := s.Content(ctx, m)
	return r, m, err
}

// received is the value of the MTA's own Received (RFC 5321 §4.4).
func (t *Transaction) received() string {
	s := "from " + t.Helo + " (" + t.Peer.Name + " [" + t.Peer.Addr + "])\n\tby " + t.Hostname
	if !t.Date.IsZero() {
		s += " with ESMTP; " + t.Date.Format(time.RFC1123Z)
	}
	return s
}

// decidedIn is the phase in which a verdict first fell: an accept or discard
// goes on being implied until the end of the message.
func decidedIn(steps []Step, verdict Reply) Phase {
	phase := PhaseEOM
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Reply.Verdict() != verdict.Verdict() {
			break
		}
		phase = steps[i].Phase
		if !steps[i].Reply.Implied {
			break
		}
	}
	return phase
}
