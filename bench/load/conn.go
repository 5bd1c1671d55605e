package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// conn is one connection to a milter.
type conn struct {
	net.Conn
	frames   *milter.FrameReader
	chunk    int
	protocol wire.OptProtocol
}

// dial connects and negotiates as Postfix does: version 6 and all of it.
func dial(network, address string, chunk int) (*conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	nc, err := d.DialContext(context.Background(), network, address)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	c := &conn{Conn: nc, frames: milter.NewFrameReader(nc, 0), chunk: chunk}
	offer := binary.BigEndian.AppendUint32(nil, milter.MaxVersion)
	offer = binary.BigEndian.AppendUint32(offer, uint32(milter.AllActions))
	offer = binary.BigEndian.AppendUint32(offer, uint32(milter.AllProtocol))
	if err := c.send(milter.AppendFrame(nil, byte(wire.CodeOptNeg), offer)); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	code, payload, err := c.frames.Next()
	if err != nil || wire.Code(code) != wire.CodeOptNeg || len(payload) < 12 {
		return nil, errors.Join(fmt.Errorf("load: negotiate: answer %q of %d bytes: %w", code, len(payload), err), nc.Close())
	}
	c.protocol = wire.OptProtocol(binary.BigEndian.Uint32(payload[8:]))
	return c, nil
}

// send writes in one go, or in pieces of at most chunk bytes, as Postfix's
// buffered stream does.
func (c *conn) send(b []byte) error {
	for c.chunk > 0 && len(b) > c.chunk {
		if _, err := c.Write(b[:c.chunk]); err != nil {
			return err
		}
		b = b[c.chunk:]
	}
	_, err := c.Write(b)
	return err
}

// run sends the exchanges and awaits their replies. over tells that the milter
// ended the message before its end.
func (c *conn) run(exchanges []exchange) (over bool, err error) {
	for _, e := range exchanges {
		if err := c.send(e.bytes); err != nil {
			return false, fmt.Errorf("load: send %q: %w", e.code, err)
		}
		action, err := c.reply()
		if err != nil {
			return false, fmt.Errorf("load: reply to %q: %w", e.code, err)
		}
		switch action {
		case wire.ActContinue, wire.ActSkip:
		default:
			return e.code != wire.CodeEOB, nil
		}
	}
	return false, nil
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
	}
}

// quit ends the connection as Postfix does: ABORT and QUIT, without a reply.
func (c *conn) quit() error {
	return c.send(milter.AppendFrame(milter.AppendFrame(nil, byte(wire.CodeAbort)), byte(wire.CodeQuit)))
}
