package mailedit

import (
	"bytes"
	"strings"

	"pmilter/internal/mail"
)

// sealedBits is how the number of a part inside of encoded content is made: above
// them the number of the part that has it, plus one, and below its place in it.
// So it is the same whenever it is asked for, and costs nothing before.
const sealedBits = 32

// Node is a part of the message, however often it is changed.
type Node struct {
	e      *Editor
	id     int
	parent *Node      // nil for the message itself
	part   *mail.Part // what it was read from; its header and parts may have changed since
	kids   []*Node    // also those that are gone, which leave a gap to close
	live   int        // of them
	sealed bool       // it is inside of encoded content
	inner  []*Node    // what is in its own, parts of parts included

	doc  []byte    // where part stands
	at   mail.Span // in doc
	slot [2]int    // where it stands in the parent's doc, unless it is made
	made bool
	head []byte // the header's lines in place of those of doc, if moved
	// What became of it.
	moved, fresh, dirty, gone bool   // another header; another content; something in it changed
	relisted                  bool   // a part directly in it changed
	rebound                   bool   // all its delimiters are to be written anew
	boundary, found           string // that of a multipart, and the one in doc

	viewPart, shownPart *mail.Part
	viewAt, shownAt     int // the version that they are of
}

// ID is the part's number: those of the message as it arrived are counted from 0,
// each before the parts in it, and those that are made follow in the order in which
// they are. The same calls give the same numbers.
func (n *Node) ID() int { return n.id }

// Parent is the part that it is in, nil for the message itself.
func (n *Node) Parent() *Node { return n.parent }

// Removed tells of what is not in the message any more.
func (n *Node) Removed() bool {
	for ; n != nil; n = n.parent {
		if n.gone {
			return true
		}
	}
	return false
}

// Children is the parts directly in it. The message in a message/rfc822 is one.
func (n *Node) Children() (list []*Node) {
	for _, k := range n.unseal() {
		if k.parent == n {
			list = append(list, k)
		}
	}
	if n.sealed {
		return n.kids
	}
	for _, k := range n.kids {
		if !k.gone {
			list = append(list, k)
		}
	}
	return list
}

// Type is Part's, without the part being put together for it.
func (n *Node) Type() string { return n.part.Type() }

// Part is the part as it stands; of one that is removed, as it last was. What the
// Part itself says of parts in it are other Parts than those of Children once
// something in it has changed.
func (n *Node) Part() *mail.Part {
	if !n.moved && !n.dirty || n.gone {
		return n.part
	}
	if n.shownPart == nil || n.shownAt != n.e.version {
		n.shownPart, n.shownAt = n.show(), n.e.version
	}
	return n.shownPart
}

func (n *Node) show() *mail.Part {
	switch {
	case n.parent == nil:
		return mail.Parse(n.e.fields, n.e.Body()).Root()
	case !n.dirty:
		return n.part.Graft(n.e.root.part, n.head)
	}
	head := n.headLines()
	if n.part.IsMessage() && !hasField(head, "Content-Type") { // in a multipart/digest
		head = append(bytes.Clone(head), "Content-Type: message/rfc822\r\n"...)
	}
	var body bytes.Buffer
	n.writeBody(&body)
	return mail.ParsePart(head, body.Bytes())
}

// grow makes the nodes of p and all parts in it.
func (e *Editor) grow(p *mail.Part, parent *Node) *Node {
	n := &Node{e: e, id: len(e.nodes), parent: parent}
	e.nodes = append(e.nodes, n)
	n.take(p)
	return n
}

// take makes n the node of p.
func (n *Node) take(p *mail.Part) {
	for _, k := range n.kids {
		k.gone = true
	}
	*n = Node{e: n.e, id: n.id, parent: n.parent, slot: n.slot, made: n.made, part: p, doc: p.Document()}
	n.at, _ = p.Span()
	if p.Sealed() {
		return
	}
	if parts := p.Parts(); len(parts) > 0 && isMultipart(p) {
		n.found = n.delimiterOf(parts[0])
		n.boundary = n.found
	}
	n.e.odd = n.e.odd || n.isOdd()
	for _, child := range p.Parts() {
		k := n.e.grow(child, n)
		k.clip(n.at.End)
		k.slot = [2]int{k.at.Start - len(bom(n.doc[n.at.Body:k.at.Start])), k.at.End}
		n.kids = append(n.kids, k)
	}
	n.live = len(n.kids)
}

