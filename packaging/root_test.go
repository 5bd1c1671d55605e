package packaging_test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pmilter/internal/postfixtest"
)

// patience is for steps that take a moment on a machine that is not busy.
const patience = 2 * time.Minute

// leaveOut skips a test for want of something, or fails it where nothing may be left out.
func leaveOut(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv(postfixtest.RequireEnv) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// debian is a throwaway root with a Debian in it, and a network of its own.
type debian struct {
	t      *testing.T
	dir    string
	holder int // the process that holds the namespaces
}

// newDebian copies the small Debian that .ci/deps.sh makes.
func newDebian(t *testing.T) *debian {
	t.Helper()
	source := os.Getenv("PMILTER_DEBROOT")
	if source == "" {
		source = "/var/cache/pmilter-debroot"
	}
	if _, err := os.Stat(filepath.Join(source, "usr/bin/dpkg")); err != nil || os.Getuid() != 0 {
		leaveOut(t, "needs root and a Debian in %s: see .ci/deps.sh", source)
	}
	d := &debian{t: t, dir: filepath.Join(t.TempDir(), "root")}
	output(t, exec.CommandContext(t.Context(), "cp", "-a", "--reflink=auto", source, d.dir))
	// Its mounts end with it. The test binary cannot unshare: its threads share them.
	holder := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "sh", "-c",
		`ip link set lo up && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/run" && mkdir "$1/run/lock" &&
		mount --bind /dev/null "$1/dev/null" && echo ready && exec sleep infinity`, "sh", d.dir)
	if _, err := os.Lstat(filepath.Join(d.dir, "dev/null")); err != nil {
		d.write("dev/null", "", 0o666)
	}
	d.write("etc/dpkg/dpkg.cfg.d/throwaway", "force-unsafe-io\n", 0o644) // no syncs: minutes, where the disk is busy
	holder.Stderr = os.Stderr
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("no namespaces: %q, %v", line, err)
	}
	d.holder = holder.Process.Pid
	t.Cleanup(func() {
		for pid, command := range d.processes() {
			t.Errorf("process %d is left: %s", pid, command)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	return d
}

// processes are those that run in the root, with their command lines.
func (d *debian) processes() map[int]string {
	d.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		d.t.Fatal(err)
	}
	found := map[int]string{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if root, _ := os.Readlink(filepath.Join("/proc", e.Name(), "root")); err != nil || root != d.dir {
			continue // no process, or another's
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || len(line) == 0 {
			continue // it has ended
		}
		found[pid] = strings.ReplaceAll(string(line), "\x00", " ")
	}
	return found
}

// quiet waits until nothing runs in the root.
func (d *debian) quiet() {
	d.t.Helper()
	for end := time.Now().Add(patience); len(d.processes()) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("it does not end: %v", d.processes())
		}
	}
}

// path is where a file of the root is seen from here; what is in /run is seen through the
// process that holds the mounts.
func (d *debian) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(d.holder), "root", d.dir, name)
}

func (d *debian) write(name, text string, mode fs.FileMode) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if d.holder != 0 {
		path = d.path(name)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		d.t.Fatal(err)
	}
}

func (d *debian) read(name string) string {
	data, _ := os.ReadFile(d.path(name)) // not there: nothing in it
	return string(data)
}

// command is one that runs in the root. It ends with the test.
func (d *debian) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{
		"--target", strconv.Itoa(d.holder), "--net", "--mount", "--wd=/", "chroot", d.dir, "env", "-i",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8",
	}, args...)...)
	return cmd
}

// run runs a command that must succeed, and gives what it prints.
func (d *debian) run(args ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	return output(d.t, d.command(ctx, args...))
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// install installs a package by dpkg and gives what was said.
func (d *debian) install(deb string) string {
	d.t.Helper()
	output(d.t, exec.CommandContext(d.t.Context(), "cp", deb, filepath.Join(d.dir, "pmilterd.deb")))
	defer func() { _ = os.Remove(filepath.Join(d.dir, "pmilterd.deb")) }()
	return d.run("env", "PMILTERD_HANDOVER_SECONDS="+handover, "dpkg", "--install", "/pmilterd.deb")
}

// files is all that is in the root, but for what dpkg, ldconfig and passwd keep anyway.
func (d *debian) files() map[string]bool {
	d.t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(d.dir, path)
		switch name {
		case "proc", "run", "var/lib/dpkg", "var/log", "dev":
			return fs.SkipDir
		case "etc/.pwd.lock", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "var/lib/systemd":
			return nil // of the account, which stays
		}
		all[name] = true
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// dial connects to an address of the root's network.
func (d *debian) dial(address string) net.Conn {
	d.t.Helper()
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // for good: the thread, in another network, ends with the goroutine
		conn, err := func() (net.Conn, error) {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", d.holder))
			if err != nil {
				return nil, err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, err
			}
			return (&net.Dialer{Timeout: patience}).DialContext(d.t.Context(), "tcp", address)
		}()
		done <- result{conn, err}
	}()
	r := <-done
	if r.err != nil {
		d.t.Fatal(r.err)
	}
	d.t.Cleanup(func() { _ = r.conn.Close() })
	return r.conn
}

// served is a pmilterd that runs in the root as the unit runs it.
type served struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	log  strings.Builder
	line chan struct{} // a token after each line
}

// serve starts the installed server with the installed configuration, and waits until it
// serves. What it tells the service manager is heeded as systemd does: its main process is
// the one of /run/main.pid.
func (d *debian) serve() *served {
	d.t.Helper()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.path("run/notify"), Net: "unixgram"})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = notify.Close() })
	if err := os.Chmod(d.path("run/notify"), 0o777); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := notify.Read(buffer)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(buffer[:n])) {
				if pid, ok := strings.CutPrefix(strings.TrimSpace(line), "MAINPID="); ok {
					_ = os.WriteFile(d.path("run/main.pid"), []byte(pid), 0o644)
				}
			}
		}
	}()
	d.run("install", "-d", "-o", "pmilter", "-g", "pmilter", "/run/pmilter", "/var/lib/pmilter") // the unit does
	s := &served{line: make(chan struct{}, 1)}
	s.cmd = d.command(d.t.Context(), "NOTIFY_SOCKET=/run/notify", "RUNTIME_DIRECTORY=/run/pmilter", "STATE_DIRECTORY=/var/lib/pmilter",
		"setpriv", "--reuid=pmilter", "--regid=pmilter", "--init-groups", "--no-new-privs", "/usr/bin/pmilterd", "run")
	r, w, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	_ = w.Close()
	go s.follow(r)
	d.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = r.Close()
	})
	s.waitFor(d.t, `"msg":"serving"`)
	d.write("run/main.pid", strconv.Itoa(s.cmd.Process.Pid), 0o644)
	return s
}

func (s *served) follow(r *os.File) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		s.mu.Lock()
		s.log.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
		select {
		case s.line <- struct{}{}:
		default:
		}
	}
}

func (s *served) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// waitFor waits until the log has what.
func (s *served) waitFor(t *testing.T, what string) {
	t.Helper()
	late := time.After(patience)
	for !strings.Contains(s.said(), what) {
		select {
		case <-s.line:
		case <-late:
			t.Fatalf("the server did not say %s:\n%s", what, s.said())
		}
	}
}
