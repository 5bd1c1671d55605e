package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// conn is one connection to a milter.
type conn struct {
	net.Conn
	frames   *milter.FrameReader
	longest  int // write
	protocol wire.OptProtocol
}

// dial connects and negotiates as Postfix does: version 6 and all of it. limit
// is for that and for all that follows, unless another deadline is set.
func dial(ctx context.Context, network, address string, longest int, limit time.Time) (*conn, error) {
	d := net.Dialer{Deadline: limit}
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(limit)
	c := &conn{Conn: nc, frames: milter.NewFrameReader(nc, 0), longest: longest}
	offer := milter.Options{Version: milter.MaxVersion, Actions: milter.AllActions, Protocol: milter.AllProtocol}
	if err := c.send(milter.AppendOptions(nil, offer)); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	code, payload, err := c.frames.Next()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("negotiate: %w", err), nc.Close())
	}
	if wire.Code(code) != wire.CodeOptNeg || len(payload) < 12 {
		return nil, errors.Join(fmt.Errorf("negotiate: an answer %q of %d bytes", code, len(payload)), nc.Close())
	}
	c.protocol = wire.OptProtocol(binary.BigEndian.Uint32(payload[8:]))
	return c, nil
}

// send writes in one go, or in pieces, as Postfix's buffered stream does.
func (c *conn) send(b []byte) error {
	for c.longest > 0 && len(b) > c.longest {
		if _, err := c.Write(b[:c.longest]); err != nil {
			return err
		}
		b = b[c.longest:]
	}
	_, err := c.Write(b)
	return err
}

// run sends the exchanges and awaits their replies. The action is the last one
// had: the first with which the milter ends the message, or the one to its end.
// In RCPT a refusal is for the recipient, and there is but one. After SKIP no
// more of the same follow.
func (c *conn) run(exchanges []exchange) (wire.ActionCode, error) {
	action := wire.ActContinue
	var skipped wire.Code
	for i := range exchanges {
		e := &exchanges[i]
		if e.code == skipped {
			continue
		}
		if err := c.send(e.bytes); err != nil {
			return 0, err
		}
		if !e.reply {
			continue
		}
		var err error
		if action, err = c.reply(); err != nil {
			return 0, err
		}
		if !goesOn(action) {
			return action, nil
		}
		if action == wire.ActSkip {
			skipped = e.code
		}
	}
	return action, nil
}

func goesOn(action wire.ActionCode) bool {
	return action == wire.ActContinue || action == wire.ActSkip
}

// reply is the next final reply; modifications and progress are passed over.
func (c *conn) reply() (wire.ActionCode, error) {
	for {
		code, _, err := c.frames.Next()
		if err != nil {
			return 0, err
		}
		switch action := wire.ActionCode(code); action {
		case wire.ActAccept, wire.ActContinue, wire.ActDiscard, wire.ActReject, wire.ActTempFail, wire.ActReplyCode, wire.ActSkip:
			return action, nil
		}
		if strings.IndexByte(passedOver, code) < 0 {
			return 0, fmt.Errorf("an answer that is none: %q", code)
		}
	}
}

// passedOver are PROGRESS and the modifications: SMFIR_ADDRCPT, DELRCPT,
// ADDRCPT_PAR, REPLBODY, ADDHEADER, INSHEADER, CHGHEADER, CHGFROM, QUARANTINE.
const passedOver = "p+-2bhimeq"

// quit ends the connection as Postfix does: ABORT and QUIT, without a reply. The
// milter may have gone first.
func (c *conn) quit() error {
	_ = c.send(milter.AppendFrame(milter.AppendFrame(nil, byte(wire.CodeAbort)), byte(wire.CodeQuit)))
	return nil
}

// actionName is a final action in the words of `pmilterd send`.
func actionName(action wire.ActionCode) string {
	switch action {
	case wire.ActAccept:
		return "accept"
	case wire.ActContinue, wire.ActSkip:
		return "continue"
	case wire.ActDiscard:
		return "discard"
	case wire.ActReject:
		return "reject"
	case wire.ActTempFail:
		return "tempfail"
	case wire.ActReplyCode:
		return "reply"
	}
	return string(rune(action))
}
