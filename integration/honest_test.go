package integration

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	milterclient "pmilter/internal/mta"
)

// honestClients are SMTP sessions that send mail until they are told to end.
type honestClients struct {
	stop           chan struct{}
	clients        sync.WaitGroup
	passed, putOff atomic.Int64
	slowest        atomic.Int64  // nanoseconds
	pause          time.Duration // between two messages of a client
	fault          atomic.Pointer[error]
	why            lockedBuffer // what put messages off, a line each
}

func startHonest(t *testing.T, addr string, clients int, pause time.Duration) *honestClients {
	t.Helper()
	h := &honestClients{stop: make(chan struct{}), pause: pause}
	for range clients {
		h.clients.Go(func() { h.send(addr) })
	}
	t.Cleanup(func() { h.end(t) })
	return h
}

// send sends five messages a session; one that is put off, or whose connection
// breaks, comes again at once, as one message that is late.
func (h *honestClients) send(addr string) {
	var session *milterclient.Session
	ctx := context.Background()
	sent := 0
	for ; ; sent++ {
		select {
		case <-h.stop:
			if session != nil {
				session.Close(ctx)
			}
			return
		case <-time.After(h.pause):
		}
		begin := time.Now()
		for try := 0; ; try++ {
			var err error
			if session == nil || sent%5 == 0 || try > 0 {
				if session != nil {
					session.Close(ctx)
				}
				session, err = dialAs(ctx, addr, "mx.honest.example")
			}
			if err == nil {
				var r milterclient.Reply
				if r, err = sendMail(ctx, session); err == nil && r.Verdict() != "accept" && r.Verdict() != "continue" {
					err = fmt.Errorf("%s", r.Text)
				}
			}
			if err == nil {
				break
			}
			h.putOff.Add(1)
			fmt.Fprintf(&h.why, "%s %v\n", time.Now().Format("15:04:05.000"), err)
			if time.Since(begin) > patience {
				err = fmt.Errorf("an honest message was never taken: %w", err)
				h.fault.Store(&err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		h.passed.Add(1)
		took := int64(time.Since(begin))
		for top := h.slowest.Load(); took > top && !h.slowest.CompareAndSwap(top, took); top = h.slowest.Load() {
		}
	}
}

// await waits until n more messages have passed.
func (h *honestClients) await(t *testing.T, n int64) {
	t.Helper()
	want := h.passed.Load() + n
	for deadline := time.Now().Add(patience); h.passed.Load() < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("honest mail does not flow: %d of %d", h.passed.Load(), want)
		}
	}
}

func (h *honestClients) end(t *testing.T) {
	t.Helper()
	select {
	case <-h.stop:
		return
	default:
	}
	close(h.stop)
	h.clients.Wait()
	if err := h.fault.Load(); err != nil {
		t.Error(*err)
	}
}

func (h *honestClients) worst() time.Duration { return time.Duration(h.slowest.Load()) }

// dialAs begins an SMTP session of a client with that name.
func dialAs(ctx context.Context, addr, name string) (*milterclient.Session, error) {
	network, address := dialAddr(addr)
	client, err := milterclient.Dial(ctx, network, address, milterclient.Options{})
	if err != nil {
		return nil, err
	}
	peer := milterclient.Peer{Name: name, Family: milter.FamilyInet, Port: 2525, Addr: "192.0.2.1"}
	session := milterclient.NewSession(client, maps.Clone(milterclient.PostfixMacros("mx.example.org", peer)))
	if _, err := session.Connect(ctx, peer); err != nil {
		return nil, err
	}
	_, err = session.Helo(ctx, name)
	return session, err
}

// sendMail sends a message; the reply is that of the first refusal, or the end's.
func sendMail(ctx context.Context, s *milterclient.Session) (milterclient.Reply, error) {
	steps := []func() (milterclient.Reply, error){
		func() (milterclient.Reply, error) { return s.Mail(ctx, "a@example.org") },
		func() (milterclient.Reply, error) { return s.Rcpt(ctx, "b@example.org") },
		func() (milterclient.Reply, error) { return s.Data(ctx) },
		func() (milterclient.Reply, error) {
			return s.Content(ctx, milterclient.ParseMessage([]byte(plainMessage)))
		},
	}
	for _, step := range steps {
		if r, err := step(); err != nil || r.Refuses() {
			return r, err
		}
	}
	return milterclient.Reply{Action: milter.ActAccept}, nil
}
