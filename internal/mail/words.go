package mail

import (
	"strings"
	"unicode/utf8"
)

// DecodeHeader is a header field's value as text: unfolded, encoded words decoded
// (RFC 2047), also broken ones as mailers write them: without white space around
// them, with spaces in them, inside quoted strings, without their end, with a
// character cut between two, with a character set that is not known. Bytes above
// 127 are UTF-8, or else windows-1252; [Message.DecodeHeader] may know better. The
// result is UTF-8 and has no line break.
func DecodeHeader(value string) string {
	text, _ := decodeHeader(value, "")
	return text
}

// decodeHeader takes bytes above 127 that are not UTF-8 for raw, a character set.
func decodeHeader(value, raw string) (string, defect) {
	value = unfold(value)
	if !strings.Contains(value, "=?") {
		return rawText(value, raw)
	}
	d := wordDecoder{raw: raw, scan: wordScanner{value: value, end: -1}}
	d.out.Grow(len(value))
	pos := 0 // what is before it is in d
	for at := 0; ; {
		i := strings.Index(value[at:], "=?")
		if i < 0 {
			break
		}
		at += i
		w, next, ok := d.scan.word(at)
		if !ok {
			at++
			continue
		}
		d.plain(value[pos:at])
		d.word(w)
		at, pos = next, next
	}
	d.plain(value[pos:])
	d.flush()
	return d.out.String(), d.wrong
}

// rawText is a piece of a header that has no encoded words.
func rawText(s, charset string) (string, defect) {
	if is7bit(s) && strings.IndexByte(s, 0x1b) < 0 {
		return s, 0
	}
	if utf8.ValidString(s) {
		return guessText([]byte(s)), 0
	}
	if charset != "" {
		if text, wrong := decodeText(charset, []byte(s)); wrong == 0 {
			return oneLine(text), rawHeader
		}
	}
	return guessText([]byte(s)), rawHeader
}

// oneLine is decoded text as it can stand in a line: what would end the line or
// the string is a space.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// encodedWord is =?charset?encoding?text?=.
type encodedWord struct {
	charset string
	base64  bool
	text    string
	cut     bool // it has no end
}

// wordScanner finds encoded words in a value.
type wordScanner struct {
	value string
	// end is where the first "?=" is at or after the last place that was asked
	// for, so that no part of the value is searched twice; len(value) if there is
	// none, -1 before the first search.
	end int
}

// word reads the encoded word at at, which begins with "=?"; next is after it.
func (s *wordScanner) word(at int) (w encodedWord, next int, ok bool) {
	const maxCharset = 80
	rest := s.value[at+2:]
	mark := strings.IndexByte(rest[:min(len(rest), maxCharset)], '?')
	if mark < 0 || len(rest) < mark+3 || rest[mark+2] != '?' {
		return w, 0, false
	}
	w.charset = strings.Trim(rest[:mark], " \t")
	if strings.ContainsAny(w.charset, " \t\"<>()=") {
		return w, 0, false
	}
	switch rest[mark+1] {
	case 'b', 'B':
		w.base64 = true
	case 'q', 'Q':
	default:
		return w, 0, false
	}
	start := at + 2 + mark + 3
	if s.end < start {
		if i := strings.Index(s.value[start:], "?="); i >= 0 {
			s.end = start + i
		} else {
			s.end = len(s.value)
		}
	}
	w.text, next = s.value[start:s.end], min(s.end+2, len(s.value))
	w.cut = s.end == len(s.value)
	if i := beginsWord(w.text); i >= 0 { // the next one begins before this one ends
		w.text, next, w.cut = w.text[:i], start+i, true
	}
	if w.cut { // as far as it can go on
		if i := strings.IndexAny(w.text, " \t\"<>,"); i >= 0 {
			w.text, next = w.text[:i], start+i
		}
	}
	return w, next, true
}

// beginsWord is where in text another encoded word begins, or -1.
func beginsWord(text string) int {
	for from := 0; ; from += 2 {
		i := strings.Index(text[from:], "=?")
		if i < 0 {
			return -1
		}
		from += i
		charset, rest, ok := strings.Cut(text[from+2:min(from+2+80, len(text))], "?")
		if ok && charset != "" && len(rest) > 1 && rest[1] == '?' && strings.IndexByte("bBqQ", rest[0]) >= 0 {
			return from
		}
	}
}

// wordDecoder puts the text together.
type wordDecoder struct {
	raw   string // the character set of what is not encoded
	scan  wordScanner
	out   strings.Builder
	wrong defect
	// run is the words since the last text between words. White space between
	// words is no text (RFC 2047 §6.2).
	run []encodedWord
}

func (d *wordDecoder) plain(s string) {
	if s == "" || len(d.run) > 0 && blank(s) {
		return
	}
	d.flush()
	text, wrong := rawText(s, d.raw)
	d.wrong |= wrong
	d.out.WriteString(text)
}

func (d *wordDecoder) word(w encodedWord) {
	if n := len(d.run); n > 0 && !strings.EqualFold(d.run[n-1].charset, w.charset) {
		d.flush()
	}
	d.run = append(d.run, w)
}

// flush decodes the run as one, because a character may begin in one word and
// end in the next.
func (d *wordDecoder) flush() {
	if len(d.run) == 0 {
		return
	}
	var data []byte
	for i := 0; i < len(d.run); {
		w := d.run[i]
		i++
		if w.cut {
			d.wrong |= badEncodedWord
		}
		if !w.base64 {
			if strings.ContainsAny(w.text, " \t") {
				d.wrong |= badEncodedWord
			}
			plain, wrong := decodeQ(w.text)
			data, d.wrong = append(data, plain...), d.wrong|wrong
			continue
		}
		text := strings.Builder{}
		text.WriteString(w.text)
		for digits := len(w.text); i < len(d.run) && d.run[i].base64 && digits%4 != 0 && !strings.HasSuffix(d.run[i-1].text, "="); i++ {
			d.wrong |= badEncodedWord // a group of digits is cut
			text.WriteString(d.run[i].text)
			digits += len(d.run[i].text)
		}
		plain, wrong := decodeShort(text.String(), decodeBase64)
		if wrong != 0 {
			d.wrong |= badEncodedWord
		}
		data = append(data, plain...)
	}
	text, wrong := decodeText(d.run[0].charset, data)
	if wrong&badCharset != 0 {
		wrong = wrong&^badCharset | badEncodedWord
	}
	d.wrong |= wrong
	d.out.WriteString(oneLine(text))
	d.run = d.run[:0]
}
