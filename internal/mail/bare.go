package mail

import "strings"

// bareAddress is what stands in angle brackets without what obsolete syntax and
// mailers put there: white space, comments, a route, another bracket, a scheme.
func bareAddress(s string) string {
	s = strings.Trim(s, " \t<>")
	if strings.HasPrefix(s, "@") {
		if _, rest, ok := strings.Cut(s, ":"); ok {
			s = rest
		}
	}
	if len(s) > 7 && lowerASCII(s[:7]) == "mailto:" {
		s = s[7:]
	}
	return compact(s)
}

// compact is an address without comments and white space outside quotes.
func compact(s string) string {
	if !strings.ContainsAny(s, " \t(") {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"':
			if end := quoteEnd(s[i:]); end > 0 {
				out.WriteString(s[i : i+end])
				i += end
				continue
			}
			return out.String() + s[i:]
		case c == '(':
			if end := commentEnd(s[i:]); end > 0 {
				i += end
				continue
			}
			return out.String() + s[i:]
		case !isSpace(c):
			out.WriteByte(c)
		}
		i++
	}
	return out.String()
}

// bareItem finds the address in an item without angle brackets: the word with an
// @ in it, obsolete white space around its dots and the @ left out. The rest is
// taken for a name.
func bareItem(raw string) (address, name string) {
	raw = strings.TrimSpace(raw)
	at := strings.LastIndexByte(raw, '@')
	left, right := strings.TrimRight(raw[:at], " \t"), strings.TrimLeft(raw[at+1:], " \t")
	if before, ok := strings.CutSuffix(left, `"`); ok { // a quoted local part
		if open := strings.LastIndexByte(before, '"'); open >= 0 {
			name, left = left[:open], left[open:]
		}
	} else if space := lastBreak(left); space >= 0 {
		name, left = left[:space], left[space+1:]
	}
	tail := ""
	if space := firstBreak(right); space >= 0 {
		right, tail = right[:space], right[space+1:]
	}
	return compact(left) + "@" + compact(right), strings.TrimSpace(unquote(strings.TrimSpace(name)) + tail)
}

// lastBreak is the last white space in s that has no dot beside it, or -1.
func lastBreak(s string) int {
	for i := len(s) - 1; i > 0; i-- {
		if isSpace(s[i]) && s[i-1] != '.' && !isSpace(s[i-1]) && s[i+1] != '.' && !isSpace(s[i+1]) {
			return i
		}
	}
	return -1
}

func firstBreak(s string) int {
	for i := 1; i < len(s)-1; i++ {
		if isSpace(s[i]) && s[i-1] != '.' && !isSpace(s[i-1]) && s[i+1] != '.' && !isSpace(s[i+1]) {
			return i
		}
	}
	return -1
}
