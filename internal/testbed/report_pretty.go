package testbed

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"pmilter/filter"
	"pmilter/script"
)

// pretty is for people.
type pretty struct {
	out   io.Writer
	color bool
}

// NewPretty reports to people, in colour if that is wanted.
func NewPretty(out io.Writer, color bool) Reporter { return &pretty{out, color} }

// Colours of a terminal.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	grey   = "90"
	bold   = "1"
)

func (p *pretty) paint(color, text string) string {
	if !p.color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// File implements Reporter.
func (p *pretty) File(f FileReport) {
	if len(f.Tests) == 0 && f.Err == nil {
		return // none was chosen
	}
	fmt.Fprintln(p.out, p.paint(bold, printable(f.Name)))
	var shown []string
	for _, t := range f.Tests {
		for depth, name := range t.Path[:len(t.Path)-1] {
			if depth >= len(shown) || shown[depth] != name {
				fmt.Fprintf(p.out, "%s%s\n", strings.Repeat("  ", depth+1), printable(name))
			}
		}
		shown = t.Path[:len(t.Path)-1]
		indent := strings.Repeat("  ", len(t.Path))
		name := printable(t.Path[len(t.Path)-1])
		switch t.Status {
		case script.Passed:
			slow := ""
			if t.Duration >= 100*time.Millisecond {
				slow = p.paint(grey, fmt.Sprintf(" (%d ms)", t.Duration.Milliseconds()))
			}
			fmt.Fprintf(p.out, "%s%s %s%s\n", indent, p.paint(green, "✓"), name, slow)
		case script.Skipped:
			fmt.Fprintf(p.out, "%s%s\n", indent, p.paint(yellow, "- "+name+" (skipped"+prefixed(": ", t.Why)+")"))
		default:
			fmt.Fprintf(p.out, "%s%s\n", indent, p.paint(red, "✗ "+name))
		}
		p.block(indent+"    ", grey, strings.Join(t.Log, "\n"))
		if t.Failure != nil {
			p.failure(indent+"  ", f.Base, t.Failure)
		}
	}
	if f.Err != nil {
		for _, fault := range f.Faults() {
			p.failure("  ", f.Base, fault)
		}
	}
}

// failure shows why a test failed, with the author's lines.
func (p *pretty) failure(indent, base string, f *script.Failure) {
	fmt.Fprintln(p.out)
	for line := range strings.SplitSeq(f.Message, "\n") {
		line = printable(line)
		switch {
		case strings.HasPrefix(line, "- "):
			line = p.paint(green, line)
		case strings.HasPrefix(line, "+ "):
			line = p.paint(red, line)
		}
		fmt.Fprintln(p.out, strings.TrimRight(indent+line, " "))
	}
	fmt.Fprintf(p.out, "\n%sat %s\n", indent, p.paint(bold, printable(f.Pos.String())))
	p.block(indent, "", Frame(base, f.Pos))
	if strings.Contains(f.Stack, "\n") {
		fmt.Fprintln(p.out)
		p.block(indent, grey, f.Stack)
	}
	fmt.Fprintln(p.out)
}

func (p *pretty) block(indent, color, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		line = printable(line)
		if color != "" {
			line = p.paint(color, line)
		}
		fmt.Fprintln(p.out, indent+line)
	}
}

// End implements Reporter.
func (p *pretty) End(s Summary) error {
	var parts []string
	add := func(n int, what, color string) {
		if n > 0 {
			parts = append(parts, p.paint(color, fmt.Sprintf("%d %s", n, what)))
		}
	}
	add(s.Passed, "passed", green)
	add(s.Failed, "failed", red)
	add(s.Skipped, "skipped", yellow)
	add(s.Faults, plural(s.Faults, "file")+" could not be run", red)
	if len(parts) == 0 {
		parts = append(parts, "no test matches")
	}
	files := fmt.Sprintf(" in %d %s", s.Files, plural(s.Files, "file"))
	if s.Faults == s.Files {
		files = ""
	}
	_, err := fmt.Fprintf(p.out, "\n%s%s (%.2f s)\n", strings.Join(parts, ", "), files, s.Duration.Seconds())
	return err
}

// prefixed is text after a prefix, "" without text.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// Frame is the author's lines around a place, a mark under it; "" when they
// cannot be read.
func Frame(base string, pos filter.Position) string {
	path := pos.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	text, err := os.ReadFile(path)
	if err != nil || pos.Line < 1 {
		return ""
	}
	lines := strings.Split(string(text), "\n")
	if pos.Line > len(lines) {
		return ""
	}
	var b strings.Builder
	from, to := max(pos.Line-2, 1), min(pos.Line+1, len(lines))
	width := len(fmt.Sprint(to))
	for n := from; n <= to; n++ {
		line := strings.TrimRight(lines[n-1], "\r")
		if n == to && n > pos.Line && strings.TrimSpace(line) == "" {
			break
		}
		mark := " "
		if n == pos.Line {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %*d | %.200s\n", mark, width, n, line)
		if n == pos.Line && pos.Column > 0 {
			fmt.Fprintf(&b, "  %*s | %s^\n", width, "", under(line, pos.Column))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// under is the white space that leads to a column, tabs as they are.
func under(line string, column int) string {
	before := []rune(line)
	before = before[:min(column-1, len(before))]
	return regexp.MustCompile(`[^\t]`).ReplaceAllString(string(before), " ")
}

// printable replaces what could move the cursor or forge a line: mail may have
// written it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
