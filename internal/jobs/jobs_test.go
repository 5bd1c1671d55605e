package jobs_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/jobs"
	"pmilter/internal/queue"
	"pmilter/script"
)

// TestMain makes of this test binary a worker when it is called so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "be-worker" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := jobs.Work(ctx, func(context.Context, []byte, *zap.Logger) (script.Services, error) { return script.Services{}, nil }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// place is a folder with a queue and a job's script, and what runs them.
type place struct {
	t     *testing.T
	dir   string
	spec  jobs.Spec
	lines *observer.ObservedLogs
	log   *zap.Logger
	queue *jobs.Queue
	count int
	mu    sync.Mutex
}

func newPlace(t *testing.T, source string, change ...func(*jobs.Spec)) *place {
	t.Helper()
	core, lines := observer.New(zap.DebugLevel)
	p := &place{t: t, dir: t.TempDir(), lines: lines, log: zap.New(core)}
	p.spec = jobs.Spec{
		Name: "q", Maildir: filepath.Join(p.dir, "q"), Job: filepath.Join(p.dir, "job.js"), Base: p.dir,
		Retry:    queue.Retry{Attempts: 3, Backoff: 10 * time.Millisecond, MaxBackoff: time.Second},
		MaxValue: 1 << 20, Max: 2, IdleTimeout: time.Minute, Timeout: 30 * time.Second, Memory: 512 << 20,
		Vars: map[string]any{"dir": p.dir},
	}
	for _, c := range change {
		c(&p.spec)
	}
	p.write("job.js", source)
	return p
}

