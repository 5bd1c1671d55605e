package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pmilter/internal/config"
)

func TestQueues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "pmilter.toml")
	text := `
[queue.archive]
maildir      = "spool/archive"
job          = "jobs/archive.js"
workers      = { min = 1, max = 2 }
max_requests = 7
idle_timeout = "1s"
timeout      = "2s"
memory       = "64MiB"
retry        = { attempts = 3, backoff = "4s", max_backoff = "5s" }
keep         = true
[queue.z-1_]
maildir = "/var/${NAME}"
[queue.some]
maildir = "some"
job     = "/jobs/some.js"
retry   = { backoff = "1m" }
workers.max = 9
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, func(string) (string, bool) { return "spool", true })
	if err != nil {
		t.Fatal(err)
	}
	rest := config.Queue{
		Workers: config.Workers{Min: 0, Max: 4}, MaxRequests: 1000, IdleTimeout: time.Minute, Timeout: time.Minute,
		Memory: 512 << 20, Retry: config.Retry{Attempts: 10, Backoff: 10 * time.Second, MaxBackoff: time.Hour},
	}
	z, some := rest, rest
	z.Name, z.Maildir = "z-1_", "/var/spool"
	some.Name, some.Maildir, some.Job = "some", filepath.Join(dir, "some"), "/jobs/some.js"
	some.Retry.Backoff, some.Workers.Max = time.Minute, 9
	want := []config.Queue{{
		Name: "archive", Maildir: filepath.Join(dir, "spool/archive"), Keep: true, Job: filepath.Join(dir, "jobs/archive.js"),
		Workers: config.Workers{Min: 1, Max: 2}, MaxRequests: 7, IdleTimeout: time.Second, Timeout: 2 * time.Second, Memory: 64 << 20,
		Retry: config.Retry{Attempts: 3, Backoff: 4 * time.Second, MaxBackoff: 5 * time.Second},
	}, z, some}
	if !reflect.DeepEqual(c.Queues, want) || len(c.Warnings) > 0 {
		t.Errorf("%+v\nwant\n%+v\nwarnings %v", c.Queues, want, c.Warnings)
	}
}
