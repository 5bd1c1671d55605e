package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a milter that was started.
type server struct {
	name, socket string
	cmd          *exec.Cmd
	log          string // file
	ready        time.Duration
}

// startTimeout is how long a server may take until it listens.
const startTimeout = 20 * time.Second

// launch starts a server and waits until it listens at its socket.
func (b *bench) launch(ctx context.Context, name, socket string, command ...string) (*server, error) {
	s := &server{name: name, socket: socket, log: filepath.Join(b.dir, name+".log")}
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	b.servers = append(b.servers, s)
	for ; ; pause(ctx, time.Millisecond) {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "unix", socket)
		if err == nil {
			s.ready = time.Since(begin)
			return s, errors.Join(nc.Close(), os.Chmod(socket, 0o666)) //nolint:gosec // Postfix's daemons connect to it
		}
		if ctx.Err() != nil || time.Since(begin) > startTimeout || !alive(s.cmd.Process.Pid) {
			text, _ := os.ReadFile(s.log) // it explains the error
			return nil, fmt.Errorf("%s does not start: %w\n%s", name, err, text)
		}
	}
}

// alive: a process that has ended and waits to be waited for is not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// stop ends one server and waits for it.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	kill := time.AfterFunc(3*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait() // how it ended is of no interest
	kill.Stop()
}

func (b *bench) stopAll() {
	for _, s := range b.servers {
		s.stop()
	}
	b.servers = nil
}

// cpu is the processor time that it has had so far.
func (s *server) cpu() time.Duration {
	stat, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "stat"))
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// idleTime is how long all processors together have had nothing to do so far.
func idleTime() time.Duration {
	stat, _ := os.ReadFile("/proc/stat")
	fields := strings.Fields(string(stat)) // cpu user nice system idle iowait ...
	if len(fields) < 6 {
		return 0
	}
	const tick = 10 * time.Millisecond
	idle, _ := strconv.ParseInt(fields[4], 10, 64)
	waiting, _ := strconv.ParseInt(fields[5], 10, 64)
	return time.Duration(idle+waiting) * tick
}

// resident is its memory in bytes: VmRSS.
func (s *server) resident() float64 {
	status, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n * 1024
		}
	}
	return 0
}

// native is the null filter on libmilter, the one that all ratios are to.
func (b *bench) native(ctx context.Context) (*server, error) {
	program := filepath.Join(b.dir, "null")
	if _, err := os.Stat(program); err != nil {
		cc := os.Getenv("CC")
		if cc == "" {
			cc = "cc"
		}
		build := exec.CommandContext(ctx, cc, "-O2", "-Wall", "-o", program, "bench/null/null.c", "-lmilter", "-lpthread")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("bench/null needs a C compiler and libmilter's headers (apt-get install gcc libc6-dev libmilter-dev, or .ci/deps.sh as root): %w\n%s", err, out)
		}
	}
	socket := filepath.Join(b.dir, "c.sock")
	return b.launch(ctx, "c", socket, program, "unix:"+socket)
}

// python is the same on pymilter; nil without an error when it is not installed.
func (b *bench) python(ctx context.Context) (*server, error) {
	const python = "/usr/bin/python3" // Debian's own, which has Debian's modules
	if exec.CommandContext(ctx, python, "-c", "import Milter").Run() != nil {
		b.failures = append(b.failures, "pymilter (apt-get install python3-milter)")
		return nil, nil //nolint:nilnil,nilerr // a peer that is not there
	}
	socket := filepath.Join(b.dir, "py.sock")
	return b.launch(ctx, "pymilter", socket, python, "bench/pynull/null.py", "unix:"+socket)
}

// gomilter is the same on go-milter's server.
func (b *bench) gomilter(ctx context.Context) (*server, error) {
	program := filepath.Join(b.dir, "gonull")
	goTool := os.Getenv("GO")
	if goTool == "" {
		goTool = "go"
	}
	if out, err := exec.CommandContext(ctx, goTool, "build", "-o", program, "./bench/gonull").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("bench/gonull: %w\n%s", err, out)
	}
	socket := filepath.Join(b.dir, "go.sock")
	return b.launch(ctx, "go-milter", socket, program, socket)
}

// pmilterd is the server with one script of bench/scripts.
func (b *bench) pmilterd(ctx context.Context, script string) (*server, error) {
	return b.serve(ctx, script, filepath.Join(b.top, "bench", "scripts", script+".js"))
}

// serve is pmilterd with a script or a folder of them.
func (b *bench) serve(ctx context.Context, name, scripts string) (*server, error) {
	folder := filepath.Join(b.dir, name)
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // see run
		return nil, err
	}
	for _, file := range []string{"access.cidr", "senders"} {
		data, err := os.ReadFile(filepath.Join(b.top, "bench", "scripts", file))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(folder, file), data, 0o600); err != nil {
			return nil, err
		}
	}
	socket := filepath.Join(folder, "s")
	config := fmt.Sprintf("listen = %q\nscripts = %q\n[server]\nruntime = \"run\"\nstate = \"state\"\n[log]\nlevel = \"warn\"\nformat = \"json\"\n", "unix:"+socket, scripts)
	file := filepath.Join(folder, "pmilter.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return b.launch(ctx, name, socket, b.binary, "run", "-c", file)
}
