package mail

import (
	"bytes"
	"slices"
	"strings"
)

// Defects is the names of all that is wrong with the message: those that
// [Defects] lists, in that order, each once; nil for none. It decodes every part.
func (m *Message) Defects() []string {
	root := m.Root()
	wrong := m.wrong | m.checkHeader() | root.check()
	for rest := m.raw; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		if i == 0 || rest[i-1] != '\r' {
			wrong |= bareLF
			break
		}
		rest = rest[i+1:]
	}
	for rest := m.raw; ; {
		i := bytes.IndexByte(rest, '\r')
		if i < 0 {
			break
		}
		if i+1 == len(rest) || rest[i+1] != '\n' {
			wrong |= bareCR
			break
		}
		rest = rest[i+1:]
	}
	return (wrong | m.wrong).names()
}

// checkHeader finds what is wrong with the message's own fields.
func (m *Message) checkHeader() (wrong defect) {
	count := map[string]int{}
	for _, f := range m.fields {
		name := lowerASCII(strings.TrimRight(f.Name, " \t"))
		count[name]++
		if !isFieldName(name) {
			wrong |= badHeader
		}
		value := strings.ReplaceAll(f.Value, "\r\n", "\n")
		if strings.IndexByte(value, '\r') >= 0 {
			wrong |= bareCR
		}
		if strings.IndexByte(value, 0) >= 0 {
			wrong |= nul
		}
		if !structured(name) {
			_, bad := decodeHeader(value, "")
			wrong |= bad
		}
	}
	for _, name := range once() {
		if count[name] > 1 {
			wrong |= duplicateHeader
		}
	}
	if count["from"] == 0 || count["date"] == 0 {
		wrong |= missingHeader
	}
	for _, name := range []string{"From", "To", "Cc"} {
		_, bad := m.readAll(name)
		wrong |= bad
	}
	if value, ok := m.first("Date"); ok {
		if _, _, clean := readDate(value); !clean {
			wrong |= badDate
		}
	}
	return wrong
}

// once is the fields that a message may have once (RFC 5322 §3.6, RFC 2045 §3).
func once() []string {
	return []string{
		"date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject",
		"mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
	}
}

// structured tells of fields that are checked elsewhere or have no encoded words.
func structured(name string) bool {
	return slices.Contains([]string{"from", "to", "cc", "date", "content-type", "content-disposition", "dkim-signature", "received"}, name)
}

// isFieldName tells of a name as RFC 5322 §3.6.8 allows it.
func isFieldName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return name != ""
}

// check finds what is wrong with p and all parts in it.
func (p *Part) check() defect {
	parts := p.Parts() // may find something
	wrong := p.wrong | p.checkFields()
	for _, child := range parts {
		wrong |= child.check()
	}
	if p.isText() {
		text, bad := p.text()
		wrong |= bad
		if strings.IndexByte(text, 0) >= 0 {
			wrong |= nul
		}
	}
	return wrong | p.decode(func([]byte) {})
}

// checkFields finds what is wrong with the fields that tell what p is.
func (p *Part) checkFields() (wrong defect) {
	if _, ok := encodingOf(p.transfer); !ok {
		wrong |= unknownEncoding
	}
	for _, value := range []string{p.contentType, p.disposition} {
		_, rest, ok := splitValue(value)
		_, bad := parseParams(rest)
		wrong |= bad
		if !ok {
			wrong |= badParameter
		}
	}
	return wrong
}
