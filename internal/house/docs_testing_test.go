package house

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pmilter/filter"
	"pmilter/internal/config"
	"pmilter/internal/testbed"
	"pmilter/script"
)

// TestDocsTesting: the blocks of docs/testing.md that have a file's name are
// written one after the other, as a reader would, and "$ pmilterd test" prints
// what the document says. At the end all tests in it pass.
func TestDocsTesting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ran := 0
	for _, b := range blocks(t, "docs/testing.md") {
		if b.file != "" {
			write(t, dir, b.file, b.text)
		}
		want, run := strings.CutPrefix(b.text, "$ pmilterd test\n")
		if !run {
			continue
		}
		ran++
		if got, _ := runDocTests(t, dir); got != want {
			t.Errorf("%s: the document says\n%s\nit prints\n%s", b.at, want, got)
		}
	}
	if got, good := runDocTests(t, dir); !good || ran == 0 {
		t.Errorf("%d runs; at the end:\n%s", ran, got)
	}
}

// runDocTests runs all tests of a project.
func runDocTests(t *testing.T, dir string) (text string, good bool) {
	t.Helper()
	cfg, err := config.Load(filepath.Join(dir, "pmilter.toml"), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return runTests(t, dir, cfg.Scripts, cfg.Vars, dir)
}

// runTests runs the tests in a file or folder, and returns what is printed.
func runTests(t *testing.T, dir string, scripts []string, vars map[string]any, path string) (text string, good bool) {
	t.Helper()
	load := script.Options{
		Base: dir, Scripts: scripts, Vars: vars,
		Limits: script.Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 4 << 30, MaxValue: 64 << 20},
	}
	bench := testbed.NewBench(testbed.BenchOptions{Scripts: load, Vars: vars, Filter: filter.Options{
		Timeout: 8 * time.Second, EOMTimeout: time.Minute, OnError: filter.Tempfail, MaxMessage: 1 << 20,
	}})
	defer bench.Close()
	files, err := testbed.Find([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	sum, _, err := testbed.Run(t.Context(), files, testbed.Options{
		Bench: bench, Load: load, Report: testbed.NewPretty(&out, false), Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`\(\d+\.\d\d s\)`).ReplaceAllString(out.String(), "(0.02 s)")
	return regexp.MustCompile(` \(\d+ ms\)`).ReplaceAllString(text, ""), sum.Good()
}
