package mta

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
)

// Client is one connection to a milter. It is for one goroutine. After an
// error the connection is closed and each further call returns that error: a
// client out of step with its milter must not go on.
//
// Commands that get no reply are buffered, as Postfix buffers them, until one
// that waits for its reply, Flush, Abort or Quit.
type Client struct {
	conn     net.Conn
	r        *imilter.FrameReader
	w        *bufio.Writer
	opts     Options
	version  uint32
	actions  milter.OptAction
	protocol milter.OptProtocol
	// unsent are the events that the negotiated version does not have.
	unsent milter.OptProtocol
	// wanted are the macros the milter asked for by stage (SETSYMLIST).
	wanted map[milter.Stage][]string
	// skipped is the command answered with SKIP, until another one comes.
	skipped milter.Code
	frame   []byte
	err     error
}

// Dial connects to a milter and negotiates.
func Dial(ctx context.Context, network, addr string, o Options) (*Client, error) {
	o = o.withDefaults()
	dialCtx, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(dialCtx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("mta: connect to the milter: %w", err)
	}
	return NewClient(ctx, conn, o)
}

// NewClient negotiates on a connection made elsewhere. The connection is the
// client's from then on; after an error it is closed.
func NewClient(ctx context.Context, conn net.Conn, o Options) (*Client, error) {
	c := &Client{
		conn: conn,
		r:    imilter.NewFrameReader(conn, imilter.MaxFrame),
		w:    bufio.NewWriterSize(conn, 16<<10),
		opts: o.withDefaults(),
	}
	if err := c.negotiate(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Version is the negotiated protocol version.
func (c *Client) Version() uint32 { return c.version }

// Actions are the SMFIF_* that the milter asked for.
func (c *Client) Actions() milter.OptAction { return c.actions }

// Protocol are the SMFIP_* that the milter asked for.
func (c *Client) Protocol() milter.OptProtocol { return c.protocol }

// LeadingSpace tells whether header values travel with the white space after
// the colon (SMFIP_HDR_LEADSPC).
func (c *Client) LeadingSpace() bool { return c.protocol&milter.OptHeaderLeadingSpace != 0 }

// Wanted is the list of macros that the milter asked for at a stage; ok is
// false when it left the choice to the MTA.
func (c *Client) Wanted(stage milter.Stage) (names []string, ok bool) {
	names, ok = c.wanted[stage]
	return names, ok
}

// command sends one command, unless the milter does not want it, and waits for
// the reply, unless it negotiated to send none. noEvent and noReply are the
// flags that say so.
func (c *Client) command(ctx context.Context, code milter.Code, noEvent, noReply milter.OptProtocol, payload ...[]byte) (Reply, error) {
	implied := Reply{Action: milter.ActContinue, Implied: true}
	if c.err != nil {
		return Reply{}, c.err
	}
	if !c.sends(code, noEvent) {
		return implied, nil
	}
	if c.r.Buffered() > 0 {
		return Reply{}, c.fail(ctx, string(phaseOf(code)), errExtra)
	}
	done := c.arm(ctx, c.timeout(code))
	defer done()
	if err := c.write(code, payload...); err != nil {
		return Reply{}, c.fail(ctx, string(phaseOf(code)), err)
	}
	if c.protocol&noReply != 0 {
		return implied, nil
	}
	r, _, err := c.readReply(ctx, code)
	return r, err
}

// sends tells whether a command goes out, and forgets a SKIP of another one.
func (c *Client) sends(code milter.Code, noEvent milter.OptProtocol) bool {
	if (c.protocol|c.unsent)&noEvent != 0 {
		return false
	}
	if c.skipped == code {
		return false
	}
	c.skipped = 0
	return true
}

// readReply reads up to the final reply to code. Edits and PROGRESS may come
// before it at the end of the message, and nowhere else.
func (c *Client) readReply(ctx context.Context, code milter.Code) (Reply, []Modification, error) {
	phase := string(phaseOf(code))
	if err := c.w.Flush(); err != nil {
		return Reply{}, nil, c.fail(ctx, phase, err)
	}
	var edits edits
	for {
		letter, payload, err := c.r.Next()
		if err != nil {
			return Reply{}, nil, c.fail(ctx, phase, err)
		}
		if milter.ActionCode(letter) == imilter.ActProgress {
			if code != milter.CodeEOB || len(payload) != 0 {
				return Reply{}, nil, c.fail(ctx, phase, errors.New("progress before the end of the message, or with a payload"))
			}
			c.conn.SetDeadline(time.Now().Add(c.timeout(code)))
			if err := ctx.Err(); err != nil { // its deadline in the past is gone
				return Reply{}, nil, c.fail(ctx, phase, err)
			}
			continue
		}
		if need := actionNeeded(letter); need != 0 {
			if err := c.takeEdit(&edits, code, need, letter, payload); err != nil {
				return Reply{}, nil, c.fail(ctx, phase, err)
			}
			continue
		}
		r, err := parseReply(letter, payload)
		if err == nil {
			err = c.checkReply(code, r)
		}
		if err != nil {
			return Reply{}, nil, c.fail(ctx, phase, err)
		}
		if r.Action == milter.ActSkip {
			c.skipped = code
		}
		return r, edits.list, nil
	}
}

// errExtra: an MTA would take such a reply for the answer to what it asks next.
var errExtra = errors.New("a reply too many came before this")

// edits collects the modifications of one end of message.
type edits struct {
	list       []Modification
	size       int64
	bodyClosed bool // a chunk of a new body, and then something else
}

func (c *Client) takeEdit(e *edits, code milter.Code, need milter.OptAction, letter byte, payload []byte) error {
	if code != milter.CodeEOB {
		return fmt.Errorf("modification %q before the end of the message", letter)
	}
	if c.actions&need == 0 {
		return fmt.Errorf("modification %q, which was not negotiated", letter)
	}
	m, err := parseModification(letter, payload)
	if err != nil {
		return fmt.Errorf("modification %q: %w", letter, err)
	}
	// An edit without content still takes memory, hence the constant.
	if e.size += int64(len(payload)) + 128; e.size > c.opts.MaxEdits {
		return fmt.Errorf("modifications of more than %d bytes", c.opts.MaxEdits)
	}
	// milter8.c, body_edit_lockout: a new body comes in one go.
	last := len(e.list) - 1
	if m.Action == milter.ActReplBody {
		if e.bodyClosed {
			return errors.New("a chunk of a new body after other modifications")
		}
	} else if last >= 0 && e.list[last].Action == milter.ActReplBody {
		e.bodyClosed = true
	}
	e.list = append(e.list, m)
	return nil
}

// checkReply refuses replies that are right in another phase.
func (c *Client) checkReply(code milter.Code, r Reply) error {
	switch r.Action {
	case milter.ActSkip:
		ok := code == milter.CodeBody || code == milter.CodeHeader || code == milter.CodeRcpt
		if !ok || c.protocol&milter.OptSkip == 0 {
			return errors.New("skip, which was not negotiated or is not for this phase")
		}
	case milter.ActDiscard:
		if code == milter.CodeConn || code == milter.CodeHelo || code == imilter.CodeUnknown {
			return errors.New("discard, where there is no message")
		}
	}
	return nil
}

// Flush sends what is buffered.
func (c *Client) Flush(ctx context.Context) error {
	if c.err != nil {
		return c.err
	}
	done := c.arm(ctx, c.opts.CommandTimeout)
	defer done()
	if err := c.w.Flush(); err != nil {
		return c.fail(ctx, "write", err)
	}
	return nil
}

// Close closes the connection without a word, as Sendmail does when its client vanishes.
func (c *Client) Close() error {
	if c.err == nil {
		c.err = errors.New("mta: the connection to the milter is closed")
	}
	return c.conn.Close()
}

func (c *Client) write(code milter.Code, payload ...[]byte) error {
	c.frame = imilter.AppendFrame(c.frame[:0], byte(code), payload...)
	_, err := c.w.Write(c.frame)
	return err
}

// fail ends the connection: nothing that comes after an error can be trusted.
func (c *Client) fail(ctx context.Context, what string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	c.err = fmt.Errorf("mta: milter: %s: %w", what, err)
	c.conn.Close()
	return c.err
}

func (c *Client) timeout(code milter.Code) time.Duration {
	switch code {
	case milter.CodeHeader, milter.CodeEOH, milter.CodeBody, milter.CodeEOB:
		return c.opts.ContentTimeout
	default:
		return c.opts.CommandTimeout
	}
}

// arm bounds what follows by d and ctx, until the function it gives is called.
func (c *Client) arm(ctx context.Context, d time.Duration) (done func()) {
	c.conn.SetDeadline(time.Now().Add(d))
	if ctx.Done() == nil {
		return func() {}
	}
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	return func() {
		if !stop() && c.err == nil {
			// The deadline in the past may be set at any moment from now on.
			c.err = fmt.Errorf("mta: milter: %w", context.Cause(ctx))
			c.conn.Close()
		}
	}
}
