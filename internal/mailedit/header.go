package mailedit

import (
	"bytes"
	"strings"

	"pmilter/internal/mail"
)

// fieldEdit is a field that gets a value, folds as LF, or that goes.
type fieldEdit struct {
	name, value string
	drop        bool
}

// editFields is fields with the edits made: the first field of a name gets the
// value, or it is added at the end, and the others go.
func editFields(fields []mail.Field, edits []fieldEdit) []mail.Field {
	out := make([]mail.Field, 0, len(fields)+len(edits))
	done := make([]bool, len(edits))
	for _, f := range fields {
		i := editOf(edits, f.Name)
		switch {
		case i < 0:
			out = append(out, f)
		case !edits[i].drop && !done[i]:
			out = append(out, mail.Field{Name: f.Name, Value: edits[i].value})
			done[i] = true
		}
	}
	for i, edit := range edits {
		if !edit.drop && !done[i] {
			out = append(out, mail.Field{Name: edit.name, Value: edit.value})
		}
	}
	return out
}

// editLines is editFields for the lines of a part's header.
func editLines(head []byte, edits []fieldEdit) []byte {
	out := make([]byte, 0, len(head)+256)
	done := make([]bool, len(edits))
	for len(head) > 0 {
		name, line := cutField(head)
		head = head[len(line):]
		i := editOf(edits, name)
		switch {
		case i < 0:
			out = append(out, line...)
		case !edits[i].drop && !done[i]:
			out = appendField(out, name, edits[i].value)
			done[i] = true
		}
	}
	if n := len(out); n > 0 && out[n-1] != '\n' && out[n-1] != '\r' {
		out = append(out, "\r\n"...)
	}
	for i, edit := range edits {
		if !edit.drop && !done[i] {
			out = appendField(out, edit.name, edit.value)
		}
	}
	return out
}

func editOf(edits []fieldEdit, name string) int {
	for i, edit := range edits {
		if sameName(edit.name, name) {
			return i
		}
	}
	return -1
}

// cutField is the field that head begins with, with its folds.
func cutField(head []byte) (name string, lines []byte) {
	end, next := mail.LineEnd(head, 0)
	if colon := bytes.IndexByte(head[:end], ':'); colon > 0 {
		name = string(head[:colon])
	}
	for next < len(head) && (head[next] == ' ' || head[next] == '\t') {
		_, next = mail.LineEnd(head, next)
	}
	return name, head[:next]
}

// appendField appends a field, whose value is on as many lines as it has, all but
// the first of which begin with white space.
func appendField(out []byte, name, value string) []byte {
	out = append(append(out, name...), ':')
	rest := []byte(value)
	for first := true; first || len(rest) > 0; first = false {
		end, next := mail.LineEnd(rest, 0)
		line := rest[:end]
		rest = rest[next:]
		if !first && len(bytes.Trim(line, " \t")) == 0 {
			continue // would end the header for some readers
		}
		if !first {
			out = append(out, "\r\n"...)
		}
		if len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
			out = append(out, ' ')
		}
		out = append(out, line...)
	}
	return append(out, "\r\n"...)
}

func hasField(head []byte, name string) bool {
	for len(head) > 0 {
		found, lines := cutField(head)
		if sameName(found, name) {
			return true
		}
		head = head[len(lines):]
	}
	return false
}

// isContentField tells of the fields that belong to a body and not to a message
// (RFC 2045 §3).
func isContentField(name string) bool {
	const prefix = "content-"
	return len(name) > len(prefix) && lowerASCII(name[:len(prefix)]) == prefix
}

func sameName(a, b string) bool {
	a, b = strings.TrimRight(a, " \t"), strings.TrimRight(b, " \t")
	return len(a) == len(b) && lowerASCII(a) == lowerASCII(b)
}

// lowerASCII leaves what is not ASCII as it is: no other letter is the same as one
// of ASCII in a field's name.
func lowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
