package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager's socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T) (m *manager, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pmn") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); os.RemoveAll(dir) })
	return &manager{t: t, conn: conn}, path
}

// until hears until a message has the text, and returns all since the last one, without
// what comes at its own time.
func (m *manager) until(text string) (all []string) {
	m.t.Helper()
	b := make([]byte, 4096)
	for {
		_ = m.conn.SetReadDeadline(time.Now().Add(2 * patience))
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("no %s: %v after %q", text, err, all)
		}
		if text == "WATCHDOG" && strings.Contains(string(b[:n]), "WATCHDOG=1") {
			return all
		}
		for line := range strings.Lines(string(b[:n])) {
			line = strings.TrimSuffix(line, "\n")
			name, _, _ := strings.Cut(line, "=")
			if name == text || line == text {
				return append(all, line)
			}
			if name != "WATCHDOG" && name != "STATUS" && name != "MONOTONIC_USEC" {
				all = append(all, line)
			}
		}
	}
}

// TestNotify: what a service manager hears through start, reload, failed and done
// upgrade, and stop; and that no program inherits its socket.
func TestNotify(t *testing.T) {
	m, path := newManager(t)
	l := startLine(t, `export function mail() { return reject("no"); }`, "", "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=600000000")
	hears := func(want ...string) {
		t.Helper()
		if got := m.until(want[len(want)-1]); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	m.until("WATCHDOG") // with READY=1: the next one is due in five minutes
	l.signal(syscall.SIGHUP)
	hears("RELOADING=1", "READY=1")
	l.install("#!/bin/sh\nexit 1\n")
	l.signal(syscall.SIGUSR2)
	hears("RELOADING=1", "READY=1")
	l.install("")
	l.upgrade()
	hears("RELOADING=1", fmt.Sprintf("MAINPID=%d", l.pid()))
	m.until("WATCHDOG") // of the new one, with READY=1: the old one's last may be long ago
	l.awaitGone(l.pids[0])
	l.upgrade()
	hears("RELOADING=1", fmt.Sprintf("MAINPID=%d", l.pid()), "READY=1")
	l.signal(syscall.SIGTERM)
	hears("STOPPING=1")
}

// TestReloadOfListen: SIGHUP opens and closes addresses; a connection that came from one
// that is closed is served on, and nothing changes when one cannot be opened.
func TestReloadOfListen(t *testing.T) {
	l := startLine(t, `export function mail() { return reject("no"); }`, "")
	before, err := l.dial(0)
	if err != nil {
		t.Fatal(err)
	}
	old := l.listen[0]
	l.listen[0] = "unix:" + l.dir + "/none/m.sock"
	l.configure("")
	l.signal(syscall.SIGHUP)
	l.await(1, "not reloaded", "none/m.sock")
	if got, err := l.send(1); err != nil || !strings.Contains(got, "550") {
		t.Errorf("%s %v", got, err)
	}
	l.listen[0] = "unix:" + l.dir + "/other.sock"
	l.configure("[milter]\nsocket_mode = \"0600\"")
	l.signal(syscall.SIGHUP)
	l.await(1, `"needs_restart":[]`)
	for n := range 2 {
		if got, err := l.send(n); err != nil || !strings.Contains(got, "550") {
			t.Errorf("%d: %s %v", n, got, err)
		}
	}
	if info, err := os.Lstat(l.dir + "/other.sock"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if _, err := os.Lstat(strings.TrimPrefix(old, "unix:")); !os.IsNotExist(err) {
		t.Errorf("the old path: %v", err)
	}
	if err := before.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	_ = before.Close()
	l.configure("[milter]\nsocket_mode = \"0666\"")
	l.signal(syscall.SIGHUP)
	l.await(2, `"needs_restart":[]`)
	if info, err := os.Lstat(l.dir + "/other.sock"); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("of an open socket: %v %v", info, err)
	}
}
