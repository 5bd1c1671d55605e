package mail

import "strings"

// Text is the text that people read: the content of the first text/plain part
// that is not an attachment, decoded to UTF-8, line ends as LF; "" if there is
// none. Parts of messages inside the message do not count, unless it is nothing
// but such a message. A message whose parts cannot be told is text as it stands.
func (m *Message) Text() string {
	if m.text == nil {
		text := ""
		if p := m.body("text/plain"); p != nil {
			text, _ = p.text()
		}
		m.text = &text
	}
	return *m.text
}

// HTML is that of the first text/html part, as Text is of text/plain.
func (m *Message) HTML() string {
	if m.html == nil {
		html := ""
		if p := m.body("text/html"); p != nil {
			html, _ = p.text()
		}
		m.html = &html
	}
	return *m.html
}

// Attachments is the parts that a mail reader lists as attachments, in order:
// every leaf, and every message inside the message, that says so itself, has a
// file name, or is neither text nor a picture in the text (an image in a
// multipart/related with a Content-ID). The text of a message without parts is
// none, whatever its name. What is inside an attached message is not listed.
func (m *Message) Attachments() []*Part {
	var list []*Part
	m.Root().leaves(false, func(p *Part, attached bool) bool {
		if attached {
			list = append(list, p)
		}
		return true
	})
	return list
}

// leaves calls visit with each leaf and each message in p, and whether it is an
// attachment, until visit returns false.
func (p *Part) leaves(attached bool, visit func(p *Part, attached bool) bool) bool {
	attached = attached || p.isAttached()
	if !p.isMultipart() || p.opaque() {
		return visit(p, attached)
	}
	for _, child := range p.Parts() {
		if !child.leaves(attached, visit) {
			return false
		}
	}
	return true
}

func (p *Part) isAttached() bool {
	switch disposition := p.Disposition(); {
	case disposition != "" && disposition != "inline": // RFC 2183 §2.8
		return true
	case p.isMultipart():
		return p.wrong&tooDeep != 0
	case p.parent == nil && p.isText():
		return false
	case p.parent != nil && p.parent.kind == "multipart/related" && strings.HasPrefix(p.kind, "image/") && p.has&hasID != 0:
		return false
	}
	return !p.isText() || p.Filename() != ""
}

// body is the leaf that has the text of a kind, nil if there is none.
func (m *Message) body(kind string) *Part {
	root := m.Root()
	for depth := 0; root.isMessage() && !root.opaque() && depth < MaxDepth; depth++ {
		root = root.Parts()[0]
	}
	var found, named *Part
	any := false
	root.leaves(false, func(p *Part, attached bool) bool {
		any = any || !attached && p.isText()
		switch {
		case !attached && p.kind == kind:
			found = p
		case named == nil && p.kind == kind && (p.Disposition() == "" || p.Disposition() == "inline"):
			named = p
		}
		return found == nil
	})
	switch {
	case found != nil:
		return found
	case !any && named != nil: // it has a name and is shown for want of another
		return named
	case kind == "text/plain" && !root.isAttached() && (root.isText() && root.kind != "text/html" || root.isMultipart() && root.opaque()):
		return root
	}
	return nil
}
