package mail

import (
	"bytes"
	"strings"
)

// header reads the header of p from pos on. body is where its body begins;
// ended tells that there is none, because d ended the part.
func (ps *parser) header(p *Part, pos int) (body int, d delimiter, ended bool) {
	if bytes.HasPrefix(ps.data[pos:], []byte("\ufeff")) {
		pos += len("\ufeff")
	}
	start := pos
	var name []byte // of the field being read, or nil
	from := 0       // where its value begins
	keep := func(to int) {
		if name != nil {
			p.keep(string(name), func() string { return string(ps.data[from:to]) })
		}
		name = nil
	}
	for pos < len(ps.data) {
		end, next := lineEnd(ps.data, pos)
		line := ps.data[pos:end]
		switch {
		case len(line) == 0:
			keep(pos)
			p.head = ps.data[start:pos]
			return next, d, false
		case isSpace(line[0]): // goes on
		case ps.delimits(pos, &d):
			keep(pos)
			p.head = ps.data[start:pos]
			p.settle()
			return pos, d, true
		default:
			keep(pos)
			colon := fieldColon(line)
			if colon < 0 && !isFromLine(line, pos == start) {
				p.wrong |= missingBlankLine
				p.head = ps.data[start:pos]
				return pos, d, false
			}
			if colon >= 0 {
				name, from = line[:colon], pos+colon+1
			}
		}
		pos = next
	}
	keep(pos)
	p.head = ps.data[start:pos]
	return pos, d, false
}

// delimits tells whether a delimiter is at pos, which it sets d to.
func (ps *parser) delimits(pos int, d *delimiter) (ok bool) {
	if !bytes.HasPrefix(ps.data[pos:], []byte("--")) {
		return false
	}
	*d, ok = ps.delimiterAt(pos)
	return ok
}

// fieldColon is where the colon is of a line that begins a header field, or -1.
func fieldColon(line []byte) int {
	for i, c := range line {
		switch {
		case c == ':' && i > 0:
			return i
		case isSpace(c): // only more of it may be before the colon (RFC 5322 §4.5.8)
			rest := bytes.TrimLeft(line[i:], " \t")
			if i == 0 || len(rest) == 0 || rest[0] != ':' {
				return -1
			}
			return len(line) - len(rest)
		case c <= ' ' || c >= 0x7f || c == ':':
			return -1
		}
	}
	return -1
}

// isFromLine tells of the line before a message in an mbox file, which mailers
// forget when they take it from there.
func isFromLine(line []byte, first bool) bool {
	return first && bytes.HasPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From "))
}

// splitHeader is the fields of a part's header, values with folds as LF.
func splitHeader(head []byte) (fields []Field) {
	value := func(b []byte) string { return strings.TrimSuffix(toLF(string(b)), "\n") }
	name, from := "", -1
	for pos := 0; pos < len(head); {
		end, next := lineEnd(head, pos)
		line := head[pos:end]
		if len(line) == 0 || !isSpace(line[0]) {
			if from >= 0 {
				fields = append(fields, Field{name, value(head[from:pos])})
				from = -1
			}
			if len(fields) >= MaxFields {
				return fields
			}
			if colon := fieldColon(line); colon >= 0 {
				name, from = string(line[:colon]), pos+colon+1
			}
		}
		pos = next
	}
	if from >= 0 {
		fields = append(fields, Field{name, value(head[from:])})
	}
	return fields
}
