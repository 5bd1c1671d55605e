package milter

import (
	"encoding/binary"
	"errors"
	"fmt"

	wire "github.com/emersion/go-milter"
)

// optionsLen is MILTER_OPTLEN: three words.
const optionsLen = 12

// errVersion ends a connection whose MTA offers a version below 2.
var errVersion = errors.New("milter: protocol version not supported")

// ParseOptions reads the payload of SMFIC_OPTNEG. What follows the three words
// (the milter's macro lists) is not looked at.
func ParseOptions(payload []byte) (Options, error) {
	if len(payload) < optionsLen {
		return Options{}, fmt.Errorf("%w: options of %d bytes", errMalformed, len(payload))
	}
	return Options{
		Version:  binary.BigEndian.Uint32(payload),
		Actions:  wire.OptAction(binary.BigEndian.Uint32(payload[4:])),
		Protocol: wire.OptProtocol(binary.BigEndian.Uint32(payload[8:])),
	}, nil
}

// AppendOptions appends SMFIC_OPTNEG as a frame.
func AppendOptions(dst []byte, o Options) []byte {
	dst = appendFrameHead(dst, byte(wire.CodeOptNeg), optionsLen)
	dst = binary.BigEndian.AppendUint32(dst, o.Version)
	dst = binary.BigEndian.AppendUint32(dst, uint32(o.Actions))
	return binary.BigEndian.AppendUint32(dst, uint32(o.Protocol))
}

// lowerOffer is what a session hears of the MTA's offer: the version spoken
// here and the bits it has a meaning for. Postfix ends a session that is
// answered with a higher version than it offered, libmilter refuses below 2.
func lowerOffer(offer Options) (Options, error) {
	if offer.Version < MinVersion {
		return Options{}, fmt.Errorf("%w: %d", errVersion, offer.Version)
	}
	offer.Version = min(offer.Version, MaxVersion)
	offer.Actions &= AllActions
	offer.Protocol &= AllProtocol
	return offer, nil
}

// limitAnswer takes from a session's answer what was not offered: for that
// Postfix says "request mask conflict" and Sendmail drops the filter. NR_BODY
// and SKIP exclude each other, as nothing is answered to a chunk then.
func limitAnswer(answer, offer Options) Options {
	answer.Version = offer.Version
	answer.Actions &= offer.Actions
	answer.Protocol &= offer.Protocol
	if answer.Protocol&wire.OptNoBodyReply != 0 {
		answer.Protocol &^= wire.OptSkip
	}
	return answer
}

// noReplyFlag is the flag that says that a command gets no reply.
func noReplyFlag(code byte) wire.OptProtocol {
	switch wire.Code(code) {
	case wire.CodeConn:
		return wire.OptNoConnReply
	case wire.CodeHelo:
		return wire.OptNoHeloReply
	case wire.CodeMail:
		return wire.OptNoMailReply
	case wire.CodeRcpt:
		return wire.OptNoRcptReply
	case wire.CodeData:
		return wire.OptNoDataReply
	case wire.CodeHeader:
		return wire.OptNoHeaderReply
	case wire.CodeEOH:
		return wire.OptNoEOHReply
	case wire.CodeBody:
		return wire.OptNoBodyReply
	case CodeUnknown:
		return wire.OptNoUnknownReply
	}
	return 0
}

// ReplyDue tells whether a command gets a reply, with those protocol options.
// Both sides of the protocol count by it (libmilter engine.c, Postfix milter8.c
// milter8_event).
func ReplyDue(code byte, protocol wire.OptProtocol) bool {
	switch wire.Code(code) {
	case wire.CodeMacro, wire.CodeAbort, wire.CodeQuit, wire.CodeQuitNewConn, 0:
		return false
	}
	return protocol&noReplyFlag(code) == 0
}
