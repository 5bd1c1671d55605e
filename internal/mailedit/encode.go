package mailedit

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"pmilter/internal/mail"
)

// maxOctets is how long a line may be without its end (RFC 5322 §2.1.1).
const maxOctets = 998

func itoa(i int) string { return strconv.Itoa(i) }

func hexDigits(c byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// toCRLF is text with its line ends as CR LF, whichever it has.
func toCRLF(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/32+2)
	for pos := 0; pos < len(text); {
		end, next := mail.LineEnd(text, pos)
		out = append(out, text[pos:end]...)
		if end < next {
			out = append(out, "\r\n"...)
		}
		pos = next
	}
	return out
}

// lines is how text without an encoding is.
type lines struct {
	clean bool // no NUL, and CR and LF only as CR LF
	ascii bool
	short bool // no line is longer than is allowed
}

func measure(data []byte) lines {
	l := lines{clean: bytes.IndexByte(data, 0) < 0, ascii: isASCII(data), short: true}
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		line, next := data, len(data)
		if end >= 0 {
			line, next = data[:end], end+1
			if !bytes.HasSuffix(line, []byte("\r")) {
				l.clean = false
			}
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			l.clean = false
		}
		if len(line) > maxOctets {
			l.short = false
		}
		data = data[next:]
	}
	return l
}

// delimits tells whether a line of data could be taken for a delimiter of one of
// the boundaries, of which a reader may look at the beginning only (RFC 2046
// §5.1.1).
func delimits(data []byte, boundaries []string) bool {
	found := false
	eachDashed(data, func(line []byte) {
		for _, b := range boundaries {
			if bytes.HasPrefix(line, []byte(b)) {
				found = true
			}
		}
	})
	return found
}

// eachDashed gives what follows the -- of each line that begins so.
func eachDashed(data []byte, yield func(rest []byte)) {
	dashes := []byte("--")
	for pos := 0; ; {
		i := bytes.Index(data[pos:], dashes)
		if i < 0 {
			return
		}
		at := pos + i
		pos = at + len(dashes)
		if at > 0 && data[at-1] != '\n' && data[at-1] != '\r' {
			continue
		}
		end, next := mail.LineEnd(data, pos)
		yield(data[pos:end])
		pos = next
	}
}

// encodeText is text with CR LF in the encoding that changes least.
func encodeText(text []byte, boundaries []string) (body []byte, transfer string) {
	if l := measure(text); l.ascii && l.clean && l.short && !delimits(text, boundaries) {
		return text, "7bit"
	}
	return encodeQuoted(nil, text), "quoted-printable"
}

// encodeBytes is encodeText for what must not change at all.
func encodeBytes(data []byte, boundaries []string, last bool) (body []byte, transfer string) {
	l := measure(data)
	if l.ascii && l.clean && l.short && !delimits(data, boundaries) && (!last || bytes.HasSuffix(data, []byte("\r\n"))) {
		return bytes.Clone(data), "7bit"
	}
	return encodeBase64(data), "base64"
}

func encodeBase64(data []byte) []byte {
	const line = maxLine / 4 * 3
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(data))+len(data)/line*2+4)
	for len(data) > 0 {
		n := min(line, len(data))
		out = base64.StdEncoding.AppendEncode(out, data[:n])
		out = append(out, "\r\n"...)
		data = data[n:]
	}
	return bytes.TrimSuffix(out, []byte("\r\n"))
}

// encodeQuoted appends text with CR LF as quoted-printable (RFC 2045 §6.7). What
// could be taken for a delimiter, the end of an SMTP message or the line between
// two messages of a mailbox is encoded too. It begins a line.
func encodeQuoted(out, text []byte) []byte {
	column := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			out = append(out, "\r\n"...)
			column = 0
			i++
			continue
		}
		last := i+1 == len(text) || bytes.HasPrefix(text[i+1:], []byte("\r\n"))
		width := 1
		if c < ' ' && c != '\t' || c > '~' || c == '=' || last && (c == ' ' || c == '\t') {
			width = 3
		}
		room := maxLine - 1
		if last {
			room = maxLine
		}
		if column+width > room {
			out = append(out, "=\r\n"...)
			column = 0
		}
		if column == 0 && risky(text[i:]) {
			width = 3
		}
		if width == 1 {
			out = append(out, c)
		} else {
			out = append(out, '=')
			out = append(out, hexDigits(c)...)
		}
		column += width
	}
	return out
}

func risky(line []byte) bool {
	return line[0] == '.' || bytes.HasPrefix(line, []byte("--")) || bytes.HasPrefix(line, []byte("From "))
}

// cleanText is text in UTF-8 with CR LF.
func cleanText(text []byte) []byte { return toCRLF(bytes.ToValidUTF8(text, []byte("\ufffd"))) }
