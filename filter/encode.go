package filter

import (
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line of a header, without its end (RFC 5322 §2.1.1).
const maxLine = 998

// checkName refuses what is no field name (RFC 5322 §3.6.8: ftext).
// QUIRK: Postfix does not check names and would write "X-Bad Name:".
func checkName(name string) error {
	if name == "" {
		return errors.New("a header's name is empty")
	}
	if len(name) > 256 {
		return errors.New("a header's name is longer than 256 bytes")
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return fmt.Errorf("%q is no header name", name)
		}
	}
	return nil
}

// maxField is the longest field: Sendmail takes no larger packet, and name,
// index and two NULs go with it.
const maxField = 65000

// encodeValue makes of text what can stand in a header field called name:
// CRLF becomes LF; other line breaks must be folds; text that is not ASCII
// becomes encoded words unless utf8ok (SMTPUTF8, RFC 6532); lines over 998
// bytes are folded at white space.
func encodeValue(name, text string, utf8ok bool) (string, error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if strings.ContainsAny(text, "\r\x00") {
		return "", fmt.Errorf("the value of %s has a NUL or a bare CR", name)
	}
	var lines []string
	encoded := false
	for i, line := range strings.Split(text, "\n") {
		if i > 0 && (line == "" || line[0] != ' ' && line[0] != '\t') {
			return "", fmt.Errorf("the value of %s has a line break that is not a fold", name)
		}
		if i > 0 && blank(line) {
			continue // what strips it would see the end of the header there (RFC 5322 §3.2.2)
		}
		if !utf8ok && !isASCII(line) && utf8.ValidString(line) {
			line, encoded = encodeWords(line, encoded)
		} else {
			encoded = false
		}
		lines = append(lines, line)
	}
	value, err := foldLong(name, strings.Join(lines, "\n"))
	if err == nil && len(name)+len(value) > maxField {
		err = fmt.Errorf("the value of %s has %d bytes: a field holds %d", name, len(value), maxField)
	}
	if err != nil {
		return "", err
	}
	return value, nil
}

func blank(s string) bool { return strings.Trim(s, " \t") == "" }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// encodeWords encodes the runs of words that are not ASCII and leaves the
// others, so that `Jörg <j@example.org>` keeps its address. A quoted string
// loses its quotes when encoded: none may stand around an encoded word (RFC 2047 §5).
// after tells whether an encoded word precedes: at the start, and at the end.
func encodeWords(line string, after bool) (string, bool) {
	var out strings.Builder
	for line != "" {
		plain, run, rest := nextRun(line)
		out.WriteString(plain)
		if !blank(plain) {
			after = false
		}
		if run == "" {
			break
		}
		if n := len(run); n >= 2 && run[0] == '"' && run[n-1] == '"' {
			run = unquote(run)
		}
		if after {
			run = plain + run // white space between two encoded words is not shown (RFC 2047 §6.2)
		}
		out.WriteString(encodeRun(run))
		after, line = true, rest
	}
	return out.String(), after
}

// encodeRun is one text as encoded words that may stand in a name before an
// address: of punctuation most would end it there (RFC 2047 §5, (3)), and a
// comma begin another address. Base64 has none.
func encodeRun(text string) string {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if c > ' ' && c < 0x7f && !letter && strings.IndexByte("!*+-/=?_", c) < 0 {
			return mime.BEncoding.Encode("utf-8", text)
		}
	}
	return mime.QEncoding.Encode("utf-8", text)
}

// nextRun cuts line into what is ASCII, a run of words each of which is not,
// and the rest. A quoted string is one word.
func nextRun(line string) (plain, run, rest string) {
	start, end := -1, 0
	for i := 0; i < len(line); {
		word := wordEnd(line, i)
		if isASCII(line[i:word]) {
			if start >= 0 {
				break
			}
		} else {
			if start < 0 {
				start = i
			}
			end = word
		}
		for i = word; i < len(line) && (line[i] == ' ' || line[i] == '\t'); i++ {
		}
		if start >= 0 && line[start] == '"' {
			break
		}
	}
	if start < 0 {
		return line, "", ""
	}
	return line[:start], line[start:end], line[end:]
}

func wordEnd(line string, i int) int {
	if i < len(line) && line[i] == '"' {
		if end := quoteEnd(line, i+1); end > 0 {
			return end
		}
	}
	for i < len(line) && line[i] != ' ' && line[i] != '\t' {
		i++
	}
	return i
}

// quoteEnd is after the quote that ends a quoted string, 0 if there is none.
func quoteEnd(line string, i int) int {
	for ; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// foldLong breaks lines over maxLine at their last white space.
func foldLong(name, value string) (string, error) {
	if len(name)+2+len(value) <= maxLine {
		return value, nil
	}
	var out []string
	room := maxLine - len(name) - 2
	for _, line := range strings.Split(value, "\n") {
		for len(line) > room {
			cut := strings.LastIndexAny(line[:room+1], " \t")
			if cut <= 0 || blank(line[:cut]) {
				return "", fmt.Errorf("the value of %s has %d bytes without white space: a line holds %d", name, len(line), maxLine)
			}
			out = append(out, line[:cut])
			line, room = line[cut:], maxLine
		}
		if len(out) == 0 || !blank(line) {
			out = append(out, line)
		}
		room = maxLine
	}
	return strings.Join(out, "\n"), nil
}
