package milter

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInherit: both have the socket; its path stays as long as the second has not owned it.
func TestInherit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	for _, address := range []string{"unix:" + path, "inet:0@127.0.0.1"} {
		first := mustListen(t, address, SocketOptions{})
		take := func() net.Listener {
			t.Helper()
			f, err := Handover(first)
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Fd() // as os/exec does; the socket must not block then
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("%s: flags %x %v", address, flags, err)
			}
			second, err := Inherit(f)
			if address != "inet:0@127.0.0.1" {
				_ = second.Close()
				if f, err = Handover(first); err == nil {
					second, err = InheritUnix(f, path)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			return second
		}
		_ = take().Close()
		second := take()
		if second.Addr().String() != first.Addr().String() {
			t.Errorf("%s and %s", second.Addr(), first.Addr())
		}
		Own(first, false)
		_ = first.Close()
		if err := Permit(second, SocketOptions{Mode: 0o600}); err != nil {
			t.Error(err)
		}
		Own(second, true)
		answers(t, second)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// TestPermit: the rights of a socket change while it is listened on, if it is still ours.
func TestPermit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	ln := mustListen(t, "unix:"+path, SocketOptions{})
	if err := Permit(ln, SocketOptions{Mode: 0o600}); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := Permit(ln, SocketOptions{Group: "no-such-group"}); err == nil {
		t.Error("an unknown group")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Permit(ln, SocketOptions{Mode: 0o777}); err != nil {
		t.Error(err)
	}
	if info, _ := os.Lstat(path); info.Mode().Perm() != 0o644 {
		t.Error("another's file was changed")
	}
}

// TestServeEndsWithoutLoss: when a listener is not served any more, each connection that
// was accepted is: the server goes on.
func TestServeEndsWithoutLoss(t *testing.T) {
	for range 20 {
		srv := NewServer(Config{NewSession: func(c *Conn) Session { return &recorder{conn: c} }, MaxConnections: 2})
		ln := mustListen(t, "inet:0@127.0.0.1", SocketOptions{})
		other, err := Handover(ln) // so that those in the backlog are not refused
		if err != nil {
			t.Fatal(err)
		}
		taker, err := Inherit(other)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 2)
		go func() { ended <- srv.Serve(ctx, ln, "first") }()
		var clients sync.WaitGroup
		for n := range 8 {
			if n == 4 {
				stop()
				go func() { ended <- srv.Serve(t.Context(), taker, "second") }()
			}
			clients.Go(func() {
				p := reach(t, ln.Addr())
				p.offer(everything)
				p.quit()
			})
		}
		clients.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-ended
	}
}

// TestHandoverIsClosedOnExec: programs that jobs run do not inherit the socket.
func TestHandoverIsClosedOnExec(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := Handover(ln)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var flags int
	if err := raw.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFD, 0) }); err != nil {
		t.Fatal(err)
	}
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %b, %v", flags, err)
	}
}
