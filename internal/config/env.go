package config

import (
	"fmt"
	"strings"
)

// expand puts the environment into s: ${NAME} is the value of NAME, which must
// be set; ${NAME:-default} is default when NAME is not set or empty, as in a
// shell; $${ is a plain ${. What was put in is not looked at again.
func expand(s string, env func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if strings.HasSuffix(before, "$") {
			out.WriteString("{") // the $ before it is written already
			s = rest
			continue
		}
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf(`"${" without its "}" (a plain "${" is written "$${")`)
		}
		name, fallback, hasFallback := strings.Cut(inner, ":-")
		if !isEnvName(name) {
			return "", fmt.Errorf("${%s}: not a name of an environment variable", inner)
		}
		val, ok := env(name)
		switch {
		case hasFallback && val == "":
			val = fallback
		case !ok:
			return "", fmt.Errorf("${%s}: not set in the environment; set it, or write ${%s:-default}", name, name)
		}
		out.WriteString(val)
		s = after
	}
}

func isEnvName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
