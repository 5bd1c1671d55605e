package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pmilter/internal/event"
	"pmilter/script"
)

// Job is a queue with a job, as configured.
type Job struct {
	Queue   string
	Script  string // file
	Maildir string
	Timeout time.Duration
}

// jobTimeout is that of a job whose script is no configured queue's.
const jobTimeout = time.Minute

// Job implements script.Stand: it runs a job's script once, in a world of its own, on
// the test's clock and with its answers. No queue and no Maildir is touched.
func (s *stand) Job(ctx context.Context, o script.TestJob) (script.TestJobResult, error) {
	job, err := s.b.jobOf(o)
	if err != nil {
		return script.TestJobResult{}, err
	}
	vars, _ := s.canned["vars"].(*cannedVars)
	set, err := s.b.scripts(ctx, []string{job.Script}, vars.current(), true)
	if err != nil {
		return script.TestJobResult{}, err
	}
	e, attempt, err := s.event(o, job)
	if err != nil {
		return script.TestJobResult{}, err
	}
	s.clock.fix()
	var did deeds
	set = set.In(script.Surroundings{Clock: s.clock, Services: did.follow(s.services), Log: s.log})
	r := set.RunJob(&script.Job{
		Event: e, Attempt: attempt, Deadline: s.clock.Now().Add(job.Timeout), Raw: rawMail(o.Message, e),
		Path: filepath.Join(job.Maildir, "new", event.Name{Unique: e.ID, Attempts: attempt}.String()),
	})
	return did.result(r), nil
}

// jobOf is which script is meant, and the queue that it is the job of: the script that
// is named, or the queue's, or the one beside the test, webhook.js of webhook.test.js.
func (b *Bench) jobOf(o script.TestJob) (Job, error) {
	job := Job{Queue: o.Queue, Script: o.Script}
	if job.Script != "" {
		file, err := b.find(job.Script)
		if err != nil {
			return job, err
		}
		job.Script = file
	}
	if job.Script == "" && job.Queue == "" {
		job.Script = beside(o.File)
	}
	known := false
	for _, q := range b.o.Jobs {
		if job.Queue == q.Queue || job.Queue == "" && sameFile(job.Script, q.Script) {
			known = true
			if job.Script != "" {
				q.Script = job.Script
			}
			job = q
			break
		}
	}
	if job.Script == "" {
		job.Script = beside(o.File)
	}
	switch {
	case job.Script != "":
	case job.Queue != "":
		return job, fmt.Errorf("no queue %q with a job is configured, and there is no script beside this test: say which, { script: \"jobs/archive.js\" }", job.Queue)
	default:
		return job, errors.New("there is no script beside this test: say which, { script: \"jobs/archive.js\" }, or its queue, { queue: \"archive\" }")
	}
	if !known {
		if job.Queue == "" {
			name := filepath.Base(job.Script)
			job.Queue = strings.TrimSuffix(name, filepath.Ext(name))
		}
		job.Maildir, job.Timeout = filepath.Join("/var/spool/pmilter", job.Queue), jobTimeout
	}
	return job, nil
}

// beside is the script whose test a file is, "" if there is none.
func beside(test string) string {
	stem := testName.ReplaceAllString(test, "")
	for _, ending := range []string{".js", ".ts", ".mjs", ".mts"} {
		if file := stem + ending; stem != test {
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				return file
			}
		}
	}
	return ""
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two)
}

// event is the event that a test asks for, and which attempt at it this is.
func (s *stand) event(o script.TestJob, job Job) (*event.Event, int, error) {
	client, err := clientOf(o.Client)
	if err != nil {
		return nil, 0, err
	}
	now := s.clock.Now()
	e := &event.Event{
		ID: o.ID, Queue: job.Queue, Time: now, QueueID: s.queueID(), Client: client, Helo: defaultName,
		Sender: "sender@example.org", Recipients: []string{"rcpt@example.net"}, Verdict: "accept", Complete: true,
	}
	if e.ID == "" {
		e.ID = event.Unique(now, 1, s.number(), defaultHost)
	}
	if len(o.Data) > 0 && string(o.Data) != "null" {
		e.Data = o.Data
	}
	if o.Sender != nil {
		e.Sender = *o.Sender
	}
	if o.Recipients != nil {
		e.Recipients = *o.Recipients
	}
	if o.Complete != nil {
		e.Complete = *o.Complete
	}
	if o.Verdict != nil {
		switch e.Verdict = *o.Verdict; e.Verdict {
		case "", "accept", "reject", "tempfail", "discard", "abort":
		default:
			return nil, 0, fmt.Errorf("verdict %q: there are accept, reject, tempfail, discard and abort, and \"\" of mail that an MTA delivered", e.Verdict)
		}
	}
	attempt := 1
	if o.Attempt != nil {
		attempt = *o.Attempt
	}
	if attempt < 1 {
		return nil, 0, fmt.Errorf("attempt %d: the first is 1", attempt)
	}
	return e, attempt, nil
}

// number counts the test's messages.
func (s *stand) number() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.messages) //nolint:gosec // it counts up from 0
}

// clientOf is the client as an event has it.
func clientOf(c script.TestClient) (event.Client, error) {
	p, err := peerOf(c)
	if err != nil || p.Family == 'U' { // SMFIA_UNKNOWN
		return event.Client{}, err
	}
	client := event.Client{Name: p.Name}
	if c.Name != nil {
		client.Name = *c.Name // "", where an MTA says [192.0.2.7]
	}
	switch p.Family {
	case '4': // SMFIA_INET
		client.IP, client.Port, client.Family = p.Addr, int(p.Port), "inet"
	case '6': // SMFIA_INET6
		client.IP, client.Port, client.Family = p.Addr, int(p.Port), "inet6"
	default:
		client.Family = "unix"
	}
	return client, nil
}

// rawMail is a message with CRLF, a plain one for nil.
func rawMail(text []byte, e *event.Event) []byte {
	if text == nil {
		from := e.Sender
		if from == "" {
			from = "MAILER-DAEMON@" + defaultHost
		}
		text = []byte("From: " + from + "\nTo: " + strings.Join(e.Recipients, ", ") + "\nSubject: test\nDate: " +
			e.Time.UTC().Format(time.RFC1123Z) + "\nMessage-ID: <" + e.QueueID + "@example.org>\n\nhello\n")
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}
