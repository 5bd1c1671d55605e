package filter

import (
	"slices"
	"strings"

	"pmilter/internal/mail"
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

// Is tells whether the field has that name; case does not matter (RFC 5322
// §1.2.2), of ASCII alone: an MTA would not count a K that is a Kelvin sign.
func (f Field) Is(name string) bool {
	own := f.bare()
	if len(own) != len(name) {
		return false
	}
	for i := range len(own) {
		if lowerASCII(own[i]) != lowerASCII(name[i]) {
			return false
		}
	}
	return true
}

// bare is the name without white space before the colon (RFC 5322 §4.5.8).
func (f Field) bare() string { return strings.TrimRight(f.Name, " \t") }

// key is the same for all fields for which Is tells the same.
func (f Field) key() string {
	b := []byte(f.bare())
	for i, c := range b {
		b[i] = lowerASCII(c)
	}
	return string(b)
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func unfold(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(value)
}

// decodeText leaves a value without encoded words as it is, byte for byte.
func decodeText(value string) string {
	if !strings.Contains(value, "=?") {
		return value
	}
	return mail.DecodeHeader(value)
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
	known := len(a.fields)
	if known == a.count() {
		return a.fields
	}
	start := 0
	if known > 0 {
		start = a.ends[2*known-1]
	}
	text, at := string(a.bytes[start:]), start
	a.fields = slices.Grow(a.fields, a.count()-known)
	for i := known; i < a.count(); i++ {
		name, value := a.ends[2*i], a.ends[2*i+1]
		a.fields = append(a.fields, Field{Name: text[at-start : name-start], Value: text[name-start : value-start]})
		at = value
	}
	return a.fields
}

// first is the first field of that name. It makes no fields of the others.
func (a *fieldArena) first(name string) (f Field, found bool) {
	start := 0
	for i := range a.count() {
		end, next := a.ends[2*i], a.ends[2*i+1]
		if own := a.bytes[start:end]; len(own) >= len(name) && (Field{Name: string(own)}).Is(name) {
			return Field{Name: string(own), Value: string(a.bytes[end:next])}, true
		}
		start = next
	}
	return Field{}, false
}
