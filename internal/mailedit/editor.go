package mailedit

import (
	"crypto/rand"
	"io"
	"slices"

	"pmilter/internal/mail"
)

// Editor changes a message. The message must not change otherwise while it is in
// use.
type Editor struct {
	m       *mail.Message
	random  io.Reader
	fields  []mail.Field // of the message itself, as they stand
	set     []string     // the names that were set or removed, in order
	root    *Node        // nil before it was asked for
	nodes   []*Node      // by their numbers
	changed bool
	odd     bool // its delimiters cannot be trusted, see Node.isOdd

	version int           // grows with each edit
	body    []byte        // as it stands, nil before it was asked for
	shown   *mail.Message // the same tree as mail reads it; nil before it was asked for
}

// New is an editor of m. It looks at nothing yet.
func New(m *mail.Message) *Editor { return NewWith(m, rand.Reader) }

// NewWith is New with another source of boundaries. They are right whatever it
// gives.
func NewWith(m *mail.Message, random io.Reader) *Editor {
	return &Editor{m: m, random: random, fields: m.Fields()}
}

// Root is the message itself.
func (e *Editor) Root() *Node {
	if e.root == nil {
		e.root = e.grow(e.m.Root(), nil)
	}
	return e.root
}

// Node is the part with that number, removed or not; nil if there is none.
func (e *Editor) Node(id int) *Node {
	e.Root()
	switch top := id>>sealedBits - 1; {
	case id < 0 || top >= len(e.nodes):
		return nil
	case top >= 0:
		inner := e.nodes[top].unseal()
		if at := id & (1<<sealedBits - 1); at < len(inner) {
			return inner[at]
		}
		return nil
	case id < len(e.nodes):
		return e.nodes[id]
	}
	return nil
}

// Changed tells whether anything was changed.
func (e *Editor) Changed() bool { return e.changed }

// Body is the message's body as it stands: the very bytes that arrived if nothing
// was changed. It must not be changed, and stays as it is when edits follow.
func (e *Editor) Body() []byte {
	if !e.changed {
		return e.m.Raw()
	}
	if e.body == nil {
		e.body = e.render()
	}
	return e.body
}

// Header is what changes in the message's own header, in the order in which it
// was first touched; nil for nothing.
func (e *Editor) Header() (list []HeaderChange) {
	for _, name := range e.set {
		was, is := named(e.m.Fields(), name), named(e.fields, name)
		switch {
		case slices.Equal(was, is):
		case len(is) == 0:
			list = append(list, HeaderChange{Name: was[0].Name, Remove: true})
		default:
			list = append(list, HeaderChange{Name: is[0].Name, Value: is[0].Value})
		}
	}
	return list
}

// Attachments is the parts that a mail reader lists as attachments, as
// mail.Message.Attachments tells them, with all edits.
func (e *Editor) Attachments() (list []*Node) {
	parts := e.view().Attachments()
	if len(parts) == 0 {
		return nil
	}
	index := map[*mail.Part]*Node{}
	var enter func(n *Node)
	enter = func(n *Node) {
		index[n.viewed()] = n
		for _, k := range n.kids {
			if !k.gone {
				enter(k)
			}
		}
		if n.part.Sealed() && isMultipart(n.part) {
			for _, k := range n.unseal() {
				index[k.part] = k
			}
		}
	}
	enter(e.Root())
	for _, p := range parts {
		if n := index[p]; n != nil {
			list = append(list, n)
		}
	}
	return list
}

// Text is as mail.Message.Text, with all edits.
func (e *Editor) Text() string { return e.view().Text() }

// HTML is as mail.Message.HTML, with all edits.
func (e *Editor) HTML() string { return e.view().HTML() }

// view is the message as package mail reads it, with all edits, put together of
// parts that were read before.
func (e *Editor) view() *mail.Message {
	if !e.changed {
		return e.m
	}
	if e.shown == nil {
		e.shown = mail.View(e.fields, e.Root().assemble(nil))
	}
	return e.shown
}

// edited is called after each edit.
func (e *Editor) edited() {
	if e.odd {
		e.rebound()
		e.odd = false
	}
	e.changed = true
	e.version++
	e.body, e.shown = nil, nil
}

// setFields changes the message's own header.
func (e *Editor) setFields(edits []fieldEdit) {
	e.fields = editFields(e.fields, edits)
	for _, f := range edits {
		if !slices.ContainsFunc(e.set, func(name string) bool { return sameName(name, f.name) }) {
			e.set = append(e.set, f.name)
		}
	}
}

func named(fields []mail.Field, name string) (list []mail.Field) {
	for _, f := range fields {
		if sameName(f.Name, name) {
			list = append(list, f)
		}
	}
	return list
}
