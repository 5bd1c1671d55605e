package filter

import (
	"errors"
	"strings"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/mail"
	"pmilter/internal/mailedit"
)

// The names of packages mail and mailedit for those who import filter alone.
type (
	// Reading is a message as a mail reader shows it.
	Reading = mail.Message
	// Mailbox is an address of its header.
	Mailbox = mail.Mailbox
	// Tree is the parts of a message, to be edited.
	Tree = mailedit.Editor
	// Node is one of them.
	Node = mailedit.Node
	// NewPart is what a part is made of.
	NewPart = mailedit.NewPart
)

// ErrStalePart says that a part was found in a body that has been replaced
// since, as a whole.
var ErrStalePart = errors.New("this part is of an earlier body")

// Read is the message as a mail reader sees it, edits included: parsed when
// it is first asked for, and anew after an edit. Without the body, where that
// was not asked for, it has the header alone. It must not be kept over an edit
// or the end of the message.
func (m *Message) Read() (*Reading, error) {
	if m.session.Message != m {
		return nil, errOver // what it points into may be gone
	}
	fields, err := m.Fields()
	if err != nil {
		return nil, err
	}
	v := m.model()
	if v.reading != nil {
		return v.reading, nil
	}
	body, err := m.Body()
	if err != nil && !errors.Is(err, ErrNotAsked) {
		return nil, err
	}
	v.reading = mail.Parse(mailFields(fields), body)
	return v.reading, nil
}

func mailFields(fields []Field) []mail.Field {
	list := make([]mail.Field, len(fields))
	for i, f := range fields {
		list[i] = mail.Field{Name: f.Name, Value: f.Value}
	}
	return list
}

// Parts is the tree of the message's parts as edits have left it. Its nodes
// keep their numbers through edits, until the generation changes: with a new
// body as a whole, or another Content-Type of the message.
func (m *Message) Parts() (tree *Tree, generation int, err error) {
	if _, err := m.Fields(); err != nil {
		return nil, 0, err
	}
	if err := m.readable(); err != nil {
		return nil, 0, err
	}
	v := m.model()
	v.plant()
	return v.tree, v.generation, nil
}

// readable is the error that Body would return, without the body being made.
func (m *Message) readable() error {
	if m.session.Message != m {
		return errOver
	}
	if v := m.model(); v.tree != nil || v.body != nil {
		return nil
	}
	if !m.wanted.body {
		return ErrNotAsked
	}
	_, err := m.arrivedBody()
	return err
}

// Text is the text that people read, see mail.Message.Text, edits included.
// After edits of parts it costs no more than the parts that have changed.
func (m *Message) Text() (string, error) { return m.shown((*Tree).Text, (*Reading).Text) }

// HTML is as Text, of text/html.
func (m *Message) HTML() (string, error) { return m.shown((*Tree).HTML, (*Reading).HTML) }

func (m *Message) shown(ofTree func(*Tree) string, ofReading func(*Reading) string) (string, error) {
	if err := m.readable(); err != nil {
		return "", err
	}
	if v := m.model(); m.wanted.headers && v.tree != nil {
		return ofTree(v.tree), nil
	}
	r, err := m.Read()
	if err != nil {
		return "", err
	}
	return ofReading(r), nil
}

// Part is the node with that number, of that generation.
func (m *Message) Part(id, generation int) (*Node, error) {
	tree, now, err := m.Parts()
	if err != nil {
		return nil, err
	}
	if now != generation {
		return nil, ErrStalePart
	}
	if n := tree.Node(id); n != nil {
		return n, nil
	}
	return nil, ErrStalePart
}

// EditParts changes the tree of parts; size is about what the change holds in
// memory. do is called now and again whenever the message is made anew of its
// edits: it must do the same each time, and nothing when it returns an error.
func (m *Message) EditParts(size int, do func(*Tree) error) error {
	need := wire.OptChangeBody | wire.OptChangeHeader | wire.OptAddHeader
	if err := m.mayEdit(size, need); err != nil {
		return err
	}
	if !m.wanted.body || !m.wanted.headers {
		return ErrNotAsked
	}
	v := m.model()
	v.plant()
	if err := do(v.tree); err != nil {
		return err
	}
	m.edits = append(m.edits, edit{op: opParts, parts: do, held: m.held() + int64(size)})
	v.graft()
	return nil
}

// plant makes the tree of what the model is now.
func (v *model) plant() {
	if v.tree != nil {
		return
	}
	v.needEntries()
	var body []byte
	if v.body != nil {
		body = *v.body
	} else {
		body, _ = v.m.arrivedBody() // looked at before
	}
	v.tree = mailedit.New(mail.Parse(mailFields(v.visible()), body))
	v.lead = ""
	if v.m.leadingSpace() {
		v.lead = " "
	}
}

// graft takes over what a change of the tree means for the header.
func (v *model) graft() {
	v.rendered, v.fields, v.reading = nil, nil, nil
	for _, change := range v.tree.Header() {
		e := edit{name: change.Name, value: v.lead + strings.ReplaceAll(change.Value, "\r\n", "\n")}
		if change.Remove {
			v.removeAll(change.Name)
			continue
		}
		v.set(&e)
	}
}

// uproot makes the tree part of the model's body: what follows is about the
// body as a whole, or about what the tree was made of.
func (v *model) uproot() {
	if v.tree == nil {
		return
	}
	if body := v.edited(); body != nil {
		v.body = body
	}
	v.tree, v.rendered = nil, nil
	v.generation++
}

// edited is the new body, nil if it is as it arrived.
func (v *model) edited() *[]byte {
	if v.tree == nil || !v.tree.Changed() {
		return v.body
	}
	if v.rendered == nil {
		body := v.tree.Body()
		v.rendered = &body
	}
	return v.rendered
}

// shapes tells of a field that says what the body's parts are.
func shapes(name string) bool {
	f := Field{Name: name}
	return f.Is("Content-Type") || f.Is("Content-Transfer-Encoding")
}
