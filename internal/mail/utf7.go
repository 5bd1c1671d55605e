package mail

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

// decodeUTF7 is RFC 2152: between + and - is base64 of UTF-16. What is
// malformed becomes U+FFFD.
func decodeUTF7(data []byte) string {
	var out strings.Builder
	out.Grow(len(data))
	for i := 0; i < len(data); {
		c := data[i]
		i++
		if c != '+' {
			if c >= 0x80 {
				out.WriteRune('\ufffd')
			} else {
				out.WriteByte(c)
			}
			continue
		}
		from := i
		for i < len(data) && base64Value(data[i]) < 64 {
			i++
		}
		run := data[from:i]
		minus := i < len(data) && data[i] == '-'
		if minus {
			i++
		}
		switch {
		case len(run) > 0:
			writeUTF16(&out, run)
		case minus:
			out.WriteByte('+')
		default:
			out.WriteRune('\ufffd')
		}
	}
	return out.String()
}

func writeUTF16(out *strings.Builder, run []byte) {
	plain := make([]byte, len(run))
	n, err := base64.RawStdEncoding.Decode(plain, run)
	units := make([]uint16, 0, n/2)
	for i := 0; i+1 < n; i += 2 {
		units = append(units, uint16(plain[i])<<8|uint16(plain[i+1]))
	}
	out.WriteString(string(utf16.Decode(units)))
	if err != nil || n%2 != 0 && plain[n-1] != 0 {
		out.WriteRune('\ufffd')
	}
}
