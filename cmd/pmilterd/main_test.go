package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain lets the test scripts run this test binary as pmilterd.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"pmilterd": main})
}

// leakChecked fails a run that leaves goroutines behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestScripts runs testdata/*.txtar: each is one story told with the real
// binary. A name prefixed with "!" must fail.
func TestScripts(t *testing.T) {
	t.Parallel()
	stories, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories in testdata: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: storyCommands(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=10") // else each end of a program takes a second
			// Each story has a server of its own; others of this machine are none of its business.
			env.Setenv("RUNTIME_DIRECTORY", filepath.Join(env.WorkDir, "run"))
			env.Setenv("STATE_DIRECTORY", filepath.Join(env.WorkDir, "state"))
			return nil
		},
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("PMILTER_UPDATE") == "1",
	})
}
