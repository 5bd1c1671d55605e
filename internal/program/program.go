// Package program runs programs for jobs, without a shell.
//
// It runs what permit allows and nothing else. A program stays in the process group
// of who runs it, so that a killed worker takes it along; it is killed when its
// parent dies, and with all its descendants when its time is over. Of the
// environment it gets what programs need and no secrets. Its output is bounded.
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pmilter/internal/permit"
)

// Command is what to run.
type Command struct {
	Path    string // absolute
	Args    []string
	Input   []byte
	Env     []string // "NAME=value", besides what every program gets
	MaxSize int64    // bytes of standard output, and of standard error
}

// Result is how a program ended.
type Result struct {
	Code           int    // its exit status; 128 and the signal's number when a signal ended it
	Signal         string // "SIGTERM", "" for none
	Stdout, Stderr []byte
}

// Error is why a program could not run, or did not run to its end.
type Error struct{ code, text string }

func (e *Error) Error() string { return e.text }

// Name is what scripts know the error by.
func (e *Error) Name() string { return "ExecError" }

// Code is ENOENT, EACCES and the like for a program that cannot be started, and
// EMSGSIZE for one that wrote too much.
func (e *Error) Code() string { return e.code }

// lingering is how long output is waited for after a program's end: a child that
// it left behind may hold the pipe open.
const lingering = time.Second

// Run runs a program and waits for its end. The error is a *permit.Error, an
// *Error, or context.DeadlineExceeded when ctx was done first. The program, and
// what it started and did not detach, is gone when Run returns.
func Run(ctx context.Context, rules *permit.Rules, c Command) (Result, error) {
	path, err := rules.Exec(c.Path)
	if err != nil {
		return Result{}, err
	}
	full, overflow := context.WithCancelCause(ctx)
	defer overflow(nil)
	cmd := exec.CommandContext(full, path, c.Args...)
	cmd.Env = append(environment(os.Environ()), c.Env...)
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(c.Input)
	tooMuch := func() { overflow(errTooMuch) }
	stdout, stderr := &bounded{max: c.MaxSize, over: tooMuch}, &bounded{max: c.MaxSize, over: tooMuch}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return killTree(cmd.Process) }
	cmd.WaitDelay = lingering
	// The signal at the parent's death comes when the thread that started the
	// program ends, not the process: prctl(2). So the thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return Result{}, startError(path, err)
	}
	err = cmd.Wait()
	switch {
	case errors.Is(context.Cause(full), errTooMuch):
		return Result{}, &Error{"EMSGSIZE", fmt.Sprintf("%s: wrote more than %d bytes (maxSize)", path, c.MaxSize)}
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("%s: %w", path, ctx.Err())
	}
	r := Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.data, Stderr: stderr.data}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Code, r.Signal = 128+int(status.Signal()), unix.SignalName(status.Signal())
	}
	var exit *exec.ExitError
	switch {
	case err == nil, errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
	case errors.Is(err, syscall.EPIPE): // it did not want all its input
	default:
		return Result{}, &Error{"EIO", fmt.Sprintf("%s: %s", path, err)}
	}
	return r, nil
}

var errTooMuch = errors.New("too much output")

func startError(path string, err error) error {
	code := "EIO"
	for number, name := range map[syscall.Errno]string{
		syscall.ENOENT: "ENOENT", syscall.EACCES: "EACCES", syscall.ENOEXEC: "ENOEXEC", syscall.E2BIG: "E2BIG", syscall.ENOMEM: "ENOMEM",
	} {
		if errors.Is(err, number) {
			code = name
		}
	}
	var outer *os.PathError
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return &Error{code, fmt.Sprintf("%s: %s", path, err)}
}

// environment is what a program gets of ours: no secrets, which are in the
// environment for pmilter.toml.
func environment(all []string) []string {
	var list []string
	for _, v := range all {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR":
			list = append(list, v)
		}
	}
	return list
}

// bounded keeps what is written, and tells when it is too much.
type bounded struct {
	data []byte
	max  int64
	over func()
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(b.data))+int64(len(p)) > b.max {
		b.over()
		return 0, errTooMuch
	}
	b.data = append(b.data, p...)
	return len(p), nil
}
