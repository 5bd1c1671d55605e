package queue

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pmilter/internal/event"
)

// TestMain is the test's child processes, too: see child.
func TestMain(m *testing.M) {
	switch path := os.Getenv("QUEUE_TEST_MAILDIR"); os.Getenv("QUEUE_TEST_ROLE") {
	case "putter":
		putForEver(New(Options{Name: "archive", Path: path}))
	case "worker":
		workUntilEmpty(New(Options{Name: "archive", Path: path}))
	default:
		goleak.VerifyTestMain(m)
	}
}

// child starts this test as a process of its own that plays a role with a queue.
func child(t *testing.T, q *Queue, role string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "QUEUE_TEST_ROLE="+role, "QUEUE_TEST_MAILDIR="+q.Path())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// bigMessage takes several writes.
func bigMessage() []byte {
	return append([]byte("Subject: x\r\n\r\n"), bytes.Repeat([]byte("0123456789abcdef\r\n"), 5000)...)
}

// putForEver puts from several connections and says each ID that is safe.
func putForEver(q *Queue) {
	w, message := NewWriter(), bigMessage()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				e := someEvent()
				if err := w.Put(context.Background(), []Entry{{q, e}}, func() {}, message); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(e.ID)
			}
		})
	}
	wg.Wait()
}

// TestKilledWhilePutting: processes that put are killed at any moment. Nothing
// half written is in new/, and nothing that was said to be safe is missing.
func TestKilledWhilePutting(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	said := map[string]bool{}
	for range 8 {
		cmd, out := child(t, q, "putter")
		lines := bufio.NewScanner(out)
		if lines.Scan() { // it is at work
			said[lines.Text()] = true
		}
		go func() {
			time.Sleep(time.Duration(rand.IntN(50_000)) * time.Microsecond)
			_ = cmd.Process.Kill()
		}()
		for lines.Scan() {
			if text := lines.Text(); event.ParseName(text).Ours() {
				said[text] = true
			}
		}
		_ = cmd.Wait() // killed
	}
	list, err := q.Scan()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d said to be safe, %d in new/", len(said), len(list))
	for _, w := range list {
		var mail []byte
		_, err := q.Inspect(w, StateWaiting, func(r io.Reader) (err error) { mail, err = io.ReadAll(r); return err })
		if err != nil || !bytes.Equal(mail, bigMessage()) {
			t.Errorf("%s has %d bytes: %v", w.ID, len(mail), err)
		}
		delete(said, w.ID)
	}
	if len(said) > 0 {
		t.Errorf("%d events are lost that were said to be safe", len(said))
	}
}

// workUntilEmpty claims what it can get. While it has an event, a file with its
// name says so: a second worker that finds it there has the same event.
func workUntilEmpty(q *Queue) {
	mark := func(id string) string { return filepath.Join(filepath.Dir(q.Path()), "mark-"+id) }
	for {
		list, err := q.Scan()
		if err != nil {
			fmt.Println("fault", err)
			os.Exit(1)
		}
		if len(list) == 0 {
			return
		}
		for _, w := range list {
			c, err := q.Claim(w.Path)
			if errors.Is(err, ErrBusy) || errors.Is(err, ErrGone) {
				continue
			}
			if err == nil {
				_, err = os.OpenFile(mark(c.ID()), os.O_CREATE|os.O_EXCL, 0o600)
			}
			if err == nil {
				err = c.Begin()
			}
			if err == nil {
				err = os.Remove(mark(c.ID()))
			}
			if err == nil && c.Attempts() < 3 {
				err = c.Retry(time.Unix(1, 0))
			} else if err == nil {
				fmt.Println("done", c.ID())
				err = c.Done()
			}
			if err != nil {
				fmt.Println("fault", err)
				os.Exit(1)
			}
		}
	}
}

// TestProcessesShareAQueue: each event is worked on by one process at a time, and
// comes to its end once.
func TestProcessesShareAQueue(t *testing.T) {
	t.Parallel()
	const events = 300
	q := newQueue(t)
	for i := range events {
		drop(t, q, [...]string{"new", "cur"}[i%2], "")
	}
	var mu sync.Mutex
	done := map[string]int{}
	var wg sync.WaitGroup
	for range 4 {
		cmd, out := child(t, q, "worker")
		wg.Go(func() {
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				what, rest, _ := strings.Cut(lines.Text(), " ")
				mu.Lock()
				if done[rest]++; what != "done" || done[rest] > 1 {
					t.Errorf("%s", lines.Text())
				}
				mu.Unlock()
			}
			_ = cmd.Wait()
		})
	}
	wg.Wait()
	if len(done) != events {
		t.Errorf("%d events are done", len(done))
	}
	wantFiles(t, q)
}

// TestKilledWhileWorking: who is killed frees its event, whose attempt was counted.
func TestKilledWhileWorking(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	for range 50 {
		drop(t, q, "new", "")
	}
	done := map[string]bool{}
	for len(done) < 50 {
		cmd, out := child(t, q, "worker")
		timer := time.AfterFunc(time.Duration(5+rand.IntN(30))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "done "); ok {
				done[id] = true
			}
		}
		_ = cmd.Wait() // killed or not
		timer.Stop()
		marks, _ := filepath.Glob(filepath.Join(filepath.Dir(q.Path()), "mark-*"))
		for _, m := range marks { // of those who were killed
			if err := os.Remove(m); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := q.Scan(); err != nil {
			t.Fatal(err)
		} else if len(list)+len(done) < 50 {
			t.Fatalf("%d wait, %d are done: some are lost", len(list), len(done))
		} else if len(list) == 0 {
			break
		}
	}
}
