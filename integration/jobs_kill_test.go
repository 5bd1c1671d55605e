package integration

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	milterclient "pmilter/internal/mta"
)

// TestNoAcceptedMessageLosesItsJob sends messages while workers, and the server with
// them, are killed with -9 at random and restarted: each message that was accepted has
// its job done, at least once. PMILTER_KILL_MESSAGES=10000 is the long form.
func TestNoAcceptedMessageLosesItsJob(t *testing.T) {
	t.Parallel()
	messages, pause := 300, 80*time.Millisecond // slowly enough for some killing
	if n, err := strconv.Atoi(os.Getenv("PMILTER_KILL_MESSAGES")); err == nil {
		messages, pause = n, 0
	}
	s := startServer(t, serverConfig{
		listen: []string{"unix:" + shortSocket(t)},
		scripts: map[string]string{
			"queue.js": "import { enqueue } from \"pmilter/queue\";\nexport function eom(session) { enqueue(\"work\", { data: { n: session.message.subject } }); }",
			"_job.js":  "export default async function (job) {\n  await new Promise((r) => setTimeout(r, Math.random() * 20));\n  console.log(\"ran %s\", job.data.n);\n}",
		},
		settings: map[string]string{
			"queue.work.maildir": `"work"`, "queue.work.job": `"scripts/_job.js"`, "queue.work.keep": "true",
			"queue.work.workers": "{ min = 1, max = 3 }",
			"queue.work.retry":   `{ attempts = 1000, backoff = "50ms", max_backoff = "200ms" }`,
		},
	})
	began := time.Now()
	killer, stop := newKiller(t, s, messages)
	var sent atomic.Int64
	var tries atomic.Int64
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for n := sent.Add(1); n <= int64(messages); n = sent.Add(1) {
				for !accepted(t, s.listen[0], n) {
					tries.Add(1)
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(rand.N(pause + 1))
			}
		})
	}
	senders.Wait()
	stop()
	left := func() int {
		return len(entries(t, s.dir, "work/new")) + len(entries(t, s.dir, "work/cur"))
	}
	for deadline := time.Now().Add(2 * time.Minute); left() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events are left\n%s", left(), s.log())
		}
	}
	if failed := entries(t, s.dir, "work/.failed/new"); len(failed) > 0 {
		t.Errorf("failed: %q", failed)
	}
	done := map[string]int{} // by message: the client's second try is a second event
	kept := entries(t, s.dir, "work/.done/new")
	for _, name := range kept {
		done[subjectOf(t, filepath.Join(s.dir, "work/.done/new", name))]++
	}
	for n := 1; n <= messages; n++ {
		if done[fmt.Sprint("message ", n)] == 0 {
			t.Errorf("message %d was accepted and its job not done", n)
		}
	}
	ran := strings.Count(s.log(), `"text":"ran message`)
	t.Logf("%d messages, %d tries in vain; %d events; %d runs of jobs seen in the log; killed: %d workers, %d servers; %s",
		messages, tries.Load(), len(kept), ran, killer.workers.Load(), killer.servers.Load(), time.Since(began).Round(time.Millisecond))
	if killer.workers.Load() == 0 || killer.servers.Load() == 0 {
		t.Error("nothing was killed")
	}
}

func shortSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pmk") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// killer kills workers and the server, and starts that again.
type killer struct{ workers, servers atomic.Int64 }

func newKiller(t *testing.T, s *server, messages int) (k *killer, stop func()) {
	t.Helper()
	k = &killer{}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(50+rand.IntN(250)) * time.Millisecond):
			}
			if rand.IntN(4) == 0 {
				s.kill()
				k.servers.Add(1)
				s.start(false)
				continue
			}
			for _, pid := range childrenOf(s.cmd.Process.Pid) {
				if rand.IntN(2) == 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
					k.workers.Add(1)
				}
			}
		}
	})
	return k, func() {
		// Enough has been killed by now, however fast the messages went.
		for deadline := time.Now().Add(20 * time.Second); (k.servers.Load() == 0 || k.workers.Load() == 0) && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		running.Wait()
	}
}

// childrenOf are the processes that a process has started.
func childrenOf(pid int) (list []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(data)) {
			if n, err := strconv.Atoi(field); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}

// accepted sends one message, and tells whether the server has taken it.
func accepted(t *testing.T, listen string, n int64) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	network, address := dialAddr(listen)
	c, err := milterclient.Dial(ctx, network, address, milterclient.PostfixOptions(6))
	if err != nil {
		return false
	}
	defer c.Close()
	r, err := milterclient.Send(ctx, c, milterclient.Transaction{
		Peer: milterclient.Peer{Name: "client.example.org", Family: '4', Port: 25, Addr: "192.0.2.7"}, Helo: "client.example.org",
		Sender: "a@example.org", Recipients: []milterclient.Recipient{{Address: "b@example.net"}}, Macros: milterclient.Macros{},
		Message: fmt.Appendf(nil, "Subject: message %d\r\n\r\nhello\r\n", n),
	})
	return err == nil && r.Message != nil
}

func entries(t *testing.T, dir, folder string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func subjectOf(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if subject, ok := strings.CutPrefix(lines.Text(), "Subject: "); ok {
			return subject
		}
	}
	return ""
}
