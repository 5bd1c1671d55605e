package mail

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Field is a header field as it stands: Value is what is after the colon, with
// its leading white space or without, folds as LF or CR LF.
type Field struct{ Name, Value string }

// Message is a message to be read. It must not be used by two goroutines at once.
type Message struct {
	fields  []Field
	raw     []byte
	root    *Part
	parts   int    // how many there are so far
	guesses int    // boundaries that were guessed
	wrong   defect // what is wrong with the tree as a whole
	text    *string
	html    *string
}

// Parse is the message with those header fields and that body. It looks at
// nothing yet and copies nothing: neither may change while it is in use.
func Parse(fields []Field, body []byte) *Message {
	return &Message{fields: fields, raw: body}
}

// Root is the part that the message itself is.
func (m *Message) Root() *Part {
	if m.root != nil {
		return m.root
	}
	m.root = &Part{m: m}
	for _, f := range m.fields {
		m.root.keep(f.Name, func() string { return f.Value })
	}
	m.parts = 1
	newParser(m, m.raw).body(m.root, 0)
	return m.root
}

// Parts is the parts of a multipart message in their order, as they are inside
// it and not those inside them; of any other message, the message itself.
func (m *Message) Parts() []*Part {
	root := m.Root()
	if root.isMultipart() && !root.opaque() {
		return root.Parts()
	}
	return []*Part{root}
}

// Subject is what people see of the first Subject, "" if there is none.
func (m *Message) Subject() string {
	value, _ := m.first("Subject")
	return strings.TrimSpace(m.DecodeHeader(value))
}

// DecodeHeader is as the function of that name, but takes bytes above 127 that
// are not UTF-8 for the character set that the message's text says it has.
func (m *Message) DecodeHeader(value string) string {
	text, _ := decodeHeader(value, m.charsetFor(value))
	return text
}

// charsetFor is "" for a value that does not need to know.
func (m *Message) charsetFor(value string) string {
	if utf8.ValidString(value) {
		return ""
	}
	charset := ""
	m.Root().leaves(false, func(p *Part, _ bool) bool {
		if p.isText() {
			charset = p.Params()["charset"]
		}
		return charset == ""
	})
	return charset
}

// From is the authors: those of all From fields.
func (m *Message) From() []Mailbox { return m.addresses("From") }

// To is the recipients that the header tells, of all To fields.
func (m *Message) To() []Mailbox { return m.addresses("To") }

// Cc is the other recipients that the header tells, of all Cc fields.
func (m *Message) Cc() []Mailbox { return m.addresses("Cc") }

// Date is the first Date in its own time zone, UTC if it has none that is known;
// ok is false if there is none that can be read.
func (m *Message) Date() (date time.Time, ok bool) {
	value, _ := m.first("Date")
	date, ok, _ = readDate(value)
	return date, ok
}

// MessageID is the first Message-ID with its angle brackets, as servers log it;
// if it has none, as it stands. "" if there is none.
func (m *Message) MessageID() string {
	value, _ := m.first("Message-ID")
	value = strings.TrimSpace(DecodeHeader(value))
	if open := strings.IndexByte(value, '<'); open >= 0 {
		if end := strings.IndexByte(value[open:], '>'); end >= 0 {
			return value[open : open+end+1]
		}
	}
	return value
}

func (m *Message) first(name string) (string, bool) {
	for _, f := range m.fields {
		if sameName(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

func (m *Message) addresses(name string) []Mailbox {
	list, _ := m.readAll(name)
	return list
}

func (m *Message) readAll(name string) (list []Mailbox, wrong defect) {
	for _, f := range m.fields {
		if !sameName(f.Name, name) || len(list) >= maxAddresses {
			continue
		}
		more, bad := readAddresses(f.Value, m.charsetFor(f.Value))
		list, wrong = append(list, more...), wrong|bad
	}
	return list[:min(len(list), maxAddresses)], wrong
}
