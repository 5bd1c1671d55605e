package mta

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-milter"
)

// negotiate is SMFIC_OPTNEG. It refuses what Postfix refuses, a version or an
// action that was not offered, and what Sendmail refuses, protocol bits.
func (c *Client) negotiate(ctx context.Context) error {
	done := c.arm(ctx, c.opts.ConnectTimeout)
	defer done()
	offer := binary.BigEndian.AppendUint32(nil, c.opts.Version)
	offer = binary.BigEndian.AppendUint32(offer, uint32(c.opts.Actions))
	offer = binary.BigEndian.AppendUint32(offer, uint32(c.opts.Protocol))
	if err := c.write(milter.CodeOptNeg, offer); err != nil {
		return c.fail(ctx, "negotiate", err)
	}
	if err := c.w.Flush(); err != nil {
		return c.fail(ctx, "negotiate", err)
	}
	code, payload, err := c.r.Next()
	switch {
	case err != nil:
		return c.fail(ctx, "negotiate", err)
	case milter.Code(code) != milter.CodeOptNeg:
		return c.fail(ctx, "negotiate", fmt.Errorf("answer %q instead of 'O'", code))
	case len(payload) < 12:
		return c.fail(ctx, "negotiate", fmt.Errorf("answer of %d bytes instead of 12", len(payload)))
	}
	c.version = binary.BigEndian.Uint32(payload)
	c.actions = milter.OptAction(binary.BigEndian.Uint32(payload[4:]))
	c.protocol = milter.OptProtocol(binary.BigEndian.Uint32(payload[8:]))
	if err := c.checkAnswer(); err != nil {
		return c.fail(ctx, "negotiate", err)
	}
	if c.wanted, err = parseMacroLists(payload[12:]); err != nil {
		return c.fail(ctx, "negotiate", err)
	}
	c.unsent = (milter.OptNoUnknown | milter.OptNoData) &^ c.opts.Protocol
	if c.version < 3 {
		c.unsent |= milter.OptNoUnknown
	}
	if c.version < 4 {
		c.unsent |= milter.OptNoData
	}
	return nil
}

func (c *Client) checkAnswer() error {
	if c.version > c.opts.Version || c.version < 2 {
		return fmt.Errorf("protocol version %d conflict with offered version %d", c.version, c.opts.Version)
	}
	if extra := c.actions &^ c.opts.Actions; extra != 0 {
		return fmt.Errorf("request mask conflict: actions %#x were not offered", uint32(extra))
	}
	if extra := c.protocol &^ c.opts.Protocol; extra != 0 {
		return fmt.Errorf("request mask conflict: protocol bits %#x were not offered", uint32(extra))
	}
	return nil
}

// parseMacroLists reads what may follow the three words of an OPTNEG answer:
// stage and names, repeated (smfi_setsymlist).
func parseMacroLists(b []byte) (map[milter.Stage][]string, error) {
	lists := map[milter.Stage][]string{}
	for len(b) > 0 {
		if len(b) < 5 {
			return nil, errors.New("macro list is cut short")
		}
		stage := milter.Stage(binary.BigEndian.Uint32(b))
		names, rest, ok := strings.Cut(string(b[4:]), "\x00")
		if !ok {
			return nil, errors.New("macro list without its NUL")
		}
		b = b[len(b)-len(rest):]
		if stage <= milter.StageEOH { // Postfix ignores others
			lists[stage] = strings.FieldsFunc(names, func(r rune) bool { return strings.ContainsRune(" ,\t\r\n", r) })
		}
	}
	return lists, nil
}
