package filter

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/mailedit"
)

// edit is one change that a script asked for. Edits are kept in the order of
// asking and applied to what has arrived whenever somebody looks, so that they
// may be asked for before the headers come, and undone by cutting the list.
type edit struct {
	op     op
	index  int
	name   string
	value  string // encoded as it goes into the header; reason of a quarantine
	addr   *Address
	params string
	body   []byte
	held   int64                        // bytes of this and all edits before it
	parts  func(*mailedit.Editor) error // see EditParts
	match  func(value string) bool      // see StripHeader
	sign   SignFunc                     // see Sign
}

type op uint8

const (
	opAdd op = iota
	opInsert
	opSet
	opRemove
	opRemoveAt
	opSender
	opAddRcpt
	opDelRcpt
	opBody
	opQuarantine
	opParts
	opStrip
	opSign
	opSettle
)

// String names the edit, for the log.
func (e edit) String() string {
	switch e.op {
	case opAdd:
		return "add " + e.name
	case opInsert:
		return "insert " + e.name
	case opSet:
		return "set " + e.name
	case opRemove, opRemoveAt, opStrip:
		return "remove " + e.name
	case opSign:
		return "sign " + e.value
	case opSettle:
		return "white space of addresses"
	case opSender:
		return "sender " + e.addr.Address
	case opAddRcpt:
		return "+rcpt " + e.addr.Address
	case opDelRcpt:
		return "-rcpt " + e.addr.Address
	case opBody, opParts:
		return "body"
	default:
		return "quarantine"
	}
}

// needsFields: what it does depends on the fields that have arrived.
func (e edit) needsFields() bool {
	return e.op == opSet || e.op == opRemove || e.op == opStrip || e.op == opSign || e.op == opRemoveAt || e.op == opInsert && e.index > 0
}

// What one message's scripts can pile up. Bodies that were replaced again count
// too: the edit may yet be undone.
const (
	maxEdits = 10000
	maxHeld  = 256 << 20
)

// ErrNotOffered says that the MTA does not do what a script asks for.
var ErrNotOffered = errors.New("the MTA did not offer this action")

// AddHeader puts a field at the end of the header (libmilter smfi_addheader).
// Like all edits it is checked now, shows at once in the message, and is sent
// at the end of the message. An error is a mistake of the script.
func (m *Message) AddHeader(name, value string) error {
	return m.editHeader(edit{op: opAdd, name: name}, value, wire.OptAddHeader)
}

// InsertHeader puts a field before the one that is at index, counted from 0
// among the visible ones; 0 is above everything, the MTA's own Received too
// (libmilter smfi_insheader).
func (m *Message) InsertHeader(index int, name, value string) error {
	if index < 0 {
		return fmt.Errorf("index %d is below 0", index)
	}
	return m.editHeader(edit{op: opInsert, index: index, name: name}, value, wire.OptAddHeader)
}

// SetHeader replaces the first field of that name and removes the others; it
// adds one if there is none (libmilter smfi_chgheader).
func (m *Message) SetHeader(name, value string) error {
	return m.editHeader(edit{op: opSet, name: name}, value, wire.OptAddHeader|wire.OptChangeHeader)
}

// RemoveHeader removes all fields of that name.
func (m *Message) RemoveHeader(name string) error {
	return m.editHeader(edit{op: opRemove, name: name}, "", wire.OptChangeHeader)
}

// RemoveHeaderAt removes the n-th field of that name, counted from 0; nothing
// happens if there are fewer.
func (m *Message) RemoveHeaderAt(name string, n int) error {
	if n < 0 {
		return fmt.Errorf("index %d is below 0", n)
	}
	return m.editHeader(edit{op: opRemoveAt, index: n, name: name}, "", wire.OptChangeHeader)
}

func (m *Message) editHeader(e edit, value string, need wire.OptAction) error {
	if !m.wanted.headers && e.op != opAdd && (e.op != opInsert || e.index != 0) {
		return ErrNotAsked
	}
	if err := checkName(e.name); err != nil {
		return err
	}
	encoded, err := encodeValue(e.name, value, m.UTF8())
	if err != nil {
		return err
	}
	if m.leadingSpace() {
		encoded = " " + encoded
	}
	e.value = encoded
	return m.edit(e, need)
}

// SetSender replaces the envelope sender; "" is the null sender (libmilter smfi_chgfrom).
func (m *Message) SetSender(address, params string) error {
	addr, err := checkAddress(address, params)
	if err != nil {
		return err
	}
	return m.edit(edit{op: opSender, addr: addr, params: params}, wire.OptChangeFrom)
}

