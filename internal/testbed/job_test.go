package testbed

import (
	"strings"
	"testing"

	"pmilter/script"
)

// TestJobs: job() is tested by tests of its own kind; what the job was given is told
// by what it printed.
func TestJobs(t *testing.T) {
	c := &collector{}
	if sum := run(t, "testdata", c, "50-job.test.js"); !sum.Good() || sum.Skipped > 0 {
		t.Errorf("%+v", sum)
	}
	logs := map[string][]string{}
	for _, r := range c.tests() {
		name := strings.Join(r.Path, " > ")
		logs[name] = r.Log
		if r.Failure != nil {
			t.Errorf("%s: %s at %s", name, r.Failure.Message, r.Failure.Pos)
		}
	}
	for _, f := range c.files {
		if f.Err != nil {
			t.Error(f.Err)
		}
	}
	given := strings.Join(logs["what it is given"], "\n")
	for _, want := range []string{
		`"id":"1","queue":"mine","attempt":3,"data":{"x":"ä"},"sender":"","recipients":["b@example.net"]`,
		`"client":{"ip":"2001:db8::1","port":49152,"name":"","family":"inet6"},"verdict":"reject","complete":false`,
		`"path":"/var/spool/pmilter/mine/new/1,A=3","time":"2026-03-01T09:00:00.000Z","own":"test's"`,
		`["from a file","Subject: from a file\r\n\r\nhello\r\n"]`,
	} {
		if !strings.Contains(given, want) {
			t.Errorf("no %s in\n%s", want, given)
		}
	}
}

func TestWhichJob(t *testing.T) {
	dir := project(t, map[string]string{
		"jobs/hook.js": "", "jobs/hook.test.js": "", "jobs/other.test.js": "", "jobs/own.ts": "", "pipe.js": "",
	})
	b := NewBench(BenchOptions{Scripts: script.Options{Base: dir}, Jobs: []Job{
		{Queue: "webhook", Script: dir + "/jobs/hook.js", Maildir: "/m/webhook", Timeout: 7},
		{Queue: "pipe", Script: dir + "/pipe.js", Maildir: "/m/pipe", Timeout: 8},
	}})
	defer b.Close()
	for _, c := range []struct{ file, script, queue, want string }{
		{"hook.test.js", "", "", "webhook jobs/hook.js /m/webhook 7ns"},
		{"hook.test.js", "", "pipe", "pipe pipe.js /m/pipe 8ns"},
		{"hook.test.js", "", "else", "else jobs/hook.js /var/spool/pmilter/else 1m0s"},
		{"hook.test.js", "pipe.js", "", "pipe pipe.js /m/pipe 8ns"},
		{"hook.test.js", "pipe.js", "webhook", "webhook pipe.js /m/webhook 7ns"},
		{"own.test.ts", "", "", "own jobs/own.ts /var/spool/pmilter/own 1m0s"},
		{"other.test.js", "", "webhook", "webhook jobs/hook.js /m/webhook 7ns"},
		{"other.test.js", "", "else", `no queue "else" with a job is configured, and there is no script beside this test: say which, { script: "jobs/archive.js" }`},
		{"other.test.js", "", "", `there is no script beside this test: say which, { script: "jobs/archive.js" }, or its queue, { queue: "archive" }`},
	} {
		job, err := b.jobOf(script.TestJob{File: dir + "/jobs/" + c.file, Script: c.script, Queue: c.queue})
		got := strings.Join([]string{job.Queue, strings.TrimPrefix(job.Script, dir+"/"), job.Maildir, job.Timeout.String()}, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
