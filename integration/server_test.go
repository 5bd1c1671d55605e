package integration

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// patience is how long a test waits for something that should be there at once.
const patience = 30 * time.Second

// serverConfig says how to run pmilterd.
type serverConfig struct {
	listen  []string          // as in pmilter.toml
	scripts map[string]string // file name to source
	// settings are further keys, "milter.drain_timeout" to the TOML value `"5s"`.
	settings map[string]string
	// fails: it is expected to end with exit status 1 at once.
	fails bool
	// binary is the program; "": the one of all tests, which has the race detector.
	binary string
}

// server is a running pmilterd.
type server struct {
	t       testing.TB
	dir     string
	binary  string
	listen  []string
	cmd     *exec.Cmd
	exited  chan struct{}
	stderr  lockedBuffer
	stopped bool
}

// workersEnv is the milter.workers of all servers whose test does not say: every test
// should pass with 0 and with more.
const workersEnv = "PMILTER_TEST_WORKERS"

// startServer runs pmilterd until the test is over. It returns when all its
// addresses can be connected to. At the end it must go within its drain time,
// with exit status 0, and must have logged nothing but JSON.
func startServer(t testing.TB, config serverConfig) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pms") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, dir: dir, binary: cmp.Or(config.binary, os.Getenv(binaryEnv)), listen: config.listen}
	if err := os.MkdirAll(s.scriptDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, source := range config.scripts {
		s.writeScript(name, source)
	}
	s.writeConfig(config)
	s.start(config.fails)
	t.Cleanup(func() {
		if !s.stopped {
			s.terminate()
		}
		s.checkLog()
	})
	return s
}

// start runs the binary; after kill it may be called again.
func (s *server) start(fails bool) {
	s.t.Helper()
	s.stopped = false
	s.cmd = exec.Command(s.binary, "run", "-c", filepath.Join(s.dir, "pmilter.toml"))
	s.cmd.Dir = s.dir
	s.cmd.Stderr = &s.stderr
	s.cmd.Stdout = &s.stderr
	s.cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+s.dir+"/run", "STATE_DIRECTORY="+s.dir+"/state",
		"GORACE=atexit_sleep_ms=10")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func() {
		defer close(s.exited)
		_ = s.cmd.Wait() // ProcessState has it
	}()
	if fails {
		s.awaitExit(1)
		return
	}
	for _, addr := range s.listen {
		s.awaitListener(addr)
	}
}

// awaitListener connects to addr, and hangs up, as a health check does.
func (s *server) awaitListener(addr string) {
	s.t.Helper()
	network, address := dialAddr(addr)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial(network, address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-s.exited:
			s.t.Fatalf("pmilterd ended: %v\n%s", s.cmd.ProcessState, s.stderr.String())
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("pmilterd does not listen on %s: %v\n%s", addr, err, s.stderr.String())
		}
	}
}

// dialAddr is a listen address as net.Dial wants it.
func dialAddr(addr string) (network, address string) {
	family, rest, _ := strings.Cut(addr, ":")
	switch family {
	case "unix", "local":
		return "unix", rest
	}
	if port, host, ok := strings.Cut(rest, "@"); ok {
		return "tcp", net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return "tcp", rest
}

// writeConfig writes pmilter.toml: keys grouped by table.
func (s *server) writeConfig(config serverConfig) {
	s.t.Helper()
	settings := map[string]string{"log.format": `"json"`, "milter.drain_timeout": `"5s"`}
	if n := os.Getenv(workersEnv); n != "" {
		settings["milter.workers"] = n
	}
	maps.Copy(settings, config.settings)
	var b strings.Builder
	fmt.Fprintf(&b, "listen = [%s]\nscripts = \"scripts\"\n", `"`+strings.Join(config.listen, `", "`)+`"`)
	table := ""
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		in, name, _ := strings.Cut(key, ".")
		if in != table {
			fmt.Fprintf(&b, "[%s]\n", in)
			table = in
		}
		fmt.Fprintf(&b, "%s = %s\n", name, settings[key])
	}
	if err := os.WriteFile(filepath.Join(s.dir, "pmilter.toml"), []byte(b.String()), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) scriptDir() string { return filepath.Join(s.dir, "scripts") }

// writeScript replaces one script in one step, as a careful editor does.
func (s *server) writeScript(name, source string) {
	s.t.Helper()
	path := filepath.Join(s.scriptDir(), name)
	hidden := filepath.Join(s.scriptDir(), "."+name+".tmp")
	if err := os.WriteFile(hidden, []byte(source), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(hidden, path); err != nil {
		s.t.Fatal(err)
	}
}

// signal sends a signal to pmilterd.
func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("signal %v: %v", sig, err)
	}
}

