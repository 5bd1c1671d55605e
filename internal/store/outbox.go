package store

import (
	"context"
	"net"
	"sync"
	"time"
)

// outbox writes frames to a connection, all that have come while the last write
// was under way with the next. Safe for concurrent use.
type outbox struct {
	conn    net.Conn
	timeout time.Duration // of a write; a peer that does not read is gone

	mu     sync.Mutex
	room   sync.Cond // there is room in frames, or it is closed
	frames []byte
	closed bool
	wake   chan struct{} // has an element when there are frames, or it is closed
}

// maxUnsent is how many bytes wait before send does.
const maxUnsent = 4 << 20

func newOutbox(conn net.Conn, timeout time.Duration) *outbox {
	o := &outbox{conn: conn, timeout: timeout, wake: make(chan struct{}, 1)}
	o.room.L = &o.mu
	return o
}

// send queues what add appends; it waits while too much is queued, until ctx is
// done. What is sent after close is dropped.
func (o *outbox) send(ctx context.Context, add func(b []byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.frames) > maxUnsent {
		defer context.AfterFunc(ctx, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.room.Broadcast()
		})()
	}
	for len(o.frames) > maxUnsent && !o.closed && ctx.Err() == nil {
		o.room.Wait()
	}
	if !o.closed && ctx.Err() == nil {
		o.frames = add(o.frames)
		o.rouse()
	}
}

// urge queues without waiting.
func (o *outbox) urge(add func(b []byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.frames = add(o.frames)
		o.rouse()
	}
}

func (o *outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// close ends run, after what is queued.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.room.Broadcast()
	o.rouse()
}

// run writes until close, or until a write fails; then it closes the connection,
// so that its reader ends.
func (o *outbox) run() {
	defer o.conn.Close()
	var spare []byte
	for range o.wake {
		o.mu.Lock()
		frames, closed := o.frames, o.closed
		o.frames = spare[:0]
		o.room.Broadcast()
		o.mu.Unlock()
		if len(frames) > 0 {
			_ = o.conn.SetWriteDeadline(time.Now().Add(o.timeout))
			if _, err := o.conn.Write(frames); err != nil {
				o.close()
				return
			}
		}
		if spare = frames; cap(spare) > maxUnsent {
			spare = nil
		}
		if closed {
			return
		}
	}
}
