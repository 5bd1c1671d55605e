package mailout

import "bytes"

// crlf is a message with CRLF line ends and no other: a lone CR or LF is where
// servers disagree about the end of a message (RFC 5321 §2.3.8). Dots are stuffed
// as it is written.
func crlf(m []byte) []byte {
	out := make([]byte, 0, len(m)+len(m)/32)
	for i := 0; i < len(m); i++ {
		switch m[i] {
		case '\r':
			out = append(out, '\r', '\n')
			if i+1 < len(m) && m[i+1] == '\n' {
				i++
			}
		case '\n':
			out = append(out, '\r', '\n')
		default:
			out = append(out, m[i])
		}
	}
	return out
}

// headerOf is what comes before the first empty line.
func headerOf(m []byte) []byte {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		if i := bytes.Index(m, []byte(end)); i >= 0 {
			return m[:i]
		}
	}
	return m
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
