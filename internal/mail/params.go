package mail

import "strings"

// splitParams reads what stands between semicolons, names in lower case.
func splitParams(s string) (list []parameter, wrong defect) {
	for len(list) < maxParams {
		s = strings.TrimLeft(s, "; \t")
		if s == "" {
			break
		}
		if s[0] == '(' {
			if rest := skipComments(s); rest != s {
				s = rest
				continue
			}
		}
		end := strings.IndexAny(s, "=;")
		if end < 0 {
			return list, wrong | badParameter
		}
		name := lowerASCII(strings.Trim(s[:end], " \t"))
		if s[end] == ';' {
			wrong, s = wrong|badParameter, s[end:]
			continue
		}
		if i := strings.LastIndexAny(name, " \t,"); i >= 0 { // something without = before it
			name, wrong = name[i+1:], wrong|badParameter
		}
		value, rest, bad := paramValue(name, strings.TrimLeft(s[end+1:], " \t"))
		wrong |= bad
		if name == "" {
			wrong |= badParameter
		} else {
			list = append(list, parameter{name, value})
		}
		s = rest
	}
	return list, wrong
}

// paramValue reads the value that s begins with.
func paramValue(name, s string) (value, rest string, wrong defect) {
	if s != "" && s[0] == '"' {
		if value, rest, ok := quoted(s); ok {
			return value, rest, 0
		}
		s, wrong = s[1:], badParameter // no end
	}
	value, rest, _ = strings.Cut(s, ";")
	if i := nextParam(value); i >= 0 {
		value, rest, wrong = value[:i], s[i:], badParameter // a semicolon is missing
	}
	value = strings.Trim(value, " \t")
	switch name {
	case "name", "filename", "boundary":
	default:
		if i := strings.IndexByte(value, '('); i >= 0 && commentEnd(value[i:]) > 0 {
			value = strings.TrimRight(value[:i], " \t")
		}
	}
	if wrong != 0 {
		value = strings.TrimSuffix(value, `"`)
	}
	if !isToken(value) {
		wrong |= badParameter
	}
	if len(value) > 1 && value[0] == '\'' && value[len(value)-1] == '\'' && name != "filename" && name != "name" {
		value = value[1 : len(value)-1]
	}
	return value, rest, wrong
}

// quoted reads the quoted string that s begins with. A backslash quotes only
// what needs it: mailers write paths of Windows without quoting theirs.
func quoted(s string) (value, rest string, ok bool) {
	end := quoteEnd(s)
	if end < 0 {
		return "", s, false
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(s[1 : end-1]), s[end:], true
}

// quoteEnd is after the quoted string that s begins with, or -1 if it has no end.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// nextParam is where in an unquoted value white space is that a known parameter
// follows, or -1.
func nextParam(value string) int {
	for from := 0; ; {
		i := strings.IndexByte(value[from:], '=')
		if i < 0 {
			return -1
		}
		from += i + 1
		name := strings.TrimRight(value[:from-1], " \t")
		space := strings.LastIndexAny(name, " \t")
		if space < 0 {
			continue
		}
		switch base, _, _ := strings.Cut(lowerASCII(name[space+1:]), "*"); base {
		case "charset", "name", "filename", "boundary", "format", "type", "size":
			return space
		}
	}
}
