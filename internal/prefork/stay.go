package prefork

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Link is a resident worker's line to its pool. Safe for concurrent use.
type Link struct {
	s     *server
	leave sync.Once
}

// Notify tells the pool something: Hooks.Note.
func (l *Link) Notify(data []byte) error { return l.s.write(frameNote, data) }

// Leave asks the pool to end this worker, once; reason becomes its Exit's. The worker
// serves on until Resident.End is called.
func (l *Link) Leave(reason string) {
	l.leave.Do(func() { _ = l.s.write(frameQuit, []byte(reason)) }) // the pool is gone: so are we
}

// Resident is what a worker is that does no jobs.
type Resident interface {
	// Told hears what the pool says by Tell, in order and one at a time, to the end of End.
	Told(data []byte)
	// End is called once, when the pool wants the worker to end, beside Told; it returns
	// when the process may end.
	End(ctx context.Context)
}

// Settle sets a resident worker up, with what the pool's Setup says. An error goes to
// the pool, in its words.
type Settle func(ctx context.Context, setup []byte, pool *Link) (Resident, error)

// Stay is the life of a resident worker process, as Serve is of one that does jobs: it
// returns when the pool has asked it to end and it has. When ctx is done it asks to be.
func Stay(ctx context.Context, settle Settle) error {
	conn, err := poolSocket()
	if err != nil {
		return err
	}
	return stay(ctx, conn, settle, func() { _ = syscall.Kill(0, syscall.SIGKILL) })
}

// stay is Stay on any connection. orphaned is called when that ends.
func stay(ctx context.Context, conn net.Conn, settle Settle, orphaned func()) error {
	s := newServer(conn, orphaned)
	setup, end := make(chan []byte, 1), make(chan struct{})
	go func() {
		defer orphaned()
		s.read(setup, nil, end) // a nil channel: no pool gives jobs to residents
	}()
	return s.stay(ctx, setup, end, settle)
}

func (s *server) stay(ctx context.Context, setup <-chan []byte, end <-chan struct{}, settle Settle) error {
	link := &Link{s: s}
	var r Resident
	var err error
	select {
	case data := <-setup:
		r, err = settle(context.WithoutCancel(ctx), data, link)
	case <-end:
		return nil
	}
	if err != nil {
		return s.write(frameFault, []byte(err.Error())) // there it is told
	}
	if err := s.write(frameReady, nil); err != nil {
		return err
	}
	quit := ctx.Done()
	var ended chan struct{}
	for {
		select {
		case <-quit:
			quit = nil
			if err := s.write(frameQuit, []byte(askedBySignal)); err != nil {
				return err
			}
		case <-s.news:
			for _, data := range s.takeTold() {
				r.Told(data)
			}
		case <-end:
			end, quit, ended = nil, nil, make(chan struct{})
			go func() {
				defer close(ended)
				r.End(context.WithoutCancel(ctx))
			}()
		case <-ended:
			return nil
		}
	}
}

func (s *server) takeTold() [][]byte {
	s.tells.Lock()
	defer s.tells.Unlock()
	list := s.told
	s.told = nil
	return list
}
