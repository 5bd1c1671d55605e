package filter

import (
	"mime"
	"strings"

	"github.com/emersion/go-message/charset"
)

// Field is one header field.
type Field struct {
	Name string
	// Value is as the MTA has it on its side of the colon: with its leading
	// white space when HDR_LEADSPC was negotiated, else without one space;
	// folds as LF.
	Value string
}

// Text is the value as handlers get it: without the white space after the
// colon, folds as LF.
func (f Field) Text() string { return strings.TrimLeft(f.Value, " \t") }

// Decoded is the value unfolded and with its encoded words read (RFC 5322
// §2.2.3, RFC 2047). What cannot be decoded stays as it is.
func (f Field) Decoded() string { return decodeText(unfold(f.Text())) }

// Is tells whether the field has that name; case does not matter (RFC 5322 §1.2.2).
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

func unfold(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(value)
}

func decodeText(value string) string {
	if !strings.Contains(value, "=?") {
		return value
	}
	decoder := mime.WordDecoder{CharsetReader: charset.Reader}
	text, err := decoder.DecodeHeader(value)
	if err != nil {
		return value
	}
	return text
}

// fieldArena keeps the fields of a message as they arrive: one growing buffer
// and one string made of it when somebody looks, instead of two strings a field.
type fieldArena struct {
	bytes  []byte
	ends   []int // of name, of value, of name, ...
	fields []Field
}

func (a *fieldArena) add(name, value []byte) {
	a.bytes = append(append(a.bytes, name...), value...)
	end := len(a.bytes)
	a.ends = append(a.ends, end-len(value), end)
}

func (a *fieldArena) count() int { return len(a.ends) / 2 }

// all is the fields so far; the slice must not be changed.
func (a *fieldArena) all() []Field {
	if len(a.fields) == a.count() {
		return a.fields
	}
	text := string(a.bytes)
	fields := make([]Field, a.count())
	start := 0
	for i := range fields {
		name, value := a.ends[2*i], a.ends[2*i+1]
		fields[i] = Field{Name: text[start:name], Value: text[name:value]}
		start = value
	}
	a.fields = fields
	return fields
}
