package table

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// posixFlags are regcomp(3)'s, in the words of regexp_table(5).
type posixFlags struct {
	fold     bool // REG_ICASE
	lines    bool // REG_NEWLINE: ^ and $ at each line; . and [^x] do not match a newline
	extended bool // REG_EXTENDED
}

// maxPattern bounds an expression, in bytes.
const maxPattern = 64 << 10

// compilePOSIX compiles a POSIX expression, as glibc reads it, for Go's engine:
// the leftmost-longest match is found. Back-references are an error.
func compilePOSIX(pattern string, flags posixFlags) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("the expression is over %d bytes", maxPattern)
	}
	t := translator{in: pattern, flags: flags}
	if err := t.translate(); err != nil {
		return nil, err
	}
	mode := "s"
	if flags.lines {
		mode = "m"
	}
	if flags.fold {
		mode += "i"
	}
	re, err := regexp.Compile("(?" + mode + ")" + t.out.String())
	if err != nil {
		return nil, err
	}
	re.Longest()
	return re, nil
}

// translator writes a POSIX expression in Go's syntax.
type translator struct {
	in    string
	flags posixFlags
	out   strings.Builder
	atom  int  // where the last atom begins in out, when there is one
	has   bool // there is an atom that a quantifier would be about
	open  []int
	stars bool // the atom has a quantifier already
}

// next is the next token: an operator, or an ordinary character. Escaped is true
// for a character after a backslash that is neither.
func (t *translator) next() (op byte, r rune, escaped bool, err error) {
	r, size := utf8.DecodeRuneInString(t.in)
	c := t.in[0]
	t.in = t.in[size:]
	operators := "()|{}"
	if c == '\\' {
		if t.in == "" {
			return 0, 0, false, errors.New("trailing backslash")
		}
		r, size = utf8.DecodeRuneInString(t.in)
		c = t.in[0]
		t.in = t.in[size:]
		if !t.flags.extended && strings.IndexByte(operators+"+?", c) >= 0 {
			return c, r, false, nil
		}
		return 0, r, true, nil
	}
	switch {
	case c == '[' || c == '.':
		return c, r, false, nil
	case t.flags.extended && strings.IndexByte(operators+"+?*^$", c) >= 0:
		return c, r, false, nil
	case t.flags.extended:
		return 0, r, false, nil
	case c == '*' && (t.has || t.stars):
		return c, r, false, nil
	case c == '^' && t.atStart():
		return c, r, false, nil
	case c == '$' && (t.in == "" || strings.HasPrefix(t.in, `\)`) || strings.HasPrefix(t.in, `\|`)):
		return c, r, false, nil
	}
	return 0, r, false, nil
}

// atStart tells whether nothing stands before the place in its alternative.
func (t *translator) atStart() bool {
	s := t.out.String()
	return s == "" || strings.HasSuffix(s, "|") && !strings.HasSuffix(s, `\|`) || strings.HasSuffix(s, "(") && !strings.HasSuffix(s, `\(`)
}

func (t *translator) translate() error {
	for t.in != "" {
		op, r, escaped, err := t.next()
		if err != nil {
			return err
		}
		switch op {
		case 0:
			if err := t.character(r, escaped); err != nil {
				return err
			}
		case '.':
			t.write(".")
		case '[':
			if err := t.bracket(); err != nil {
				return err
			}
		case '^', '$':
			t.out.WriteByte(op)
			t.has, t.stars = false, false
		case '|':
			t.out.WriteByte('|')
			t.has, t.stars = false, false
		case '(':
			t.open = append(t.open, t.out.Len())
			t.out.WriteByte('(')
			t.has, t.stars = false, false
		case ')':
			if len(t.open) == 0 {
				return errors.New("unmatched ) or \\)")
			}
			t.out.WriteByte(')')
			t.atom, t.open = t.open[len(t.open)-1], t.open[:len(t.open)-1]
			t.has, t.stars = true, false
		case '*', '+', '?':
			t.quantify(string(op))
		case '{':
			if err := t.interval(); err != nil {
				return err
			}
		default: // a closing brace alone
			t.write(regexp.QuoteMeta(string(op)))
		}
	}
	if len(t.open) > 0 {
		return errors.New("unmatched ( or \\(")
	}
	return nil
}

// write adds an atom.
func (t *translator) write(s string) {
	t.atom, t.has, t.stars = t.out.Len(), true, false
	t.out.WriteString(s)
}

