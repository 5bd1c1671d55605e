// Package manual makes manual pages (man(7)) of what is written elsewhere: the tables of
// the README, and texts of the program. It promises that nothing of a text is taken for
// markup that was not meant as such. It does not know of commands or files.
package manual

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

// Page is a manual page. Its body is markdown: of headings those of one # alone.
type Page struct {
	Name    string // "pmilter.toml"
	Section int
	About   string // in a line, without the name
	Body    string
}

// File is the name of the page's file.
func (p Page) File() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// Render is the page in the language of man(7). version and date go to its foot.
func (p Page) Render(version string, date time.Time) []byte {
	return md2man.Render(fmt.Appendf(nil, "%% %q %q %q %q %q\n# NAME\n%s - %s\n\n%s",
		strings.ToUpper(p.Name), fmt.Sprint(p.Section), date.UTC().Format("2006-01-02"), "pmilterd "+version, "pmilterd",
		p.Name, Text(p.About), p.Body))
}

// Text is s as markdown that shows it as it is.
func Text(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]()#+-.!:|&<>~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Paragraphs is a text of the program as markdown: empty lines part its paragraphs, and
// one that is indented is shown line by line.
func Paragraphs(s string) string {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(strings.Trim(s, "\n"), "\n\n") {
		if !strings.HasPrefix(paragraph, "  ") {
			b.WriteString(Text(paragraph) + "\n\n")
			continue
		}
		b.WriteString("```\n" + paragraph + "\n```\n\n")
	}
	return b.String()
}

// Entry is a term and what it means, both markdown.
func Entry(term, meaning string) string {
	return term + "\n: " + strings.ReplaceAll(strings.TrimSpace(meaning), "\n", " ") + "\n\n"
}

// Section is what a document says below the heading "## title", as a page can show it:
// each row of a table is an entry, links are their text, comments are left out. It is ""
// without such a heading.
func Section(document, title string) string {
	_, text, ok := strings.Cut(document, "\n## "+title+"\n")
	if !ok {
		return ""
	}
	text, _, _ = strings.Cut(text, "\n## ")
	text = regexp.MustCompile(`(?s)<!--.*?-->\n?`).ReplaceAllString(text, "")
	text = regexp.MustCompile("\\[(`[^`\n]*`|[^]\n]*)\\]\\([^)\n]*\\)").ReplaceAllString(text, "$1")
	var b strings.Builder
	inCode, header := false, []string(nil)
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if strings.HasPrefix(line, "```") {
			inCode = !inCode
			line = line[:3] // the renderer knows no languages
		}
		switch cells := row(line); {
		case inCode || cells == nil:
			header = nil
			if title, ok := strings.CutPrefix(line, "### "); ok && !inCode {
				line = "# " + strings.ToUpper(title)
			}
			b.WriteString(line + "\n")
		case header == nil:
			header = cells
		case strings.Trim(strings.Join(cells, ""), "-: ") == "": // the line below the header
		default:
			b.WriteString(entryOf(header, cells))
		}
	}
	return b.String()
}

// row is the cells of a table's row, nil for any other line.
func row(line string) []string {
	inner, ok := strings.CutPrefix(line, "| ")
	if !ok {
		if inner, ok = strings.CutPrefix(line, "|-"); !ok {
			return nil
		}
	}
	cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(inner), "|"), " | ")
	if strings.HasPrefix(line, "|-") {
		cells = strings.Split(strings.TrimSuffix(inner, "|"), "|")
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// entryOf is a row as an entry: of three cells the one in the middle is said of the first.
func entryOf(header, cells []string) string {
	if len(cells) < 3 {
		return Entry(cells[0], strings.Join(cells[1:], " "))
	}
	return Entry(cells[0], fmt.Sprintf("(%s: %s) %s", header[1], cells[1], strings.Join(cells[2:], " ")))
}
