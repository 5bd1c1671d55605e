package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// maxInFlight is how many requests of one connection are under way; more wait.
	maxInFlight = 256
	// stuck is how long a peer may leave what it was sent unread.
	stuck = 30 * time.Second
)

// Serve answers the Client at the other end of conn from s, and returns when that
// has closed it, with nil; when ctx is done; or when what came made no sense. What
// the Client's process held is released then. It closes conn and not s.
//
// The main process keeps the store and gives each process that it starts one end
// of a pair of sockets, on which it serves the other:
//
//	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
//	// to the child, as cmd.ExtraFiles: os.NewFile(uintptr(pair[1]), "store")
//	ours, err := net.FileConn(os.NewFile(uintptr(pair[0]), "store"))
//	go store.Serve(ctx, ours, s)
//
// and the child, which finds it as descriptor 3, has its store by
//
//	theirs, err := net.FileConn(os.NewFile(3, "store"))
//	s := store.NewClient(theirs)
//
// Redis is shared as it is: a child opens it by itself.
//
// held is what the Client's process holds in s already.
func Serve(ctx context.Context, conn net.Conn, s Store, held ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	p := &peer{store: s, out: newOutbox(conn, stuck), slots: make(chan struct{}, maxInFlight), holds: make(chan request, maxInFlight)}
	var writing, holding sync.WaitGroup
	writing.Go(p.out.run)
	holding.Go(func() { p.hold(ctx, held) })
	err := p.read(ctx, conn)
	cancel() // nobody waits for an answer any more
	p.working.Wait()
	close(p.holds)
	holding.Wait()
	p.out.close()
	writing.Wait()
	return err
}

// peer is one connection that is served.
type peer struct {
	store   Store
	out     *outbox
	slots   chan struct{}
	working sync.WaitGroup
	holds   chan request // Hold and Release, in the order in which they came
}

// read takes requests until there are no more.
func (p *peer) read(ctx context.Context, conn net.Conn) error {
	from := bufio.NewReader(conn)
	for {
		frame, err := readFrame(from)
		if errors.Is(err, io.EOF) && !errors.Is(err, errFrame) || errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return fmt.Errorf("store: serve: %w", err)
		}
		r, err := readRequest(frame)
		if err != nil {
			return err
		}
		if r.op == opHold || r.op == opRelease {
			select {
			case p.holds <- r:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		p.working.Go(func() {
			p.answer(ctx, r)
			<-p.slots
		})
	}
}

// hold does what is to be done in order, and releases in the end what is held.
func (p *peer) hold(ctx context.Context, already []string) {
	held := map[string]struct{}{}
	for _, holder := range already {
		held[holder] = struct{}{}
	}
	for r := range p.holds {
		if r.op == opRelease {
			p.store.Release(r.holder)
			delete(held, r.holder)
			continue
		}
		held[r.holder] = struct{}{}
		p.answer(ctx, r)
	}
	for holder := range held {
		p.store.Release(holder)
	}
}

// answer does what a request asks for.
func (p *peer) answer(ctx context.Context, r request) {
	if r.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, span(r.wait))
		defer cancel()
	}
	out := response{id: r.id}
	var err error
	var wait time.Duration
	switch r.op {
	case opGet:
		out.value, out.ok, err = p.store.Get(ctx, r.key)
	case opSet:
		err = p.store.Set(ctx, r.key, r.value, span(r.ttl))
	case opAdd:
		out.ok, err = p.store.Add(ctx, r.key, r.value, span(r.ttl))
	case opDelete:
		out.ok, err = p.store.Delete(ctx, r.key)
	case opIncr:
		out.n, err = p.store.Incr(ctx, r.key, r.n, span(r.ttl))
	case opLimit:
		out.ok, out.n, wait, err = p.store.Limit(ctx, r.key, r.n, span(r.ttl))
	case opHold:
		out.ok, out.n, err = p.store.Hold(ctx, r.key, r.holder, r.n)
	default:
	}
	out.wait = milliseconds(wait)
	out.fail(err)
	p.out.send(ctx, out.append)
}

// span is milliseconds as a duration, within what can be one.
func span(ms int64) time.Duration {
	return time.Duration(min(ms, MaxTTL.Milliseconds())) * time.Millisecond
}

// fail puts an error into the response.
func (r *response) fail(err error) {
	var known *Error
	switch {
	case err == nil:
		return
	case errors.As(err, &known):
		r.code, r.message = known.code, known.Error()
	case errors.Is(err, context.DeadlineExceeded):
		r.code = codeTimeout
	default:
		r.code, r.message = codeOther, err.Error()
	}
	r.message = r.message[:min(len(r.message), maxMessage)]
}

// err is the error of the response.
func (r *response) err() error {
	switch r.code {
	case "":
		return nil
	case codeTimeout:
		return context.DeadlineExceeded
	case codeOther:
		return errors.New(r.message)
	default:
		return &Error{code: r.code, message: r.message}
	}
}
