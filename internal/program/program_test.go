package program_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pmilter/internal/permit"
	"pmilter/internal/program"
)

func TestMain(m *testing.M) {
	if file := os.Getenv("PROGRAM_TEST_FILE"); file != "" { // the parent of TestParentDies
		rules, _ := permit.New(nil, []string{"/bin/sh"})
		_, _ = program.Run(context.Background(), rules, program.Command{
			Path: "/bin/sh", Args: []string{"-c", "echo $$ >" + file + ".new; mv " + file + ".new " + file + "; exec sleep 1000"}, MaxSize: 1,
		})
		return
	}
	goleak.VerifyTestMain(m)
}

// TestParentDies: a program does not outlive who runs it, however that ends.
func TestParentDies(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), "PROGRAM_TEST_FILE="+file)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	for deadline := time.Now().Add(20 * time.Second); pid == "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		data, _ := os.ReadFile(file)
		pid = strings.TrimSpace(string(data))
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if pid == "" {
		t.Fatal("the program never ran")
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(atoi(t, pid), syscall.SIGKILL)
			t.Fatalf("%s outlives its parent", pid)
		}
	}
}

func allow(t *testing.T, paths ...string) *permit.Rules {
	t.Helper()
	r, err := permit.New(nil, paths)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sh runs a line of shell: the shell is the program that is allowed.
func sh(ctx context.Context, t *testing.T, line string, change ...func(*program.Command)) (program.Result, error) {
	t.Helper()
	c := program.Command{Path: "/bin/sh", Args: []string{"-c", line}, MaxSize: 1 << 20}
	for _, f := range change {
		f(&c)
	}
	return program.Run(ctx, allow(t, "/bin/sh"), c)
}

func TestRun(t *testing.T) {
	t.Setenv("SECRET", "s3cret")
	t.Setenv("LANG", "C.UTF-8")
	for _, tt := range []struct {
		line           string
		code           int
		signal         string
		stdout, stderr string
	}{
		{"echo out; echo err >&2; exit 3", 3, "", "out\n", "err\n"},
		{"cat", 0, "", "input \xff", ""},
		{`echo "$LANG|$SECRET|$MINE"; pwd`, 0, "", "C.UTF-8||own\n/\n", ""},
		{"kill -TERM $$", 143, "SIGTERM", "", ""},
		{"exec 0<&-; exit 0", 0, "", "", ""},
	} {
		r, err := sh(t.Context(), t, tt.line, func(c *program.Command) {
			c.Input, c.Env = []byte("input \xff"), []string{"MINE=own"}
			if strings.Contains(tt.line, "0<&-") {
				c.Input = make([]byte, 1<<20) // more than the pipe holds
			}
		})
		if err != nil || r.Code != tt.code || r.Signal != tt.signal || string(r.Stdout) != tt.stdout || string(r.Stderr) != tt.stderr {
			t.Errorf("%s: %+v %v", tt.line, r, err)
		}
	}
	// Arguments are no shell's.
	r, err := program.Run(t.Context(), allow(t, "/bin/echo"), program.Command{Path: "/bin/echo", Args: []string{"$HOME; `id` *"}, MaxSize: 100})
	if err != nil || string(r.Stdout) != "$HOME; `id` *\n" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir + "/none": "ENOENT", plain: "EACCES"} {
		_, err := program.Run(t.Context(), allow(t, path), program.Command{Path: path})
		var e *program.Error
		if !errors.As(err, &e) || e.Code() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	var refusal *permit.Error
	if _, err := program.Run(t.Context(), allow(t, "/bin/true"), program.Command{Path: "/bin/sh"}); !errors.As(err, &refusal) {
		t.Errorf("%v", err)
	}
	if _, err := program.Run(t.Context(), nil, program.Command{Path: "/bin/true"}); !errors.As(err, &refusal) {
		t.Errorf("without rules: %v", err)
	}
}

func TestTooMuch(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"yes", "yes >&2"} {
		_, err := sh(t.Context(), t, line)
		var e *program.Error
		if !errors.As(err, &e) || e.Code() != "EMSGSIZE" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestTimeout: what the program started is gone with it, also what holds its
// output open.
func TestTimeout(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := sh(ctx, t, `sh -c 'sleep 1000 & echo $! >>`+file+`; echo $$ >>`+file+`; wait' & echo $! >>`+file+`; sleep 1000`)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	pids, err := os.ReadFile(file)
	if err != nil || len(strings.Fields(string(pids))) != 3 {
		t.Fatalf("%q %v", pids, err)
	}
	for _, pid := range strings.Fields(string(pids)) {
		deadline := time.Now().Add(10 * time.Second)
		for alive(pid) && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if alive(pid) {
			t.Errorf("%s is still there", pid)
		}
	}
}

// alive tells whether a process runs: one that is dead may wait for its parent.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// TestLeftBehind: a child that holds the output open does not hold the job.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	r, err := sh(t.Context(), t, "sleep 1000 & echo $!")
	if err != nil || r.Code != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	pid := strings.TrimSpace(string(r.Stdout))
	if !alive(pid) {
		t.Error("it was killed: programs may leave others behind")
	}
	_ = syscall.Kill(atoi(t, pid), syscall.SIGKILL)
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	if n <= 1 {
		t.Fatalf("%q is no pid", s)
	}
	return n
}

// TestGroup: the program is in our process group, and goes when we go.
func TestGroup(t *testing.T) {
	t.Parallel()
	r, err := sh(t.Context(), t, "ps -o pgid= -p $$")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(r.Stdout)); got == "" {
		t.Skip("no ps here")
	} else if atoi(t, got) != syscall.Getpgrp() {
		t.Errorf("its process group is %s, ours %d", got, syscall.Getpgrp())
	}
}
