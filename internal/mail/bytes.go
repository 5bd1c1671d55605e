package mail

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Span is where a part stands in its document, as offsets: the bytes that Parse
// was given, or those of ParsePart.
type Span struct {
	Start   int // of the header
	HeadEnd int // after the header's last line; the empty line follows, if there is one
	Body    int
	End     int
}

// Fields is the header that was given to Parse. It must not be changed.
func (m *Message) Fields() []Field { return m.fields }

// Raw is the body that was given to Parse. It must not be changed.
func (m *Message) Raw() []byte { return m.raw }

// Document is the bytes that the part's message was read from, its header not
// among them. They must not be changed.
func (p *Part) Document() []byte { return p.m.raw }

// Head is the lines of the part's header as they stand, nil for the message
// itself; Body is what follows the empty line. They must not be changed.
func (p *Part) Head() []byte { return p.head }

// Body is the part's body as it stands, with its transfer encoding.
func (p *Part) Body() []byte { return p.raw }

// Span is where the part stands; ok is false if its bytes are not in the
// document but in what an encoded part around it has in it.
func (p *Part) Span() (s Span, ok bool) {
	if p.parent == nil {
		return Span{End: len(p.m.raw)}, true
	}
	start, ok := offset(p.m.raw, p.head)
	if !ok || p.parent.inside {
		return s, false
	}
	s = Span{Start: start, HeadEnd: start + len(p.head)}
	s.Body, s.End = s.HeadEnd, s.HeadEnd
	if p.raw != nil { // nil: a delimiter ended its header
		s.Body = cap(p.m.raw) - cap(p.raw)
		s.End = s.Body + len(p.raw)
	}
	return s, true
}

// offset is where part is in data, whose bytes it shares unless ok is false.
func offset(data, part []byte) (at int, ok bool) {
	at = cap(data) - cap(part)
	if at < 0 || at+len(part) > len(data) {
		return 0, false
	}
	return at, cap(part) == 0 || &data[:cap(data)][at] == &part[:1][0]
}

// Sealed tells of what has parts, or may have, in its encoded content.
func (p *Part) Sealed() bool { return p.inside }

// TooDeep tells of what has its parts unread for its depth.
func (p *Part) TooDeep() bool { return p.wrong&tooDeep != 0 }

// IsMessage tells of what has a message in it.
func (p *Part) IsMessage() bool { return p.isMessage() }

// IsAttached tells whether the part itself is shown as an attachment, whatever
// it is in.
func (p *Part) IsAttached() bool { return p.isAttached() }

// Encoding is the transfer encoding by its right name: "base64",
// "quoted-printable", "x-uuencode"; "8bit" or "binary" if the header says so; and
// "7bit" for all else.
func (p *Part) Encoding() string {
	switch p.encoding() {
	case base64Encoding:
		return "base64"
	case quotedPrintable:
		return "quoted-printable"
	case uuencode:
		return "x-uuencode"
	case asIs:
	}
	switch word, _, _ := splitValue(p.transfer); word {
	case "8bit", "8-bit", "8bits":
		return "8bit"
	case "binary":
		return "binary"
	}
	return "7bit"
}

// Charset is the name of the character set that Text takes the content to be of,
// "" if nobody says.
func (p *Part) Charset() string {
	name := p.Params()["charset"]
	if name == "" && p.kind == "text/html" {
		name = metaCharset(p.Content())
	}
	return name
}

// Graft is a copy of p as it is in another parent, with another header unless
// head is nil. Its parts are still those of p: see Adopt.
func (p *Part) Graft(parent *Part, head []byte) *Part {
	q := *p
	q.parent = parent
	if head != nil {
		q.head = head
	}
	return &q
}

// Adopt makes list the parts of p, which nobody else may know.
func (p *Part) Adopt(list []*Part) { p.parts, p.sealed = list, false }

// View is a message put together of parts: it reads as root does.
func View(fields []Field, root *Part) *Message {
	m := &Message{fields: fields, raw: root.raw, root: root}
	root.m, root.parent = m, nil
	return m
}

// ParsePart is the part with that header and what is after its empty line. Its
// Document is both: an empty line is put between them.
func ParsePart(head, body []byte) *Part {
	doc := make([]byte, 0, len(head)+len(body)+4)
	doc = append(doc, head...)
	if n := len(doc); n > 0 && doc[n-1] != '\n' && doc[n-1] != '\r' {
		doc = append(doc, "\r\n"...)
	}
	doc = append(append(doc, "\r\n"...), body...)
	m := Parse([]Field{{"Content-Type", "message/rfc822"}}, doc)
	return m.Root().parts[0]
}

// EncodeText is text, which is UTF-8, in a character set; ok is false if the set
// cannot hold it, is not known, or is one whose bytes depend on what is before
// them.
func EncodeText(charset, text string) (data []byte, ok bool) {
	key := squeeze(charset)
	switch key {
	case "", "usascii", "ascii", "ansix341968", "iso646us", "646", "us", "cp367", "ibm367", "csascii":
		return []byte(text), is7bit(text)
	case "utf8", "unicode11utf8", "unicode20utf8", "xutf8", "utf8mb4", "cp65001", "65001":
		return []byte(text), utf8.ValidString(text)
	}
	e := named(key)
	if e == nil || e == simplifiedchinese.HZGB2312 || wide(key, nil) != nil {
		return nil, false
	}
	data, err := e.NewEncoder().Bytes([]byte(text))
	if err != nil {
		return nil, false
	}
	if strings.Contains(key, "8859") || strings.Contains(key, "latin") { // named takes it for Windows' set
		for _, c := range data {
			if 0x80 <= c && c < 0xa0 {
				return nil, false
			}
		}
	}
	return data, true
}

// LineEnd is where the line that begins at pos ends, and where the next begins,
// as readers take line ends.
func LineEnd(data []byte, pos int) (end, next int) { return lineEnd(data, pos) }
