package mail

import (
	"bytes"
)

// parser builds the tree of parts in one pass over a document: a message, or
// the decoded content of an encoded part.
type parser struct {
	m    *Message
	data []byte
	// open is the multiparts around the place that is being read, the outermost
	// first, and level the innermost of each boundary: two that are inside each
	// other may have the same.
	open  []openMultipart
	level map[string]int
}

type openMultipart struct {
	boundary string
	shadowed int // the level that had the same boundary before, or -1
}

// delimiter is a boundary's line, or the document's end.
type delimiter struct {
	at, next int // where its line begins and the next one
	level    int // whose it is; -1 at the document's end
	last     bool
}

func newParser(m *Message, data []byte) *parser {
	return &parser{m: m, data: data, level: map[string]int{}}
}

func (ps *parser) push(boundary string) {
	shadowed, ok := ps.level[boundary]
	if !ok {
		shadowed = -1
	}
	ps.level[boundary] = len(ps.open)
	ps.open = append(ps.open, openMultipart{boundary, shadowed})
}

func (ps *parser) pop() {
	last := ps.open[len(ps.open)-1]
	ps.open = ps.open[:len(ps.open)-1]
	if last.shadowed < 0 {
		delete(ps.level, last.boundary)
		return
	}
	ps.level[last.boundary] = last.shadowed
}

// find is the first delimiter at or after pos, which begins a line.
func (ps *parser) find(pos int) delimiter {
	for len(ps.open) > 0 {
		i := bytes.Index(ps.data[pos:], []byte("--"))
		if i < 0 {
			break
		}
		at := pos + i
		if at > 0 && ps.data[at-1] != '\n' && ps.data[at-1] != '\r' {
			pos = at + 2
			continue
		}
		d, ok := ps.delimiterAt(at)
		if ok {
			return d
		}
		pos = d.next
	}
	return delimiter{at: len(ps.data), next: len(ps.data), level: -1}
}

// delimiterAt reads the line at pos, which begins with --. White space may
// follow the boundary (RFC 2046 §5.1.1: transport-padding), nothing else: a
// boundary may begin with another.
func (ps *parser) delimiterAt(pos int) (delimiter, bool) {
	end, next := lineEnd(ps.data, pos)
	d := delimiter{at: pos, next: next}
	token := bytes.TrimRight(ps.data[pos+2:end], " \t")
	if len(token) > maxBoundary+2 {
		return d, false
	}
	level, ok := ps.level[string(token)]
	if !ok && bytes.HasSuffix(token, []byte("--")) {
		level, ok = ps.level[string(token[:len(token)-2])]
		d.last = true
	}
	d.level = level
	return d, ok
}

// part reads the part whose header begins at pos, and all parts in it, up to
// the delimiter that ends it.
func (ps *parser) part(parent *Part, pos int) (*Part, delimiter) {
	p := &Part{m: ps.m, parent: parent, depth: parent.depth + 1}
	ps.m.parts++
	body, d, ended := ps.header(p, pos)
	if ended {
		return p, d
	}
	return p, ps.body(p, body)
}

// body reads what is in p, whose header has been read, from pos on.
func (ps *parser) body(p *Part, pos int) delimiter {
	p.settle()
	var d delimiter
	switch {
	case !p.isMultipart() && !p.isMessage():
		d = ps.find(pos)
	case p.depth >= MaxDepth:
		p.wrong |= tooDeep
		d = ps.find(pos)
	case p.isMultipart():
		d = ps.multipart(p, pos)
	case p.saysEncoded():
		p.seal()
		d = ps.find(pos)
	default:
		d = ps.message(p, pos)
	}
	p.raw = ps.data[pos:d.at]
	if d.level >= 0 {
		p.raw = trimBreak(p.raw)
	}
	return d
}

// message reads the message in p.
func (ps *parser) message(p *Part, pos int) delimiter {
	if ps.m.parts >= MaxParts {
		ps.m.wrong |= tooManyParts
		return ps.find(pos)
	}
	inner, d := ps.part(p, pos)
	p.parts = []*Part{inner}
	return d
}

// multipart reads the parts of p up to the delimiter that ends p.
func (ps *parser) multipart(p *Part, pos int) delimiter {
	boundary := p.boundary()
	if p.saysEncoded() {
		p.wrong |= encodedMultipart
	}
	if boundary == "" {
		p.wrong |= noBoundary
		d := ps.find(pos)
		if boundary = ps.guess(pos, d.at); boundary == "" {
			perhapsSealed(p)
			return d
		}
	}
	d := ps.enter(p, boundary, pos)
	if len(p.parts) > 0 || p.wrong&noBoundary != 0 {
		return d
	}
	// The boundary begins no part here, before the delimiter that ends p.
	p.wrong = p.wrong&^missingEndBoundary | wrongBoundary
	if boundary = ps.guess(pos, d.at); boundary != "" {
		return ps.enter(p, boundary, pos)
	}
	perhapsSealed(p)
	return d
}

// perhapsSealed is for a multipart without parts: if it has a transfer encoding,
// which it must not have, they may be in what is encoded.
func perhapsSealed(p *Part) {
	if p.saysEncoded() {
		p.seal()
	}
}

// enter reads the parts of p between its boundaries.
func (ps *parser) enter(p *Part, boundary string, pos int) delimiter {
	level := len(ps.open)
	ps.push(boundary)
	d := ps.find(pos)
	for d.level == level && !d.last {
		if ps.m.parts >= MaxParts {
			ps.m.wrong |= tooManyParts
			d = ps.skip(level, d)
			break
		}
		if again := (delimiter{}); ps.delimits(d.next, &again) && again.level == level {
			d = again // nothing between two boundaries is no part
			continue
		}
		var child *Part
		child, d = ps.part(p, d.next)
		p.parts = append(p.parts, child)
	}
	ps.pop()
	if d.level != level {
		p.wrong |= missingEndBoundary
		return d
	}
	return ps.find(d.next)
}

// skip is the delimiter that ends a multipart at level.
func (ps *parser) skip(level int, d delimiter) delimiter {
	for d.level == level && !d.last {
		d = ps.find(d.next)
	}
	return d
}

// guess is the boundary that a multipart seems to have between pos and end: a
// line that begins with -- and is followed by a header field of MIME. "" if there
// is none.
func (ps *parser) guess(pos, end int) string {
	if ps.m.guesses >= maxGuesses {
		return ""
	}
	ps.m.guesses++
	for pos < end {
		i := bytes.Index(ps.data[pos:end], []byte("--"))
		if i < 0 {
			break
		}
		at := pos + i
		if at > 0 && ps.data[at-1] != '\n' && ps.data[at-1] != '\r' {
			pos = at + 2
			continue
		}
		stop, next := lineEnd(ps.data, at)
		token := bytes.TrimRight(ps.data[at+2:stop], " \t")
		const mime = "content-"
		if follows := ps.data[next:]; len(token) > 0 && len(token) <= maxBoundary &&
			len(follows) > len(mime) && lowerASCII(string(follows[:len(mime)])) == mime {
			return string(token)
		}
		pos = next
	}
	return ""
}
