package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func noEnv(string) (string, bool) { return "", false }

func TestExitStatusAndWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args           string
		status         int
		stdout, stderr string // what must be in there; "" for nothing at all
	}{
		{"", exitUsage, "", "pmilterd: a command is missing: "},
		{"--help", exitDone, "Available Commands", ""},
		{"-h", exitDone, "Available Commands", ""},
		{"help", exitDone, "Available Commands", ""},
		{"help version", exitDone, "pmilterd version", ""},
		{"help nosuch", exitUsage, "", `pmilterd: no help about "nosuch"`},
		{"version", exitDone, "pmilterd ", ""},
		{"--version", exitDone, "pmilterd ", ""},
		{"version --help", exitDone, "Usage:", ""},
		{"version x", exitUsage, "", `takes no arguments: "x"`},
		{"version -x", exitUsage, "", "unknown shorthand flag"},
		{"nosuch", exitUsage, "", `unknown command "nosuch"`},
		{"--nosuch", exitUsage, "", "unknown flag: --nosuch"},
		{"completion", exitUsage, "", "a command is missing: bash"},
		{"completion tcsh", exitUsage, "", `unknown command "tcsh"`},
		{"completion zsh", exitDone, "#compdef", ""},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), strings.Fields(tt.args), strings.NewReader(""), &stdout, &stderr, noEnv)
			if status != tt.status {
				t.Errorf("status %d, want %d; stderr %q", status, tt.status, &stderr)
			}
			for _, out := range []struct{ name, got, want string }{
				{"stdout", stdout.String(), tt.stdout}, {"stderr", stderr.String(), tt.stderr},
			} {
				if !strings.Contains(out.got, out.want) || (out.want == "" && out.got != "") {
					t.Errorf("%s is %q, want %q in it", out.name, out.got, out.want)
				}
			}
			for line := range strings.Lines(stderr.String()) {
				if !strings.HasPrefix(line, "pmilterd: ") {
					t.Errorf("line of stderr without our name: %q", line)
				}
			}
		})
	}
}

// TestHelpEverywhere: each command and each of theirs has a help text.
func TestHelpEverywhere(t *testing.T) {
	t.Parallel()
	a := &app{stdout: io.Discard, stderr: io.Discard, env: noEnv}
	root, _ := newRootCommand(a, a.commands())
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s has no short description", c.CommandPath())
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), args, nil, &stdout, &stderr, noEnv); status != exitDone || stdout.Len() == 0 {
			t.Errorf("%v: status %d, stderr %q", args, status, &stderr)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// TestErrorsOfCommands: what a command returns decides the exit status, and no
// panic shows a stack.
func TestErrorsOfCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		do     func() error
		status int
		stderr string
	}{
		{"fine", func() error { return nil }, exitDone, ""},
		{"fault", func() error { return errors.New("no such file") }, exitFault, "pmilterd: no such file\n"},
		{"two", func() error { return errors.Join(errors.New("a"), errors.New("b")) }, exitFault, "pmilterd: a\npmilterd: b\n"},
		{"control", func() error { return errors.New("550 \x1b[2Jx\ry") }, exitFault, "pmilterd: 550 \ufffd[2Jx\ufffdy\n"},
		{"reported", func() error { return errReported }, exitFault, ""},
		{"usage", func() error { return usagef("bad %s", "x") }, exitUsage, "pmilterd: bad x\npmilterd: see 'pmilterd t --help'\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			status := runWith(t.Context(), &stderr, tt.do)
			if status != tt.status || stderr.String() != tt.stderr {
				t.Errorf("got %d %q, want %d %q", status, stderr.String(), tt.status, tt.stderr)
			}
		})
	}
}

func TestPanicIsOneLine(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	status := runWith(t.Context(), &stderr, func() error { panic("index out\nof range") })
	got := stderr.String()
	if status != exitFault || !strings.Contains(got, "internal error: index out") || !strings.Contains(got, "root_test.go:") {
		t.Errorf("got %d %q", status, got)
	}
	if strings.Contains(got, "goroutine") || strings.Count(got, "\n") != 1 {
		t.Errorf("a stack in %q", got)
	}
	stderr.Reset()
	var m map[string]int
	if runWith(t.Context(), &stderr, func() error { m["x"] = 1; return nil }); !strings.Contains(stderr.String(), "root_test.go:") {
		t.Errorf("the place of a runtime panic is not shown: %q", stderr.String())
	}
}

// runWith runs a program whose only command t does what do does.
func runWith(ctx context.Context, stderr io.Writer, do func() error) int {
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: stderr, env: noEnv, version: "v0"}
	return a.run(ctx, []string{"t"}, []*cobra.Command{{
		Use:  "t",
		RunE: func(*cobra.Command, []string) error { return do() },
	}})
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	settings := func(kv ...string) []debug.BuildSetting {
		var s []debug.BuildSetting
		for i := 0; i < len(kv); i += 2 {
			s = append(s, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return s
	}
	tests := []struct {
		info debug.BuildInfo
		want string
	}{
		{debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "devel"},
		{debug.BuildInfo{Settings: settings("vcs.revision", "0123456789abcdef")}, "devel-0123456789ab"},
		{debug.BuildInfo{Settings: settings("vcs.revision", "0123", "vcs.modified", "true")}, "devel-0123+dirty"},
	}
	for _, tt := range tests {
		if got := versionOf(&tt.info); got != tt.want {
			t.Errorf("versionOf(%+v) = %q, want %q", tt.info, got, tt.want)
		}
	}
}
