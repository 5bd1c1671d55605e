package mailedit

import (
	"encoding/base64"
	"mime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxType     = 127  // of each half of a media type (RFC 6838 §4.2)
	maxFilename = 1000 // bytes; file systems have 255
	maxPlain    = 200  // bytes of a parameter that is written as it is
	maxLine     = 76   // after which a header is folded
)

// param is a parameter of a header field. The value may be anything.
type param struct{ name, value string }

// sortedParams is params without those that are left out, in the order of their
// names: a map has none.
func sortedParams(params map[string]string, without ...string) (list []param) {
	for name, value := range params {
		if isToken(name) && !strings.ContainsAny(name, "*'%") && !slices.Contains(without, name) {
			list = append(list, param{name, value})
		}
	}
	slices.SortFunc(list, func(a, b param) int { return strings.Compare(a.name, b.name) })
	return list
}

// formatField is a value such as that of Content-Type, folded.
func formatField(field, word string, params []param) string {
	var out strings.Builder
	out.WriteString(word)
	column := len(field) + 2 + len(word)
	for _, p := range params {
		for _, piece := range formatParam(p) {
			out.WriteByte(';')
			if column+len(piece)+2 > maxLine {
				out.WriteByte('\n')
				column = 0
			}
			out.WriteString(" " + piece)
			column += len(piece) + 2
			if i := strings.LastIndexByte(piece, '\n'); i >= 0 {
				column = len(piece) - i
			}
		}
	}
	return out.String()
}

// formatParam is a parameter: as it is, in quotes, or as RFC 2231 has it.
func formatParam(p param) []string {
	switch {
	case p.name == "name" && !isASCII(p.value):
		return []string{`name="` + encodeWords(p.value) + `"`}
	case len(p.value) <= maxPlain && isToken(p.value) && !misread(p.value):
		return []string{p.name + "=" + p.value}
	case len(p.value) <= maxPlain && isPrintable(p.value) && !misread(p.value):
		return []string{p.name + `="` + p.value + `"`}
	}
	// RFC 2231 §3 and §4.1.
	const room = 60
	var pieces []string
	text := "UTF-8''"
	for _, r := range strings.ToValidUTF8(p.value, "\ufffd") {
		var char strings.Builder
		for _, c := range []byte(string(r)) {
			if isAttributeChar(c) {
				char.WriteByte(c)
			} else {
				char.WriteString("%" + hexDigits(c))
			}
		}
		if len(text)+char.Len() > room {
			pieces = append(pieces, text)
			text = ""
		}
		text += char.String()
	}
	pieces = append(pieces, text)
	if len(pieces) == 1 {
		return []string{p.name + "*=" + text}
	}
	for i, piece := range pieces {
		pieces[i] = p.name + "*" + itoa(i) + "*=" + piece
	}
	return pieces
}

// misread tells of a value that readers decode although it is plain, or quote in
// more than one way.
func misread(value string) bool {
	return strings.Contains(value, "=?") || strings.Contains(value, "''") || strings.ContainsAny(value, `"\`) ||
		value != strings.TrimSpace(value) || len(value) > 1 && value[0] == '\'' && value[len(value)-1] == '\''
}

// encodeWords is text as encoded words, each of whole characters (RFC 2047 §5),
// on lines of their own. In a quoted string they are forbidden, and what readers
// need that do not know RFC 2231; the others read the filename beside it.
func encodeWords(text string) string {
	const room = 42 // bytes, 56 in base64
	var words []string
	for text = strings.ToValidUTF8(text, "\ufffd"); text != ""; {
		n := min(room, len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(text[:n]))+"?=")
		if n == len(text) {
			break
		}
		text = text[n:]
	}
	return strings.Join(words, "\n ")
}

// checkType is a media type in lower case and its parameters.
func checkType(value string) (kind string, params map[string]string, err error) {
	kind, params, err = mime.ParseMediaType(value)
	major, minor, ok := strings.Cut(kind, "/")
	if err != nil || !ok || !isToken(major) || !isToken(minor) || len(major) > maxType || len(minor) > maxType ||
		major == "multipart" {
		return "", nil, ErrType
	}
	for _, v := range params {
		if !utf8.ValidString(v) || len(v) > maxFilename || strings.ContainsFunc(v, unicode.IsControl) {
			return "", nil, ErrType
		}
	}
	return kind, params, nil
}

// checkFilename is a file name as it can be sent.
func checkFilename(name string) (string, error) {
	if !utf8.ValidString(name) || len(name) > maxFilename || strings.ContainsAny(name, `/\`) ||
		strings.ContainsFunc(name, unicode.IsControl) {
		return "", ErrFilename
	}
	trimmed := strings.TrimSpace(name)
	if name != "" && strings.Trim(trimmed, ".") == "" {
		return "", ErrFilename
	}
	return trimmed, nil
}

func checkDisposition(word string) (string, error) {
	if word != "" && (!isToken(word) || len(word) > maxType) {
		return "", ErrDisposition
	}
	return lowerASCII(word), nil
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

// isAttributeChar tells of what RFC 2231 §7 lets stand as it is.
func isAttributeChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`*'%()<>@,;:\"/[]?=`, c) < 0
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
