package decisions_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"pmilter/internal/decisions"
)

// childEnv makes of the test binary a process that writes: "name lines size".
const childEnv = "PMILTER_TEST_DECISIONS"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(child(strings.Fields(what)))
	}
	goleak.VerifyTestMain(m)
}

// child writes lines of its name into the state folder that is its working directory:
// so many, or with 0 until it is killed. With a limit no file may get larger.
func child(args []string) int {
	lines, _ := strconv.Atoi(args[1])
	size, _ := strconv.ParseInt(args[2], 10, 64)
	if len(args) > 3 {
		limit, _ := strconv.ParseUint(args[3], 10, 64)
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	w := decisions.NewWriter(decisions.Limits{MaxSize: size, Keep: time.Hour * 24}, decisions.Options{
		Folder: func() (string, error) { return ".", nil }, Log: zap.NewNop(),
	})
	fmt.Println("begun")
	for i := 0; lines == 0 || i < lines; i++ {
		r := mail(args[0], i)
		w.Add(&r)
		if i%20 == 19 {
			time.Sleep(5 * time.Millisecond) // so that there are many batches
		}
	}
	w.Close()
	fmt.Println(w.Dropped())
	return 0
}

// mail is the n-th record of a process.
func mail(name string, n int) decisions.Record {
	return decisions.Record{
		About: "message", Session: name, QueueID: strconv.Itoa(n), Phase: "eom", Verdict: "accept",
		Helo: strings.Repeat("x", n%300),
	}
}

func startChild(t *testing.T, dir string, args ...string) (cmd *exec.Cmd, out *strings.Builder) {
	t.Helper()
	cmd, out = exec.Command(os.Args[0]), &strings.Builder{}
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(args, " "))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}
