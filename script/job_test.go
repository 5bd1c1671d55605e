package script

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/event"
)

// jobSet loads a job's script in two steps, as a server and its worker do.
func jobSet(t *testing.T, log *zap.Logger, source string) *Set {
	t.Helper()
	o := Options{
		Base: project(t, map[string]string{"job.js": source}), Scripts: []string{"job.js"}, Jobs: true, Log: log,
		Limits: Limits{Timeout: 10 * time.Second, CPU: 10 * time.Second, Memory: 1 << 30, MaxValue: 1 << 20},
		Vars:   map[string]any{"token": "s3cret"},
	}
	var code []byte
	o.Try = func(_ context.Context, data []byte) error { code = data; return nil }
	l := NewLibrary(o)
	defer l.Close()
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if given, err := l.Current().Code(); err != nil || string(given) != string(code) {
		t.Errorf("the code of the set is another: %v", err)
	}
	set, free, err := LoadCode(code, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(free)
	return set
}

func aJob(raw string) *Job {
	return &Job{
		Event: &event.Event{
			ID: "17.M1P2Q3.pmilter.mx", Queue: "archive", Sender: "a@example.org", Recipients: []string{"b@example.net", "c@example.net"},
			Client: event.Client{IP: "192.0.2.7", Port: 25, Name: "mx.example.org", Family: "inet"}, Verdict: "accept", Complete: true,
			Time: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC),
			Data: []byte(`{"list":[1,"two",null],"deep":{"on":true}}`),
		},
		Attempt: 2, Path: "/q/new/17,A=2", Raw: []byte(raw), Deadline: time.Now().Add(10 * time.Second),
	}
}

const jobMail = "Subject: hello\r\nX-Folded: one\r\n  two\r\nNoSpace:here\r\n\r\nbody\r\n.dot\r\n"

// run runs a job's body and gives what it left in job.fail's reason, or the result.
func runJob(t *testing.T, body string) *JobResult {
	t.Helper()
	set := jobSet(t, zap.NewNop(), "import vars from 'pmilter/vars'; import {note} from 'pmilter';\nlet n = 0;\nexport default async function (job) {\n"+body+"\n}\n")
	return set.RunJob(aJob(jobMail))
}

func TestWhatAJobSees(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"job.id":                              "17.M1P2Q3.pmilter.mx",
		"job.queue":                           "archive",
		"job.attempt":                         "2",
		"job.data":                            `{"deep":{"on":true},"list":[1,"two",null]}`,
		"(job.data.mine = 1, job.data.mine)":  "1",
		"job.sender":                          "a@example.org",
		"job.recipients":                      `["b@example.net","c@example.net"]`,
		"job.client":                          `{"ip":"192.0.2.7","port":25,"name":"mx.example.org","family":"inet"}`,
		"job.verdict":                         "accept",
		"job.complete":                        "true",
		"job.path":                            "/q/new/17,A=2",
		"job.message.sender.domain":           "example.org",
		"job.message.recipients.length":       "2",
		"job.message.subject":                 "hello",
		"job.message.headers.get('x-folded')": "one  two",
		"job.message.headers.raw('NoSpace')":  "here",
		"new TextDecoder().decode(job.message.raw())": jobMail,
		"new TextDecoder().decode(job.message.body)":  "body\r\n.dot\r\n",
		"job.message.text":                            "body\n.dot\n",
		"vars.token":                                  "s3cret",
		"Object.keys(job).join(' ')":                  "id queue attempt data message sender recipients client verdict complete path time",
		"job.time.toISOString()":                      "2026-11-26T12:00:00.000Z",
		"job.time instanceof Date":                    "true",
	} {
		r := runJob(t, "const v = "+expression+"; job.fail(typeof v === 'object' ? JSON.stringify(v) : String(v));")
		if r.Ending != JobFailed || r.Reason != want {
			t.Errorf("%s is %q (%v), not %q", expression, r.Reason, r.Ending, want)
		}
	}
}

