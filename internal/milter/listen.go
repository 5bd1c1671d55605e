package milter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// SocketOptions are the rights on a unix socket.
type SocketOptions struct {
	Mode  fs.FileMode // 0 is 0660
	Group string      // a name or number; "" leaves it
}

// ErrSocketInUse is why a socket is not taken: a server answers on the unix socket already.
var ErrSocketInUse = errors.New("a server listens there already")

// Listen opens the listeners of an address: one, but for fd:systemd, which takes
// all that systemd passed.
//
// A unix socket appears at its path only when mode and group are set. A socket
// that nobody listens on any more is replaced, one that is in use is not
// (ErrSocketInUse), and a file that is no socket is never touched. Closing the
// listener removes the socket, if it is still ours. TCP keepalive is on.
func Listen(ctx context.Context, addr Addr, o SocketOptions) ([]net.Listener, error) {
	var ln net.Listener
	var err error
	switch addr.Network {
	case "systemd":
		return systemdListeners()
	case "unix":
		ln, err = listenUnix(ctx, addr.Address, o)
	default:
		var lc net.ListenConfig
		ln, err = lc.Listen(ctx, addr.Network, addr.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("milter: listen on %s: %w", addr, err)
	}
	return []net.Listener{ln}, nil
}

// unixListener is a listener whose socket was moved to its place after it was made.
type unixListener struct {
	*net.UnixListener
	path  string
	file  fs.FileInfo // what we put at path
	ours  atomic.Bool // to remove
	close func() error
}

// Addr is the path at which the socket is found.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close stops listening and removes the socket, unless another took its place.
func (l *unixListener) Close() error { return l.close() }

func (l *unixListener) closeOnce() error {
	if l.ours.Load() && l.isThere() {
		_ = os.Remove(l.path) // what stays is a stale socket, replaced at the next start
	}
	return l.UnixListener.Close()
}

// isThere tells whether our socket still has its path.
func (l *unixListener) isThere() bool {
	now, err := os.Lstat(l.path)
	return err == nil && os.SameFile(now, l.file)
}

// listenUnix makes the socket in a private folder beside its path and moves it there.
func listenUnix(ctx context.Context, path string, o SocketOptions) (_ net.Listener, err error) {
	stale, err := checkSocket(ctx, path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".pm")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // empty by then, or of no use
	made := filepath.Join(dir, "s")
	ln, err := bindUnix(ctx, dir, made)
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // it would remove the wrong path
	l := &unixListener{UnixListener: ln, path: path}
	l.ours.Store(true)
	l.close = sync.OnceValue(l.closeOnce)
	if err := placeSocket(made, path, stale, o, &l.file); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return l, nil
}

// bindUnix binds made. Where its path is too long for a socket address, it goes
// through the open folder.
func bindUnix(ctx context.Context, dir, made string) (*net.UnixListener, error) {
	if len(made) > maxUnixPath {
		d, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		defer func() { _ = d.Close() }() // only read
		made = fmt.Sprintf("/proc/self/fd/%d/s", d.Fd())
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", made)
	if err != nil {
		return nil, err
	}
	return ln.(*net.UnixListener), nil
}

// placeSocket sets mode and group and moves the socket to its path. A free path
// is taken by moveNew, so that of two servers that start at once one fails.
func placeSocket(made, path string, stale bool, o SocketOptions, info *fs.FileInfo) (err error) {
	if err := o.apply(made); err != nil {
		return err
	}
	if *info, err = os.Lstat(made); err != nil {
		return err
	}
	if stale {
		return os.Rename(made, path)
	}
	return moveNew(made, path)
}

// Check tells whether the group is known.
func (o SocketOptions) Check() error {
	if o.Group == "" {
		return nil
	}
	if _, err := groupID(o.Group); err != nil {
		return fmt.Errorf("milter: %w", err)
	}
	return nil
}

// apply gives the socket at path its group and mode.
func (o SocketOptions) apply(path string) error {
	if o.Group != "" {
		gid, err := groupID(o.Group)
		if err != nil {
			return err
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return err
		}
	}
	mode := o.Mode.Perm()
	if o.Mode == 0 {
		mode = 0o660
	}
	return os.Chmod(path, mode)
}

// checkSocket tells whether a stale socket is at path. An error says why path
// cannot be taken.
func checkSocket(ctx context.Context, path string) (stale bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Mode().Type() != fs.ModeSocket:
		return false, errors.New("there is a file that is not a socket; remove it or choose another path")
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = c.Close() // it was only a question
		return false, ErrSocketInUse
	case errors.Is(err, syscall.ECONNREFUSED):
		return true, nil
	case errors.Is(err, fs.ErrNotExist): // gone meanwhile
		return false, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded): // its backlog is full
		return false, ErrSocketInUse
	}
	return false, fmt.Errorf("whether the socket there is in use cannot be told: %w", err)
}

func groupID(group string) (int, error) {
	if id, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(id), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// firstPassed is SD_LISTEN_FDS_START.
const firstPassed = 3

// systemdListeners takes the sockets that systemd passed: sd_listen_fds(3).
func systemdListeners() ([]net.Listener, error) {
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return nil, errors.New("milter: listen on fd:systemd: no sockets were passed to this process (LISTEN_PID)")
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 1 || n > 1000 {
		return nil, fmt.Errorf("milter: listen on fd:systemd: LISTEN_FDS is %q", os.Getenv("LISTEN_FDS"))
	}
	var lns []net.Listener
	for fd := firstPassed; fd < firstPassed+n; fd++ {
		f := os.NewFile(uintptr(fd), "LISTEN_FD_"+strconv.Itoa(fd))
		ln, err := net.FileListener(f)
		_ = f.Close() // FileListener has a copy that programs we start do not inherit
		if err != nil {
			for _, ln := range lns {
				_ = ln.Close() // of no use without the rest
			}
			return nil, fmt.Errorf("milter: listen on fd:systemd: descriptor %d: %w", fd, err)
		}
		lns = append(lns, ln)
	}
	// sd_listen_fds(3): once. The numbers are free for other files now.
	return lns, errors.Join(os.Unsetenv("LISTEN_PID"), os.Unsetenv("LISTEN_FDS"), os.Unsetenv("LISTEN_FDNAMES"))
}