// AddRecipient adds a recipient; params need an MTA that takes them
// (libmilter smfi_addrcpt, smfi_addrcpt_par).
func (m *Message) AddRecipient(address, params string) error {
	addr, err := checkAddress(address, params)
	if err != nil {
		return err
	}
	if address == "" {
		return errors.New("a recipient's address is empty")
	}
	need := wire.OptAddRcpt
	if params != "" {
		need = wire.OptAddRcptWithArgs
	}
	return m.edit(edit{op: opAddRcpt, addr: addr, params: params}, need)
}

// RemoveRecipient removes a recipient, those that scripts added included
// (libmilter smfi_delrcpt). Nothing happens if it is not there.
func (m *Message) RemoveRecipient(address string) error {
	addr, err := checkAddress(address, "")
	if err != nil {
		return err
	}
	return m.edit(edit{op: opDelRcpt, addr: addr}, wire.OptRemoveRcpt)
}

// ReplaceBody replaces the whole body. Bare LF and CR become CRLF (libmilter
// smfi_replacebody). body is kept: it must not be changed afterwards.
func (m *Message) ReplaceBody(body []byte) error {
	return m.edit(edit{op: opBody, body: toCRLF(body)}, wire.OptChangeBody)
}

// Quarantine puts the message on hold at the MTA, whatever the verdict
// otherwise (libmilter smfi_quarantine). The first reason counts.
func (m *Message) Quarantine(reason string) error {
	if reason == "" || hasControl(reason) || len(reason) > maxLine {
		return fmt.Errorf("a quarantine's reason is one line of text, at most %d bytes", maxLine)
	}
	return m.edit(edit{op: opQuarantine, value: reason}, wire.OptQuarantine)
}

func (m *Message) edit(e edit, need wire.OptAction) error {
	size := len(e.value) + len(e.body)
	if err := m.mayEdit(size, need); err != nil {
		return err
	}
	e.held = m.held() + int64(size)
	m.edits = append(m.edits, e)
	if m.view == nil || m.view.entries == nil {
		m.view = nil
		return nil
	}
	m.view.apply(&e) // cheaper than all edits anew
	return nil
}

// mayEdit tells whether an edit that holds so many bytes can be asked for.
func (m *Message) mayEdit(size int, need wire.OptAction) error {
	switch {
	case m.session.Message != m:
		return errOver
	case m.stored:
		return errStored
	case m.session.mta.Actions&need != need:
		return ErrNotOffered
	case len(m.edits) >= maxEdits:
		return fmt.Errorf("more than %d edits of one message", maxEdits)
	case m.held()+int64(size) > maxHeld:
		return fmt.Errorf("the edits of one message hold more than %d bytes", maxHeld)
	}
	return nil
}

// held is how many bytes the edits hold.
func (m *Message) held() int64 {
	if n := len(m.edits); n > 0 {
		return m.edits[n-1].held
	}
	return 0
}

func (m *Message) leadingSpace() bool {
	return m.session.mta.Protocol&wire.OptHeaderLeadingSpace != 0
}

// checkAddress refuses what cannot stand in MAIL or RCPT: control characters,
// and outside of quotes white space and angle brackets (RFC 5321 §4.1.2).
func checkAddress(address, params string) (*Address, error) {
	if len(address) > 1024 || len(params) > 2048 {
		return nil, errors.New("an address or its parameters are too long")
	}
	if hasControl(params) {
		return nil, fmt.Errorf("%q are no parameters", params)
	}
	quoted := false
	for i := 0; i < len(address); i++ {
		switch c := address[i]; {
		case c < ' ' || c == 0x7f || !quoted && (c == ' ' || c == '<' || c == '>'):
			return nil, fmt.Errorf("%q is no address", address)
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			if i++; i == len(address) || address[i] < ' ' || address[i] == 0x7f {
				return nil, fmt.Errorf("%q is no address", address)
			}
		}
	}
	if quoted {
		return nil, fmt.Errorf("%q is no address: a quote is open", address)
	}
	var list []string
	if params != "" {
		list = strings.Fields(params)
	}
	return ParseAddress(address, list), nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// toCRLF makes every line end CRLF.
func toCRLF(body []byte) []byte {
	if n := bytes.Count(body, []byte("\r\n")); n == bytes.Count(body, []byte("\n")) && n == bytes.Count(body, []byte("\r")) {
		return body
	}
	out := make([]byte, 0, len(body)+len(body)/32+2)
	for i, c := range body {
		switch {
		case c == '\n' && i > 0 && body[i-1] == '\r': // written with its CR
		case c == '\n' || c == '\r':
			out = append(out, '\r', '\n')
		default:
			out = append(out, c)
		}
	}
	return out
}
