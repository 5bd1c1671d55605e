package mailedit

import "bytes"

// render is the message's body as it stands.
func (e *Editor) render() []byte {
	var out bytes.Buffer
	out.Grow(len(e.m.Raw()) + 1024)
	e.Root().writeBody(&out)
	return out.Bytes()
}

// write appends the part with its header.
func (n *Node) write(out *bytes.Buffer) {
	if !n.moved && !n.dirty {
		out.Write(n.doc[n.at.Start:n.at.End])
		return
	}
	if n.moved {
		out.Write(n.head)
		out.WriteString("\r\n")
		n.writeBody(out)
		return
	}
	out.Write(n.doc[n.at.Start:n.at.Body])
	if n.at.HeadEnd == n.at.Body { // the empty line is missing, and must not be from now on
		if n.at.HeadEnd > n.at.Start {
			endLine(out)
		}
		out.WriteString("\r\n")
	}
	n.writeBody(out)
}

func (n *Node) writeBody(out *bytes.Buffer) {
	switch {
	case !n.dirty:
		out.Write(n.doc[n.at.Body:n.at.End])
	case !isMultipart(n.part): // a message
		n.kids[0].write(out)
	default:
		n.writeParts(out)
	}
}

// writeParts appends the parts of a multipart, and what is before, between and
// after them, as it stands.
func (n *Node) writeParts(out *bytes.Buffer) {
	// owed is the line ends that the part last written needs before a delimiter: it
	// ended where there was none.
	owed := 0
	next := func(line []byte) {
		for ; owed > 0; owed-- {
			out.WriteString("\r\n")
		}
		out.Write(line)
	}
	end := n.at.Body
	for i, k := range n.kids {
		line, after := n.own(), end
		if !k.made {
			var at int
			line, at = n.delimiter(k.slot[0], end)
			if i == 0 {
				out.Write(n.doc[end:at])
			}
			after = n.breakAfter(i)
			end = after
			if n.rebound {
				line = n.own()
			}
		}
		if k.gone {
			continue
		}
		next(line)
		if last := line[len(line)-1]; last != '\n' && last != '\r' {
			owed++ // and it has no header
		}
		if owed > 0 && k.touched() {
			next(nil)
		}
		k.write(out)
		switch {
		case !k.made && after > k.slot[1]:
			out.Write(n.doc[k.slot[1]:after])
		case k.touched() || n.unclosed(i):
			owed++
			if k.endsInHeader() { // which is no message without its empty line
				owed++
			}
		}
	}
	n.writeEnd(out, end, next)
}

// writeEnd appends what follows the last part, whose line break ends at end.
func (n *Node) writeEnd(out *bytes.Buffer, end int, next func([]byte)) {
	rest := n.doc[end:max(end, n.at.End)]
	closing := []byte("--" + n.boundary + "--")
	switch {
	case len(rest) == 0 && !n.relisted && !n.rebound:
	case len(rest) == 0:
		next(closing)
		if n.ends() {
			out.WriteString("\r\n")
		}
	case n.rebound && bytes.HasPrefix(rest, []byte("--")):
		next(closing)
		if line := bytes.IndexAny(rest, "\r\n"); line >= 0 {
			out.Write(rest[line:])
		}
	default:
		next(rest)
	}
}

// ends tells whether the message's body ends where n does.
func (n *Node) ends() bool {
	for n = n.parent; n != nil; n = n.parent {
		if isMultipart(n.part) {
			return false
		}
	}
	return true
}

// own is a delimiter of n.
func (n *Node) own() []byte { return []byte("--" + n.boundary + "\r\n") }

// delimiter is the line that ends at end, and where it begins; nothing before floor
// is of it.
func (n *Node) delimiter(end, floor int) (line []byte, at int) {
	at = end
	if at > floor && n.doc[at-1] == '\n' {
		at--
	}
	for at > floor && n.doc[at-1] == '\r' {
		at--
	}
	at = floor + 1 + bytes.LastIndexAny(n.doc[floor:at], "\r\n")
	return n.doc[at:end], at
}

// breakAfter is where the i-th part's line break ends, which belongs to the
// delimiter that follows (RFC 2046 §5.1.1); lines that are delimiters without a part
// are of it.
func (n *Node) breakAfter(i int) int {
	end := n.kids[i].slot[1]
	if i+1 < len(n.kids) && !n.kids[i+1].made {
		_, at := n.delimiter(n.kids[i+1].slot[0], end)
		return at
	}
	rest := n.doc[end:max(end, n.at.End)]
	switch {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return end + 2
	case bytes.HasPrefix(rest, []byte("\n")), bytes.HasPrefix(rest, []byte("\r")):
		return end + 1
	}
	return end
}

// unclosed tells of the last part of a multipart that ends with it.
func (n *Node) unclosed(i int) bool {
	k := n.kids[i]
	return !k.made && (i+1 == len(n.kids) || n.kids[i+1].made) && k.slot[1] >= n.at.End
}

// endsInHeader tells whether the last thing that stands in n as it arrived is a
// header, or nothing at all.
func (n *Node) endsInHeader() bool {
	for {
		if n.fresh || n.relisted {
			return false
		}
		if len(n.kids) == 0 {
			return !n.moved && n.at.HeadEnd == n.at.End
		}
		n = n.kids[len(n.kids)-1]
	}
}

// full tells whether there is more in n than was read as parts.
func (n *Node) full() bool {
	for i := len(n.kids) - 1; i >= 0; i-- {
		if n.kids[i].made {
			continue
		}
		end := n.breakAfter(i)
		rest := n.doc[end:max(end, n.at.End)]
		return len(rest) > 0 && !bytes.HasPrefix(rest, []byte("--"+n.found+"--"))
	}
	return false
}

// endLine ends the line if it has no end.
func endLine(out *bytes.Buffer) {
	if b := out.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' && b[len(b)-1] != '\r' {
		out.WriteString("\r\n")
	}
}
