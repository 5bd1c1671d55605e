package mail

import (
	"crypto/md5"  // lists of known files have it
	"crypto/sha1" // lists of known files have it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"unicode/utf8"
)

// Part is a part of a message: a leaf with content, a multipart, or a message
// inside a message. It points into the message's bytes and decodes when asked.
type Part struct {
	m      *Message
	parent *Part // nil for the message itself
	depth  int
	parts  []*Part
	head   []byte // the header's lines; nil for the message itself
	raw    []byte // the body as it stands
	wrong  defect // what was found when the parts were told
	size   int64  // of the decoded content, plus one; 0 before it is known
	inside bool   // its parts are in its encoded content
	sealed bool   // and were not read yet

	kind string // see Type
	// What the first field of each name says, folds included.
	contentType, disposition, transfer, contentID string
	has                                           fieldSet
}

// fieldSet is which of MIME's fields a part has.
type fieldSet uint8

const (
	hasType fieldSet = 1 << iota
	hasDisposition
	hasTransfer
	hasID
)

// Type is the media type in lower case, "text/plain" if there is none or it is
// malformed (RFC 2045 §5.2), "message/rfc822" in a multipart/digest (RFC 2046
// §5.1.5).
func (p *Part) Type() string { return p.kind }

// Params is the parameters of Content-Type, names in lower case, RFC 2231's
// pieces put together and decoded; nil for none.
func (p *Part) Params() map[string]string {
	_, params, _ := splitValue(p.contentType)
	all, _ := parseParams(params)
	return all
}

// Disposition is the first word of Content-Disposition in lower case:
// "attachment", "inline", or "" if there is none.
func (p *Part) Disposition() string {
	word, _, _ := splitValue(p.disposition)
	return word
}

// Filename is the name that a mail reader would save the part under: of
// Content-Disposition, or else the name of Content-Type (RFC 2183 §2.3), decoded
// in all the ways that mailers encode it. Slashes are underscores, control
// characters spaces, and of a path of Windows only its last name is left: it is
// one name and never a path. "" if there is none.
func (p *Part) Filename() string {
	name, _ := p.filename()
	return name
}

// Headers is the part's own header fields, folds as LF; those of the message
// itself are as they were given to Parse. The first [MaxFields] of them. The
// slice must not be changed.
func (p *Part) Headers() []Field {
	if p.parent == nil {
		return p.m.fields
	}
	return splitHeader(p.head)
}

// Size is the length of the decoded content in bytes.
func (p *Part) Size() int64 {
	if p.size == 0 {
		var size int64
		p.decode(func(b []byte) { size += int64(len(b)) })
		p.size = size + 1
	}
	return p.size - 1
}

// Content is the content without its transfer encoding; that of a multipart or a
// message is its text as it stands. It is decoded anew with each call if it has
// an encoding, and the message's own bytes if not: it must not be changed.
func (p *Part) Content() []byte {
	if p.encoding() == asIs {
		return p.raw
	}
	if p.size == 0 {
		out := make([]byte, 0, len(p.raw)*3/4+3)
		p.decode(func(b []byte) { out = append(out, b...) })
		p.size = int64(len(out)) + 1
		return out
	}
	out := make([]byte, 0, p.size-1)
	p.decode(func(b []byte) { out = append(out, b...) })
	return out
}

// Text is the content as text: decoded, in UTF-8, line ends as LF. "" for a
// multipart. It is made anew with each call.
func (p *Part) Text() string {
	if p.isMultipart() && !p.opaque() {
		return ""
	}
	text, _ := p.text()
	return text
}

func (p *Part) text() (string, defect) {
	content := p.Content()
	charset := p.Params()["charset"]
	if charset == "" && p.kind == "text/html" {
		charset = metaCharset(content)
	}
	text, wrong := decodeText(charset, content)
	if p.encoding() == base64Encoding && isGarbage(text) && isProse(p.raw) {
		text, _ = decodeText(charset, p.raw) // it only says that it is base64
	}
	return toLF(text), wrong
}

// isProse tells of what is text and cannot be meant to be base64: every tenth
// character or more is none of its digits. A reader decodes all else, whatever
// comes out.
func isProse(raw []byte) bool {
	odd, all := 0, 0
	for _, c := range raw[:min(len(raw), 4096)] {
		switch {
		case c == '\r' || c == '\n':
			continue
		case c != '=' && base64Value(c) > 63:
			odd++
		}
		all++
	}
	return odd*10 > all && !isGarbage(string(raw))
}

