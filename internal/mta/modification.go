package mta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
)

// Modification is one edit that a milter asked for at the end of a message.
type Modification struct {
	Action milter.ModifyActCode // ActAddHeader ... or '2', SMFIR_ADDRCPT_PAR
	Index  uint32               // ActChangeHeader, ActInsertHeader
	Name   string               // of a header
	Value  string               // of a header, folds as LF; "" in ActChangeHeader deletes
	Addr   string               // of a recipient or the sender, as sent, usually in angle brackets
	Params string               // ESMTP, separated by spaces
	Body   []byte               // ActReplBody: one chunk
	Reason string               // ActQuarantine
}

// Kind is the edit's name in libmilter's words without their prefix, for
// people and for JSON: "addheader", "chgheader", "insheader", "replbody",
// "addrcpt", "delrcpt", "chgfrom", "quarantine".
func (m Modification) Kind() string {
	switch m.Action {
	case milter.ActAddHeader:
		return "addheader"
	case milter.ActChangeHeader:
		return "chgheader"
	case milter.ActInsertHeader:
		return "insheader"
	case milter.ActReplBody:
		return "replbody"
	case milter.ActAddRcpt, imilter.ActAddRcptWithArgs:
		return "addrcpt"
	case milter.ActDelRcpt:
		return "delrcpt"
	case milter.ActChangeFrom:
		return "chgfrom"
	case milter.ActQuarantine:
		return "quarantine"
	default:
		return "unknown"
	}
}

// String is one line for people. It may have control characters from the
// milter but LF.
func (m Modification) String() string {
	value := strings.ReplaceAll(m.Value, "\n", "\\n")
	switch m.Action {
	case milter.ActAddHeader:
		return fmt.Sprintf("add header %s: %s", m.Name, value)
	case milter.ActInsertHeader:
		return fmt.Sprintf("insert header at %d %s: %s", m.Index, m.Name, value)
	case milter.ActChangeHeader:
		if m.Value == "" {
			return fmt.Sprintf("delete header %s (number %d)", m.Name, max(m.Index, 1))
		}
		return fmt.Sprintf("change header %s (number %d): %s", m.Name, max(m.Index, 1), value)
	case milter.ActReplBody:
		return fmt.Sprintf("replace body, %d bytes", len(m.Body))
	case milter.ActAddRcpt, imilter.ActAddRcptWithArgs:
		return strings.TrimRight("add recipient "+m.Addr+" "+m.Params, " ")
	case milter.ActDelRcpt:
		return "remove recipient " + m.Addr
	case milter.ActChangeFrom:
		return strings.TrimRight("change sender to "+m.Addr+" "+m.Params, " ")
	case milter.ActQuarantine:
		return "quarantine: " + m.Reason
	default:
		return fmt.Sprintf("unknown modification %q", byte(m.Action))
	}
}

// actionNeeded is the SMFIF_* a milter must have negotiated for an edit; 0 for
// a letter that is no edit.
func actionNeeded(letter byte) milter.OptAction {
	switch milter.ModifyActCode(letter) {
	case milter.ActAddHeader, milter.ActInsertHeader:
		return milter.OptAddHeader
	case milter.ActChangeHeader:
		return milter.OptChangeHeader
	case milter.ActReplBody:
		return milter.OptChangeBody
	case milter.ActAddRcpt:
		return milter.OptAddRcpt
	case imilter.ActAddRcptWithArgs:
		return milter.OptAddRcptWithArgs
	case milter.ActDelRcpt:
		return milter.OptRemoveRcpt
	case milter.ActChangeFrom:
		return milter.OptChangeFrom
	case milter.ActQuarantine:
		return milter.OptQuarantine
	default:
		return 0
	}
}

// parseModification reads one edit. What it returns shares nothing with payload.
func parseModification(letter byte, payload []byte) (Modification, error) {
	m := Modification{Action: milter.ModifyActCode(letter)}
	var err error
	switch m.Action {
	case milter.ActReplBody:
		if len(payload) > milter.MaxBodyChunk {
			return m, fmt.Errorf("body chunk of %d bytes, more than %d", len(payload), milter.MaxBodyChunk)
		}
		m.Body = bytes.Clone(payload)
		return m, nil
	case milter.ActChangeHeader, milter.ActInsertHeader:
		if len(payload) < 4 {
			return m, errors.New("header index is cut short")
		}
		if m.Index = binary.BigEndian.Uint32(payload); m.Index > math.MaxInt32-1 {
			return m, fmt.Errorf("header index %d", m.Index)
		}
		err = m.parseHeader(payload[4:])
	case milter.ActAddHeader:
		err = m.parseHeader(payload)
	case milter.ActAddRcpt, milter.ActDelRcpt:
		err = m.parseAddress(payload, 1)
	case milter.ActChangeFrom, imilter.ActAddRcptWithArgs:
		err = m.parseAddress(payload, 2)
	case milter.ActQuarantine:
		var s []string
		if s, err = cstrings(payload, 1, 1); err == nil {
			m.Reason = s[0]
			err = noControls(m.Reason)
		}
	default:
		err = errors.New("unknown modification")
	}
	return m, err
}

func (m *Modification) parseHeader(payload []byte) error {
	s, err := cstrings(payload, 2, 2)
	if err != nil {
		return err
	}
	m.Name, m.Value = s[0], s[1]
	if n := fieldNameLen(m.Name + ":"); n == 0 || n != len(m.Name) {
		return fmt.Errorf("header name %.40q", m.Name)
	}
	return nil
}

// parseAddress reads an address and up to limit-1 strings of parameters.
func (m *Modification) parseAddress(payload []byte, limit int) error {
	s, err := cstrings(payload, 1, limit)
	if err != nil {
		return err
	}
	m.Addr = s[0]
	if len(s) > 1 {
		m.Params = s[1]
	}
	if m.Action != milter.ActChangeFrom && stripBrackets(m.Addr) == "" {
		return errors.New("empty recipient")
	}
	return noControls(m.Addr + m.Params)
}

// cstrings splits NUL-terminated strings; each must have its NUL.
func cstrings(b []byte, least, most int) ([]string, error) {
	var out []string
	for len(b) > 0 {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return nil, errors.New("a string without its NUL")
		}
		if len(out) == most {
			return nil, fmt.Errorf("more than %d strings", most)
		}
		out = append(out, string(b[:i]))
		b = b[i+1:]
	}
	if len(out) < least {
		return nil, fmt.Errorf("%d strings instead of %d", len(out), least)
	}
	return out, nil
}

// noControls refuses what could end a line of an envelope.
func noControls(s string) error {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return fmt.Errorf("control character %#02x in %.40q", s[i], s)
		}
	}
	return nil
}

// stripBrackets is an address without angle brackets around it.
func stripBrackets(addr string) string {
	addr = strings.TrimSpace(addr)
	if len(addr) >= 2 && addr[0] == '<' && addr[len(addr)-1] == '>' {
		return addr[1 : len(addr)-1]
	}
	return addr
}
