// Package sendmailtest runs a private, real Sendmail for a test: its own
// configuration, made by m4 from the package's own macros, its own queue, a
// loopback port that was free, started as the test's child and stopped with it.
// What it delivers ends in the LMTP sink of postfixtest, byte for byte.
//
// Debian's sendmail cannot be installed beside Postfix: .ci/deps.sh unpacks it
// into a folder of its own, and nothing of it is ever the system's. It starts as
// root only. Without root, or without the folder, Start skips the test and says
// so; with PMILTER_REQUIRE_MTA=1 it fails it instead.
package sendmailtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// RootEnv is the environment variable that names another folder in which
// Debian's packages were unpacked.
const RootEnv = "PMILTER_SENDMAIL_ROOT"

// defaultRoot is where .ci/deps.sh unpacks them.
const defaultRoot = "/var/cache/pmilter-sendmail"

// startTimeout bounds how long Sendmail may take to listen, stopTimeout how long
// it may take to go away before it is killed.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
)

// Filter is one INPUT_MAIL_FILTER.
type Filter struct {
	Socket   string // S=, "inet:port@host" or "unix:{dir}/m.sock": {dir} is the instance's folder
	Flags    string // F=: "T" tempfails when the filter is gone, "R" rejects, "" does without
	Timeouts string // T=, "S:10s;R:10s"; Sendmail's own if empty
}

// Config says how an instance differs from the plain one.
type Config struct {
	Filters []Filter
	// Delivery is the DeliveryMode: "b" (background, if empty), "i" or "q"; "q"
	// goes through the queue file, which is run every second.
	Delivery string
	// Mailer are the flags (F=) of the mailer that leads to the sink; if empty,
	// it neither completes nor rewrites the header.
	Mailer string
	Macros string                 // m4 that is put before the mailers
	Config string                 // lines of sendmail.cf (LOCAL_CONFIG)
	Sink   postfixtest.SinkConfig // how the delivery side behaves
}

// Sendmail is a running instance. Its methods may be called from several
// goroutines at once; those with a t may only be called while t runs.
type Sendmail struct {
	// Dir is the instance's folder, in which a milter's unix socket can live.
	Dir string
	// Addr is where it speaks SMTP, "127.0.0.1:port".
	Addr string
	// Sink receives what is delivered.
	Sink *postfixtest.Sink

	root   string
	daemon *exec.Cmd
	exited chan struct{}
}

// Start runs a private Sendmail until the test and its subtests are done. It
// returns once the SMTP port can be connected to.
func Start(t testing.TB, config Config) *Sendmail {
	t.Helper()
	root := require(t)
	// Sendmail trusts no socket below a folder that all may write into, as /tmp.
	dir, err := os.MkdirTemp("/run", "smt") //nolint:usetesting // t.TempDir is below /tmp
	if err != nil {
		t.Fatalf("sendmailtest: %v", err)
	}
	t.Cleanup(func() { postfixtest.RemoveAll(t, dir) })
	s := &Sendmail{Dir: dir, Sink: postfixtest.StartSink(t, config.Sink), root: root}
	// A free port can be lost between its choice and its use.
	for attempt := 1; ; attempt++ {
		s.Addr = postfixtest.FreeAddr(t, "127.0.0.1")
		if err := s.start(config); err == nil {
			break
		} else if attempt == 3 {
			t.Fatalf("sendmailtest: start: %v", err)
		}
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("Sendmail's dialogues:\n%s", postfixtest.Tail(s.Log()))
		}
	})
	return s
}

// require finds the folder with Sendmail, or ends the test.
func require(t testing.TB) (root string) {
	t.Helper()
	root = os.Getenv(RootEnv)
	if root == "" {
		root = defaultRoot
	}
	var missing string
	if _, err := os.Stat(filepath.Join(root, binary)); err != nil {
		missing = "Sendmail is not in " + root + " (as root: .ci/deps.sh)"
	} else if _, err := exec.LookPath("m4"); err != nil {
		missing = "m4 is not installed (apt-get install m4)"
	} else if os.Geteuid() != 0 {
		missing = "Sendmail starts as root only, and this test does not run as root"
	}
	if missing == "" {
		return root
	}
	if os.Getenv(postfixtest.RequireEnv) == "1" {
		t.Fatalf("%s, and %s=1 asks for it", missing, postfixtest.RequireEnv)
	}
	t.Skip("left out: " + missing)
	return ""
}

// Dial connects to the instance and reads the greeting. The connection is
// closed with the test at the latest.
func (s *Sendmail) Dial(t testing.TB) *postfixtest.Client {
	t.Helper()
	return postfixtest.Dial(t, s.Addr)
}

// start writes the instance's files and runs its daemon.
func (s *Sendmail) start(config Config) error {
	if err := s.layOut(config); err != nil {
		return err
	}
	output, err := os.Create(s.file("daemon.out"))
	if err != nil {
		return err
	}
	defer output.Close()
	args := []string{"-bD", "-X", s.logFile()} // -bD: a daemon that stays in the foreground
	if config.Delivery == "q" {
		args = append(args, "-q1s")
	}
	s.daemon = s.Command(args...)
	s.daemon.Stdout, s.daemon.Stderr = output, output
	// Its own session, so that its children can be found.
	s.daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.daemon.Start(); err != nil {
		return fmt.Errorf("sendmail: %w", err)
	}
	s.exited = make(chan struct{})
	go func() {
		defer close(s.exited)
		_ = s.daemon.Wait() // how it ended shows in its output
	}()
	if err := s.awaitStart(); err != nil {
		s.stop()
		return err
	}
	return nil
}

// awaitStart returns when the daemon listens, which it does before it writes its
// pid (daemon.c, getrequests). It does not connect: a session would be handed to
// filters that may not be there yet.
func (s *Sendmail) awaitStart() error {
	deadline := time.Now().Add(startTimeout)
	own := strconv.Itoa(s.daemon.Process.Pid)
	for {
		pid, _ := os.ReadFile(s.file("pid")) // not there yet
		if first, _, complete := strings.Cut(string(pid), "\n"); complete && first == own {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not started after %v", startTimeout)
		}
		select {
		case <-s.exited:
			output, _ := os.ReadFile(s.file("daemon.out")) // best effort: it explains the error
			return fmt.Errorf("sendmail ended: %s", output)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop ends the daemon and all its children, and waits for it.
func (s *Sendmail) stop() {
	if s.daemon == nil || s.exited == nil {
		return
	}
	pid := s.daemon.Process.Pid
	_ = s.daemon.Process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
	}
	// What is left of the session that we made; none is the normal case.
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-s.exited
}
