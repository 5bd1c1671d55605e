// Package postfixtest runs a private, real Postfix for a test: its own
// configuration, queue and data folders, loopback ports that were free, started
// as the test's child and stopped with it. What it delivers ends in a small
// LMTP sink inside the test, byte for byte.
//
// It never touches the system's own Postfix, and any number of instances run
// side by side. Postfix starts as root only: without root, or without the
// package, Start skips the test and says so; with PMILTER_REQUIRE_MTA=1 it
// fails it instead.
package postfixtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// RequireEnv is the environment variable that, set to 1, turns a missing MTA
// from a skipped test into a failed one.
const RequireEnv = "PMILTER_REQUIRE_MTA"

// startTimeout bounds how long Postfix may take to listen, stopTimeout how long
// it may take to go away before it is killed.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
)

// Config says how an instance differs from the plain one.
type Config struct {
	Milters         []string          // smtpd_milters, in Postfix's notation: "unix:/path", "inet:host:port"
	NonSMTPDMilters []string          // non_smtpd_milters
	MainCF          map[string]string // further parameters; they win over ours
	Sink            SinkConfig        // how the delivery side behaves
}

// Postfix is a running instance. Its methods may be called from several
// goroutines at once; those with a t may only be called while t runs.
type Postfix struct {
	// Dir is the instance's folder; the mail system's user may enter it, so a
	// milter's unix socket can live there.
	Dir string
	// Addr is where it speaks SMTP, "127.0.0.1:port".
	Addr string
	// Sink receives what is delivered.
	Sink *Sink

	programs programs
	master   *exec.Cmd
	exited   chan struct{}
}

// programs are the folders in which Postfix keeps its programs.
type programs struct {
	daemons  string // daemon_directory
	commands string // command_directory
}

// Start runs a private Postfix until the test and its subtests are done. It
// returns once the SMTP port can be connected to.
func Start(t testing.TB, config Config) *Postfix {
	t.Helper()
	progs := require(t)
	dir, err := os.MkdirTemp("", "pfx") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatalf("postfixtest: %v", err)
	}
	t.Cleanup(func() { RemoveAll(t, dir) })
	p := &Postfix{Dir: dir, Sink: StartSink(t, config.Sink), programs: progs}
	// A free port can be lost between its choice and its use.
	for attempt := 1; ; attempt++ {
		p.Addr = FreeAddr(t, "127.0.0.1")
		if err := p.start(config); err == nil {
			break
		} else if attempt == 3 {
			t.Fatalf("postfixtest: start: %v\n%s", err, p.Log())
		}
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("mail log:\n%s", Tail(p.Log()))
		}
	})
	return p
}

// require finds Postfix's programs, or ends the test.
func require(t testing.TB) programs {
	t.Helper()
	var missing string
	postconf, err := lookPath("postconf")
	switch {
	case err != nil:
		missing = "Postfix is not installed (apt-get install postfix)"
	case os.Geteuid() != 0:
		missing = "Postfix starts as root only, and this test does not run as root"
	}
	if missing != "" {
		if os.Getenv(RequireEnv) == "1" {
			t.Fatalf("%s, and %s=1 asks for it", missing, RequireEnv)
		}
		t.Skip("left out: " + missing)
	}
	out, err := exec.Command(postconf, "-dh", "daemon_directory", "command_directory").Output()
	lines := strings.Fields(string(out))
	if err != nil || len(lines) != 2 {
		t.Fatalf("postfixtest: postconf: %q, %v", out, err)
	}
	return programs{daemons: lines[0], commands: lines[1]}
}

// lookPath is exec.LookPath that also knows /usr/sbin, where Debian keeps
// Postfix and which is not on everyone's PATH.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// FreeAddr is host with a TCP port that is the test's own until it ends. The
// port is below those that the system gives away itself (ip_local_port_range);
// among tests, also those of other processes, an abstract unix socket with its
// number keeps it reserved.
func FreeAddr(t testing.TB, host string) string {
	t.Helper()
	const first, last = 10000, 32000
	for range 1000 {
		port := strconv.Itoa(first + rand.IntN(last-first))
		reserved, err := net.Listen("unix", "@pmilter-test-port-"+port)
		if err != nil {
			continue // another test has it
		}
		addr := net.JoinHostPort(host, port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			reserved.Close()
			continue
		}
		l.Close()
		t.Cleanup(func() { reserved.Close() })
		return addr
	}
	t.Fatalf("postfixtest: no port of %s is free", host)
	return ""
}

// start writes the instance's files and runs its master process.
func (p *Postfix) start(config Config) error {
	if err := p.layOut(config); err != nil {
		return err
	}
	return p.startMaster()
}

func (p *Postfix) startMaster() error {
	// A file, not a pipe: daemons inherit it and may outlive the master a little.
	output, err := os.Create(p.outputFile())
	if err != nil {
		return err
	}
	defer output.Close()
	// -d: stay in the foreground, as a child that we can wait for.
	p.master = exec.Command(filepath.Join(p.programs.daemons, "master"), "-c", p.configDir(), "-d")
	p.master.Stdout, p.master.Stderr = output, output
	p.master.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG=" + p.configDir()}
	// Its own session: master signals its whole process group when it ends.
	p.master.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.master.Start(); err != nil {
		return fmt.Errorf("master: %w", err)
	}
	p.exited = make(chan struct{})
	go func() {
		defer close(p.exited)
		_ = p.master.Wait() // how it ended shows in output and log
	}()
	if err := p.awaitStart(); err != nil {
		p.stop()
		return err
	}
	return nil
}

// awaitStart returns when the master process listens, which it does before it
// logs that it has started. It does not connect: a session would be handed to
// milters that may not be there yet.
func (p *Postfix) awaitStart() error {
	deadline := time.Now().Add(startTimeout)
	for !strings.Contains(p.Log(), "daemon started") {
		if time.Now().After(deadline) {
			return fmt.Errorf("not started after %v", startTimeout)
		}
		select {
		case <-p.exited:
			output, _ := os.ReadFile(p.outputFile()) // best effort: it explains the error
			return fmt.Errorf("master ended: %s", output)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// stop ends the master process and all its daemons, and waits for them.
func (p *Postfix) stop() {
	if p.master == nil || p.exited == nil {
		return
	}
	pid := p.master.Process.Pid
	_ = p.master.Process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
	}
	// What is left of the session that we made; none is the normal case.
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-p.exited
}

// Kill ends all its processes at once, by kill -9.
func (p *Postfix) Kill(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(-p.master.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatalf("postfixtest: kill: %v", err)
	}
	<-p.exited
}

// Restart starts a killed instance with the queue that it left.
func (p *Postfix) Restart(t testing.TB) {
	t.Helper()
	// awaitStart looks for a line that the log of the first life has.
	if err := os.Rename(p.logFile(), p.logFile()+".before"); err != nil {
		t.Fatalf("postfixtest: restart: %v", err)
	}
	if err := p.startMaster(); err != nil {
		t.Fatalf("postfixtest: restart: %v\n%s", err, p.Log())
	}
}

// Reload has Postfix read its configuration again after main.cf was changed
// with Set: new processes take the place of the present ones, which finish
// the session that they serve.
func (p *Postfix) Reload(t testing.TB) {
	t.Helper()
	if err := p.master.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatalf("postfixtest: reload: %v", err)
	}
}

// RemoveAll removes an instance's folder. Daemons that are just ending may
// still write into it.
func RemoveAll(t testing.TB, dir string) {
	t.Helper()
	var err error
	for range 50 {
		if err = os.RemoveAll(dir); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("postfixtest: %v", err)
}
