// Package mta is the MTA's side of the milter protocol: what Postfix or
// Sendmail say to a milter, and what they make of its answers.
//
// Client speaks the protocol, one method a command, and is stricter than any
// MTA: a wrong reply letter, a payload where none belongs, an edit before the
// end of the message, a string without its NUL are errors that name what the
// milter did. Session adds what Postfix's smtpd does with the replies (a
// refused client stays refused, a refused recipient is one recipient), and
// Message what its cleanup does with the edits. Send is all of it for one mail.
//
// It serves the commands send, try and bench and the tests; the milter server
// shares nothing with it but the framing of packets.
package mta

import (
	"time"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
)

// What Postfix offers by its milter_protocol (milter8.c, MILTER8_Vn_PROTO_MASK);
// with 6 it is all there is.
const (
	protocolV2 milter.OptProtocol = 0x7f
	protocolV3 milter.OptProtocol = protocolV2 | milter.OptNoUnknown
	protocolV4 milter.OptProtocol = protocolV3 | milter.OptNoData
)

// Options says how a Client presents itself and how patient it is. The zero
// value is Postfix with its default settings.
type Options struct {
	// Version, Actions and Protocol are the offer. With Version 0 all three are
	// what Postfix offers by default: 6, 0x1ff, 0x1fffff.
	Version  uint32
	Actions  milter.OptAction
	Protocol milter.OptProtocol

	ConnectTimeout time.Duration // dial and negotiation; 30 s if 0, as milter_connect_timeout
	CommandTimeout time.Duration // connect to data, one reply; 30 s if 0, as milter_command_timeout
	ContentTimeout time.Duration // header to end of message, one reply; 300 s if 0, as milter_content_timeout

	// MaxEdits limits what one end of message may bring, in bytes of
	// modification packets; 256 MiB if 0.
	MaxEdits int64
}

// PostfixOptions is what Postfix offers with `milter_protocol = version`, for
// version 2, 3, 4 or 6; any other is offered as it is with the words of 6.
func PostfixOptions(version uint32) Options {
	o := Options{Version: version, Actions: imilter.AllActions, Protocol: imilter.AllProtocol}
	switch version {
	case 2:
		o.Protocol = protocolV2
	case 3:
		o.Protocol = protocolV3
	case 4:
		o.Protocol = protocolV4
	}
	return o
}

func (o Options) withDefaults() Options {
	if o.Version == 0 {
		p := PostfixOptions(6)
		o.Version, o.Actions, o.Protocol = p.Version, p.Actions, p.Protocol
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 30 * time.Second
	}
	if o.CommandTimeout == 0 {
		o.CommandTimeout = 30 * time.Second
	}
	if o.ContentTimeout == 0 {
		o.ContentTimeout = 300 * time.Second
	}
	if o.MaxEdits == 0 {
		o.MaxEdits = 256 << 20
	}
	return o
}

// Phase names a step of an SMTP session as scripts do.
type Phase string

// The phases in which a milter is asked, in the order a session meets them.
const (
	PhaseConnect Phase = "connect"
	PhaseHelo    Phase = "helo"
	PhaseMail    Phase = "mail"
	PhaseRcpt    Phase = "rcpt"
	PhaseData    Phase = "data"
	PhaseHeader  Phase = "header"
	PhaseEOH     Phase = "eoh"
	PhaseBody    Phase = "body"
	PhaseEOM     Phase = "eom"
	PhaseUnknown Phase = "unknown"
)

// phaseOf is the phase of a command; "" for commands that get no verdict.
func phaseOf(code milter.Code) Phase {
	switch code {
	case milter.CodeConn:
		return PhaseConnect
	case milter.CodeHelo:
		return PhaseHelo
	case milter.CodeMail:
		return PhaseMail
	case milter.CodeRcpt:
		return PhaseRcpt
	case milter.CodeData:
		return PhaseData
	case milter.CodeHeader:
		return PhaseHeader
	case milter.CodeEOH:
		return PhaseEOH
	case milter.CodeBody:
		return PhaseBody
	case milter.CodeEOB:
		return PhaseEOM
	case imilter.CodeUnknown:
		return PhaseUnknown
	default:
		return ""
	}
}