func TestHowAJobEnds(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]JobResult{
		"":                  {},
		"return job.sender": {},
		"await new Promise(r => setTimeout(r, 20))": {},
		"job.fail('no')":                                     {Ending: JobFailed, Reason: "no"},
		"try { job.fail('no') } catch (e) {}":                {Ending: JobFailed, Reason: "no"},
		"try { job.fail('no') } finally { job.retry('1h') }": {Ending: JobFailed, Reason: "no"},
		"job.retry('10m')":                                   {Ending: JobRetry, After: 10 * time.Minute, Reason: "job.retry"},
		"job.retry('1d2h', 'busy')":                          {Ending: JobRetry, After: 26 * time.Hour, Reason: "busy"},
		"job.retry(1500)":                                    {Ending: JobRetry, After: 1500 * time.Millisecond, Reason: "job.retry"},
		"job.retry()":                                        {Ending: JobRetry, After: -1, Reason: "job.retry"},
		"job.retry('soon')":                                  {Ending: JobThrew, After: -1, Reason: `job.js:4:5: TypeError: job.retry: "soon" is no time to wait: write "90s", "10m", "1d" or milliseconds`},
		"throw new Error('x')":                               {Ending: JobThrew, After: -1, Reason: "job.js:4:7: Error: x"},
		"await null; nothing()":                              {Ending: JobThrew, After: -1, Reason: "job.js:4:13: ReferenceError: nothing is not defined"},
		"await new Promise(() => {})":                        {Ending: JobThrew, After: -1, Reason: "job.js: waits for a promise that nothing can settle"},
		"job.message.headers.set('Subject', 'x')":            {Ending: JobThrew, After: -1, Reason: "job.js:4:21: TypeError: a job's message has been delivered already: it cannot be edited"},
		"job.message.parts[0].remove()":                      {Ending: JobThrew, After: -1, Reason: "job.js:4:22: TypeError: a job's message has been delivered already: it cannot be edited"},
		"job.id = 3":                                         {Ending: JobThrew, After: -1, Reason: "job.js:4:5: TypeError: job.id is read-only"},
	} {
		r := runJob(t, body)
		if r.Ending != want.Ending || r.After != want.After || r.Reason != want.Reason || r.Spent {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

func TestAJobThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for body, spent := range map[string]bool{
		"for (;;) {}": true,
		"await new Promise(r => setTimeout(r, 60000))":      false,
		"for (;;) await new Promise(r => setTimeout(r, 1))": false,
	} {
		set := jobSet(t, zap.NewNop(), "export default async function (job) {\n"+body+"\n}")
		j := aJob(jobMail)
		j.Deadline = time.Now().Add(200 * time.Millisecond)
		r := set.RunJob(j)
		if r.Ending != JobThrew || r.Spent != spent || r.Fault == nil {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

func TestNothingStaysOfAJob(t *testing.T) {
	t.Parallel()
	set := jobSet(t, zap.NewNop(), `let n = 0;
export default function (job) { n++; globalThis.kept = (globalThis.kept || 0) + 1; Array.prototype.mine = 1; job.fail(n + " " + kept); }`)
	for range 3 {
		if r := set.RunJob(aJob(jobMail)); r.Reason != "1 1" {
			t.Errorf("%q", r.Reason)
		}
	}
}

func TestNotesAndConsoleOfAJob(t *testing.T) {
	t.Parallel()
	core, lines := observer.New(zap.DebugLevel)
	set := jobSet(t, zap.New(core), "import { note } from 'pmilter';\nexport default async (job) => {\n  console.log('hi', job.attempt);\n  note('sent', { to: 1 });\n}")
	r := set.RunJob(aJob(jobMail))
	if len(r.Notes) != 1 || r.Notes[0].Reason != "sent" || r.Notes[0].Script != "job.js" {
		t.Errorf("notes %+v", r.Notes)
	}
	said := lines.FilterMessage("console").All()
	if len(said) != 1 {
		t.Fatalf("%d lines", len(said))
	}
	if m := said[0].ContextMap(); m["text"] != "hi 2" || m["at"] != "job.js:3:11" || m["event"] != "17.M1P2Q3.pmilter.mx" || m["script"] != "job.js" {
		t.Errorf("%v", m)
	}
}

func TestFaultsOfJobScripts(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"export function eom() {}":         "job.js: has no job: write export default async function (job) { ... }",
		"export default 3":                 "job.js: exports a default that is no function: write export default async function (job) { ... }",
		"export default function (job) { ": "job.js:1:33: Unexpected end of file",
		"null.x; export default () => {}":  "job.js:1:6: top-level code: TypeError: Cannot read property 'x' of undefined",
	} {
		o := Options{
			Base: project(t, map[string]string{"job.js": source}), Scripts: []string{"job.js"}, Jobs: true,
			Limits: Limits{Timeout: time.Second, CPU: time.Second, Memory: 1 << 30, MaxValue: 1 << 20}, Log: zap.NewNop(),
		}
		for _, elsewhere := range []bool{false, true} {
			if elsewhere {
				o.Try = func(_ context.Context, code []byte) error {
					_, _, err := LoadCode(code, o)
					return err
				}
			}
			l := NewLibrary(o)
			err := l.Load(t.Context())
			l.Close()
			var faults Faults
			if !errors.As(err, &faults) || !strings.HasPrefix(faults[0].String(), want) && !strings.HasPrefix(faults[len(faults)-1].String(), want) {
				t.Errorf("%s: %v", source, err)
			}
		}
	}
}

func TestCodeThatIsNone(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "{}", `{"code":"}"}`, `{"code":"","mapping":{"version":3,"sources":[],"mappings":""}}`} {
		if _, _, err := LoadCode([]byte(data), Options{Limits: Limits{Timeout: time.Second, CPU: time.Second}, Log: zap.NewNop()}); err == nil && data != "" && filepath.Base(data) == "" {
			t.Errorf("%q was loaded", data)
		}
	}
}

func BenchmarkRunJob(b *testing.B) {
	base := project(b, map[string]string{"job.js": "export default async function (job) { return job.message.subject; }"})
	o := Options{
		Base: base, Scripts: []string{"job.js"}, Jobs: true, Log: zap.NewNop(),
		Limits: Limits{Timeout: 10 * time.Second, CPU: 10 * time.Second, Memory: 1 << 30, MaxValue: 1 << 20},
	}
	l := NewLibrary(o)
	defer l.Close()
	if err := l.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := l.Current().RunJob(aJob(jobMail)); r.Ending != JobDone {
			b.Fatal(r.Reason)
		}
	}
}
