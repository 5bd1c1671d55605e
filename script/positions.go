package script

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dop251/goja"

	"pmilter/filter"
)

const (
	// ownPrefix begins the file names of code that is ours and not the author's.
	ownPrefix = "pmilter:"
	// bundleFile names the bundle inside goja. It must not look like an absolute
	// URL: go-sourcemap would resolve the sources against it.
	bundleFile = "pmilter-bundle.js"
)

// position is the innermost frame that is in the author's code; the zero
// Position if there is none.
func position(frames []goja.StackFrame) filter.Position {
	for i := range frames {
		p := frames[i].Position()
		if author(p.Filename) {
			return filter.Position{File: shownSource(p.Filename), Line: p.Line, Column: p.Column}
		}
	}
	return filter.Position{}
}

// author tells whether a file name in a frame is of the author's code.
func author(file string) bool {
	return file != "" && file != bundleFile && !strings.HasPrefix(file, ownPrefix) && !strings.HasPrefix(file, "<")
}

// positionInStack is position for the text of an Error's stack.
func positionInStack(stack string) filter.Position {
	if frames := authorFrames(stack); len(frames) > 0 {
		return frames[0].pos
	}
	return filter.Position{}
}

// frame is one of the author's frames.
type frame struct {
	function string
	pos      filter.Position
}

// authorFrames are the author's frames in the text of an Error's stack, the
// innermost first. The frames are the last lines: what comes before them is the
// message, which mail may have written.
func authorFrames(stack string) []frame {
	line := regexp.MustCompile(`^\s+at (?:(.*) \()?([^\s].*?):(\d+):(\d+)\(\d+\)\)?$`)
	native := regexp.MustCompile(`^\s+at (?:.* \()?native\)?$`)
	lines := strings.Split(strings.TrimRight(stack, "\n"), "\n")
	var found []frame
	for i := len(lines) - 1; i >= 0; i-- {
		if native.MatchString(lines[i]) {
			continue
		}
		m := line.FindStringSubmatch(lines[i])
		if m == nil {
			break
		}
		if !author(m[2]) {
			continue
		}
		row, _ := strconv.Atoi(m[3])
		column, _ := strconv.Atoi(m[4])
		found = append(found, frame{m[1], filter.Position{File: shownSource(m[2]), Line: row, Column: column}})
	}
	slices.Reverse(found)
	return found
}

// gojaSource is the name of a source such that goja's handling of it as a URL
// (file.ResolveSourcemapURL) ends in the name itself, or, when the name has
// spaces and the like, in its escaped form. Absolute names become file: URLs,
// as in node's stacks: goja would drop their first slash.
func gojaSource(name string) string {
	if strings.HasPrefix(name, ownPrefix) {
		return name
	}
	if path.IsAbs(name) {
		return (&url.URL{Scheme: "file", Path: name}).String()
	}
	escape := func(s string) string {
		parts := strings.Split(s, "/")
		for i := range parts {
			parts[i] = url.PathEscape(parts[i])
		}
		return strings.Join(parts, "/")
	}
	return escape(escape(name))
}

// shownSource is the name of the source behind goja's form of it.
func shownSource(file string) string {
	if u, err := url.Parse(file); err == nil && u.Scheme == "file" {
		return u.Path
	}
	if name, err := url.PathUnescape(file); err == nil {
		file = name
	}
	return strings.TrimPrefix(file, "./")
}
