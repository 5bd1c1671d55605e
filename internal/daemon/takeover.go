package daemon

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

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
		r.heir = s.shared
		err = share(ctx, func(e store.Entry) error { return s.out.Encode(e) })
	}
	if err != nil {
		return err
	}
	r.notify.tell("MAINPID=" + strconv.Itoa(s.cmd.Process.Pid))
	r.notify.mute()
	r.sockets.leave(serving.Sockets)
	r.closeControl()
	r.closeAdmin()
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
	gate := r.engine.theStore()
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
