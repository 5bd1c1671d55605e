package script

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"pmilter/filter"
)

// exportedAt is where a script exports a name, or, with a key, where that key
// of the exported object stands. It looks at the author's text; of an export
// that is written in an unusual way (a list, another module's) only the file is known.
func exportedAt(base, file, name, key string) filter.Position {
	at := filter.Position{File: file}
	if name == "" {
		return at
	}
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, file)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return at // it was there a moment ago: the file's name must do
	}
	declared := regexp.MustCompile(`(?m)^[ \t]*export\s+(?:(?:const|let|var|class)\s+|(?:async\s+)?function\s*\*?\s*)(` + regexp.QuoteMeta(name) + `)\b`)
	m := declared.FindSubmatchIndex(text)
	if m == nil {
		return at
	}
	place := m[2]
	if key != "" {
		if k := regexp.MustCompile(`\b` + regexp.QuoteMeta(key) + `\b`).FindIndex(text[m[3]:]); k != nil {
			place = m[3] + k[0]
		}
	}
	before := string(text[:place])
	at.Line = strings.Count(before, "\n") + 1
	at.Column = len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	return at
}
