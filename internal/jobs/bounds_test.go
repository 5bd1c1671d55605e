package jobs_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/event"
	"pmilter/internal/jobs"
)

// TestRetryAtOnce: a job that asks to be tried again without delay is, and not when its
// number of attempts would have it.
func TestRetryAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {\n  if (job.attempt < 3) job.retry(0, 'now');\n}", func(s *jobs.Spec) {
		s.Retry.Backoff, s.Retry.MaxBackoff = time.Hour, time.Hour
	})
	p.start()
	p.deliver("x")
	p.said("job comes again", 2)
	if line := p.said("job done", 1)[0]; line["attempt"] != int64(3) {
		t.Errorf("%v", line)
	}
}

// TestRunningIsNotWaiting: an event that a worker has counts as such alone.
func TestRunningIsNotWaiting(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default async (job) => {\n  console.log('here');\n  await new Promise((r) => setTimeout(r, 600000));\n}", func(s *jobs.Spec) {
		s.Timeout, s.Retry.Attempts = time.Hour, 1
	})
	q := p.start()
	p.deliver("x")
	pid, _ := p.said("console", 1)[0]["pid"].(int64)
	if s := q.Status(); s.Running != 1 || s.Waiting != 0 || s.Delayed != 0 || !s.Oldest.IsZero() {
		t.Errorf("%+v", s)
	}
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.said("job failed", 1)
}

// TestADamagedEventFails: at once, with its reason: another attempt reads it no better.
func TestADamagedEventFails(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "export default (job) => {}")
	q := p.start()
	tmp := filepath.Join(p.spec.Maildir, "tmp", "cut")
	if err := os.WriteFile(tmp, []byte("X-Pmilter-Event: yes\nReturn-Path: <>\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(p.spec.Maildir, "new", event.Unique(time.Now(), 1, 1, "mx"))); err != nil {
		t.Fatal(err)
	}
	if line := p.said("job failed", 1)[0]; line["attempt"] != int64(1) {
		t.Errorf("%v", line)
	}
	if f := p.files(".failed/new"); len(f) != 1 || !strings.HasSuffix(f[0], ",A=1") {
		t.Errorf("failed: %q", f)
	}
	if s := q.Status(); s.Gone != 1 || s.Retried != 0 {
		t.Errorf("%+v", s)
	}
}
