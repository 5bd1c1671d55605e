package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	wire "github.com/emersion/go-milter"
)

// Errors of Modifications, to be told apart with errors.Is.
var (
	// ErrNotNegotiated: the MTA did not offer the action, or the session did
	// not ask for it.
	ErrNotNegotiated = errors.New("milter: action not negotiated")
	// ErrValue: the MTA, or whoever reads the message after it, would take the
	// value for something else.
	ErrValue = errors.New("milter: value cannot be sent")
)

// Modifications collects the edits of a message. They leave in the order of the
// calls, together with the final reply, once Session.EOM has returned; the
// order is the caller's to choose. A method that returns an error has added
// nothing. Not safe for concurrent use, and of no use after EOM returned.
type Modifications struct {
	actions wire.OptAction
	leading bool   // SMFIP_HDR_LEADSPC: the MTA adds no space after the colon
	buf     []byte // whole frames
	body    []byte // the new body, not copied
	bodyAt  int    // where in buf its frames go
	hasBody bool
}

// reset makes m ready for the next message.
func (m *Modifications) reset(o Options) {
	*m = Modifications{
		actions: o.Actions,
		leading: o.Protocol&wire.OptHeaderLeadingSpace != 0,
		buf:     m.buf[:0],
	}
}

// AddHeader adds a header below the others (smfi_addheader). The value has LF
// at its folds (CRLF is made LF), and continuation lines begin with white
// space. With OptHeaderLeadingSpace the value begins with the space that
// follows the colon; without it the MTA puts one there.
func (m *Modifications) AddHeader(name, value string) error {
	return m.header(wire.OptAddHeader, byte(wire.ActAddHeader), -1, name, value)
}

// InsertHeader puts a header before the one at index (smfi_insheader). 0 is
// above everything, the MTA's own Received included.
func (m *Modifications) InsertHeader(index int, name, value string) error {
	if index < 0 {
		return fmt.Errorf("%w: header index %d", ErrValue, index)
	}
	return m.header(wire.OptAddHeader, byte(wire.ActInsertHeader), index, name, value)
}

// ChangeHeader replaces the value of the index-th header of that name, counted
// from 1 (smfi_chgheader). An empty value deletes it. Headers that the MTA did
// not show are not counted.
func (m *Modifications) ChangeHeader(index int, name, value string) error {
	if index < 0 {
		return fmt.Errorf("%w: header index %d", ErrValue, index)
	}
	return m.header(wire.OptChangeHeader, byte(wire.ActChangeHeader), index, name, value)
}

// header writes one of the three packets; index -1 is for the one without.
func (m *Modifications) header(need wire.OptAction, code byte, index int, name, value string) error {
	if err := m.need(need); err != nil {
		return err
	}
	value = strings.ReplaceAll(value, "\r\n", "\n")
	if err := checkHeader(name, value, m.leading); err != nil {
		return err
	}
	n := len(name) + len(value) + 2
	if index >= 0 {
		n += 4
	}
	if err := checkSize(n); err != nil {
		return err
	}
	m.buf = appendFrameHead(m.buf, code, n)
	if index >= 0 {
		m.buf = binary.BigEndian.AppendUint32(m.buf, uint32(min(index, 1<<31-1)))
	}
	m.buf = append(append(m.buf, name...), 0)
	m.buf = append(append(m.buf, value...), 0)
	return nil
}

// AddRcpt adds a recipient (smfi_addrcpt, or with ESMTP parameters
// smfi_addrcpt_par). The address is sent in angle brackets, whether it comes
// with them or not. Postfix takes NOTIFY and ORCPT, Sendmail refuses SIZE and BODY.
func (m *Modifications) AddRcpt(addr string, params []string) error {
	code, need := byte(wire.ActAddRcpt), wire.OptAddRcpt
	if len(params) > 0 || m.actions&need == 0 {
		code, need = byte(ActAddRcptWithArgs), wire.OptAddRcptWithArgs
	}
	return m.address(need, code, addr, params, false)
}

