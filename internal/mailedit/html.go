package mailedit

import (
	"html"
	"strings"
)

// toHTML is text for a page, on as many lines as it has.
func toHTML(text string) string {
	return "<p>" + strings.ReplaceAll(html.EscapeString(text), "\n", "<br>\n") + "</p>"
}

// stripTags is what a page says, on as many lines as its blocks are; no layout.
func stripTags(page string) string {
	lower := lowerASCII(page)
	var out strings.Builder
	space := false
	for pos := 0; pos < len(page); {
		if page[pos] != '<' {
			if isSpace(page[pos]) {
				space = true
			} else {
				if space {
					out.WriteByte(' ')
				}
				out.WriteByte(page[pos])
				space = false
			}
			pos++
			continue
		}
		end := strings.IndexByte(page[pos:], '>')
		if end < 0 {
			break
		}
		name := lower[pos+1 : pos+end]
		pos += end + 1
		if i := strings.IndexAny(name[min(1, len(name)):], " \t\r\n/"); i >= 0 {
			name = name[:i+1]
		}
		switch strings.TrimPrefix(name, "/") {
		case "br", "p", "div", "tr", "li", "ul", "ol", "table", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre":
			out.WriteByte('\n')
		case "td", "th":
			space = true
		}
		switch name {
		case "style", "script", "title":
			i := strings.Index(lower[pos:], "</"+name)
			if i < 0 {
				i = len(lower) - pos
			}
			pos += i
		}
	}
	var lines []string
	for _, line := range strings.Split(html.UnescapeString(out.String()), "\n") {
		line = strings.TrimSpace(strings.ReplaceAll(line, "\u00a0", " "))
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func isSpace(c byte) bool { return strings.IndexByte(" \t\r\n\f", c) >= 0 }
