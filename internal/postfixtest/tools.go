package postfixtest

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Log is the mail log so far.
func (p *Postfix) Log() string {
	log, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Tail is the end of a log: as much of it as a person wants to read.
func Tail(log string) string {
	const enough = 8 << 10
	if len(log) <= enough {
		return log
	}
	_, rest, _ := strings.Cut(log[len(log)-enough:], "\n")
	return "...\n" + rest
}

// WaitLog returns when the mail log holds text, and fails the test when it
// does not within a reasonable time.
func (p *Postfix) WaitLog(t testing.TB, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if strings.Contains(p.Log(), text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in the mail log: %q", text)
		}
	}
}

// Command is one of Postfix's commands (postqueue, postcat, postsuper,
// sendmail, smtp-source ...) set up to work on this instance, not started.
func (p *Postfix) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.programs.commands, name), args...)
	cmd.Dir = p.Dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG=" + p.configDir(), "LC_ALL=C"}
	return cmd
}

// run runs a command to its end and fails the test when it fails.
func (p *Postfix) run(t testing.TB, stdin io.Reader, name string, args ...string) string {
	t.Helper()
	cmd := p.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// Queued is one message of the queue, as postqueue -j shows it.
type Queued struct {
	Name       string `json:"queue_name"` // hold, active, deferred, incoming, maildrop
	ID         string `json:"queue_id"`
	Sender     string `json:"sender"`
	Recipients []struct {
		Address     string `json:"address"`
		DelayReason string `json:"delay_reason"`
	} `json:"recipients"`
}

// Queue lists what is queued. A name ("hold") limits it to that queue.
func (p *Postfix) Queue(t testing.TB, name string) []Queued {
	t.Helper()
	var list []Queued
	dec := json.NewDecoder(strings.NewReader(p.run(t, nil, "postqueue", "-j")))
	for dec.More() {
		var q Queued
		if err := dec.Decode(&q); err != nil {
			t.Fatalf("postqueue -j: %v", err)
		}
		if name == "" || q.Name == name {
			list = append(list, q)
		}
	}
	return list
}

// Postcat shows a queued message, envelope records included.
func (p *Postfix) Postcat(t testing.TB, queueID string) string {
	t.Helper()
	return p.run(t, nil, "postcat", "-q", queueID)
}

// Postsuper works on the queue: "-H", id releases a held message, "-d", id
// deletes one.
func (p *Postfix) Postsuper(t testing.TB, args ...string) {
	t.Helper()
	p.run(t, nil, "postsuper", args...)
}

// Flush has Postfix try all deferred mail again.
func (p *Postfix) Flush(t testing.TB) {
	t.Helper()
	p.run(t, nil, "postqueue", "-f")
}

// Sendmail runs Postfix's sendmail: the mail goes through maildrop, pickup and
// cleanup, and so through non_smtpd_milters.
func (p *Postfix) Sendmail(t testing.TB, message string, args ...string) {
	t.Helper()
	p.run(t, strings.NewReader(message), "sendmail", args...)
}

// SMTPSource runs smtp-source against the instance and returns what it
// printed; an error is a reply that it did not expect.
func (p *Postfix) SMTPSource(args ...string) (string, error) {
	out, err := p.Command("smtp-source", append(args, p.Addr)...).CombinedOutput()
	return string(out), err
}

// Set changes one parameter in the running instance's main.cf; Reload makes
// it known to running processes. Processes that start later see it anyway.
func (p *Postfix) Set(t testing.TB, name, value string) {
	t.Helper()
	p.run(t, nil, "postconf", "-e", name+"="+value)
	if err := p.ageMainCF(); err != nil {
		t.Fatalf("postfixtest: %v", err)
	}
}
