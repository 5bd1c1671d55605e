package sendmailtest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pmilter/internal/postfixtest"
)

// Log is what the instance and its clients and servers said to each other, as
// option -X keeps it. Sendmail's own log goes to syslog, which is not private.
func (s *Sendmail) Log() string {
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// elsewhere runs what follows it on a host of another name, for itself alone.
// Sendmail looks up the host's name before it reads its configuration, and
// waits for a minute if that is not a full one (daemon.c, myhostname).
const elsewhere = `hostname mx.example.org && mount --bind "$1" /etc/hosts && shift && exec "$@"`

// Command is Sendmail with these arguments, set up to work on this instance, not
// started.
func (s *Sendmail) Command(args ...string) *exec.Cmd {
	wrapped := []string{"--uts", "--mount", "sh", "-c", elsewhere, "sh", s.file("hosts")}
	wrapped = append(wrapped, filepath.Join(s.root, binary), "-C", s.cfFile())
	cmd := exec.Command("unshare", append(wrapped, args...)...)
	cmd.Dir = s.Dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root"}
	return cmd
}

// DialStdin runs sendmail -bs, which speaks SMTP on its standard input, here a
// unix socket, until the test is over.
func (s *Sendmail) DialStdin(t testing.TB) *postfixtest.Client {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("sendmailtest: %v", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close() // conn has a copy
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatalf("sendmailtest: %v", err)
	}
	cmd := s.Command("-bs")
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if err := cmd.Start(); err != nil {
		t.Fatalf("sendmail -bs: %v", err)
	}
	t.Cleanup(func() {
		conn.Close()
		_ = cmd.Wait() // a client that hung up is its error
	})
	return postfixtest.NewClient(t, conn)
}

// Submit runs sendmail with the instance's configuration and the message on its
// standard input: mail that did not come by SMTP. It returns what was printed.
func (s *Sendmail) Submit(message string, args ...string) (string, error) {
	cmd := s.Command(args...)
	cmd.Stdin = strings.NewReader(message)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Queued is one message of the queue.
type Queued struct {
	ID         string
	Quarantine string // why it is quarantined, "" if it is not
	Control    string // the text of its control file (qf, or hf for a quarantined one)
}

// Queue lists what is queued. A message that is just being delivered counts.
func (s *Sendmail) Queue(t testing.TB) []Queued {
	t.Helper()
	entries, err := os.ReadDir(s.file("queue"))
	if err != nil {
		t.Fatalf("sendmailtest: %v", err)
	}
	var list []Queued
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, "qf") && !strings.HasPrefix(name, "hf") {
			continue
		}
		control, err := os.ReadFile(filepath.Join(s.file("queue"), name))
		if err != nil {
			continue // delivered meanwhile
		}
		q := Queued{ID: name[2:], Control: string(control)}
		for line := range bytes.Lines(control) {
			if reason, ok := bytes.CutPrefix(line, []byte("q")); ok {
				q.Quarantine = strings.TrimSuffix(string(reason), "\n")
			}
		}
		list = append(list, q)
	}
	return list
}

// Delete removes a message from the queue.
func (s *Sendmail) Delete(t testing.TB, id string) {
	t.Helper()
	files, err := filepath.Glob(s.file("queue/?f" + id))
	if err != nil {
		t.Fatalf("sendmailtest: %v", err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Errorf("sendmailtest: %v", err)
		}
	}
}
