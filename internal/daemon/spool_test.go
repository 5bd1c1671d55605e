package daemon

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"pmilter/internal/config"
	"pmilter/internal/mta"
)

// TestLargeBodiesAreSpooled: what scripts see of a body in a file is what they
// see of one in memory.
func TestLargeBodiesAreSpooled(t *testing.T) {
	script := `
let n = 0, sum = 0;
export function body(s, chunk) { n += chunk.length; for (let i = 0; i < chunk.length; i += 997) sum += chunk[i]; }
export function eom(s) {
  const m = s.message, body = m.body;
  m.headers.add("X-Body", [n, sum, body.length, body[body.length - 3], m.raw().length > body.length].join(" "));
  m.replaceBody(body.subarray(0, 10));
}`
	tx := plain()
	tx.Message = append([]byte("Subject: big\r\n\r\n"), bytes.Repeat([]byte("0123456789abcdef\r\n"), 20000)...)
	want := header(one(t, script).send(tx).Message, "X-Body")
	small := one(t, script, func(c *config.Config) { c.Milter.SpoolThreshold = 1000 })
	r := small.send(tx)
	got := header(r.Message, "X-Body")
	if len(want) != 1 || fmt.Sprint(got) != fmt.Sprint(want) || string(r.Message.Body) != "0123456789\r\n" {
		t.Errorf("spooled %q %q, in memory %q", got, r.Message.Body, want)
	}
}

// TestBodyThatCannotBeKept: with nowhere to put it the message is put off.
func TestBodyThatCannotBeKept(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "gone"))
	s := one(t, `export function eom() {}`, func(c *config.Config) { c.Milter.SpoolThreshold = 1 })
	if got := outcomeOf(s.send(plain())); got != "eom 452 4.3.1 Insufficient system storage" {
		t.Error(got)
	}
	if lines := s.entries("body cannot be kept"); len(lines) != 1 {
		t.Errorf("log %v", lines)
	}
}

// TestManyLargeMessagesAtOnce: 1,000 connections, each with a world and in the
// middle of a message of 10 MB, are under 200 MB of memory, also while they get
// there and whatever garbage waits for the collector.
func TestManyLargeMessagesAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 2 GB of temporary files")
	}
	const connections = 1000
	s := one(t, `export function mail(s, a) { s.state.domain = a.domain; } export function rcpt() {} export function eom() {}`, func(c *config.Config) {
		c.Handler.Timeout, c.Handler.CPU = time.Minute, time.Minute // of a busy machine
	})
	chunk := bytes.Repeat([]byte("0123456789abcdef0123456789abcd\r\n"), 2047)
	var all sync.WaitGroup
	turns, held := make(chan struct{}, 50), make(chan struct{})
	reached := make(chan error, connections)
	for range connections {
		all.Add(1)
		go func() {
			defer all.Done()
			turns <- struct{}{}
			c, err := s.e.dial(t.Context())
			if err == nil {
				defer c.Close()
				err = halfAMessage(t.Context(), c, chunk, 32) // 2 MB of 10
			}
			<-turns
			reached <- err
			<-held
		}()
	}
	peak := uint64(0)
	for range connections {
		if err := <-reached; err != nil {
			t.Fatal(err)
		}
		peak = max(peak, used())
	}
	runtime.GC()
	t.Logf("%d MB of heap and stacks at most, then %d MB, the test's own clients included", peak>>20, used()>>20)
	if peak > 200<<20 {
		t.Errorf("%d MB of heap and stacks", peak>>20)
	}
	close(held)
	all.Wait()
}

// used is the memory that the heap, garbage included, and the stacks take.
func used() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// halfAMessage begins a message and sends some chunks of its body.
func halfAMessage(ctx context.Context, conn net.Conn, chunk []byte, chunks int) error {
	c, err := mta.NewClient(ctx, conn, mta.PostfixOptions(6))
	if err != nil {
		return err
	}
	if _, err := c.Mail(ctx, "<a@example.org>"); err != nil {
		return err
	}
	if _, err := c.Rcpt(ctx, "<b@example.org>"); err != nil {
		return err
	}
	for range chunks {
		if _, err := c.Body(ctx, chunk); err != nil {
			return err
		}
	}
	return c.Flush(ctx)
}
