package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The pmilterd that the tests run, and the one without the race detector, which takes
// time and memory, of tests that measure.
const (
	binaryEnv      = "PMILTERD"
	plainBinaryEnv = "PMILTERD_PLAIN"
)

// TestMain builds pmilterd for all tests, unless one is given, which is both.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		if given := os.Getenv(binaryEnv); given != "" {
			os.Setenv(plainBinaryEnv, given)
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "pmi")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		for env, flags := range map[string][]string{binaryEnv: {"-race"}, plainBinaryEnv: nil} {
			binary := filepath.Join(dir, strings.ToLower(env))
			args := append([]string{"build", "-o", binary}, append(flags, "pmilter/cmd/pmilterd")...)
			if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
				return 1
			}
			os.Setenv(env, binary)
		}
		return m.Run()
	}())
}
