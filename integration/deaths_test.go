package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ends are how sending a mail can end for its sender.
type ends struct {
	mu       sync.Mutex
	accepted []string // told so
	refused  []string // told so, or never got as far as the final dot
	unknown  []string // no reply to the final dot: the sender comes again (RFC 1047)
}

// TestKillsUnderLoad kills pmilterd, and then Postfix with all its processes, with -9
// while mail comes in, again and again. What a sender was told is accepted is
// delivered, once; what it was told is refused is not; and nothing passes unfiltered.
func TestKillsUnderLoad(t *testing.T) {
	m := startMTA(t, map[string]string{
		"milter_default_action": "tempfail", "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s",
	})
	s := m.serve(t, one(stamp), map[string]string{"milter.workers": "2"})

	told := m.sendWhile(t, 4, func() { s.kill() }, func() { s.start(false) })
	if n := len(told.unknown); n > 0 {
		t.Errorf("Postfix lived, and left %d messages without a reply", n)
	}
	t.Logf("pmilterd killed: %d accepted, %d refused", len(told.accepted), len(told.refused))
	m.checkDelivered(t, told, 1)

	told = m.sendWhile(t, 4, func() { m.Kill(t) }, func() { m.Restart(t) })
	t.Logf("Postfix killed: %d accepted, %d refused, %d without a reply", len(told.accepted), len(told.refused), len(told.unknown))
	// Killed between a delivery and its note of it Postfix delivers again: that is its own promise, at least once.
	m.checkDelivered(t, told, 2)
	if s.ended() {
		t.Error("pmilterd is gone")
	}
}

// sendWhile sends mail from several clients while kill and restart alternate, and
// returns what the senders were told. PMILTER_LONG makes ten times as many rounds.
func (m *mta) sendWhile(t *testing.T, clients int, kill, restart func()) *ends {
	t.Helper()
	rounds := 5
	if os.Getenv("PMILTER_LONG") != "" {
		rounds *= 10
	}
	told := &ends{}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range clients {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := strconv.FormatUint(rand.Uint64(), 36)
				told.note(id, sendID(m.Addr, id))
			}
		})
	}
	pause := func() { time.Sleep(100*time.Millisecond + rand.N(400*time.Millisecond)) }
	for range rounds {
		pause()
		kill()
		pause()
		restart()
	}
	accepted := len(told.all())
	for deadline := time.Now().Add(patience); len(told.all()) < accepted+10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no mail is accepted after the last restart")
		}
	}
	close(stop)
	senders.Wait()
	return told
}

// errUnknown: the final dot has no reply.
var errUnknown = errors.New("no reply")

func (e *ends) note(id string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		e.accepted = append(e.accepted, id)
	case errors.Is(err, errUnknown):
		e.unknown = append(e.unknown, id)
	default:
		e.refused = append(e.refused, id)
	}
}

func (e *ends) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string{}, e.accepted...)
}

// sendID sends a mail with that id in an SMTP session of its own.
func sendID(addr, id string) error {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		time.Sleep(20 * time.Millisecond) // it is just dead
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		return err
	}
	if err := c.Mail("a@example.org"); err != nil {
		return err
	}
	if err := c.Rcpt("b@example.org"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "From: a@example.org\r\nX-ID: %s\r\n\r\nbody\r\n", id)
	err = w.Close()
	var reply *textproto.Error
	if err != nil && !errors.As(err, &reply) {
		return errUnknown
	}
	return err
}

// checkDelivered waits until the MTA has nothing more to deliver and compares. most
// is how often a message may have come.
func (m *mta) checkDelivered(t *testing.T, told *ends, most int) {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); len(m.Queue(t, "")) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages stay in the queue", len(m.Queue(t, "")))
		}
	}
	came := map[string]int{}
	for _, mail := range m.Sink.Mails() {
		_, rest, _ := strings.Cut(mail.Header(), "X-ID: ")
		id, _, _ := strings.Cut(rest, "\r\n")
		came[id]++
		if !stamped(mail) {
			t.Errorf("%s was delivered and no script saw it", id)
		}
	}
	for _, id := range told.accepted {
		if n := came[id]; n < 1 || n > most {
			t.Errorf("%s was accepted and delivered %d times", id, n)
		}
	}
	for _, id := range told.refused {
		if came[id] > 0 {
			t.Errorf("%s was refused and delivered", id)
		}
	}
}
