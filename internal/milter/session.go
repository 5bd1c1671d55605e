package milter

import (
	wire "github.com/emersion/go-milter"
)

// Session answers the commands of one milter connection. The engine calls it
// from one goroutine at a time, in the order the MTA sent the commands, and
// never again after Close. Byte slices are valid until the call returns and must
// not be written to; strings and the args slices may be kept.
//
// A call may take as long as it wants: the engine does not bound it. Conn.Usurp
// lets another Session answer in place of one whose call hangs.
type Session interface {
	// Negotiate is called once, first. offer is what the MTA offered with
	// Version already lowered to min(offer, 6); the answer is what to ask for.
	// The engine removes from it whatever was not offered.
	Negotiate(offer Options) Options
	// Connect: host is the client's name as the MTA gives it, possibly
	// "[192.0.2.1]" or "unknown"; addr is empty for FamilyUnknown.
	Connect(host string, family wire.ProtoFamily, port uint16, addr string) Reply
	// Helo is called for each HELO or EHLO, possibly several times, possibly
	// without Connect.
	Helo(name string) Reply
	// Mail gets the reverse path as sent (usually in angle brackets, "" for an
	// empty payload) and the ESMTP parameters after it.
	Mail(path string, params []string) Reply
	// Rcpt is Mail's like for one recipient.
	Rcpt(path string, params []string) Reply
	Data() Reply
	// Header gets name and value as they came: folds as LF, with leading white
	// space when OptHeaderLeadingSpace was negotiated.
	Header(name, value []byte) Reply
	EOH() Reply
	Body(chunk []byte) Reply
	// EOM is the end of the message. Modifications go into out before it
	// returns; the engine sends them and the reply together. When EOM returns
	// the message is over for the engine too.
	EOM(out *Modifications) Reply
	// Unknown gets the command line, or its first word (Postfix).
	Unknown(command string) Reply
	// Abort forgets the message, if there is one. It may come at any time, twice too.
	Abort()
	// Reset is QUIT_NC: the SMTP session is over, another begins with
	// CONNECT on the same connection and with the same negotiated options.
	Reset()
	// Close is called exactly once, last, however the connection ended, but not
	// on a session whose connection was usurped: there on the one that usurped it.
	Close()
}

// Options are the three words of SMFIC_OPTNEG.
type Options struct {
	Version  uint32
	Actions  wire.OptAction
	Protocol wire.OptProtocol
}

// Reply is the answer to one command. The zero value is no answer at all and
// is treated as Continue.
//
// With Code set, Action must be ActReplyCode; the engine forms the SMTP reply
// from Code, Enhanced and Text (which may have several lines).
type Reply struct {
	Action   wire.ActionCode
	Code     int    // 4xx or 5xx
	Enhanced string // "5.7.1", or "" for none
	Text     string // UTF-8, lines separated by LF
}