// delimiterOf is the boundary by which the first part in n was found.
func (n *Node) delimiterOf(first *mail.Part) string {
	at, _ := first.Span()
	line, _ := n.delimiter(at.Start-len(bom(n.doc[n.at.Body:at.Start])), n.at.Body)
	return strings.TrimRight(strings.TrimPrefix(string(line), "--"), " \t\r\n")
}

// bom is the mark that text ends with, if it does: it is skipped before a header.
func bom(text []byte) []byte {
	mark := []byte("\ufeff")
	if bytes.HasSuffix(text, mark) {
		return mark
	}
	return nil
}

// clip ends n where its parent ends: a header that is all there is of a part has
// its last line break, which belongs to the delimiter that follows the parent.
func (n *Node) clip(end int) {
	n.at.Start, n.at.HeadEnd = min(n.at.Start, end), min(n.at.HeadEnd, end)
	n.at.Body, n.at.End = min(n.at.Body, end), min(n.at.End, end)
	for _, k := range n.kids {
		if k.at.End > end {
			k.clip(end)
			k.slot = [2]int{min(k.slot[0], end), end}
		}
	}
}

// unseal is the nodes of the parts in n's encoded content, each before those in it;
// what is encoded once more in there is a leaf.
func (n *Node) unseal() []*Node {
	if n.sealed || n.inner != nil || n.part == nil || !n.part.Sealed() {
		return n.inner
	}
	var enter func(p *mail.Part, parent *Node) *Node
	enter = func(p *mail.Part, parent *Node) *Node {
		k := &Node{e: n.e, id: (n.id+1)<<sealedBits | len(n.inner), parent: parent, part: p, sealed: true}
		n.inner = append(n.inner, k)
		if !p.Sealed() {
			for _, child := range p.Parts() {
				k.kids = append(k.kids, enter(child, k))
			}
		}
		return k
	}
	for _, p := range n.part.Parts() {
		enter(p, n)
	}
	return n.inner
}

// touched tells whether the part is other than what stands in its slot.
func (n *Node) touched() bool { return n.made || n.moved || n.fresh || n.dirty }

// change notes that something directly in n changes.
func (n *Node) change() {
	if n != nil {
		n.relisted = true
	}
	for ; n != nil; n = n.parent {
		n.dirty = true
	}
}

// headLines is the lines of the header as it stands, of the message itself those of
// its Content fields.
func (n *Node) headLines() (head []byte) {
	switch {
	case n.moved:
		return n.head
	case n.parent == nil:
		for _, f := range n.e.fields {
			if isContentField(f.Name) && isToken(strings.TrimRight(f.Name, " \t")) {
				head = appendField(head, f.Name, f.Value)
			}
		}
		return head
	}
	return n.doc[n.at.Start:n.at.HeadEnd]
}

// assemble is n and all that is in it as a tree of parts.
func (n *Node) assemble(parent *mail.Part) *mail.Part {
	if !n.touched() && parent != nil {
		return n.part
	}
	if n.part.Sealed() && isMultipart(n.part) {
		n.part.Parts() // so that the copy has the same
	}
	var head []byte
	if n.moved {
		head = n.head
	}
	p := n.part.Graft(parent, head)
	n.viewPart, n.viewAt = p, n.e.version
	if len(n.kids) > 0 {
		list := make([]*mail.Part, 0, n.live)
		for _, k := range n.kids {
			if !k.gone {
				list = append(list, k.assemble(p))
			}
		}
		p.Adopt(list)
	}
	return p
}

// viewed is the node's part in what Editor.view gives.
func (n *Node) viewed() *mail.Part {
	if n.viewPart != nil && n.viewAt == n.e.version {
		return n.viewPart
	}
	return n.part
}

// enclosing is the boundaries of n and of what it is in.
func (n *Node) enclosing() (list []string) {
	for ; n != nil; n = n.parent {
		if n.boundary != "" {
			list = append(list, n.boundary)
		}
	}
	return list
}

func isMultipart(p *mail.Part) bool { return strings.HasPrefix(p.Type(), "multipart/") }
