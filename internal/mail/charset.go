package mail

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/unicode"
)

// decodeText is data, of the character set called name, as UTF-8. A set that is
// not known, or is said to be ASCII, is guessed.
func decodeText(name string, data []byte) (string, defect) {
	if language := strings.IndexByte(name, '*'); language >= 0 { // RFC 2231 §5
		name = name[:language]
	}
	key := squeeze(name)
	switch key {
	case "":
		return guessText(data), 0
	case "usascii", "ascii", "ansix341968", "ansix341986", "iso646us", "iso646irv1991", "646", "us", "20127", "cp20127", "cp367", "ibm367", "csascii":
		if is7bit(data) {
			return guessText(data), 0
		}
		return guessText(data), badCharset
	case "utf8", "unicode11utf8", "unicode20utf8", "xutf8", "utf8mb4", "cp65001", "65001", "utf", "xutf8j":
		return decodeUTF8(data)
	case "utf7", "unicode11utf7", "unicode20utf7", "xutf7", "csunicode11utf7", "cp65000":
		return flagged(decodeUTF7(data))
	case "iso2022kr", "csiso2022kr", "cp50225":
		return decodeWith(korean.EUCKR, shiftedKorean(data))
	}
	if e := wide(key, data); e != nil {
		return decodeWith(e, data)
	}
	if e := named(key); e != nil {
		return decodeWith(e, data)
	}
	if key != "iso2022cn" && key != "iso2022cnext" && key != "xuserdefined" && key != "replacement" {
		if r, err := charset.Reader(strings.TrimSpace(name), bytes.NewReader(data)); err == nil {
			if text, err := io.ReadAll(r); err == nil {
				return flagged(string(text))
			}
		}
	}
	return guessText(data), unknownCharset
}

func knownCharset(name string) bool {
	_, wrong := decodeText(name, nil)
	return wrong&unknownCharset == 0
}

// squeeze is a name's letters and digits: mailers disagree about the rest.
func squeeze(name string) string {
	out := make([]byte, 0, len(name))
	for i := range len(name) {
		if c := lower(name[i]); 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			out = append(out, c)
		}
	}
	return string(out)
}

func decodeWith(e encoding.Encoding, data []byte) (string, defect) {
	text, err := e.NewDecoder().Bytes(data)
	if err != nil {
		return guessText(data), badCharset
	}
	return flagged(string(bytes.TrimPrefix(text, []byte("\ufeff"))))
}

// flagged is text, and whether something in it could not be decoded.
func flagged(text string) (string, defect) {
	if strings.ContainsRune(text, utf8.RuneError) {
		return text, badCharset
	}
	return text, 0
}

// decodeUTF8 takes for windows-1252 what has no character of UTF-8 at all.
func decodeUTF8(data []byte) (string, defect) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if utf8.Valid(data) {
		return string(data), 0
	}
	for rest := data; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r >= utf8.RuneSelf && n > 1 {
			return string(bytes.ToValidUTF8(data, []byte("\ufffd"))), badCharset
		}
		rest = rest[n:]
	}
	return guessText(data), badCharset
}

// guessText is text whose character set nobody said: UTF-8, or else
// windows-1252, unless it begins or looks like one of those that cannot be
// mistaken.
func guessText(data []byte) string {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		text, _ := decodeWith(unicode.UTF16(unicode.BigEndian, unicode.UseBOM), data)
		return text
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if utf8.Valid(data) {
		if is7bit(data) && (bytes.Contains(data, []byte("\x1b$B")) || bytes.Contains(data, []byte("\x1b$@"))) {
			if text, wrong := decodeWith(japanese.ISO2022JP, data); wrong == 0 {
				return text
			}
		}
		return string(data)
	}
	text, err := charmap.Windows1252.NewDecoder().Bytes(data)
	if err != nil {
		return strings.ToValidUTF8(string(data), "\ufffd")
	}
	return string(text)
}

func is7bit[T string | []byte](data T) bool {
	for i := range len(data) {
		if data[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// shiftedKorean is ISO-2022-KR (RFC 1557) as EUC-KR, of which x/text has tables:
// between SO and SI both bytes of a character lack their high bit.
func shiftedKorean(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\x1b$)C"), nil)
	out, shifted := make([]byte, 0, len(data)), false
	for _, c := range data {
		switch {
		case c == 0x0e || c == 0x0f:
			shifted = c == 0x0e
		case shifted && c > ' ' && c < 0x7f:
			out = append(out, c|0x80)
		default:
			if c == '\n' {
				shifted = false
			}
			out = append(out, c)
		}
	}
	return out
}

// metaCharset is the character set that a page of HTML says itself, for mail
// that does not, "" if it does not.
func metaCharset(page []byte) string {
	head := lowerASCII(string(page[:min(len(page), 1024)]))
	for {
		i := strings.Index(head, "charset")
		if i < 0 {
			return ""
		}
		head = strings.TrimLeft(head[i+len("charset"):], " \t")
		if value, ok := strings.CutPrefix(head, "="); ok {
			value = strings.TrimLeft(value, ` "'`)
			if end := strings.IndexAny(value, " \t\r\n\"'/>;"); end >= 0 {
				value = value[:end]
			}
			if strings.HasPrefix(value, "utf-16") { // it could not have been read (WHATWG)
				return ""
			}
			return value
		}
	}
}