// DelRcpt removes a recipient (smfi_delrcpt), spelt as the MTA spelt it.
func (m *Modifications) DelRcpt(addr string) error {
	return m.address(wire.OptRemoveRcpt, byte(wire.ActDelRcpt), addr, nil, false)
}

// ChangeFrom replaces the envelope sender (smfi_chgfrom); "" is the null
// sender. Postfix takes the parameters RET and ENVID.
func (m *Modifications) ChangeFrom(addr string, params []string) error {
	return m.address(wire.OptChangeFrom, byte(wire.ActChangeFrom), addr, params, true)
}

func (m *Modifications) address(need wire.OptAction, code byte, addr string, params []string, null bool) error {
	if err := m.need(need); err != nil {
		return err
	}
	if len(addr) >= 2 && addr[0] == '<' && addr[len(addr)-1] == '>' {
		addr = addr[1 : len(addr)-1]
	}
	if err := checkAddress(addr, null); err != nil {
		return err
	}
	if err := checkParams(params); err != nil {
		return err
	}
	args := strings.Join(params, " ")
	n := len(addr) + len("<>") + 1
	if args != "" {
		n += len(args) + 1
	}
	if err := checkSize(n); err != nil {
		return err
	}
	m.buf = appendFrameHead(m.buf, code, n)
	m.buf = append(m.buf, '<')
	m.buf = append(m.buf, addr...)
	m.buf = append(m.buf, '>', 0)
	if args != "" {
		m.buf = append(append(m.buf, args...), 0)
	}
	return nil
}

// ReplaceBody replaces the body (smfi_replacebody), in CRLF form; it may be
// empty. The bytes are not copied: they must not change until the connection's
// next command. Once for a message: Postfix wants the chunks one after the other.
func (m *Modifications) ReplaceBody(body []byte) error {
	if err := m.need(wire.OptChangeBody); err != nil {
		return err
	}
	if m.hasBody {
		return fmt.Errorf("%w: the body was replaced already", ErrValue)
	}
	m.body, m.bodyAt, m.hasBody = body, len(m.buf), true
	return nil
}

// Quarantine holds the message (smfi_quarantine), beside an accept or continue.
func (m *Modifications) Quarantine(reason string) error {
	if err := m.need(wire.OptQuarantine); err != nil {
		return err
	}
	if reason == "" || hasControl(reason) {
		return fmt.Errorf("%w: quarantine reason %.80q", ErrValue, reason)
	}
	if err := checkSize(len(reason) + 1); err != nil {
		return err
	}
	m.buf = appendFrameHead(m.buf, byte(wire.ActQuarantine), len(reason)+1)
	m.buf = append(append(m.buf, reason...), 0)
	return nil
}

func (m *Modifications) need(action wire.OptAction) error {
	if m.actions&action == 0 {
		return ErrNotNegotiated
	}
	return nil
}

// flushSize is how much goes out in one write.
const flushSize = 256 << 10

// send writes all frames and the final reply: in one write, if they are not
// larger than flushSize. out is a buffer to use; it is returned for reuse.
func (m *Modifications) send(out []byte, reply Reply, protocol wire.OptProtocol, write func([]byte) error) ([]byte, error) {
	out = append(out[:0], m.buf[:m.bodyAt]...)
	for rest := m.body; m.hasBody; {
		chunk := rest[:min(len(rest), wire.MaxBodyChunk)]
		rest = rest[len(chunk):]
		if len(out)+len(chunk) > flushSize {
			if err := write(out); err != nil {
				return out, err
			}
			out = out[:0]
		}
		out = AppendFrame(out, byte(wire.ActReplBody), chunk)
		if len(rest) == 0 {
			break
		}
	}
	out = append(out, m.buf[m.bodyAt:]...)
	out = AppendReply(out, reply, byte(wire.CodeEOB), protocol)
	return out, write(out)
}

// Clear drops what has been collected: for a session that found its edits
// cannot all be sent.
func (m *Modifications) Clear() {
	m.buf, m.body, m.bodyAt, m.hasBody = m.buf[:0], nil, 0, false
}
