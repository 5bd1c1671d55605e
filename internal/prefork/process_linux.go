package prefork

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// launcher starts processes of our own binary, all from one thread of the system that
// does nothing else: the kernel sends a parent-death signal when the *thread* that
// forked ends (prctl(2), PR_SET_PDEATHSIG), and Go ends threads as it likes.
type launcher struct {
	asked chan func()
	ended chan struct{}
	once  sync.Once
}

func newLauncher() *launcher {
	l := &launcher{asked: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for do := range l.asked {
			do()
		}
	}()
	return l
}

func (l *launcher) close() {
	l.once.Do(func() { close(l.asked) })
	<-l.ended
}

func (l *launcher) start(o *Options, inherited []*os.File) (process, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("prefork: socket pair: %w", err)
	}
	defer theirs.Close()
	// What runs is this very binary, also when another has taken its place on disk.
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{os.Args[0]}, o.Args...), Env: o.Env,
		Stdout: os.Stderr, Stderr: os.Stderr, ExtraFiles: append([]*os.File{theirs}, inherited...),
		// A session of its own: a group to kill, out of reach of a terminal's Ctrl-C.
		// When we die it kills its whole group, at the end of its socket: SIGKILL would
		// end it before that, and leave what its programs have started. So the kernel
		// only sees to it that one which was stopped can do it.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGCONT},
	}
	c := &child{Conn: ours, cmd: cmd}
	if o.KeepStderr {
		w, err := c.stderr.open()
		if err != nil {
			ours.Close()
			return nil, fmt.Errorf("prefork: standard error: %w", err)
		}
		defer w.Close()
		cmd.Stdout, cmd.Stderr = w, w
	}
	done := make(chan error)
	l.asked <- func() { done <- cmd.Start() }
	if err := <-done; err != nil {
		ours.Close()
		return nil, fmt.Errorf("prefork: start: %w", err)
	}
	// Kept open: it is read after each job. Without it Memory is 0.
	c.statm, _ = os.Open(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "statm"))
	return c, nil
}

// socketPair is two connected sockets: ours, and a file for a process.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(fds[1]), "theirs")
	file := os.NewFile(uintptr(fds[0]), "ours")
	defer file.Close()
	if ours, err = net.FileConn(file); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// child is a process of ours.
type child struct {
	net.Conn
	cmd    *exec.Cmd
	statm  *os.File
	stderr beginning

	mu     sync.Mutex
	reaped bool
}

var _ process = (*child)(nil)

// PID implements process, as do the following.
func (c *child) PID() int { return c.cmd.Process.Pid }

// Signal is without effect once it is reaped.
func (c *child) Signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = syscall.Kill(c.PID(), s)
	}
}

// Kill is safe until the process is reaped: no other can have its number before.
func (c *child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = syscall.Kill(-c.PID(), syscall.SIGKILL)
	}
}

// Reap waits for it.
func (c *child) Reap() (status, stderr string) {
	c.Kill()         // while the leader is a zombie at most, so that the number is the group's
	_ = c.cmd.Wait() // its state says the same
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	c.Conn.Close()
	c.statm.Close() // Memory may be asked for all the same
	return c.cmd.ProcessState.String(), c.stderr.text()
}

// Memory is RssAnon: what is resident, without what belongs to files and shared
// memory (proc(5), statm).
func (c *child) Memory() int64 {
	var data [128]byte
	n, _ := c.statm.ReadAt(data[:], 0) // nothing can be read once it is gone
	fields := strings.Fields(string(data[:n]))
	if len(fields) < 3 {
		return 0
	}
	resident, err1 := strconv.ParseInt(fields[1], 10, 64)
	shared, err2 := strconv.ParseInt(fields[2], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return (resident - shared) * int64(os.Getpagesize())
}
