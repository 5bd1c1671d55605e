package mailedit

import (
	"strings"

	"pmilter/internal/mail"
)

// Remove takes a part out of the message, with all that is in it. The last part of
// a multipart, and the message in a message/rfc822, takes that with it; if nothing
// would be left of the message it is ErrRoot.
func (e *Editor) Remove(n *Node) error {
	if err := e.editable(n); err != nil {
		return err
	}
	for n.parent != nil && n.parent.live == 1 {
		n = n.parent
	}
	if n.parent == nil {
		return ErrRoot
	}
	n.gone = true
	n.parent.live--
	n.parent.change()
	e.edited()
	return nil
}

// Replace gives a part another content, in its place. The fields of its header that
// say nothing of the content stay, Content-ID among them; the message itself gets
// type and encoding in its own header.
func (e *Editor) Replace(n *Node, p NewPart) error {
	if err := e.editable(n); err != nil {
		return err
	}
	made, err := check(p)
	if err != nil {
		return err
	}
	body, edits := made.make(n.described(), n.parent.enclosing(), n.ends())
	n.become(edits, body)
	return nil
}

// Add adds a part at the end of the message, which becomes a multipart/mixed if it
// is none: what it was is the first part then, and its Content fields are that
// part's.
func (e *Editor) Add(p NewPart) (*Node, error) {
	made, err := check(p)
	if err != nil {
		return nil, err
	}
	root := e.Root()
	mixed := root.part.Type() == "multipart/mixed" && root.live > 0
	if len(e.nodes) >= mail.MaxParts || mixed && root.full() {
		return nil, ErrTooMany
	}
	if !mixed {
		root = e.enclose()
	}
	body, edits := made.make(nil, root.enclosing(), false)
	n := e.insert(root, editLines(nil, edits), body)
	root.change()
	e.declare8bit(body)
	e.edited()
	return n, nil
}

// Wrap makes the message a multipart/mixed of a text and an attached message, the
// original as it is delivered: header, empty line and body with CR LF. What the
// message had before is gone, but for the fields of its header that say nothing of
// its content.
func (e *Editor) Wrap(original []byte, text string) {
	old := e.Root()
	words := cleanText([]byte(text))
	boundary := newBoundary(e.random, original, words)
	var edits []fieldEdit
	for _, f := range e.fields {
		if isContentField(f.Name) {
			edits = append(edits, fieldEdit{name: f.Name, drop: true})
		}
	}
	e.setFields(edits)
	old.gone = true
	root := e.container(boundary)
	body, transfer := encodeText(words, []string{boundary})
	e.insert(root, editLines(nil, []fieldEdit{
		{name: "Content-Type", value: "text/plain; charset=utf-8"},
		{name: "Content-Transfer-Encoding", value: transfer},
	}), body)
	e.insert(root, editLines(nil, []fieldEdit{
		{name: "Content-Type", value: "message/rfc822"},
		{name: "Content-Transfer-Encoding", value: rawEncoding(original)},
		{name: "Content-Disposition", value: "attachment"},
	}), original)
	e.declare8bit(original)
	e.edited()
}

func (e *Editor) editable(n *Node) error {
	switch {
	case n == nil || n.e != e:
		return ErrForeign
	case n.Removed():
		return ErrRemoved
	case n.sealed:
		return ErrSealed
	}
	return nil
}

// described is the part with the header that it has now.
func (n *Node) described() *mail.Part {
	if !n.moved {
		return n.part
	}
	return n.part.Graft(n.part, n.head)
}

// become gives n another header and content.
func (n *Node) become(edits []fieldEdit, body []byte) {
	defer n.e.edited()
	if n.parent == nil {
		if len(edits) > 0 {
			n.e.setFields(append(edits, n.e.version1()...))
		}
		n.take(mail.Parse(n.e.fields, body).Root())
		n.fresh = true
		return
	}
	if len(edits) > 0 && n.parent.part.IsMessage() && !hasField(n.headLines(), "MIME-Version") {
		edits = append(edits, fieldEdit{name: "MIME-Version", value: "1.0"})
	}
	n.take(mail.ParsePart(editLines(n.headLines(), edits), body))
	n.fresh = true
	n.crowd(body)
	n.parent.change()
}

// version1 is the field that tells that the message is one of MIME (RFC 2045 §4),
// if it is not there.
func (e *Editor) version1() []fieldEdit {
	if len(named(e.fields, "MIME-Version")) > 0 {
		return nil
	}
	return []fieldEdit{{name: "MIME-Version", value: "1.0"}}
}

// crowd notes that a message in n, which cannot be encoded, has lines like the
// delimiters around it.
func (n *Node) crowd(body []byte) {
	if strings.HasPrefix(n.part.Type(), "message/") && delimits(body, n.parent.enclosing()) {
		n.e.odd = true
	}
}

// insert makes a part at the end of parent.
func (e *Editor) insert(parent *Node, head, body []byte) *Node {
	n := e.grow(mail.ParsePart(head, body), parent)
	n.made, n.fresh = true, true
	n.crowd(body)
	parent.kids = append(parent.kids, n)
	parent.live++
	return n
}

// container makes a multipart/mixed the message itself.
func (e *Editor) container(boundary string) *Node {
	e.setFields(append([]fieldEdit{{
		name:  "Content-Type",
		value: formatField("Content-Type", "multipart/mixed", []param{{"boundary", boundary}}),
	}}, e.version1()...))
	n := &Node{e: e, id: len(e.nodes), made: true, dirty: true, relisted: true, boundary: boundary}
	n.part = mail.Parse(e.fields, nil).Root()
	e.nodes = append(e.nodes, n)
	e.root = n
	return n
}

// enclose makes the message itself the first part of a multipart/mixed.
func (e *Editor) enclose() *Node {
	old := e.Root()
	boundary := newBoundary(e.random, e.Body())
	head := old.headLines()
	var edits []fieldEdit
	for _, f := range e.fields {
		if isContentField(f.Name) && editOf(edits, f.Name) < 0 {
			edits = append(edits, fieldEdit{name: f.Name, drop: true})
		}
	}
	e.setFields(edits)
	root := e.container(boundary)
	if t := old.part.Encoding(); t == "8bit" || t == "binary" { // RFC 2045 §6.4
		e.setFields([]fieldEdit{{name: "Content-Transfer-Encoding", value: t}})
	}
	old.parent, old.head, old.moved, old.made = root, head, true, true
	old.part = old.part.Graft(root.part, head)
	root.kids, root.live = []*Node{old}, 1
	return root
}

// declare8bit makes the message's own header say that something in it is 8bit, if
// content is and it does not (RFC 2045 §6.4).
func (e *Editor) declare8bit(content []byte) {
	is, was := rawEncoding(content), ""
	if list := named(e.fields, "Content-Transfer-Encoding"); len(list) > 0 {
		was = lowerASCII(strings.TrimSpace(list[0].Value))
	}
	if is != "7bit" && (was == "" || was == "7bit" || was == "8bit" && is == "binary") {
		e.setFields([]fieldEdit{{name: "Content-Transfer-Encoding", value: is}})
	}
}