func (p *place) write(name, text string) {
	p.t.Helper()
	tmp := filepath.Join(p.dir, name+".tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

// start opens the queue and runs its jobs until the test's end.
func (p *place) start() *jobs.Queue {
	p.t.Helper()
	if err := queue.New(queue.Options{Name: "q", Path: p.spec.Maildir}).Create(); err != nil {
		p.t.Fatal(err)
	}
	q, err := jobs.Open(p.t.Context(), p.spec, jobs.Options{Command: []string{"be-worker"}, Log: p.log})
	if err != nil {
		p.t.Fatal(err)
	}
	q.Start(p.t.Context())
	p.t.Cleanup(func() {
		if err := q.Stop(context.Background()); err != nil {
			p.t.Errorf("stop: %v", err)
		}
	})
	p.queue = q
	return q
}

// deliver puts a mail into the queue's Maildir as an MTA does, and gives its file's name.
func (p *place) deliver(subject string) string {
	p.t.Helper()
	p.mu.Lock()
	p.count++
	name := fmt.Sprintf("%d.M%06dP1.mx", time.Now().Unix(), p.count)
	p.mu.Unlock()
	tmp := filepath.Join(p.spec.Maildir, "tmp", name)
	mail := "Return-Path: <a@example.org>\nDelivered-To: b@example.net\nSubject: " + subject + "\n\nhello\n"
	if err := os.WriteFile(tmp, []byte(mail), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(p.spec.Maildir, "new", name)); err != nil {
		p.t.Fatal(err)
	}
	return name
}

// files are the names in a folder of the queue.
func (p *place) files(folder string) []string {
	p.t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.spec.Maildir, folder))
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// said waits for lines of the log with a message, and gives them.
func (p *place) said(message string, n int) []map[string]any {
	p.t.Helper()
	var found []map[string]any
	p.until(fmt.Sprintf("%d lines %q", n, message), func() bool {
		found = nil
		for _, e := range p.lines.FilterMessage(message).All() {
			found = append(found, e.ContextMap())
		}
		return len(found) >= n
	})
	return found
}

func (p *place) until(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			var log strings.Builder
			for _, e := range p.lines.All() {
				fmt.Fprintln(&log, e.Level, e.Message, e.ContextMap())
			}
			p.t.Fatalf("waited in vain for %s; the log:\n%s", what, log.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestAJobIsDone(t *testing.T) {
	t.Parallel()
	p := newPlace(t, `
let times = 0; // of this job
export default async function (job) {
  await new Promise((r) => setTimeout(r, 5));
  console.log("%s from %s to %s, try %d, %d", job.message.subject, job.sender, job.recipients.join(), job.attempt, ++times);
}`)
	p.start()
	first, second := p.deliver("one"), p.deliver("two")
	for i, line := range p.said("job done", 2) {
		if line["queue"] != "q" || line["attempt"] != int64(1) || line["event"] != first && line["event"] != second {
			t.Errorf("line %d: %v", i, line)
		}
	}
	texts := map[any]bool{}
	for _, line := range p.said("console", 2) {
		texts[line["text"]] = true
		if line["at"] != "job.js:5:11" || line["event"] == nil || line["script"] != "job.js" || line["pid"] == int64(os.Getpid()) {
			t.Errorf("%v", line)
		}
	}
	if !texts["one from a@example.org to b@example.net, try 1, 1"] || !texts["two from a@example.org to b@example.net, try 1, 1"] {
		t.Errorf("%v", texts)
	}
	if left := append(p.files("new"), p.files("cur")...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestANameThatIsNoText: a file's name is bytes.
func TestANameThatIsNoText(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {}")
	p.start()
	name := p.deliver("x")
	p.said("job done", 1)
	odd := filepath.Join(p.spec.Maildir, "new", "1.\xff"+name)
	if err := os.WriteFile(odd, []byte("Subject: x\n\nhello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.said("job done", 2)
	if left := p.files("new"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestWhatWaitedBeforeTheStart(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {}", func(s *jobs.Spec) { s.Keep = true })
	if err := queue.New(queue.Options{Name: "q", Path: p.spec.Maildir}).Create(); err != nil {
		t.Fatal(err)
	}
	name := p.deliver("x")
	p.start()
	p.said("job done", 1)
	if kept := p.files(".done/new"); len(kept) != 1 || !strings.HasPrefix(kept[0], name) {
		t.Errorf("kept %q", kept)
	}
}

func TestAThrowingJobComesAgainAndFails(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {\n  throw new Error('try ' + job.attempt);\n}")
	p.start()
	name := p.deliver("x")
	for i, line := range p.said("job comes again", 2) {
		if line["event"] != name || line["attempt"] != int64(i+1) || line["reason"] != fmt.Sprint("Error: try ", i+1) || line["at"] != "job.js:2:9" {
			t.Errorf("%v", line)
		}
	}
	p.said("job failed", 1)
	failed := p.files(".failed/new")
	if len(failed) != 1 || failed[0] != name+",A=3" {
		t.Fatalf("failed: %q", failed)
	}
	data, err := os.ReadFile(filepath.Join(p.spec.Maildir, ".failed/new", failed[0]))
	if err != nil || !strings.Contains(string(data), "X-Pmilter-Failed: attempt 3 of 3: job.js:2:9: Error: try 3\n") {
		t.Errorf("%v %s", err, data)
	}
}

func TestFailAndRetry(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {\n  if (job.message.subject === 'no') job.fail('I will not');\n  job.retry('1h', 'later');\n}")
	p.start()
	no, later := p.deliver("no"), p.deliver("later")
	p.said("job failed", 1)
	p.said("job comes again", 1)
	if f := p.files(".failed/new"); len(f) != 1 || f[0] != no+",A=1" {
		t.Errorf("failed: %q", f)
	}
	waits := p.files("new")
	if len(waits) != 1 || !strings.HasPrefix(waits[0], later+",A=1,N=") {
		t.Errorf("waits: %q", waits)
	}
	s := p.queue.Status()
	if s.Delayed != 1 || s.Failed != 1 || s.Waiting != 0 || s.Running != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestAWorkerThatIsKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default async (job) => {\n  console.log('here');\n  await new Promise((r) => setTimeout(r, 600000));\n}", func(s *jobs.Spec) {
		s.Timeout, s.Retry.Attempts = time.Hour, 2
	})
	p.start()
	name := p.deliver("x")
	for i := range 2 {
		pid, _ := p.said("console", i+1)[i]["pid"].(int64)
		if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	line := p.said("job failed", 1)[0]
	if line["event"] != name || line["reason"] != "the job's worker died: signal: killed" || line["attempt"] != int64(2) {
		t.Errorf("%v", line)
	}
	data, err := os.ReadFile(filepath.Join(p.spec.Maildir, ".failed/new", name+",A=2"))
	if err != nil || !strings.Contains(string(data), "X-Pmilter-Failed: attempt 2 of 2: the job's worker died: signal: killed\n") {
		t.Errorf("%v %s", err, data)
	}
}

func TestTheLastAttemptOfADeadServer(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {}")
	if err := queue.New(queue.Options{Name: "q", Path: p.spec.Maildir}).Create(); err != nil {
		t.Fatal(err)
	}
	name := p.deliver("x")
	if err := os.Rename(filepath.Join(p.spec.Maildir, "new", name), filepath.Join(p.spec.Maildir, "new", name+",A=3")); err != nil {
		t.Fatal(err)
	}
	p.start()
	if line := p.said("job failed", 1)[0]; line["reason"] != "the last attempt did not end: its worker died, or its server did" {
		t.Errorf("%v", line)
	}
}

func TestAJobWhoseTimeIsUp(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {\n  for (;;) {}\n}", func(s *jobs.Spec) { s.Timeout, s.Retry.Attempts = 300*time.Millisecond, 1 })
	p.start()
	p.deliver("x")
	line := p.said("job failed", 1)[0]
	if at, _ := line["at"].(string); line["reason"] != "ran too long without an end or an await" || !strings.HasPrefix(at, "job.js:") {
		t.Errorf("%v", line)
	}
	p.until("the end of the worker", func() bool { return len(p.queue.Status().Pool.Workers) == 0 })
}

func TestAJobThatHangsInABuiltIn(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {\n  const a = []; a.length = 2 ** 32 - 1; a.reverse();\n  for (;;) 'x'.repeat(2 ** 19).split('').sort((a, b) => 0).join('');\n}", func(s *jobs.Spec) {
		s.Timeout, s.Retry.Attempts = 300*time.Millisecond, 1
	})
	p.start()
	p.deliver("x")
	p.said("job failed", 1)
}

func TestMemoryOfAJob(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {\n  const all = [], text = 'x'.repeat(2 ** 18); for (;;) all.push(text + all.length);\n}", func(s *jobs.Spec) {
		s.Memory, s.Retry.Attempts = 64<<20, 1
	})
	p.start()
	p.deliver("x")
	line := p.said("job failed", 1)[0]
	if reason, _ := line["reason"].(string); !strings.Contains(reason, "memory is over its limit") {
		t.Errorf("%v", line)
	}
	p.deliver("y")
	p.said("job failed", 2)
}

func TestAScriptIsEdited(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => console.log('old')", func(s *jobs.Spec) { s.Min = 2 })
	p.start()
	p.deliver("x")
	p.said("job done", 1)
	p.write("job.js", "export default (job) => console.log('new'")
	p.said("scripts not reloaded: those in use stay", 1)
	p.deliver("x")
	p.said("job done", 2)
	p.write("job.js", "null.x; export default (job) => console.log('new')")
	if line := p.said("scripts not reloaded: those in use stay", 2)[1]; line["file"] != "job.js" || line["line"] != int64(1) {
		t.Errorf("%v", line)
	}
	p.write("job.js", "export default (job) => console.log('new')")
	p.until("the new script", func() bool {
		n := len(p.said("console", 1))
		p.deliver("x")
		said := p.said("console", n+1)
		return said[n]["text"] == "new"
	})
	for _, line := range p.said("console", 2)[:2] {
		if line["text"] != "old" {
			t.Errorf("%v", line)
		}
	}
}

func TestStopLetsAJobFinish(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default async (job) => {\n  console.log('here');\n  await new Promise((r) => setTimeout(r, 300));\n}", func(s *jobs.Spec) { s.Max = 1 })
	q := p.start()
	p.deliver("x")
	p.said("console", 1)
	other := p.deliver("y")
	if err := q.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	p.said("job done", 1)
	if left := p.files("new"); len(left) != 1 || left[0] != other {
		t.Errorf("left: %q", left)
	}
}

func TestAScriptThatDoesNotLoad(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "import { reject } from 'pmilter/nothing';\nexport default () => {}")
	_, err := jobs.Open(t.Context(), p.spec, jobs.Options{Command: []string{"be-worker"}, Log: p.log})
	if err == nil || !strings.Contains(err.Error(), "job.js:1:24: no such module: pmilter/nothing") {
		t.Errorf("%v", err)
	}
	p.write("job.js", "for (;;) {}")
	p.spec.Timeout = 300 * time.Millisecond
	err = jobs.Check(t.Context(), p.spec, jobs.Options{Command: []string{"be-worker"}, Log: p.log})
	if err == nil || !strings.Contains(err.Error(), "top-level code: ran too long") {
		t.Errorf("%v", err)
	}
}

func TestTwoServersOnOneMaildir(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default async (job) => {\n  console.log(job.id);\n  await new Promise((r) => setTimeout(r, 5));\n}")
	p.start()
	p.start()
	const n = 60
	for range n {
		p.deliver("x")
	}
	p.until("all done", func() bool { return len(p.files("new"))+len(p.files("cur")) == 0 })
	times := map[any]int{}
	for _, line := range p.said("console", n) {
		times[line["text"]]++
	}
	for id, k := range times {
		if k != 1 {
			t.Errorf("%v ran %d times", id, k)
		}
	}
	if len(times) != n {
		t.Errorf("%d ran", len(times))
	}
}
