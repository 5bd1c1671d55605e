package filter

import (
	"bytes"
	"errors"
	"slices"
)

// Message is one mail from MAIL to its end: what has arrived, and the edits
// that scripts have asked for so far. One goroutine uses it at a time.
type Message struct {
	Sender  *Address // as it arrived; CurrentSender has the edits
	session *Session

	recipients []*Address // those that all scripts passed
	arena      fieldArena // the header fields that have arrived
	body       BodyStore  // CRLF, what has arrived; nil before the first chunk, and when it is not kept
	bodySize   int64      // bytes of body, while nothing is wrong with it
	received   int64      // bytes of headers and body, kept or not
	failed     error      // the body could not be kept
	unkept     bool       // no handler is called any more: nobody will read the body
	stored     bool       // it lies in a queue: no edits
	skipped    bool       // the MTA was told to keep the rest of the body
	oversize   bool       // received went over the limit: the body is dropped
	cut        bool       // and fields, too

	wanted needs     // which parts the MTA was asked for
	edits  []edit    // in the order in which scripts asked
	queued []*Queued // events that scripts asked for, not written yet
	whole  bool      // the MTA has said that this was all

	refused string // by which verdict; "" while it is not
	view    *model // arrived plus edits; nil when something has changed since
}

// ErrNotAsked is returned for a part of the message that the scripts' options
// said is not needed, so that the MTA does not send it.
var ErrNotAsked = errors.New("not asked for: see options.headers and options.body")

// errPartsLost: a conn that took over has not the body that its edits are about.
var errPartsLost = errors.New("edits of parts, or a signature, were lost with the handler that got stuck")

// errBodyLost: nor has it the body that events are to hold.
var errBodyLost = errors.New("the body that is to be queued was lost with the handler that got stuck")

var errOver = errors.New("this message is over")

// CurrentSender is the sender with the edits asked for so far.
func (m *Message) CurrentSender() *Address { return m.model().sender }

// Recipients is the recipients passed so far, edits included. The slice must not be changed.
func (m *Message) Recipients() []*Address { return m.model().recipients }

// Size is the number of bytes of the message that have arrived, headers and
// body, as far as the MTA was asked for them.
func (m *Message) Size() int64 { return m.received }

// UTF8 tells whether headers may hold UTF-8 as it is (RFC 6531 §3.4: SMTPUTF8).
func (m *Message) UTF8() bool {
	_, ok := m.Sender.Params["SMTPUTF8"]
	return ok
}

// Fields is the header as it stands, edits included, without the MTA's own
// hidden fields. The slice must not be changed.
func (m *Message) Fields() ([]Field, error) {
	if !m.wanted.headers {
		return nil, ErrNotAsked
	}
	return m.model().visible(), nil
}

// Body is the body as it stands. The slice must not be changed and is valid
// until the message ends or a script replaces the body.
func (m *Message) Body() ([]byte, error) {
	if m.session.Message != m {
		return nil, errOver
	}
	if replaced := m.model().edited(); replaced != nil {
		return *replaced, nil
	}
	if !m.wanted.body {
		return nil, ErrNotAsked
	}
	return m.arrivedBody()
}

// arrivedBody is the body without edits.
func (m *Message) arrivedBody() ([]byte, error) {
	if m.body == nil {
		return nil, nil
	}
	return m.body.Bytes()
}

// Raw is a copy of the whole message as it stands, with CRLF line ends.
func (m *Message) Raw() ([]byte, error) {
	fields, err := m.Fields()
	if err != nil {
		return nil, err
	}
	body, err := m.Body()
	if err != nil {
		return nil, err
	}
	return append(m.header(fields), body...), nil
}

// header is fields and the empty line after them, with CRLF line ends.
func (m *Message) header(fields []Field) []byte {
	size := 2
	for _, f := range fields {
		size += len(f.Name) + len(f.Value) + 4
	}
	var out bytes.Buffer
	out.Grow(size + size/16)
	for _, f := range fields {
		out.WriteString(f.Name)
		out.WriteByte(':')
		if !m.leadingSpace() {
			out.WriteByte(' ') // the MTA ate one (milter without HDR_LEADSPC)
		}
		writeCRLF(&out, f.Value)
		out.WriteString("\r\n")
	}
	out.WriteString("\r\n")
	return out.Bytes()
}

// writeCRLF writes a value with its folds as they are on the wire.
func writeCRLF(out *bytes.Buffer, value string) {
	for i := range len(value) {
		if value[i] == '\n' && (i == 0 || value[i-1] != '\r') {
			out.WriteByte('\r')
		}
		out.WriteByte(value[i])
	}
}

// maxFields bounds what a header of many small fields costs: memory, of which an
// empty field takes us thirty times what its sender spends, and time for scripts
// that look through all fields at each of them.
const maxFields = 10_000

// addField keeps a field, unless the message has grown over limit.
func (m *Message) addField(name, value []byte, limit int64) {
	m.received += int64(len(name) + len(value) + 3)
	if m.received > limit || m.arena.count() >= maxFields {
		m.oversize, m.cut = true, true
		m.dropBody()
		return
	}
	m.arena.add(name, value)
	m.view = nil
}

// addBody keeps a chunk in a body that newBody makes, unless the message has
// grown over limit: then the body is dropped and the message is oversize for
// good. A body that cannot be kept makes the message failed.
func (m *Message) addBody(chunk []byte, limit int64, newBody func() BodyStore) {
	m.received += int64(len(chunk))
	if m.received > limit {
		m.oversize = true
	}
	if m.oversize || m.failed != nil {
		m.dropBody()
		return
	}
	m.bodySize += int64(len(chunk))
	if m.unkept {
		return
	}
	m.view = nil // what was made of the body so far
	if m.body == nil {
		m.body = newBody()
	}
	if _, err := m.body.Write(chunk); err != nil {
		m.failed = err
		m.dropBody()
	}
}

// dropBody frees the body. Nothing that was made of its bytes may be used after it.
func (m *Message) dropBody() {
	if m.body != nil {
		_ = m.body.Close() // there is nothing to save in it
		m.body = nil
	}
}

func (m *Message) addRecipient(a *Address) {
	m.recipients = append(m.recipients, a)
	m.view = nil
}

// rollback undoes the edits and events that were asked for since before.
func (m *Message) rollback(before checkpoint) {
	if len(m.edits) > len(before.edits) {
		m.edits, m.view = before.edits, nil
	}
	if len(m.queued) > len(before.queued) {
		m.queued = before.queued
	}
}

// successor is a message of its own with what had arrived, and those edits and
// events. What had come of the body is lost; events cannot do without. It
// may be called while a stuck handler still uses m: everything it reads is
// either not written during a handler call or only appended to.
func (m *Message) successor(s *Session, before checkpoint) *Message {
	n := &Message{
		Sender: m.Sender, session: s, received: m.received, oversize: m.oversize, cut: m.cut, wanted: m.wanted, whole: m.whole, refused: m.refused,
		recipients: slices.Clip(m.recipients),
		bodySize:   m.bodySize, failed: m.failed, unkept: len(before.queued) == 0 || m.bodySize > 0, skipped: m.skipped,
		edits: slices.Clip(before.edits), queued: slices.Clip(before.queued),
	}
	if slices.ContainsFunc(n.edits, func(e edit) bool { return e.op == opParts || e.op == opSign }) {
		n.failed = errPartsLost
	}
	if len(n.queued) > 0 && m.bodySize > 0 && n.failed == nil {
		n.failed = errBodyLost
	}
	n.arena.bytes, n.arena.ends = slices.Clip(m.arena.bytes), slices.Clip(m.arena.ends)
	return n
}
