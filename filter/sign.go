package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	wire "github.com/emersion/go-milter"
)

// SignFunc makes a header field's value of a message as it will be: its header
// with the empty line, and its body, both with CRLF. It must not keep them.
type SignFunc func(header, body []byte) (value string, err error)

// errIncomplete: whoever judges the whole message must have the whole of it.
var errIncomplete = errors.New("the message has not arrived yet: this is for handlers at its end (without options.early)")

var errSkipped = errors.New("not all of the body is there: skip() stopped it")

// Sign asks for a field, such as DKIM-Signature, that is put above everything
// when no script changes the message any more. It may be asked for in every
// phase and several times; label names it in the log. When sign fails then, the
// message is put off: it never goes out without.
func (m *Message) Sign(name, label string, sign SignFunc) error {
	if err := m.needWhole(); err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	return m.edit(edit{op: opSign, name: name, value: label, sign: sign}, wire.OptAddHeader)
}

// needWhole refuses where not all of the message will be there.
func (m *Message) needWhole() error {
	switch {
	case !m.wanted.headers || !m.wanted.body:
		return ErrNotAsked
	case m.skipped:
		return errSkipped
	}
	return nil
}

func (m *Message) toBeSigned() bool {
	return slices.ContainsFunc(m.edits, func(e edit) bool { return e.op == opSign })
}

// makeSignatures turns what Sign asked for into fields, all of the same message.
func (m *Message) makeSignatures() error {
	if !m.toBeSigned() {
		return nil
	}
	if m.oversize || m.skipped {
		return errors.New("filter: sign: the whole message is not there")
	}
	body, err := m.Body()
	if err != nil {
		return fmt.Errorf("filter: sign: %w", err)
	}
	if m.session.isSendmail() {
		if err := m.edit(edit{op: opSettle}, wire.OptChangeHeader); err != nil {
			return fmt.Errorf("filter: sign: %w", err)
		}
	}
	header := m.header(m.model().visible())
	for _, e := range slices.Clone(m.edits) {
		if e.op != opSign {
			continue
		}
		value, err := e.sign(header, body)
		if err == nil {
			err = m.InsertHeader(0, e.name, strings.ReplaceAll(value, "\r\n", "\n"))
		}
		if err != nil {
			return fmt.Errorf("filter: %s: %w", e, err)
		}
	}
	return nil
}

// StripHeader removes those fields of that name that arrived and whose value
// (folds as LF) matches; what scripts have added stays.
func (m *Message) StripHeader(name string, match func(value string) bool) error {
	if !m.wanted.headers {
		return ErrNotAsked
	}
	if err := checkName(name); err != nil {
		return err
	}
	return m.edit(edit{op: opStrip, name: name, match: match}, wire.OptChangeHeader)
}

func (v *model) strip(e *edit) {
	v.entries = slices.DeleteFunc(v.entries, func(f entry) bool { return f.arrived >= 0 && f.Is(e.name) && e.match(f.Value) })
}

// Arrived is the message as the MTA had it before any script changed it, once
// all of it is there. Each value is what stood between the colon and the end of the field, with CRLF
// at its folds: byte for byte if HDR_LEADSPC was negotiated, else with one space
// in front, which the MTA may have taken away. The body must not be changed, and
// is gone when the message is over.
func (m *Message) Arrived() (fields []Field, body []byte, err error) {
	if m.session.Message != m {
		return nil, nil, errOver
	}
	if err := m.needWhole(); err != nil {
		return nil, nil, err
	}
	if !m.whole {
		return nil, nil, errIncomplete
	}
	if body, err = m.arrivedBody(); err != nil {
		return nil, nil, err
	}
	space := ""
	if !m.leadingSpace() {
		space = " "
	}
	fields = slices.Clone(m.arena.all())
	for i, f := range fields {
		fields[i].Value = space + strings.ReplaceAll(strings.ReplaceAll(f.Value, "\r\n", "\n"), "\n", "\r\n")
	}
	return fields, body, nil
}
