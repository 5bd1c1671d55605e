package milter

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Handover gives a file of a listener's socket for another process, which takes it by
// Inherit. Both may accept then: each connection comes to one of them. The file stays
// in the mode in which Go wants a socket, so the listener goes on as it was.
func Handover(ln net.Listener) (*os.File, error) {
	c, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("milter: %s cannot be handed over: %T", ln.Addr(), ln)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("milter: hand over %s: %w", ln.Addr(), err)
	}
	// Not its method File: a Fd of that would make the socket block, for all who have it.
	var fd int
	var failed error
	if err := raw.Control(func(s uintptr) { fd, failed = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || failed != nil {
		return nil, fmt.Errorf("milter: hand over %s: %w", ln.Addr(), errors.Join(err, failed))
	}
	return os.NewFile(uintptr(fd), ln.Addr().String()), nil
}

// Inherit is the listener of a socket that Handover gave, and takes over the file. A
// unix socket's path stays when it is closed, until Own.
func Inherit(f *os.File) (net.Listener, error) {
	ln, err := net.FileListener(f)
	_ = f.Close() // FileListener has a copy that programs we start do not inherit
	if err != nil {
		return nil, fmt.Errorf("milter: inherit %s: %w", f.Name(), err)
	}
	return ln, nil
}

// InheritUnix is Inherit for a socket that Listen made at path.
func InheritUnix(f *os.File, path string) (net.Listener, error) {
	ln, err := Inherit(f)
	if err != nil {
		return nil, err
	}
	u, ok := ln.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("milter: inherit %s: no unix socket", path), ln.Close())
	}
	u.SetUnlinkOnClose(false) // closing it is ours
	l := &unixListener{UnixListener: u, path: path}
	l.close = sync.OnceValue(l.closeOnce)
	if l.file, err = os.Lstat(path); err != nil {
		return nil, errors.Join(fmt.Errorf("milter: inherit: %w", err), ln.Close())
	}
	return l, nil
}

// Own says whether closing a listener removes its unix socket's path: not when another
// process has it from now on. Of other listeners it means nothing.
func Own(ln net.Listener, ours bool) {
	if l, ok := ln.(*unixListener); ok {
		l.ours.Store(ours)
	}
}

// Permit changes the rights on the unix socket of a listener that Listen or InheritUnix
// made. Others have none.
func Permit(ln net.Listener, o SocketOptions) error {
	l, ok := ln.(*unixListener)
	if !ok || !l.isThere() {
		return nil
	}
	if err := o.apply(l.path); err != nil {
		return fmt.Errorf("milter: rights of %s: %w", l.path, err)
	}
	return nil
}
