package house

import (
	"strings"
	"testing"

	"pmilter/internal/config"
)

// TestDocsJobs: what docs/jobs.md configures can be loaded, its "js job" blocks and
// those with a file's name are jobs that load, and *.test.js are tests that pass.
func TestDocsJobs(t *testing.T) {
	t.Parallel()
	dir, tests := t.TempDir(), 0
	for _, b := range blocks(t, "docs/jobs.md") {
		switch {
		case b.lang == "toml":
			file := write(t, t.TempDir(), "pmilter.toml", b.text)
			if _, err := config.Load(file, func(string) (string, bool) { return "", false }); err != nil {
				t.Errorf("%s: %v", b.at, err)
			}
		case strings.HasSuffix(b.file, ".test.js"):
			tests++
			file := write(t, dir, b.file, b.text)
			if out, good := runTests(t, dir, nil, nil, file); !good {
				t.Errorf("%s:\n%s", b.at, out)
			}
		case b.lang == "js":
			if b.file != "job" {
				write(t, dir, b.file, b.text)
			}
			loadJobExample(t, b, dir, nil)
		default:
		}
	}
	if tests == 0 {
		t.Error("docs/jobs.md tests no job")
	}
}
