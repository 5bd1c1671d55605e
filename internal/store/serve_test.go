package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pmilter/internal/store"
)

// TestServeReleases: what a process held that vanishes is free.
func TestServeReleases(t *testing.T) {
	t.Parallel()
	s := subject{Store: store.NewMemory(newClock().Now)}
	client, ended := served(t, s.Store)
	other, _ := served(t, s.Store)
	c := subject{Store: client}
	c.hold(t, "a", "x", 2, true, 1)
	c.hold(t, "b", "y", 2, true, 1)
	c.hold(t, "b", "z", 2, true, 2)
	client.Release("z")
	subject{Store: other}.hold(t, "a", "o", 2, true, 2)
	client.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.hold(t, "a", "new", 2, true, 2)
	s.hold(t, "b", "new", 1, true, 1)
	if _, _, err := client.Get(t.Context(), "a"); code(err) != store.CodeUnavailable {
		t.Error(err)
	}
}

// TestServeBySocketpair: the way that Serve's comment shows.
func TestServeBySocketpair(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range pair {
		f := os.NewFile(uintptr(fd), "store")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Serve(ctx, ends[0], store.NewMemory(time.Now)) }()
	client := store.NewClient(ends[1])
	defer client.Close()
	subject{Store: client}.incr(t, "n", 1, 0, 1)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := client.Incr(t.Context(), "n", 1, 0); code(err) != store.CodeUnavailable {
		t.Error(err)
	}
}

// slow is a store that answers Get when it is told to, or when nobody waits.
type slow struct {
	store.Store
	answer chan struct{}
	given  chan error // up by the deadline, or by the end
}

func (s *slow) Get(ctx context.Context, _ string) ([]byte, bool, error) {
	select {
	case <-s.answer:
		return []byte("1"), true, nil
	case <-ctx.Done():
		s.given <- ctx.Err()
		return nil, false, ctx.Err()
	}
}

// TestServeManyInFlight: a slow answer holds up nobody, and each gets its own.
func TestServeManyInFlight(t *testing.T) {
	t.Parallel()
	s := &slow{store.NewMemory(newClock().Now), make(chan struct{}), make(chan error, 1)}
	client, _ := served(t, s)
	c := subject{Store: client}
	var waiting sync.WaitGroup
	for range 100 {
		waiting.Go(func() { c.want(t, "slow", "1") })
	}
	for i := range int64(100) {
		c.incr(t, "n", 1, 0, i+1)
		c.hold(t, fmt.Sprint(i), "x", 1, true, 1)
	}
	close(s.answer)
	waiting.Wait()
}

// TestServeDeadlines: the caller's deadline goes along.
func TestServeDeadlines(t *testing.T) {
	t.Parallel()
	s := &slow{store.NewMemory(newClock().Now), make(chan struct{}), make(chan error, 1)}
	client, _ := served(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := client.Get(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := <-s.given; !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestServeErrors: an error is the same at the other end.
func TestServeErrors(t *testing.T) {
	t.Parallel()
	client, _ := served(t, broken{})
	if _, _, err := client.Get(t.Context(), "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := client.Delete(t.Context(), "a"); err == nil || err.Error() != "disk on fire" {
		t.Error(err)
	}
}

type broken struct{ store.Store }

func (broken) Get(context.Context, string) ([]byte, bool, error) {
	return nil, false, fmt.Errorf("get: %w", context.DeadlineExceeded)
}

func (broken) Delete(context.Context, string) (bool, error) { return false, errors.New("disk on fire") }

// TestServeNonsense: what makes no sense ends the connection, and costs no memory.
func TestServeNonsense(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"too large": {0xff, 0xff, 0xff, 0xff},
		"no op":     {0, 0, 0, 12, 0, 0, 0, 1, 99, 0, 0, 0, 0, 0, 0, 0},
		"cut":       {0, 0, 0, 12, 0, 0, 0, 1, 1},
	} {
		ours, theirs := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- store.Serve(context.Background(), theirs, store.NewMemory(time.Now)) }()
		if _, err := ours.Write(bytes); err != nil {
			t.Fatal(err)
		}
		if name == "cut" {
			ours.Close()
		}
		if err := <-ended; err == nil {
			t.Errorf("%s: no error", name)
		}
		ours.Close()
	}
}

// TestClientOfNonsense: a server that makes no sense is none.
func TestClientOfNonsense(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	client := store.NewClient(ours)
	defer client.Close()
	go func() {
		_, _ = theirs.Read(make([]byte, 100))
		_, _ = theirs.Write([]byte{0, 0, 0, 1, 0})
		_, _ = io.Copy(io.Discard, theirs)
		theirs.Close()
	}()
	if _, _, err := client.Get(t.Context(), "a"); code(err) != store.CodeUnavailable {
		t.Error(err)
	}
}

// FuzzServe: whatever comes, Serve ends and nothing stays held.
func FuzzServe(f *testing.F) {
	f.Add([]byte{0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 1, 'a', 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 13, 0, 0, 0, 1, 7, 0, 1, 'a', 1, 'x', 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := store.NewMemory(time.Now)
		ours, theirs := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- store.Serve(context.Background(), theirs, m) }()
		go func() {
			_, _ = ours.Write(data)
			ours.Close()
		}()
		_, _ = io.Copy(io.Discard, ours)
		<-ended
		ok, count, err := m.Hold(context.Background(), "a", "the test", 1)
		if !ok || count != 1 || err != nil {
			t.Error(ok, count, err)
		}
	})
}

// FuzzFrames: what can be read is written the same, but for a longer spelling of
// a number.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 0, 1, 'a', 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 1, 1, 2, 2, 1, '1', 0, 0})
	f.Add(binary.AppendVarint([]byte{1}, 1_700_000_000_000))
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, again := range map[string]func([]byte) ([]byte, error){
			"request": store.RequestAgain, "response": store.ResponseAgain, "window": store.WindowAgain,
		} {
			once, err := again(data)
			if err != nil {
				continue
			}
			twice, err := again(once)
			if err != nil || !bytes.Equal(once, twice) || len(once) > len(data) {
				t.Errorf("%s: %x %x %v", name, once, twice, err)
			}
		}
	})
}
