package milter

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// on listens on one address.
func on(t testing.TB, address string, o SocketOptions) (net.Listener, error) {
	t.Helper()
	addr, err := ParseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	lns, err := Listen(t.Context(), addr, o)
	if err != nil {
		return nil, err
	}
	if len(lns) != 1 {
		t.Fatalf("%d listeners", len(lns))
	}
	t.Cleanup(func() { _ = lns[0].Close() })
	return lns[0], nil
}

func mustListen(t testing.TB, address string, o SocketOptions) net.Listener {
	t.Helper()
	ln, err := on(t, address, o)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// answers serves one milter connection from a listener.
func answers(t testing.TB, ln net.Listener) {
	t.Helper()
	srv := NewServer(Config{NewSession: func(c *Conn) Session { return &recorder{conn: c} }})
	ended := make(chan error)
	go func() { ended <- srv.Serve(t.Context(), ln, "test") }()
	p := reach(t, ln.Addr())
	p.offer(everything)
	p.quit()
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrServerClosed) {
		t.Error(err)
	}
}

func TestListenInet(t *testing.T) {
	answers(t, mustListen(t, "inet:0@127.0.0.1", SocketOptions{}))
	answers(t, mustListen(t, "inet:127.0.0.1:0", SocketOptions{}))
	all := mustListen(t, "inet:0", SocketOptions{})
	if host, _, _ := net.SplitHostPort(all.Addr().String()); host != "0.0.0.0" {
		t.Errorf("inet:0 listens on %s", all.Addr())
	}
	taken := mustListen(t, "inet:0@127.0.0.1", SocketOptions{})
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	if _, err := on(t, "inet:"+port+"@127.0.0.1", SocketOptions{}); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), port) {
		t.Errorf("a port that is taken: %v", err)
	}
}

func TestListenInet6(t *testing.T) {
	ln, err := on(t, "inet6:0@::1", SocketOptions{})
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skip("no IPv6 here")
	}
	if err != nil {
		t.Fatal(err)
	}
	answers(t, ln)
}

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.sock")
	for _, tc := range []struct{ set, want fs.FileMode }{{0, 0o660}, {0o600, 0o600}, {0o777, 0o777}} {
		ln := mustListen(t, "unix:"+path, SocketOptions{Mode: tc.set})
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|tc.want {
			t.Errorf("mode %o: %v, %v", tc.set, info.Mode(), err)
		}
		if ln.Addr().String() != path {
			t.Errorf("its address is %s", ln.Addr())
		}
		answers(t, ln) // and closes it
		_ = ln.Close()
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("left after closing: %v", files)
		}
	}
	if _, err := on(t, "unix:"+filepath.Join(dir, "none", "m.sock"), SocketOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}

func TestListenUnixGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	groups, err := os.Getgroups()
	if err != nil || len(groups) == 0 {
		groups = []int{os.Getgid()}
	}
	gid := groups[len(groups)-1]
	if os.Getuid() == 0 {
		gid = 12345
	}
	mustListen(t, "unix:"+path, SocketOptions{Group: strconv.Itoa(gid)})
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Gid; int(got) != gid {
		t.Errorf("group %d, want %d", got, gid)
	}
	other := filepath.Join(t.TempDir(), "m.sock")
	if _, err := on(t, "unix:"+other, SocketOptions{Group: "no-such-group"}); err == nil || !strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("a group that does not exist: %v", err)
	}
	if files, _ := os.ReadDir(filepath.Dir(other)); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

// stale leaves a socket that nobody listens on.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
}

func TestTrap25StaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	stale(t, path)
	answers(t, mustListen(t, "unix:"+path, SocketOptions{}))
}

func TestTrap25LiveSocketIsNotStolen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	first := mustListen(t, "unix:"+path, SocketOptions{})
	if _, err := on(t, "unix:"+path, SocketOptions{}); !errors.Is(err, ErrSocketInUse) {
		t.Errorf("a second server: %v", err)
	}
	if nc, err := first.Accept(); err != nil { // the question whether it lives
		t.Error(err)
	} else {
		_ = nc.Close()
	}
	answers(t, first)
}

