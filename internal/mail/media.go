package mail

import (
	"slices"
	"strconv"
	"strings"
)

// splitValue cuts the value of a field such as Content-Type into its first word,
// in lower case, and its parameters. ok is false if something else stands there.
func splitValue(value string) (word, params string, ok bool) {
	value = strings.TrimLeft(skipComments(value), " \t")
	end := strings.IndexAny(value, "; \t(,")
	if end < 0 {
		end = len(value)
	}
	word = value[:end]
	if strings.ContainsRune(word, '=') { // a parameter: the word is missing
		return "", value, false
	}
	rest := strings.TrimLeft(skipComments(value[end:]), " \t")
	ok = rest == "" || rest[0] == ';'
	if word = strings.Trim(word, `"'`); !ok && strings.HasSuffix(word, "/") { // text/ plain
		end = strings.IndexAny(rest+";", "; \t(,")
		word, rest = word+rest[:end], rest[end:]
	}
	return lowerASCII(word), rest, ok
}

// skipComments is value without the comments at its beginning (RFC 5322 §3.2.2).
func skipComments(value string) string {
	for {
		value = strings.TrimLeft(value, " \t")
		if value == "" || value[0] != '(' {
			return value
		}
		end := commentEnd(value)
		if end < 0 {
			return value
		}
		value = value[end:]
	}
}

// commentEnd is after the comment that s begins with, or -1 if it has no end.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// mediaType is the type that a mail reader takes value for, "" if it is none,
// and whether it is well-formed.
func mediaType(value string) (string, bool) {
	major, minor, ok := strings.Cut(value, "/")
	switch {
	case ok && isToken(major) && isToken(minor):
		return value, true
	case value == "text": // RFC 1049
		return "text/plain", false
	case value == "html":
		return "text/html", false
	case major == "multipart":
		return "multipart/mixed", false
	}
	return "", false
}

// isToken tells of a word as RFC 2045 §5.1 allows it.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// parameter is one as it stands.
type parameter struct{ name, value string }

// parseParams reads parameters: RFC 2045 §5.1, RFC 2231, and encoded words, which
// RFC 2047 §5 forbids there and mailers write. Of two of a name the first counts.
func parseParams(s string) (map[string]string, defect) {
	list, wrong := splitParams(s)
	if len(list) == 0 {
		return nil, wrong
	}
	all, pieces := make(map[string]string, len(list)), map[string][]piece{}
	for _, p := range list {
		base, one, ok := continuation(p)
		if ok {
			pieces[base] = append(pieces[base], one)
			continue
		}
		if _, ok := all[p.name]; ok {
			wrong |= badParameter
			continue
		}
		value := p.value
		if p.name != "boundary" { // which may look like an encoded word
			if charset, rest, ok := extended(value); ok {
				value, _ = joinPieces([]piece{{text: charset + "''" + rest, escaped: true}})
				wrong |= badParameter
			} else {
				var bad defect
				value, bad = decodeHeader(value, "")
				wrong |= bad
			}
		}
		all[p.name] = value
	}
	for base, list := range pieces { // they count before what is for old readers
		value, bad := joinPieces(list)
		all[base] = value
		wrong |= bad
	}
	return all, wrong
}

// extended tells of a value in RFC 2231's form whose name has no asterisk.
func extended(value string) (charset, rest string, ok bool) {
	charset, rest, ok = strings.Cut(value, "''")
	return charset, rest, ok && charset != "" && isToken(charset) && strings.ContainsRune(rest, '%') && knownCharset(charset)
}

// piece is a part of a value that RFC 2231 §3 lets be cut.
type piece struct {
	index   int
	text    string
	escaped bool // has %XX, and the first one the character set
}

// continuation tells of name*, name*0 and name*0*.
func continuation(p parameter) (base string, _ piece, ok bool) {
	base, rest, ok := strings.Cut(p.name, "*")
	if !ok || base == "" {
		return "", piece{}, false
	}
	digits, escaped := strings.CutSuffix(rest, "*")
	if digits == "" {
		return base, piece{text: p.value, escaped: true}, true
	}
	index, err := strconv.Atoi(digits)
	if err != nil || index < 0 {
		return "", piece{}, false
	}
	return base, piece{index: index, text: p.value, escaped: escaped}, true
}

// joinPieces decodes the character set once all bytes are there: a cut may be
// inside a character.
func joinPieces(list []piece) (string, defect) {
	slices.SortStableFunc(list, func(a, b piece) int { return a.index - b.index })
	var wrong defect
	var bytes []byte
	charset, any8 := "", false
	for i, p := range list {
		if i > 0 && p.index == list[i-1].index {
			wrong |= badParameter
			continue
		}
		if i > 0 && p.index != list[i-1].index+1 {
			wrong |= badParameter
		}
		if !p.escaped {
			bytes = append(bytes, p.text...)
			continue
		}
		text := p.text
		if !any8 {
			var ok bool
			if charset, text, ok = cutCharset(text); !ok && i == 0 {
				wrong |= badParameter
			}
		}
		any8 = true
		decoded, clean := percentDecode(text)
		if !clean {
			wrong |= badParameter
		}
		bytes = append(bytes, decoded...)
	}
	if !any8 {
		text, bad := decodeHeader(string(bytes), "")
		return text, wrong | bad
	}
	text, bad := decodeText(charset, bytes)
	return oneLine(text), wrong | bad
}

// cutCharset cuts charset'language'text; without its quotes it is all text.
func cutCharset(s string) (charset, text string, ok bool) {
	charset, rest, ok := strings.Cut(s, "'")
	if !ok {
		return "", s, false
	}
	if _, text, ok = strings.Cut(rest, "'"); !ok {
		return "", s, false
	}
	return charset, text, true
}
