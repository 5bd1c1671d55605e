// Package redistest runs real, private Redis servers for tests: on a port of the
// loopback of their own, with nothing on disk, gone with the test. Without Debian's
// package redis-server, Start skips the test and says so; with PMILTER_REQUIRE_MTA=1
// it fails it instead.
package redistest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// Redis is one server.
type Redis struct {
	// Addr is where it listens: the same after Stop and Run.
	Addr string
	// Socket is its unix socket.
	Socket string

	program, dir string
	cmd          *exec.Cmd
	log          bytes.Buffer
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv(postfixtest.RequireEnv) != "" {
			t.Fatal("redis-server is not installed (apt-get install redis-server)")
		}
		t.Skip("left out: redis-server is not installed (apt-get install redis-server)")
	}
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{Addr: postfixtest.FreeAddr(t, "127.0.0.1"), Socket: dir + "/s", program: program, dir: dir}
	t.Cleanup(func() {
		r.Stop()
		os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("redis:\n%s", postfixtest.Tail(r.log.String()))
		}
	})
	r.Run(t)
	return r
}

// Run starts the server again, empty.
func (r *Redis) Run(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command(r.program, "--bind", "127.0.0.1", "--port", port, "--unixsocket", r.Socket,
		"--save", "", "--appendonly", "no", "--dir", r.dir, "--daemonize", "no")
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", r.Addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("redis: %v", err)
		}
	}
}

// Stop kills the server.
func (r *Redis) Stop() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		r.cmd = nil
	}
}

// Freeze stops the server without ending it: it is there, and silent. thaw undoes it.
func (r *Redis) Freeze(t testing.TB) (thaw func()) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return func() { _ = r.cmd.Process.Signal(syscall.SIGCONT) }
}
