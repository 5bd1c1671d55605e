package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// page is a text that is laid out for a terminal of some width.
type page struct {
	b     strings.Builder
	width int  // columns; 0: as many as it takes
	color bool // https://no-color.org
}

// The colours of a page: codes of ECMA-48 SGR.
const (
	bold   = "1"
	red    = "1;31"
	yellow = "33"
	green  = "32"
	dim    = "2"
)

func (p *page) paint(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// line writes a line of one colour ("" for none), cut at the width. What comes from
// outside is made harmless.
func (p *page) line(code, s string) {
	s = p.cut(printable(s))
	if code != "" {
		s = p.paint(code, s)
	}
	p.b.WriteString(s + "\n")
}

func (p *page) cut(s string) string {
	if p.width > 0 && utf8.RuneCountInString(s) > p.width {
		return string([]rune(s)[:max(p.width-1, 0)]) + "…"
	}
	return s
}

// wrapped writes a text in as many lines as it takes, the later ones indented: what is
// wrong is never cut off.
func (p *page) wrapped(code, mark, s string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(mark))
	for part := range strings.SplitSeq(s, "\n") {
		line := mark
		for word := range strings.FieldsSeq(printable(part)) {
			used := utf8.RuneCountInString(line)
			if p.width > 0 && used > len(indent) && used+1+utf8.RuneCountInString(word) > p.width {
				p.b.WriteString(p.paint(code, strings.TrimRight(line, " ")) + "\n")
				line = indent
			}
			if line != mark && line != indent {
				line += " "
			}
			line += word
		}
		p.b.WriteString(p.paint(code, strings.TrimRight(line, " ")) + "\n")
		mark = indent
	}
}

// table writes rows below a heading, after an empty line; without rows, nothing. Columns
// whose heading ends with a colon stand to the right.
func (p *page) table(heading []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(heading))
	for _, row := range append([][]string{heading}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(strings.TrimSuffix(cell, ":")))
		}
	}
	p.b.WriteString("\n")
	row := func(code string, cells []string) {
		var b strings.Builder
		for i, cell := range cells {
			cell = printable(cell)
			pad := strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(cell), 0))
			switch {
			case strings.HasSuffix(heading[i], ":"):
				b.WriteString(pad + cell)
			case i < len(cells)-1:
				b.WriteString(cell + pad)
			default:
				b.WriteString(cell)
			}
			if i < len(cells)-1 {
				b.WriteString("  ")
			}
		}
		p.line(code, strings.TrimRight(b.String(), " "))
	}
	names := make([]string, len(heading))
	for i, h := range heading {
		names[i] = strings.TrimSuffix(h, ":")
	}
	row(dim, names)
	for _, cells := range rows {
		row("", cells)
	}
}

// size is the columns and lines of the terminal that w is; ok is false when it is none.
func size(w io.Writer) (columns, lines int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || s.Col == 0 {
		return 0, 0, false
	}
	return int(s.Col), int(s.Row), true
}

// newPage is one for standard output.
func (a *app) newPage() *page {
	columns, _, terminal := size(a.stdout)
	return &page{width: columns, color: terminal && a.colors()}
}