// terminate has it drain and end, as systemd would.
func (s *server) terminate() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.awaitExit(0)
}

// awaitExit waits for its end and checks the exit status.
func (s *server) awaitExit(status int) {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.t.Errorf("pmilterd does not end")
		s.kill()
	}
	s.stopped = true
	if got := s.cmd.ProcessState.ExitCode(); got != status {
		s.t.Errorf("pmilterd: exit status %d, want %d\n%s", got, status, s.stderr.String())
	}
}

// kill is kill -9.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.exited
	s.stopped = true
}

// ended tells whether the process is gone.
func (s *server) ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// log is what it wrote so far.
func (s *server) log() string { return s.stderr.String() }

// awaitLog returns when the log holds all the texts in one line.
func (s *server) awaitLog(texts ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		for line := range strings.Lines(s.log()) {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no line of the log has %q:\n%s", texts, postfixtest.Tail(s.log()))
		}
	}
}

// checkLog fails the test if the log shows a bug: a data race, a panic, or a
// line that is not JSON.
func (s *server) checkLog() {
	s.t.Helper()
	log := s.log()
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			_, after, _ := strings.Cut(log, line)
			s.t.Errorf("not JSON in the log of pmilterd: %s%s", line, after[:min(len(after), 4<<10)])
			return
		}
	}
	// What a serving process writes beside the log is an entry of the log.
	if strings.Contains(log, "DATA RACE") || strings.Contains(log, `"stderr":"panic`) {
		s.t.Error("a bug in the log of pmilterd")
	}
	if s.t.Failed() {
		s.t.Logf("log of pmilterd:\n%s", postfixtest.Tail(s.log()))
	}
}

// lockedBuffer collects the output of a process.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// mta is a Postfix that has one milter, which listens on a unix socket in the
// Postfix's folder.
type mta struct {
	*postfixtest.Postfix
	listen string
}

// startMTA runs a Postfix whose milter is to be started by the caller, on
// listen, as often as it likes.
func startMTA(t testing.TB, settings map[string]string) *mta {
	t.Helper()
	// The socket's folder is Postfix's own, whose name is not known before:
	// main.cf knows it as the parent of the queue.
	const socket = "unix:$queue_directory/../m.sock"
	main := map[string]string{"smtpd_milters": socket, "non_smtpd_milters": socket}
	maps.Copy(main, settings)
	pf := postfixtest.Start(t, postfixtest.Config{MainCF: main})
	return &mta{Postfix: pf, listen: "unix:" + filepath.Join(pf.Dir, "m.sock")}
}

// serve runs pmilterd with the scripts behind the MTA until the test is over.
func (m *mta) serve(t testing.TB, scripts, settings map[string]string) *server {
	t.Helper()
	all := map[string]string{"milter.socket_group": `"postfix"`}
	maps.Copy(all, settings)
	return startServer(t, serverConfig{listen: []string{m.listen}, scripts: scripts, settings: all})
}

func (m *mta) socket() string { return m.listen }

func (m *mta) delivered() *postfixtest.Sink { return m.Sink }

func (m *mta) says(reply postfixtest.Reply, _, want string) bool { return reply.Matches(want) }

func (m *mta) queued(t *testing.T) int {
	t.Helper()
	return len(m.Queue(t, ""))
}

func (m *mta) awaitDiscarded(t *testing.T, id string) {
	t.Helper()
	m.WaitLog(t, id+": milter-discard")
}

// checkHeld cannot see the reason: Postfix shows it nowhere.
func (m *mta) checkHeld(t *testing.T, id, _ string) {
	t.Helper()
	for _, q := range m.Queue(t, "hold") {
		if q.ID == id {
			m.Postsuper(t, "-d", id)
			return
		}
	}
	t.Errorf("%s is not in the hold queue", id)
}

// verdicts is the first line of most scripts.
const verdicts = "import { accept, reject, tempfail, discard, skip, note } from \"pmilter\";\n"

// one is a set of one script.
func one(source string) map[string]string {
	return map[string]string{"10-test.js": verdicts + source}
}
