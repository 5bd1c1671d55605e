package table

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// regexpTable is a table of regular expressions, tried in order (regexp_table(5)).
// The expressions are POSIX's, run by Go's engine, whose time is linear in the text.
type regexpTable struct{ rules []*regexpRule }

type regexpRule struct {
	kind     ruleKind
	patterns []posixPattern // an if has one, a rule one or "/a/!/b/"
	value    []piece
	endif    int // of an if: the index of its endif; without one, the table's end
}

type ruleKind uint8

const (
	ruleMatch ruleKind = iota
	ruleIf
	ruleEndif
)

// piece is literal text of a lookup result, or when group is not 0 that
// subexpression of the match.
type piece struct {
	text  string
	group int
}

// posixPattern is one expression of a rule.
type posixPattern struct {
	re  *regexp.Regexp
	not bool
}

// readRegexp reads rules "/pattern/flags result", "!/pattern/flags result",
// "if /pattern/flags" and "endif".
func readRegexp(f io.Reader, warn func(int, string, ...any)) (content, error) {
	t := &regexpTable{}
	var open, opened []int // indexes of ifs, and their lines
	err := logicalLines(f, warn, func(number int, line string) {
		rule, err := parseRule(line)
		if err == nil && rule.kind == ruleEndif && len(open) == 0 {
			err = errors.New("endif without if")
		}
		if err != nil {
			warn(number, "%v", err)
			return
		}
		switch rule.kind {
		case ruleIf:
			open, opened = append(open, len(t.rules)), append(opened, number)
		case ruleEndif:
			t.rules[open[len(open)-1]].endif = len(t.rules)
			open, opened = open[:len(open)-1], opened[:len(opened)-1]
		case ruleMatch:
		}
		t.rules = append(t.rules, rule)
	})
	for i, number := range opened {
		warn(number, "if without endif")
		t.rules[open[i]].endif = len(t.rules)
	}
	return t, err
}

func (t *regexpTable) get(key string) (string, bool) {
	if !utf8.ValidString(key) {
		return "", false
	}
	for i := 0; i < len(t.rules); i++ {
		rule := t.rules[i]
		switch rule.kind {
		case ruleIf:
			if rule.patterns[0].re.MatchString(key) == rule.patterns[0].not {
				i = rule.endif
			}
		case ruleMatch:
			if groups, ok := rule.match(key); ok {
				return rule.result(key, groups), true
			}
		case ruleEndif:
		}
	}
	return "", false
}

// match tells whether all patterns of the rule hold, and where the groups of the
// first one are.
func (r *regexpRule) match(key string) (groups []int, ok bool) {
	if first := r.patterns[0]; first.not {
		ok = !first.re.MatchString(key)
	} else {
		groups = first.re.FindStringSubmatchIndex(key)
		ok = groups != nil
	}
	return groups, ok && (len(r.patterns) < 2 || r.patterns[1].re.MatchString(key) != r.patterns[1].not)
}

func (r *regexpRule) result(key string, groups []int) string {
	var b strings.Builder
	for _, p := range r.value {
		if p.group == 0 {
			b.WriteString(p.text)
		} else if from, to := groups[2*p.group], groups[2*p.group+1]; from >= 0 {
			b.WriteString(key[from:to])
		}
	}
	return b.String()
}

func parseRule(line string) (*regexpRule, error) {
	rule := &regexpRule{}
	lower := strings.ToLower(line)
	switch {
	case !alphanumeric(line[0]):
		first, rest, err := parsePattern(line)
		if err != nil {
			return nil, err
		}
		rule.patterns = append(rule.patterns, first)
		if strings.HasPrefix(rest, "!") {
			var second posixPattern
			if second, rest, err = parsePattern(rest); err != nil {
				return nil, err
			}
			rule.patterns = append(rule.patterns, second)
		}
		return rule, rule.parseResult(strings.TrimLeft(rest, space))
	case strings.HasPrefix(lower, "if") && (len(line) == 2 || !alphanumeric(line[2])):
		rule.kind = ruleIf
		pattern, _, err := parsePattern(strings.TrimLeft(line[2:], space))
		rule.patterns = []posixPattern{pattern}
		return rule, err
	case strings.HasPrefix(lower, "endif") && (len(line) == 5 || !alphanumeric(line[5])):
		rule.kind = ruleEndif
		return rule, nil
	}
	return nil, errors.New("expected /pattern/, if or endif")
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// parsePattern reads "!/pattern/flags" and gives what follows it.
func parsePattern(s string) (p posixPattern, rest string, err error) {
	for s != "" && (s[0] == '!' || strings.IndexByte(space, s[0]) >= 0) {
		if s[0] == '!' {
			p.not = !p.not
		}
		s = s[1:]
	}
	if s == "" {
		return p, "", errors.New("there is no regular expression")
	}
	delimiter, size := s[0], 1
	for size < len(s) && s[size] != delimiter {
		if s[size] == '\\' {
			size++
		}
		size++
	}
	if size >= len(s) {
		return p, "", fmt.Errorf("there is no closing delimiter %q", delimiter)
	}
	pattern, flags := s[1:size], posixFlags{fold: true, extended: true}
	for s = s[size+1:]; s != "" && s[0] != '!' && strings.IndexByte(space, s[0]) < 0; s = s[1:] {
		switch s[0] {
		case 'i':
			flags.fold = !flags.fold
		case 'm':
			flags.lines = !flags.lines
		case 'x':
			flags.extended = !flags.extended
		default:
			return p, "", fmt.Errorf("unknown flag %q", s[0])
		}
	}
	p.re, err = compilePOSIX(pattern, flags)
	return p, s, err
}

// parseResult reads the lookup result: $1, ${1}, $(1), and $$ for a dollar
// (postfix mac_parse).
func (r *regexpRule) parseResult(s string) error {
	groups := r.patterns[0].re.NumSubexp()
	literal := func(text string) { r.value = append(r.value, piece{text: text}) }
	for s != "" {
		text, after, found := strings.Cut(s, "$")
		literal(text)
		if !found {
			return nil
		}
		if strings.HasPrefix(after, "$") {
			literal("$")
			s = after[1:]
			continue
		}
		name, rest, err := macroName(after)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(name)
		switch {
		case err != nil || n < 1 || n > groups:
			return fmt.Errorf("there is no subexpression $%s", name)
		case r.patterns[0].not:
			return fmt.Errorf("$%d in the result of a negated pattern", n)
		}
		r.value = append(r.value, piece{group: n})
		s = rest
	}
	return nil
}

// macroName is the name that follows a dollar, and the rest.
func macroName(s string) (name, rest string, err error) {
	closing, ok := map[byte]string{'{': "}", '(': ")"}[(s + " ")[0]]
	if ok {
		name, rest, ok = strings.Cut(s[1:], closing)
		if !ok {
			return "", "", fmt.Errorf("there is no closing %q", closing)
		}
		return name, rest, nil
	}
	n := 0
	for n < len(s) && (alphanumeric(s[n]) || s[n] == '_') {
		n++
	}
	if n == 0 {
		return "", "", errors.New("there is no name after $")
	}
	return s[:n], s[n:], nil
}
