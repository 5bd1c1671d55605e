package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is pmilterd with one queue.
type server struct {
	cmd   *exec.Cmd
	dir   string
	lines *bufio.Scanner
}

// noop is the least that a job can be.
const noop = "export default async function (job) {}\n"

// start runs pmilterd with a job's source, and waits until it serves.
func (b *bench) start(ctx context.Context, binary, job, workers string) (*server, error) {
	s, err := b.prepare(ctx, binary, job, workers)
	if err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, s.await(`"msg":"serving"`, 1)
}

// prepare makes a server that is yet to start, and its queue.
func (b *bench) prepare(ctx context.Context, binary, job, workers string) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "s")
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("listen = [\"unix:s\"]\nscripts = []\n[server]\nruntime = \"run\"\n[log]\nformat = \"json\"\n[queue.q]\nmaildir = \"q\"\n"+
		"job = \"job.js\"\nmax_requests = 1000000\nworkers = %s\n", workers)
	for name, text := range map[string]string{"pmilter.toml": config, "job.js": job} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	for _, folder := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, "q", folder), 0o700); err != nil {
			return nil, err
		}
	}
	s := &server{dir: dir, cmd: exec.CommandContext(ctx, binary, "run", "-c", filepath.Join(dir, "pmilter.toml"))}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s, nil
}

func (s *server) start() error {
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.lines = bufio.NewScanner(out)
	return nil
}

// await reads the log until a text has come n times.
func (s *server) await(text string, n int) error {
	for n > 0 {
		if !s.lines.Scan() {
			return fmt.Errorf("pmilterd ended before %q", text)
		}
		if strings.Contains(s.lines.Text(), text) {
			n--
		}
	}
	return nil
}

func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	for s.lines.Scan() { // so that it can write
	}
	return s.cmd.Wait()
}

// mail is what every way is given.
func mail(n int) []byte {
	return fmt.Appendf(nil, "Return-Path: <a@example.org>\nDelivered-To: b@example.net\nSubject: mail %d\n\n%s", n, strings.Repeat("hello hello hello\n", 200))
}

// deliver moves a mail into new/.
func (s *server) deliver(n int) error {
	name := fmt.Sprintf("%d.M%06dP%d.bench", time.Now().Unix(), n, os.Getpid())
	tmp := filepath.Join(s.dir, "q", "tmp", name)
	if err := os.WriteFile(tmp, mail(n), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(s.dir, "q", "new", name))
}

// cpu is the processor time that the server and its workers have had, in seconds.
func (s *server) cpu() (seconds float64) {
	pids := append(childrenOf(s.cmd.Process.Pid), strconv.Itoa(s.cmd.Process.Pid))
	for _, pid := range pids {
		tasks, _ := filepath.Glob(filepath.Join("/proc", pid, "task/*/schedstat"))
		for _, task := range tasks {
			data, _ := os.ReadFile(task) // its first number is ns on a processor
			if fields := strings.Fields(string(data)); len(fields) > 0 {
				ns, _ := strconv.ParseFloat(fields[0], 64)
				seconds += ns / 1e9
			}
		}
	}
	return seconds
}

func childrenOf(pid int) (list []string) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		list = append(list, strings.Fields(string(data))...)
	}
	return list
}

// field is a number of kB in a file of /proc.
func field(file, name string) int64 {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}
