package mail

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// transferEncoding is a content transfer encoding (RFC 2045 §6).
type transferEncoding uint8

const (
	asIs transferEncoding = iota
	base64Encoding
	quotedPrintable
	uuencode
)

// encoding is the part's; what is not known is as it is, and so is a multipart
// whose parts could be read although it says that it is encoded.
func (p *Part) encoding() transferEncoding {
	if p.isMultipart() && !p.inside {
		return asIs
	}
	e, _ := encodingOf(p.transfer)
	return e
}

// encodingOf knows the names of the standard and those that mailers write.
func encodingOf(value string) (transferEncoding, bool) {
	word, _, _ := splitValue(value)
	switch word {
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit", "7bits", "8bits", "none", "us-ascii", "utf-8":
		return asIs, true
	case "base64", "base-64", "b64", "b", "x-base64":
		return base64Encoding, true
	case "quoted-printable", "quotedprintable", "quoted/printable", "quoted_printable", "quoted", "qp", "q", "x-quoted-printable":
		return quotedPrintable, true
	case "uuencode", "x-uuencode", "x-uue", "uue", "x-uu":
		return uuencode, true
	}
	return asIs, false
}

// decode gives the decoded content to sink, piece by piece; a piece is valid
// during the call.
func (p *Part) decode(sink func([]byte)) defect {
	switch p.encoding() {
	case base64Encoding:
		return decodeBase64(p.raw, sink)
	case quotedPrintable:
		return decodeQuoted(p.raw, sink)
	case uuencode:
		return decodeUU(p.raw, sink)
	case asIs:
	}
	sink(p.raw)
	return 0
}

// base64Value is what c stands for, or 64 and more for what is no digit.
func base64Value(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c - 'A'
	case 'a' <= c && c <= 'z':
		return c - 'a' + 26
	case '0' <= c && c <= '9':
		return c - '0' + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return 64
}

// decodeBase64 skips what is no digit (RFC 2045 §6.8). Padding ends a group and
// not the content: mailers encode pieces and put them together. What follows
// padding and is no line of base64, such as a list's footer, is left out.
func decodeBase64(data []byte, sink func([]byte)) (wrong defect) {
	const room = 4096
	var digits, plain [room]byte
	n, checked := 0, 0
	flush := func() {
		whole := n &^ 3
		if whole == 0 {
			return
		}
		if k, err := base64.StdEncoding.Decode(plain[:], digits[:whole]); err == nil {
			sink(plain[:k])
		}
		n = copy(digits[:], digits[whole:n])
	}
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case base64Value(c) < 64:
			digits[n] = c
			if n++; n == room {
				flush()
			}
		case c == '=':
			flush()
			wrong |= finishBase64(digits[:n], sink)
			if n == 0 || n == 1 {
				wrong |= badBase64
			}
			n = 0
			for i+1 < len(data) && data[i+1] == '=' {
				i++
			}
			if i+1 < checked {
				continue
			}
			length, ok := base64Line(data[i+1:])
			if !ok {
				return wrong | badBase64
			}
			checked = i + 1 + length
		case c != '\r' && c != '\n' && !isSpace(c):
			wrong |= badBase64
		}
	}
	flush()
	if n > 0 {
		wrong |= badBase64 | finishBase64(digits[:n], sink)
	}
	return wrong
}

// finishBase64 decodes a last group that is not full.
func finishBase64(digits []byte, sink func([]byte)) defect {
	if len(digits) == 0 {
		return 0
	}
	var plain [3]byte
	n, err := base64.RawStdEncoding.Decode(plain[:], digits)
	if n > 0 {
		sink(plain[:n])
	}
	if err != nil {
		return badBase64
	}
	return 0
}

// base64Line tells whether the first line of data that is not empty has digits
// of base64 only, as far as such a line is long, or there is none; and how far
// it looked.
func base64Line(data []byte) (length int, ok bool) {
	line := bytes.TrimLeft(data, "\r\n \t")
	blanks := len(data) - len(line)
	line = line[:min(len(line), 76)]
	end, _ := lineEnd(line, 0)
	for _, c := range bytes.TrimRight(line[:end], " \t") {
		if c != '=' && base64Value(c) > 63 {
			return 0, false
		}
	}
	return blanks + end, true
}

// decodeQuoted leaves a = that begins nothing as it stands (RFC 2045 §6.7), and
// drops white space before a line's end, which was added on the way.
func decodeQuoted(data []byte, sink func([]byte)) (wrong defect) {
	out, one := make([]byte, 0, 4096), make([]byte, 1)
	write := func(b []byte) {
		if len(out)+len(b) > cap(out) {
			sink(out)
			out = out[:0]
		}
		if len(b) > cap(out) {
			sink(b)
			return
		}
		out = append(out, b...)
	}
	for pos := 0; pos < len(data); {
		end, next := lineEnd(data, pos)
		line := bytes.TrimRight(data[pos:end], " \t")
		soft := bytes.HasSuffix(line, []byte("="))
		if soft {
			line = line[:len(line)-1]
		}
		for {
			i := bytes.IndexByte(line, '=')
			if i < 0 {
				break
			}
			write(line[:i])
			if c, ok := hexByte(line[i+1:]); ok {
				one[0], line = c, line[i+3:]
			} else {
				one[0], line = '=', line[i+1:]
				wrong |= badQuotedPrintable
			}
			write(one)
		}
		write(line)
		if !soft {
			write(data[end:next])
		}
		pos = next
	}
	sink(out)
	return wrong
}

// hexByte is the byte whose two hexadecimal digits s begins with.
func hexByte[T string | []byte](s T) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	high, low := hexDigit(s[0]), hexDigit(s[1])
	return high<<4 | low, high < 16 && low < 16
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// decodeShort is a decoder's result for what is as long as a header's word.
func decodeShort(text string, decode func([]byte, func([]byte)) defect) ([]byte, defect) {
	var out []byte
	wrong := decode([]byte(text), func(b []byte) { out = append(out, b...) })
	return out, wrong
}

// decodeQ is the Q encoding of encoded words (RFC 2047 §4.2).
func decodeQ(text string) ([]byte, defect) {
	var wrong defect
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '_':
			out = append(out, ' ')
		case '=':
			if c, ok := hexByte(text[i+1:]); ok {
				out = append(out, c)
				i += 2
				continue
			}
			wrong |= badEncodedWord
			out = append(out, '=')
		default:
			out = append(out, text[i])
		}
	}
	return out, wrong
}

// percentDecode undoes RFC 2231's encoding; what is no %XX stays.
func percentDecode(s string) ([]byte, bool) {
	clean := true
	out := make([]byte, 0, len(s))
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return append(out, s...), clean
		}
		out = append(out, s[:i]...)
		if c, ok := hexByte(s[i+1:]); ok {
			out, s = append(out, c), s[i+3:]
			continue
		}
		clean = false
		out, s = append(out, '%'), s[i+1:]
	}
}
