package daemon

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"pmilter/internal/config"
	"pmilter/internal/store"
)

// Predecessor is the server that started this process to take over from it, as that
// sees it: see takeover.go.
type Predecessor struct {
	talk   net.Conn
	out    *gob.Encoder
	in     *gob.Decoder
	shared net.Conn
	stderr *os.File
	offer  offer
	files  map[string][]*os.File

	peer sync.WaitGroup // it lives, and has its store here if that is not another's
}

// TakeOver is the server that this process is to take over from; nil when there is none,
// as usual. It comes first of all: before it, descriptors are open that programs would
// inherit. From then on os.Stderr is the old server's, and descriptor 2 what it reads to
// tell why this process did not come to serve.
func TakeOver(env func(string) (string, bool)) (*Predecessor, error) {
	text, ok := env(takeoverEnv)
	if !ok {
		return nil, nil //nolint:nilnil // documented
	}
	_ = os.Unsetenv(takeoverEnv) // workers are none
	if pid, err := strconv.Atoi(text); err != nil || pid != os.Getppid() {
		return nil, fmt.Errorf("%s=%s is set and process %s did not start this one: it is for pmilterd's own use (SIGUSR2)", takeoverEnv, text, text)
	}
	p := &Predecessor{files: map[string][]*os.File{}}
	var err error
	if p.talk, err = inheritedConn(talkFD); err != nil {
		return nil, fmt.Errorf("daemon: take over: %w", err)
	}
	if p.shared, err = inheritedConn(sharedFD); err != nil {
		return nil, fmt.Errorf("daemon: take over: store: %w", err)
	}
	unix.CloseOnExec(stderrFD)
	p.stderr = os.NewFile(stderrFD, "/dev/stderr")
	os.Stderr = p.stderr
	p.out, p.in = gob.NewEncoder(p.talk), gob.NewDecoder(bufio.NewReader(p.talk))
	_ = p.talk.SetReadDeadline(time.Now().Add(readyTimeout))
	if err := p.in.Decode(&p.offer); err != nil {
		return nil, fmt.Errorf("daemon: take over: %w", err)
	}
	if p.offer.Protocol != takeoverProtocol {
		return nil, fmt.Errorf("daemon: take over: the running server speaks protocol %d, this one %d: restart instead", p.offer.Protocol, takeoverProtocol)
	}
	for i, name := range p.offer.Sockets {
		unix.CloseOnExec(socketFD + i)
		p.files[name] = append(p.files[name], os.NewFile(uintptr(socketFD+i), name))
	}
	return p, nil
}

// openStore is openStoreIn for a server that takes over: what the old one has in
// memory, or has open, comes later.
func (p *Predecessor) openStore(w *store.Switch, cfg *config.Config, log *zap.Logger) error {
	if !p.sameStore(cfg) || isRedis(cfg) {
		return openStoreIn(w, cfg, log)
	}
	if w.NeverWaits() {
		_, err := w.Pause(context.Background()) // nobody uses it yet
		return err
	}
	return nil
}

func (p *Predecessor) sameStore(cfg *config.Config) bool { return p.offer.Store == storeIdentity(cfg) }

func isRedis(cfg *config.Config) bool {
	u, err := store.ParseURL(cfg.Store.URL)
	if err != nil {
		return false
	}
	_, isFile := u.File()
	return !isFile && u.String() != "memory:"
}

// storeIdentity tells one store from another. It may hold a password.
func storeIdentity(cfg *config.Config) string {
	u, err := store.ParseURL(cfg.Store.URL)
	if err != nil {
		return ""
	}
	path, isFile := u.File()
	if !isFile {
		return cfg.Store.URL
	}
	if path == "" {
		folder, err := stateFolder(cfg.Server.State, os.LookupEnv)
		if err != nil {
			return cfg.Store.URL
		}
		path = filepath.Join(folder, "store.db")
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	return "file:" + path
}

// ready says that all is loaded and open, and takes the store. After it the old server's
// calls wait: accept soon, and then say so by serving.
func (p *Predecessor) ready(ctx context.Context, w *store.Switch, cfg *config.Config, log *zap.Logger) error {
	same := p.sameStore(cfg)
	share := !same || !isRedis(cfg)
	content := same && share
	err := p.out.Encode(progress{Stage: stageReady, Share: share, Content: content})
	if err != nil {
		return fmt.Errorf("daemon: take over: %w", err)
	}
	var entries []store.Entry
	for {
		var e store.Entry
		if err := p.in.Decode(&e); err != nil {
			return fmt.Errorf("daemon: take over: the store: %w", err)
		}
		if e.Kind == 0 {
			break
		}
		entries = append(entries, e)
	}
	if !share {
		p.peer.Go(func() { // nothing is said there: it is closed when the old server has ended
			defer context.AfterFunc(ctx, func() { _ = p.shared.Close() })()
			_, _ = io.Copy(io.Discard, p.shared)
			_ = p.shared.Close()
		})
		return nil
	}
	opened := store.Store(w)
	if content {
		if opened, err = openStore(cfg, log); err != nil {
			return fmt.Errorf("daemon: take over: %w", err)
		}
	}
	held, err := putEntries(ctx, opened, entries)
	if err != nil {
		return errors.Join(fmt.Errorf("daemon: take over: %w", err), opened.Close())
	}
	if content {
		w.Use(opened)
	}
	p.peer.Go(func() {
		if err := store.Serve(ctx, p.shared, w, held...); err != nil {
			log.Warn("the old server's store", zap.Error(err))
		}
	})
	return nil
}

// putEntries puts what the old server had into a store. held is who held something.
func putEntries(ctx context.Context, s store.Store, entries []store.Entry) (held []string, err error) {
	for _, e := range entries {
		if err := store.Put(ctx, s, e); err != nil {
			return nil, err
		}
		if e.Kind == store.EntryHold {
			held = append(held, e.Holder)
		}
	}
	return held, nil
}

// yoursTimeout is how long the old server may take to tell the service manager.
const yoursTimeout = 10 * time.Second

// serving says that this process accepts, and returns when it is the main one.
func (p *Predecessor) serving(sockets []string) error {
	if err := p.out.Encode(progress{Stage: stageServing, Sockets: sockets}); err != nil {
		return fmt.Errorf("daemon: take over: %w", err)
	}
	var yours progress
	_ = p.talk.SetReadDeadline(time.Now().Add(yoursTimeout))
	_ = p.in.Decode(&yours) // it is gone: nobody else serves then
	_ = p.talk.Close()
	if err := unix.Dup3(int(p.stderr.Fd()), 2, 0); err != nil {
		return fmt.Errorf("daemon: take over: standard error: %w", err)
	}
	return nil
}

// wait waits for the old server to end. It may need our store; and a service manager that
// stops a service kills what is left of it as soon as the main process, this one, has ended.
func (p *Predecessor) wait() { p.peer.Wait() }

// giveUp has the old server go on, as this one cannot serve.
func (p *Predecessor) giveUp() { _ = p.talk.Close() }