// isGarbage tells of what is no text: every twentieth character or more cannot
// be shown.
func isGarbage(text string) bool {
	bad, all := 0, 0
	for _, r := range text {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b {
			bad++
		}
		if all++; all == 4096 {
			break
		}
	}
	return bad*20 > all
}

// Parts is the parts of a multipart in their order. A message inside the message
// has one: that message, whose Headers are its own. The slice must not be changed.
func (p *Part) Parts() []*Part {
	if p.sealed {
		p.unseal()
	}
	return p.parts
}

// Hash is the digest of Content in lower-case hexadecimal digits, by "md5",
// "sha1", "sha256" or "sha512"; an error for another name. The content is not
// held in memory for it.
func (p *Part) Hash(algorithm string) (string, error) {
	var h hash.Hash
	switch algorithm {
	case "md5":
		h = md5.New()
	case "sha1":
		h = sha1.New()
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	default:
		return "", fmt.Errorf("%q is no hash: md5, sha1, sha256 or sha512", algorithm)
	}
	p.decode(func(b []byte) { h.Write(b) })
	return hex.EncodeToString(h.Sum(nil)), nil
}

// keep notes a header field, if it is one that tells what the part is.
func (p *Part) keep(name string, value func() string) {
	const prefix = "content-"
	if len(name) <= len(prefix) || lower(name[0]) != 'c' || name[7] != '-' {
		return
	}
	var bit fieldSet
	var to *string
	switch lowerASCII(strings.TrimRight(name, " \t")) {
	case "content-type":
		bit, to = hasType, &p.contentType
	case "content-disposition":
		bit, to = hasDisposition, &p.disposition
	case "content-transfer-encoding":
		bit, to = hasTransfer, &p.transfer
	case "content-id":
		bit, to = hasID, &p.contentID
	default:
		return
	}
	if p.has&bit != 0 {
		p.wrong |= duplicateHeader
		return
	}
	p.has |= bit
	*to = unfold(value())
}

// settle tells the type, once the header has been read.
func (p *Part) settle() {
	p.kind = "text/plain"
	if p.parent != nil && p.parent.kind == "multipart/digest" {
		p.kind = "message/rfc822"
	}
	if p.has&hasType == 0 {
		return
	}
	word, _, _ := splitValue(p.contentType)
	kind, ok := mediaType(word)
	if kind != "" {
		p.kind = kind
	}
	if !ok {
		p.wrong |= badContentType
	}
}

func (p *Part) boundary() string {
	return strings.TrimRight(p.Params()["boundary"], " \t")
}

func (p *Part) isMultipart() bool { return strings.HasPrefix(p.kind, "multipart/") }

// isMessage tells of what has a message in it (RFC 2046 §5.2.1, RFC 6532 §3.7).
func (p *Part) isMessage() bool {
	return p.kind == "message/rfc822" || p.kind == "message/global" || p.kind == "message/news"
}

func (p *Part) isText() bool { return strings.HasPrefix(p.kind, "text/") }

// saysEncoded tells of a transfer encoding that is known and changes something.
func (p *Part) saysEncoded() bool {
	e, _ := encodingOf(p.transfer)
	return e != asIs
}

// seal notes that the parts are in the encoded content, to be read when asked for.
func (p *Part) seal() { p.inside, p.sealed = true, true }

// opaque tells of what should have parts and has none.
func (p *Part) opaque() bool { return len(p.Parts()) == 0 }

// copies is how many parts around p are read from a decoded copy of their own.
func (p *Part) copies() int {
	n := 0
	for up := p.parent; up != nil; up = up.parent {
		if up.encoding() != asIs && len(up.parts) > 0 {
			n++
		}
	}
	return n
}

// unseal reads the parts of what has a transfer encoding, as mailers write it
// though they must not (RFC 2045 §6.4).
func (p *Part) unseal() {
	p.sealed = false
	if p.copies() >= maxCopies {
		p.wrong |= tooDeep
		return
	}
	ps := newParser(p.m, p.Content())
	if p.isMessage() {
		ps.message(p, 0)
		return
	}
	boundary := p.boundary()
	if boundary == "" {
		boundary = ps.guess(0, len(ps.data))
	}
	if boundary != "" {
		ps.enter(p, boundary, 0)
	}
	if len(p.parts) > 0 {
		p.wrong &^= wrongBoundary
	} else {
		p.wrong &^= missingEndBoundary
	}
}
