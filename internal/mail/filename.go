package mail

import (
	"strings"
	"unicode"
)

func (p *Part) filename() (string, defect) {
	_, rest, _ := splitValue(p.disposition)
	params, wrong := parseParams(rest)
	name := params["filename"]
	if name == "" {
		name = params["name"] // as some write it there
	}
	_, rest, _ = splitValue(p.contentType)
	params, bad := parseParams(rest)
	if name == "" {
		name = params["name"]
	}
	if name == "" {
		name = params["filename"]
	}
	return safeName(name), wrong | bad
}

// safeName is a name without anything that a path or a terminal would take for
// more than a name.
func safeName(name string) string {
	name = strings.TrimSpace(name)
	if i := strings.LastIndexByte(name, '\\'); i >= 0 && i+1 < len(name) && isWindowsPath(name) {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\':
			return '_'
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, name)
	if strings.Trim(name, ".") == "" { // "", ".", ".."
		return strings.Repeat("_", len(name))
	}
	return name
}

// isWindowsPath tells of C:\... and \\server\...
func isWindowsPath(name string) bool {
	if name[0] == '\\' {
		return true
	}
	return len(name) > 2 && 'a' <= name[0]|0x20 && name[0]|0x20 <= 'z' && name[1] == ':' && name[2] == '\\'
}
