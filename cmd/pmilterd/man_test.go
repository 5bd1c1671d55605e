package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// writeManual has pmilterd write its pages and gives their folder.
func writeManual(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "man")
	var stderr bytes.Buffer
	env := func(name string) (string, bool) { return "1767225600", name == "SOURCE_DATE_EPOCH" }
	if status := run(t.Context(), []string{"man", "../../README.md", folder}, nil, io.Discard, &stderr, env); status != exitDone {
		t.Fatalf("man: status %d, %s", status, &stderr)
	}
	return folder
}

// TestManHasAll: each command that a user may see has its page, with each of its flags;
// and there is no page of anything else.
func TestManHasAll(t *testing.T) {
	t.Parallel()
	folder := writeManual(t)
	a := &app{stdout: io.Discard, stderr: io.Discard, env: noEnv}
	root, _ := newRootCommand(a, a.commands())
	want := []string{"pmilter.toml.5"}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" {
			return
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		want = append(want, name)
		page := shown(t, filepath.Join(folder, name))
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(page, "--"+f.Name) {
				t.Errorf("%s lacks --%s", name, f.Name)
			}
		})
		if !strings.Contains(page, c.Short) {
			t.Errorf("%s lacks %q", name, c.Short)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("pages %v,\nwant %v", got, want)
	}
	if page := shown(t, filepath.Join(folder, "pmilterd-run.1")); !strings.Contains(page, "SIGHUP") {
		t.Error("pmilterd-run.1 lacks the signals of the README")
	}
}

// shown is a page's text without its markup.
func shown(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`\\f[BIRP]|\\&`).ReplaceAllString(string(data), "")
	return strings.NewReplacer(`\-`, "-", `\e`, `\`, `\(aq`, "'").Replace(text)
}

// TestManRenders: man(1) and mandoc(1) have nothing to say of the pages.
func TestManRenders(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(writeManual(t), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range [][]string{{"groff", "-man", "-ww", "-Kutf8", "-Tutf8", "-z"}, {"mandoc", "-Tlint", "-Wwarning"}} {
		_, err := exec.LookPath(tool[0])
		switch {
		case errors.Is(err, exec.ErrNotFound) && os.Getenv("PMILTER_REQUIRE_MTA") == "":
			t.Logf("left out: no %s", tool[0])
			continue
		case err != nil:
			t.Error(err)
			continue
		}
		cmd := exec.CommandContext(t.Context(), tool[0], append(tool[1:], pages...)...)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %v\n%s", tool, err, out)
		}
	}
}

// TestManFaults: what is wrong is said, and nothing written.
func TestManFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		args   []string
		env    string
		status int
	}{
		{[]string{"man"}, "1", exitUsage},
		{[]string{"man", filepath.Join(dir, "none"), dir}, "1", exitFault},
		{[]string{"man", "../../README.md", dir}, "yesterday", exitFault},
	} {
		env := func(name string) (string, bool) { return tt.env, name == "SOURCE_DATE_EPOCH" }
		var stderr bytes.Buffer
		if status := run(t.Context(), tt.args, nil, io.Discard, &stderr, env); status != tt.status || stderr.Len() == 0 {
			t.Errorf("%v: status %d, stderr %q", tt.args, status, &stderr)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Error(fmt.Sprint(left), err)
	}
}