func TestTrap25OtherFilesAreNotTouched(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, link := filepath.Join(dir, "s"), filepath.Join(dir, "link")
	stale(t, socket)
	if err := os.Symlink(socket, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if _, err := on(t, "unix:"+path, SocketOptions{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "precious" {
		t.Errorf("%q, %v", got, err)
	}
}

// A socket that took the place of ours is not ours to remove.
func TestTrap25CloseLeavesAnothersSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	first := mustListen(t, "unix:"+path, SocketOptions{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := mustListen(t, "unix:"+path, SocketOptions{})
	_ = first.Close()
	answers(t, second)
}

// Of servers that start at once on a free path, one gets it.
func TestTrap25OneOfManyGetsTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	var all sync.WaitGroup
	lns := make([]net.Listener, 8)
	for i := range lns {
		all.Go(func() {
			got, err := Listen(context.Background(), Addr{"unix", path}, SocketOptions{})
			if err != nil {
				if !errors.Is(err, ErrSocketInUse) {
					t.Error(err)
				}
				return
			}
			lns[i] = got[0]
		})
	}
	all.Wait()
	n := 0
	for _, ln := range lns {
		if ln != nil {
			n++
			_ = ln.Close()
		}
	}
	if n != 1 {
		t.Errorf("%d servers listen", n)
	}
}

// A path may be as long as a socket's address can be, though the socket is made
// in a folder beside it.
func TestListenUnixLongPath(t *testing.T) {
	base, err := os.MkdirTemp("/tmp", "pm") //nolint:usetesting // t.TempDir may be too long already
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	dir := base + "/" + strings.Repeat("x", maxUnixPath-len(base)-len("/")-len("/s"))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	answers(t, mustListen(t, "unix:"+dir+"/s", SocketOptions{}))
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("left after closing: %v", files)
	}
}

func TestListenSystemd(t *testing.T) {
	if os.Getenv("TEST_SYSTEMD_CHILD") != "" {
		systemdChild(t)
		return
	}
	unix := mustListen(t, "unix:"+filepath.Join(t.TempDir(), "m.sock"), SocketOptions{})
	inet := mustListen(t, "inet:0@127.0.0.1", SocketOptions{})
	uf, err := unix.(*unixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	tf, err := inet.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	// LISTEN_PID is the child's own: a shell sets it and becomes the child.
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run='^TestListenSystemd$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "TEST_SYSTEMD_CHILD=1")
	cmd.ExtraFiles = []*os.File{uf, tf}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = uf.Close(), tf.Close()
	for _, addr := range []net.Addr{unix.Addr(), inet.Addr()} {
		p := reach(t, addr) // the child serves the socket: we hold it, and do not accept
		p.offer(everything)
		p.quit()
	}
	text := make([]byte, 64<<10)
	n := 0
	for n < len(text) {
		m, err := out.Read(text[n:])
		n += m
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, text[:n])
	}
}

// systemdChild serves one connection of each socket that was passed.
func systemdChild(t *testing.T) {
	t.Helper()
	lns, err := Listen(t.Context(), Addr{Network: "systemd"}, SocketOptions{})
	if err != nil || len(lns) != 2 {
		t.Fatal(len(lns), err)
	}
	srv := NewServer(Config{NewSession: func(c *Conn) Session { return &recorder{conn: c} }})
	for _, ln := range lns {
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		srv.ServeConn(nc, "fd:systemd")
		_ = ln.Close()
	}
}

func TestListenSystemdPassedNothing(t *testing.T) {
	for _, env := range [][2]string{{"", ""}, {"1", "1"}, {strconv.Itoa(os.Getpid()), ""}, {strconv.Itoa(os.Getpid()), "0"}, {strconv.Itoa(os.Getpid()), "x"}} {
		t.Setenv("LISTEN_PID", env[0])
		t.Setenv("LISTEN_FDS", env[1])
		if lns, err := Listen(t.Context(), Addr{Network: "systemd"}, SocketOptions{}); err == nil || !strings.Contains(err.Error(), "fd:systemd") {
			t.Errorf("%q: %v, %v", env, lns, err)
		}
	}
}
