package mailedit

import (
	"bytes"
	"fmt"

	"pmilter/internal/mail"
)

// reads tells whether the edited message with that body reads as it is meant: the
// same tree, and the same bytes in each part.
func (e *Editor) reads(body []byte) bool {
	return e.Root().same(mail.Parse(e.fields, body).Root())
}

// same tells whether p is what n is meant to be. What is beyond the limits of
// package mail cannot be told.
func (n *Node) same(p *mail.Part) bool {
	if p.TooDeep() {
		return true
	}
	if p.Type() != n.part.Type() || n.parent != nil && !bytes.Equal(trimEnd(p.Head()), trimEnd(n.headLines())) {
		return false
	}
	if p.Sealed() != n.part.Sealed() {
		return false
	}
	if n.part.Sealed() || len(n.kids) == 0 {
		return bytes.Equal(p.Body(), n.doc[n.at.Body:n.at.End])
	}
	parts := p.Parts()
	if len(n.e.nodes) >= mail.MaxParts { // some may not have been read
		return len(parts) <= n.live
	}
	if len(parts) != n.live {
		return false
	}
	i := 0
	for _, k := range n.kids {
		if k.gone {
			continue
		}
		if !k.same(parts[i]) {
			return false
		}
		i++
	}
	return true
}

// trimEnd is a header without the end of its last line, which the header of a part
// without a body may lack.
func trimEnd(head []byte) []byte { return bytes.TrimRight(head, "\r\n") }

// rebound gives all multiparts new boundaries.
func (e *Editor) rebound() {
	base, count := newBoundary(e.random, e.render()), 0
	var enter func(n *Node)
	enter = func(n *Node) {
		if len(n.kids) > 0 && isMultipart(n.part) {
			n.boundary = fmt.Sprintf("%s_%05d", base, count)
			count++
			n.rebound = true
			n.declare()
			for a := n; a != nil; a = a.parent {
				a.dirty = true
			}
		}
		for _, k := range n.kids {
			if !k.gone {
				enter(k)
			}
		}
	}
	enter(e.Root())
}
