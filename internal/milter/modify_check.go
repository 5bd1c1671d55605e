package milter

import (
	"fmt"
	"strings"
)

// maxHeaderLine is the longest line of a header: Postfix's line_length_limit
// breaks longer ones, in the middle of whatever stands there.
const maxHeaderLine = 2048

func checkSize(n int) error {
	if n > maxModification {
		return fmt.Errorf("%w: %d bytes of at most %d", ErrValue, n, maxModification)
	}
	return nil
}

// checkHeader holds what keeps one header one header.
func checkHeader(name, value string, leading bool) error {
	if !isFieldName(name) {
		return fmt.Errorf("%w: header name %.80q", ErrValue, name)
	}
	if strings.ContainsAny(value, "\x00\r") {
		return fmt.Errorf("%w: header %s: NUL or CR in the value", ErrValue, name)
	}
	used := len(name) + 1
	if !leading {
		used++
	}
	for first := true; ; first = false {
		line, rest, more := strings.Cut(value, "\n")
		if used+len(line) > maxHeaderLine {
			return fmt.Errorf("%w: header %s: a line of %d bytes", ErrValue, name, used+len(line))
		}
		if !first && (line == "" || line[0] != ' ' && line[0] != '\t') {
			return fmt.Errorf("%w: header %s: a line that begins without white space", ErrValue, name)
		}
		if !more {
			return nil
		}
		value, used = rest, 0
	}
}

// isFieldName: ftext of RFC 5322 §2.2. Postfix would write any other name too.
func isFieldName(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return true
}

// checkAddress lets through what stays one path between angle brackets: no
// control character, and outside of a quoted local part neither white space nor
// angle brackets. Bytes that are not ASCII pass (RFC 6531).
func checkAddress(addr string, null bool) error {
	if addr == "" && !null {
		return fmt.Errorf("%w: empty address", ErrValue)
	}
	quoted := false
	for i := 0; i < len(addr); i++ {
		switch c := addr[i]; {
		case c < ' ' || c == 0x7f:
			return fmt.Errorf("%w: address %.80q", ErrValue, addr)
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			if i++; i == len(addr) || addr[i] < ' ' || addr[i] == 0x7f {
				return fmt.Errorf("%w: address %.80q", ErrValue, addr)
			}
		case !quoted && (c == ' ' || c == '<' || c == '>'):
			return fmt.Errorf("%w: address %.80q", ErrValue, addr)
		}
	}
	if quoted {
		return fmt.Errorf("%w: address %.80q", ErrValue, addr)
	}
	return nil
}

// checkParams: each an esmtp-param of RFC 5321 §4.1.2, as far as white space
// and control characters are concerned.
func checkParams(params []string) error {
	for _, p := range params {
		if p == "" || hasControl(p) || strings.ContainsAny(p, " \t") {
			return fmt.Errorf("%w: parameter %.80q", ErrValue, p)
		}
	}
	return nil
}

func hasControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}
