package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaryEnv names the pmilterd that the tests run.
const binaryEnv = "PMILTERD"

// TestMain builds pmilterd for all tests, unless one is given.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Getenv(binaryEnv) != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "pmi")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary := filepath.Join(dir, "pmilterd")
		if out, err := exec.Command("go", "build", "-race", "-o", binary, "pmilter/cmd/pmilterd").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		os.Setenv(binaryEnv, binary)
		return m.Run()
	}())
}
