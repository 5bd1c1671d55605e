package testbed

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"pmilter/script"
)

// PrintCoverage writes a table: each file, how many of its lines ran, and which did not.
func PrintCoverage(out io.Writer, files []script.FileCoverage) {
	width := len("file")
	for _, f := range files {
		width = max(width, len([]rune(f.File)))
	}
	fmt.Fprintf(out, "\n%-*s  lines   ran        not run\n", width, "file")
	all, ran := 0, 0
	for _, f := range files {
		n := ranOf(f)
		all, ran = all+len(f.Lines), ran+n
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%-*s  %5d %5d %5s  %s", width, printable(f.File), len(f.Lines), n, percent(n, len(f.Lines)), missed(f)), " "))
	}
	fmt.Fprintf(out, "%-*s  %5d %5d %5s\n", width, "all", all, ran, percent(ran, all))
}

func ranOf(f script.FileCoverage) int {
	n := 0
	for _, l := range f.Lines {
		if l.Count > 0 {
			n++
		}
	}
	return n
}

func percent(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%d%%", n*100/of)
}

// missed is the lines that did not run, as ranges: a range goes over lines in
// which no statement begins.
func missed(f script.FileCoverage) string {
	var parts []string
	for i := 0; i < len(f.Lines); i++ {
		if f.Lines[i].Count > 0 {
			continue
		}
		from := f.Lines[i].Line
		for i+1 < len(f.Lines) && f.Lines[i+1].Count == 0 {
			i++
		}
		if to := f.Lines[i].Line; to > from {
			parts = append(parts, fmt.Sprintf("%d-%d", from, to))
		} else {
			parts = append(parts, fmt.Sprint(from))
		}
	}
	const most = 20
	if len(parts) > most {
		parts = append(parts[:most], fmt.Sprintf("and %d more", len(parts)-most))
	}
	return strings.Join(parts, " ")
}

// WriteLCOV writes a trace file as geninfo(1) has it, with absolute paths.
func WriteLCOV(out io.Writer, base string, files []script.FileCoverage) error {
	var b strings.Builder
	for _, f := range files {
		path := f.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(base, path)
		}
		fmt.Fprintf(&b, "TN:\nSF:%s\n", path)
		for _, l := range f.Lines {
			fmt.Fprintf(&b, "DA:%d,%d\n", l.Line, l.Count)
		}
		fmt.Fprintf(&b, "LF:%d\nLH:%d\nend_of_record\n", len(f.Lines), ranOf(f))
	}
	_, err := io.WriteString(out, b.String())
	return err
}
