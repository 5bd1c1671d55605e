package playground

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"pmilter/internal/mta"
)

// quarantine is the Maildir++ folder of held messages.
const quarantine = "Quarantine"

// deliver stores an accepted message, as the milter left it. What it returns is
// what the client is told: 250 is an "error" too, for the text of it.
func (c *client) deliver(m *mta.Message, done decision, edits []mta.Modification) error {
	out := c.server.print
	taken := &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok: " + done.QueueID}
	envelope := envelopeOf(m)
	switch {
	case done.Verdict == "discard":
		out.accepted(done, envelope, nil, "not delivered")
		return taken
	case len(m.Recipients) == 0:
		out.accepted(done, envelope, edits, "not delivered: no recipient is left")
		return taken
	}
	file, err := c.store(m)
	if err != nil {
		out.trouble(err)
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "The message could not be stored, try again later"}
	}
	where := "in " + file
	if m.Quarantined {
		where = "quarantined (" + m.Reason + "), " + where
	}
	out.accepted(done, envelope, edits, where)
	return taken
}

// store writes the message as a delivery agent does: the envelope in header
// fields on top, LF line ends.
func (c *client) store(m *mta.Message) (file string, err error) {
	box := c.server.inbox
	if m.Quarantined {
		if box, err = box.Folder(quarantine); err != nil {
			return "", err
		}
	}
	return box.Deliver(func(w io.Writer) error {
		var b bytes.Buffer
		fmt.Fprintf(&b, "Return-Path: <%s>\n", oneLine(m.Sender))
		for _, r := range m.Recipients {
			fmt.Fprintf(&b, "Delivered-To: %s\n", oneLine(r.Address))
		}
		if _, err := b.WriteTo(w); err != nil {
			return err
		}
		_, err := m.WriteLF(w)
		return err
	})
}

// oneLine keeps control characters of an address out of a header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// envelopeOf is sender and recipients for people.
func envelopeOf(m *mta.Message) string {
	to := make([]string, 0, 3)
	for i, r := range m.Recipients {
		if i == 2 && len(m.Recipients) > 3 {
			to = append(to, fmt.Sprintf("and %d more", len(m.Recipients)-2))
			break
		}
		to = append(to, "<"+r.Address+">")
	}
	return "<" + m.Sender + "> to " + strings.Join(to, ", ")
}
