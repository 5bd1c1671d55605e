package milter

import (
	"errors"
	"net"
	"os"
	"time"
)

// Why a connection was ended from here, without a fault in what the MTA sent.
var (
	errIdle     = errors.New("milter: nothing came within the idle timeout")
	errSilent   = errors.New("milter: no negotiation within its timeout")
	errDribble  = errors.New("milter: a packet was not completed within the frame timeout")
	errStopping = errors.New("milter: the server stops")
)

// timedReader reads from the network with the deadlines of a connection.
//
// A deadline for each packet would cost more than reading it. So one is armed
// rarely, at most tick ahead; when it passes, the true limits are looked at and
// the next one is armed. It belongs to the goroutine that serves the connection.
type timedReader struct {
	c          *Conn
	born       time.Time
	since      time.Time // when the wait for this frame, or for its rest, began
	negotiated bool
	inMessage  bool // the runner's; here because it decides what stopping means
}

func (t *timedReader) read(p []byte, at position) (int, error) {
	if at != frameGoesOn {
		t.since = time.Now()
	}
	for {
		n, err := t.c.nc.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := t.extend(at); err != nil {
			return 0, err
		}
	}
}

// extend arms the next deadline, or says why there is none.
func (t *timedReader) extend(at position) error {
	cfg := &t.c.srv.cfg
	for {
		limits := t.c.srv.limits.Load()
		stopping := t.c.srv.closing()
		if stopping && !t.inMessage && at == betweenFrames {
			return errStopping
		}
		now := time.Now()
		limit, reason := t.since.Add(limits.IdleTimeout), errIdle
		if at != betweenFrames {
			limit, reason = t.since.Add(cfg.FrameTimeout), errDribble
		}
		if first := t.born.Add(limits.negotiate); !t.negotiated && first.Before(limit) {
			limit, reason = first, errSilent
		}
		if !now.Before(limit) {
			return reason
		}
		next := now.Add(limits.tick)
		if limit.Before(next) {
			next = limit
		}
		if err := t.c.nc.SetReadDeadline(next); err != nil {
			return err
		}
		// Shutdown wakes readers by a deadline in the past; this may just have
		// replaced it.
		if t.c.srv.closing() == stopping {
			return nil
		}
	}
}

// writer writes to the network with a deadline that, too, is armed rarely: a
// write has between half of the timeout and all of it. After an error nothing
// is written any more: the peer may have got a part of a packet, and would take
// the next one for its rest. Callers hold Conn.out.
type writer struct {
	nc      net.Conn
	timeout time.Duration
	until   time.Time
	err     error
}

func (w *writer) write(p []byte) error {
	if w.err != nil {
		return w.err
	}
	if now := time.Now(); w.until.Sub(now) < w.timeout/2 {
		w.until = now.Add(w.timeout)
		if w.err = w.nc.SetWriteDeadline(w.until); w.err != nil {
			return w.err
		}
	}
	_, w.err = w.nc.Write(p)
	return w.err
}
