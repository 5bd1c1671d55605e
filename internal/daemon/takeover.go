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

	"pmilter/internal/store"
)

// Taking over: at SIGUSR2 the server starts the binary that lies at its path now, as it
// was started itself, with copies of its listening sockets. Old and new talk over a
// socket of their own, in gob:
//
//	old: offer       what the sockets are, and which store is in use
//	new: progress    "ready": it has loaded and opened all, and could serve
//	old: store.Entry what the store has in memory, as far as the new one wants it; one of no kind ends it
//	new: progress    "serving": it accepts; it has the store and serves it to the old one
//	old: progress    "yours": the service manager knows; the old one accepts no more, and drains
//
// Until "serving" is read the old one can go on as if nothing had been, and does when the
// new one ends, says something else, or takes too long. docs/adr/0008 says why it is so.

// The files of a new server, besides the listening sockets that follow.
const (
	talkFD   = 3 + iota // the socket of the protocol above
	sharedFD            // on which it serves the store to the old one
	stderrFD            // of the old one; its own is read by the old one until it serves
	socketFD
)

// takeoverEnv tells a new server that it is one, and of which process.
const takeoverEnv = "PMILTER_TAKEOVER"

// takeoverProtocol is the number of what is spoken. A new server that speaks another ends.
const takeoverProtocol = 1

const (
	// readyTimeout is how long a new server has to load its scripts.
	readyTimeout = 60 * time.Second
	// storeTimeout is how long calls of the store may wait for the new server: less than
	// handlers have by default.
	storeTimeout = 5 * time.Second
)

// offer is what the old server says first.
type offer struct {
	Protocol int
	Sockets  []string // names, in the order of the files
	Store    string   // see storeIdentity
}

// progress is how far one has come.
type progress struct {
	Stage   string
	Share   bool     // ready: the old server's calls are to come here
	Content bool     // ready: what the store has in memory is wanted, and its file
	Sockets []string // serving: those that are in use
}

const (
	stageReady   = "ready"
	stageServing = "serving"
	stageYours   = "yours"
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

// upgrade has the binary that is at our path now take over. Nil: it serves, and this
// server has stopped accepting and is to drain. With an error all is as it was.
func (r *running) upgrade(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("it was not ready within %s", readyTimeout))
	defer cancel()
	s, err := r.startSuccessor()
	if err != nil {
		return fmt.Errorf("daemon: upgrade: %w", err)
	}
	stop := context.AfterFunc(ctx, s.kill)
	err = r.handOver(ctx, s)
	stop()
	if err != nil {
		return fmt.Errorf("daemon: upgrade: %w", s.fault(ctx, err))
	}
	r.o.Log.Info("another process serves now: this one drains", zap.Int("pid", s.cmd.Process.Pid))
	return nil
}

// handOver does the old server's part, once the new one runs.
func (r *running) handOver(ctx context.Context, s *successor) error {
	ready, err := s.hear(stageReady)
	if err != nil {
		return err
	}
	var serving progress
	share := func(ctx context.Context, send func(store.Entry) error) error {
		stop := context.AfterFunc(ctx, s.kill)
		defer stop()
		if err := send(store.Entry{}); err != nil {
			return err
		}
		serving, err = s.hear(stageServing)
		return err
	}
	if ready.Share {
		err = r.lendStore(ctx, s, ready.Content, share)
	} else {
		_ = s.shared.Close()
		err = share(ctx, func(e store.Entry) error { return s.out.Encode(e) })
	}
	if err != nil {
		return err
	}
	r.notify.tell("MAINPID=" + strconv.Itoa(s.cmd.Process.Pid))
	r.notify.mute()
	r.sockets.leave(serving.Sockets)
	r.closeControl()
	r.serving.stop()
	_ = s.out.Encode(progress{Stage: stageYours}) // it serves in any case
	_ = s.talk.Close()
	return nil
}

// lendStore has the new server take the store, by give, and our calls go there. Until
// that is done they wait. With an error they go where they went.
func (r *running) lendStore(ctx context.Context, s *successor, content bool, give func(context.Context, func(store.Entry) error) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, fmt.Errorf("it did not take the store within %s", storeTimeout))
	defer cancel()
	gate := r.engine.services.store
	ours, err := gate.Pause(ctx)
	if err != nil {
		return err
	}
	_, isFile := ours.(*store.File)
	entries := store.Entries(ours)
	if isFile && content {
		if err := ours.Close(); err != nil {
			r.o.Log.Error("store not closed", zap.Error(err))
		}
	}
	err = give(ctx, func(end store.Entry) error {
		for _, e := range entries {
			if content || e.Kind == store.EntryHold {
				if err := s.out.Encode(e); err != nil {
					return err
				}
			}
		}
		return s.out.Encode(end)
	})
	switch {
	case err == nil:
		gate.Use(store.NewClient(s.shared))
		if !isFile || !content {
			return ours.Close()
		}
		return nil
	case isFile && content:
		s.kill()
		<-s.exited // it may have the file
		if ours, err = r.reopenStore(context.WithoutCancel(ctx), entries, err); ours == nil {
			return errors.Join(err, gate.Close())
		}
	}
	gate.Use(ours)
	return err
}

// reopenStore opens the file again that the new server could not use. Without it
// scripts' calls fail.
func (r *running) reopenStore(ctx context.Context, entries []store.Entry, cause error) (store.Store, error) {
	s, err := openStore(r.cfg, r.o.Log)
	if err != nil {
		r.o.Log.Error("the store's file cannot be opened again: scripts have no store", zap.Error(err))
		return nil, errors.Join(cause, err)
	}
	for _, e := range entries {
		if err := store.Put(ctx, s, e); err != nil {
			r.o.Log.Warn("store: a holder was lost", zap.Error(err))
		}
	}
	return s, cause
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
