package daemon

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// successor is the process of the new server, as the old one sees it.
type successor struct {
	cmd    *exec.Cmd
	talk   net.Conn
	out    *gob.Encoder
	in     *gob.Decoder
	shared net.Conn
	words  tail
	exited chan struct{}
}

// startSuccessor starts the new server.
func (r *running) startSuccessor() (_ *successor, err error) {
	path, err := programPath()
	if err != nil {
		return nil, err
	}
	names, files, err := r.sockets.files()
	if err != nil {
		return nil, err
	}
	defer func() { _ = closeFiles(files) }() // ours; it has its own
	s := &successor{exited: make(chan struct{})}
	var theirs [3]*os.File
	defer func() {
		for _, f := range theirs {
			if f != nil {
				_ = f.Close()
			}
		}
		if err != nil {
			s.closeTalk()
		}
	}()
	if s.talk, theirs[0], err = socketPair(); err != nil {
		return nil, err
	}
	if s.shared, theirs[1], err = socketPair(); err != nil {
		return nil, err
	}
	words, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	theirs[2] = w
	s.cmd = &exec.Cmd{
		Path: path, Args: os.Args, Env: append(os.Environ(), r.notify.environment()...),
		Stdout: os.Stdout, Stderr: w, ExtraFiles: append([]*os.File{theirs[0], theirs[1], os.Stderr}, files...),
	}
	s.cmd.Env = append(s.cmd.Env, takeoverEnv+"="+strconv.Itoa(os.Getpid()))
	s.out, s.in = gob.NewEncoder(s.talk), gob.NewDecoder(s.talk)
	if err := s.cmd.Start(); err != nil {
		_ = words.Close()
		return nil, err
	}
	r.o.Log.Info("upgrade: started", zap.String("program", path), zap.Int("pid", s.cmd.Process.Pid))
	s.words.copyFrom(words)
	go func() {
		_ = s.cmd.Wait() // ProcessState has it
		close(s.exited)
	}()
	identity := storeIdentity(r.cfg)
	go func() { // it may never be read
		_ = s.out.Encode(offer{takeoverProtocol, names, identity})
	}()
	return s, nil
}

// hear waits for the new server's next progress.
func (s *successor) hear(stage string) (progress, error) {
	var p progress
	if err := s.in.Decode(&p); err != nil {
		return p, fmt.Errorf("it did not come to %q: %w", stage, err)
	}
	if p.Stage != stage {
		return p, fmt.Errorf("it says %q, not %q", p.Stage, stage)
	}
	return p, nil
}

func (s *successor) kill() { _ = s.cmd.Process.Kill() } // gone already: just as well

func (s *successor) closeTalk() {
	for _, c := range []net.Conn{s.talk, s.shared} {
		if c != nil {
			_ = c.Close()
		}
	}
}

// exitGrace is how long a new server that says no more has to end by itself, with a
// status that tells why.
const exitGrace = 2 * time.Second

// fault ends the new server and says what was wrong with it.
func (s *successor) fault(ctx context.Context, err error) error {
	s.closeTalk()
	select {
	case <-s.exited:
	case <-time.After(exitGrace):
		s.kill()
		<-s.exited
	}
	cause := context.Cause(ctx)
	var exit string
	if state := s.cmd.ProcessState; state != nil {
		exit = state.String()
	}
	if cause == nil {
		cause = err
	}
	text := s.words.end()
	if text == "" {
		return fmt.Errorf("the new process: %s: %w", exit, cause)
	}
	return fmt.Errorf("the new process: %s: %w: %s", exit, cause, text)
}

// tail keeps the end of what a new server writes to its standard error until it serves.
type tail struct {
	done chan struct{}
	mu   sync.Mutex
	kept []byte
}

// maxWords is how much is kept.
const maxWords = 2 << 10

func (t *tail) copyFrom(from *os.File) {
	t.done = make(chan struct{})
	go func() {
		defer close(t.done)
		defer func() { _ = from.Close() }()
		_, _ = io.Copy(t, from)
	}()
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxWords; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

// end is what was kept, when no more comes or at least soon after.
func (t *tail) end() string {
	select {
	case <-t.done:
	case <-time.After(time.Second): // a process that it started has it, too
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(bytes.TrimSpace(t.kept)), "?")
}

// programPath is where the binary is: by the name that the process was started with, so
// that a symbolic link is followed to where it points now; else where it lay at the
// start (os.Executable has no " (deleted)").
func programPath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	named := os.Args[0]
	if !strings.Contains(named, "/") {
		if named, err = exec.LookPath(named); err != nil {
			return self, nil //nolint:nilerr // it was not started by that name
		}
	}
	if named, err = filepath.Abs(named); err != nil || filepath.Base(named) != filepath.Base(os.Args[0]) {
		return self, nil //nolint:nilerr // likewise
	}
	if _, err := os.Stat(named); err != nil {
		return self, nil //nolint:nilerr // likewise
	}
	return named, nil
}

// socketPair is two connected sockets: ours, and a file for a process.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(pair[1]), "theirs")
	if ours, err = inheritedConn(uintptr(pair[0])); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}
