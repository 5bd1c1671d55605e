package mail

import (
	"bytes"
	"strings"
)

// lineEnd is where the line that begins at pos ends, and where the next begins.
// CR LF, LF and CR end a line, as readers take them, and so do CR CR LF, which
// a mailer makes that mistakes its own line ends.
func lineEnd(data []byte, pos int) (end, next int) {
	for end = pos; end < len(data); end++ {
		switch data[end] {
		case '\n':
			return end, end + 1
		case '\r':
			return end, end + breakLen(data[end:])
		}
	}
	return end, end
}

// breakLen is the length of the line break that data begins with, a CR first.
func breakLen[T string | []byte](data T) int {
	switch {
	case len(data) > 1 && data[1] == '\n':
		return 2
	case len(data) > 2 && data[1] == '\r' && data[2] == '\n':
		return 3
	}
	return 1
}

// trimBreak is data without the line break at its end, if it has one: that
// belongs to the boundary that follows (RFC 2046 §5.1.1).
func trimBreak(data []byte) []byte {
	if n := len(data); n > 0 && data[n-1] == '\n' {
		return bytes.TrimSuffix(data[:n-1], []byte("\r"))
	}
	return bytes.TrimSuffix(data, []byte("\r"))
}

// toLF is text with its line ends as LF.
func toLF(text string) string {
	i := strings.IndexByte(text, '\r')
	if i < 0 {
		return text
	}
	var out strings.Builder
	out.Grow(len(text))
	for ; i >= 0; i = strings.IndexByte(text, '\r') {
		out.WriteString(text[:i])
		out.WriteByte('\n')
		text = text[i+breakLen(text[i:]):]
	}
	out.WriteString(text)
	return out.String()
}

// unfold is a header field's value on one line (RFC 5322 §2.2.3). A line break
// that is not before white space, which is no fold, becomes a space.
func unfold(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	value = toLF(value)
	var out strings.Builder
	out.Grow(len(value))
	for i := range len(value) {
		switch {
		case value[i] != '\n':
			out.WriteByte(value[i])
		case i+1 < len(value) && !isSpace(value[i+1]) && value[i+1] != '\n':
			out.WriteByte(' ')
		}
	}
	return out.String()
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func blank(s string) bool { return strings.Trim(s, " \t") == "" }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// lowerASCII leaves bytes that are not ASCII as they are.
func lowerASCII(s string) string {
	for i := range len(s) {
		if c := s[i]; c != lower(c) {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lower(b[i])
			}
			return string(b)
		}
	}
	return s
}

// sameName tells whether two field names are the same: case does not matter, of
// ASCII alone (RFC 5322 §1.2.2), nor white space before the colon (§4.5.8).
func sameName(a, b string) bool {
	a, b = strings.TrimRight(a, " \t"), strings.TrimRight(b, " \t")
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}