// character adds an ordinary or escaped character; glibc has GNU's escapes.
func (t *translator) character(r rune, escaped bool) error {
	if escaped {
		switch {
		case '1' <= r && r <= '9':
			return errors.New("back-references are not supported")
		case strings.ContainsRune("wWsS", r):
			t.write(`\` + string(r))
			return nil
		case strings.ContainsRune("bB<>`'", r):
			t.out.WriteString(map[rune]string{'b': `\b`, 'B': `\B`, '<': `\b`, '>': `\b`, '`': `\A`, '\'': `\z`}[r])
			t.has, t.stars = false, false
			return nil
		case r < utf8.RuneSelf && alphanumeric(byte(r)):
			// Perl's \d and the like. To POSIX they are undefined, and what
			// glibc makes of them matches nothing unless case counts.
			return fmt.Errorf(`\%c is nothing in POSIX expressions: write a class such as [[:digit:]]`, r)
		}
	}
	t.write(regexp.QuoteMeta(string(r)))
	return nil
}

// quantify adds a quantifier to the last atom. One that is about nothing is
// passed over, as glibc does.
func (t *translator) quantify(q string) {
	switch {
	case !t.has:
		return
	case t.stars: // "a*?" is (a*)?, not Perl's lazy star
		s := t.out.String()
		t.out.Reset()
		t.out.WriteString(s[:t.atom] + "(?:" + s[t.atom:] + ")")
	}
	t.out.WriteString(q)
	t.stars = true
}

// interval reads what follows "{".
func (t *translator) interval() error {
	closing := "}"
	if !t.flags.extended {
		closing = `\}`
	}
	text, rest, ok := strings.Cut(t.in, closing)
	low, high, ranged := strings.Cut(text, ",")
	if low == "" && ranged {
		low = "0"
	}
	n, err := strconv.ParseUint(low, 10, 16)
	if !ok || err != nil {
		return errors.New("invalid content of {}")
	}
	q := fmt.Sprintf("{%d}", n)
	if ranged {
		q = fmt.Sprintf("{%d,%s}", n, high)
		if m, err := strconv.ParseUint(high, 10, 16); high != "" && (err != nil || m < n) {
			return errors.New("invalid content of {}")
		}
	}
	t.in = rest
	t.quantify(q)
	return nil
}

// bracket reads what follows "[" to its end. A backslash is a character here.
func (t *translator) bracket() error {
	set := "["
	if rest, ok := strings.CutPrefix(t.in, "^"); ok {
		t.in, set = rest, "[^"
		if t.flags.lines {
			set = `[^\n`
		}
	}
	for first := true; ; first = false {
		if t.in == "" {
			return errors.New("unmatched [, [^, [:, [., or [=")
		}
		if t.in[0] == ']' && !first {
			t.in = t.in[1:]
			t.write(set + "]")
			return nil
		}
		if rest, ok := strings.CutPrefix(t.in, "[:"); ok {
			name, rest, ok := strings.Cut(rest, ":]")
			if !ok || !strings.Contains(" alnum alpha blank cntrl digit graph lower print punct space upper xdigit ", " "+name+" ") {
				return errors.New("invalid character class name")
			}
			t.in, set = rest, set+"[:"+name+":]"
			continue
		}
		from, err := t.element()
		if err != nil {
			return err
		}
		to := from
		if len(t.in) > 1 && t.in[0] == '-' && t.in[1] != ']' {
			t.in = t.in[1:]
			if to, err = t.element(); err != nil {
				return err
			}
			if to < from {
				return errors.New("invalid range end")
			}
		}
		set += fmt.Sprintf(`\x{%x}-\x{%x}`, from, to)
	}
}

// element is a character of a bracket expression, or a collating symbol of one.
func (t *translator) element() (rune, error) {
	for _, mark := range []string{".", "="} {
		rest, ok := strings.CutPrefix(t.in, "["+mark)
		if !ok {
			continue
		}
		name, rest, ok := strings.Cut(rest, mark+"]")
		r, size := utf8.DecodeRuneInString(name)
		if !ok || size == 0 || size != len(name) {
			return 0, errors.New("invalid collation character")
		}
		t.in = rest
		return r, nil
	}
	if t.in == "" {
		return 0, errors.New("unmatched [, [^, [:, [., or [=")
	}
	r, size := utf8.DecodeRuneInString(t.in)
	t.in = t.in[size:]
	return r, nil
}
