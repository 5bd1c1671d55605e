package script

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"pmilter/filter"
)

// messages turns what esbuild says into faults: at the author's file and line,
// and in our users' words.
func (b *builder) messages(list []api.Message, warning bool) {
	const most = 100 // faults worth reading
	for i, m := range list {
		if i == most {
			b.faults = append(b.faults, Fault{Message: fmt.Sprintf("and %d more", len(list)-most), Warning: warning})
			return
		}
		f := Fault{Message: faultText(m), Warning: warning}
		if l := m.Location; l != nil && !isOwnLocation(l) {
			f.Pos = filter.Position{
				File: b.shown(l.File), Line: l.Line, Column: unitColumn(l.LineText, l.Column) + 1,
			}
		}
		// What a package's author was careless about is not for this user to mend.
		if warning && m.Location != nil && strings.Contains("/"+m.Location.File, "/node_modules/") {
			continue
		}
		b.faults = append(b.faults, f)
	}
}

func isOwnLocation(l *api.Location) bool {
	return strings.HasPrefix(strings.TrimPrefix(l.File, "./"), ownPrefix)
}

// faultText is esbuild's message, in one line.
func faultText(m api.Message) string {
	unresolved := regexp.MustCompile(`^Could not resolve "(.*)"$`)
	unmatched := regexp.MustCompile(`^No matching export in "(.*)" for import "(.*)"$`)
	undefined := regexp.MustCompile(`^Import "(.*)" will always be undefined because there is no matching export in "(.*)"$`)
	text := strings.Join(strings.Fields(m.Text), " ")
	switch {
	case strings.HasPrefix(text, "Top-level await"):
		return "top-level code runs without await"
	case text == "Cannot use \"import.meta\" without a configured output format", m.ID == "empty-import-meta":
		return "import.meta is empty here"
	}
	if got := unresolved.FindStringSubmatch(text); got != nil {
		if strings.HasPrefix(got[1], ".") || strings.HasPrefix(got[1], "/") {
			return "cannot find " + quote(got[1])
		}
		return "cannot find the package " + quote(got[1]) + ": no node_modules folder from here upwards has it"
	}
	if got := unmatched.FindStringSubmatch(text); got != nil {
		return noExport(got[1], got[2], m)
	}
	if got := undefined.FindStringSubmatch(text); got != nil {
		return noExport(got[2], got[1], m) + ": it is undefined"
	}
	return text
}

func noExport(from, name string, m api.Message) string {
	from = strings.TrimPrefix(from, ownModules+":")
	text := from + " has no export " + quote(name)
	if m, ours := modules()[from]; ours {
		if near := nearest(name, m.exports); near != "" {
			text += " (did you mean " + quote(near) + "?)"
		}
		return text
	}
	for _, n := range m.Notes {
		meant := regexp.MustCompile(`^Did you mean to import "(.*)" instead\?$`).FindStringSubmatch(n.Text)
		if meant != nil {
			return text + " (did you mean " + quote(meant[1]) + "?)"
		}
	}
	return text
}

func quote(s string) string { return `"` + s + `"` }
