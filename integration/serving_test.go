package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	milterclient "pmilter/internal/mta"
)

// fleet is a server with milter.workers.
type fleet struct {
	*server
	t *testing.T
}

// startFleet runs one, on a unix socket, and waits until all its processes serve.
func startFleet(t *testing.T, workers int, source string, settings map[string]string) *fleet {
	t.Helper()
	all := map[string]string{"milter.workers": strconv.Itoa(workers)}
	for key, value := range settings {
		all[key] = value
	}
	f := &fleet{startServer(t, serverConfig{listen: []string{"unix:" + shortSocket(t)}, scripts: one(source), settings: all}), t}
	f.await("all serve", func(s fleetStatus) bool { return len(s.serving()) == workers })
	return f
}

type fleetProcess struct {
	PID         int    `json:"pid"`
	State       string `json:"state"`
	Connections int    `json:"connections"`
	Memory      int64  `json:"memory"`
	Scripts     string `json:"scripts"`
	Goroutines  int    `json:"goroutines"`
}

type fleetStatus struct {
	Connections struct{ Open, Max int }
	Verdicts    map[string]int64
	Fleet       struct {
		Started   int
		Died      int
		Processes []fleetProcess
	} `json:"milter_workers"`
}

func (s fleetStatus) serving() []fleetProcess {
	return slices.DeleteFunc(slices.Clone(s.Fleet.Processes), func(p fleetProcess) bool { return p.State != "serving" })
}

func (f *fleet) status() (s fleetStatus, err error) {
	cmd := exec.Command(os.Getenv(binaryEnv), "status", "--json", "-c", filepath.Join(f.dir, "pmilter.toml"))
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+f.dir+"/run", "GORACE=atexit_sleep_ms=10")
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	return s, err
}

// await returns a status that is so.
func (f *fleet) await(what string, so func(fleetStatus) bool) fleetStatus {
	f.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(50 * time.Millisecond) {
		s, err := f.status()
		if err == nil && so(s) {
			return s
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: status %+v, %v\n%s", what, s, err, f.log())
		}
	}
}

// caller is one connection of an MTA.
type caller struct {
	*milterclient.Client
	ctx context.Context
}

func (f *fleet) dial() (*caller, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	context.AfterFunc(f.t.Context(), cancel)
	network, address := dialAddr(f.listen[0])
	c, err := milterclient.Dial(ctx, network, address, milterclient.PostfixOptions(6))
	if err != nil {
		cancel()
		return nil, err
	}
	return &caller{c, ctx}, nil
}

func (f *fleet) mustDial() *caller {
	f.t.Helper()
	c, err := f.dial()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

// mail is the answer to MAIL: what the script said, "" for continue.
func (c *caller) mail(sender string) (string, error) {
	if err := c.Abort(c.ctx); err != nil {
		return "", err
	}
	r, err := c.Mail(c.ctx, "<"+sender+">")
	return r.Text, err
}

// Connections are spread over processes that share the listening socket, each takes its
// share of max_connections, and status speaks for all.
func TestServingProcessesShareTheConnections(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3, `export function mail() { return reject("no"); }`, map[string]string{"milter.max_connections": "12"})
	var callers []*caller
	for range 12 {
		c := f.mustDial()
		if text, err := c.mail("a@example.org"); err != nil || text != "no" {
			t.Errorf("%q, %v", text, err)
		}
		callers = append(callers, c)
	}
	s := f.await("all are counted", func(s fleetStatus) bool { return s.Connections.Open == 12 && s.Verdicts["reject"] == 12 })
	for _, p := range s.Fleet.Processes {
		if p.Connections != 4 || p.Memory == 0 || p.Scripts == "" || p.Goroutines == 0 {
			t.Errorf("%+v", p)
		}
	}
	// What a process counted stays when it is gone, however it went.
	for i, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		time.Sleep(1500 * time.Millisecond) // a process that is killed has told what it counted a second ago
		if err := syscall.Kill(s.Fleet.Processes[i].PID, signal); err != nil {
			t.Error(err)
		}
	}
	for _, c := range callers {
		c.Close()
	}
	f.await("nothing counted is lost", func(now fleetStatus) bool {
		return now.Connections.Open == 0 && now.Verdicts["reject"] == 12 && len(now.serving()) == 3 && now.Fleet.Started == 5 && now.Fleet.Died == 1
	})
}

// No connection that began after somebody had seen the new scripts gets the old ones, in
// any process, also not in one that has just been started.
func TestServingProcessesGoOverTogether(t *testing.T) {
	t.Parallel()
	version := func(n int) string {
		return verdicts + fmt.Sprintf("export function mail() { return reject(\"v %d\"); }", n)
	}
	f := startFleet(t, 3, `export function mail() { return reject("v 1"); }`, nil)
	var seen atomic.Int64
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := seen.Load()
				got, err := f.version()
				if err != nil { // its process was killed
					failed.Add(1)
					continue
				}
				if asked.Add(1); got < least {
					t.Errorf("a connection got version %d after version %d had been seen", got, least)
				}
				for now := seen.Load(); got > now && !seen.CompareAndSwap(now, got); now = seen.Load() {
				}
			}
		})
	}
	const last = 12
	for n := 2; n <= last; n++ {
		f.writeScript("10-test.js", version(n))
		if n%3 == 0 {
			if s, err := f.status(); err == nil && len(s.serving()) > 0 {
				_ = syscall.Kill(s.serving()[0].PID, syscall.SIGKILL)
			}
		}
		if n%4 == 0 {
			f.signal(syscall.SIGHUP)
		}
		for deadline := time.Now().Add(2 * patience); seen.Load() < int64(n); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("version %d was not seen\n%s", n, f.log())
			}
		}
	}
	close(stop)
	callers.Wait()
	t.Logf("%d connections, %d failed with their process", asked.Load(), failed.Load())
	if failed.Load() > asked.Load()/10 {
		t.Error("too many failed")
	}
	if strings.Contains(f.log(), "does not answer") {
		t.Error("a process did not answer")
	}
}

// version is what one connection gets.
func (f *fleet) version() (int64, error) {
	c, err := f.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	text, err := c.mail("a@example.org")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimPrefix(text, "v "), 10, 64)
}

// Scripts that do not load change nothing, whatever they do at their top level, and the
// server, which does not run them, lives on.
func TestServingProcessesKeepWhatLoads(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, `export function mail() { return reject("v 1"); }`, nil)
	for source, fault := range map[string]string{
		"export const = 1;":                      `"line":2,`,
		"throw new Error('at the top');":         "at the top",
		"for (;;);":                              "ran too long",
		"export function mail() {}\nimport 'x';": "x",
	} {
		f.writeScript("10-test.js", verdicts+source)
		f.awaitLog("scripts not reloaded", fault)
		if got, err := f.version(); got != 1 || err != nil {
			t.Errorf("%s: %d, %v", source, got, err)
		}
	}
	f.writeScript("10-test.js", verdicts+"export function Mail() {}\nexport function mail() { return reject('v 2'); }")
	f.awaitLog("script warning", "is mail meant?")
	f.await("the next one is used", func(fleetStatus) bool { got, err := f.version(); return got == 2 && err == nil })
	if s, err := f.status(); err != nil || s.Fleet.Died != 0 || s.Fleet.Started != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

// SIGHUP: the configuration goes over with the scripts, or stays with them; the number
// of processes too.
func TestServingProcessesReloadTheConfiguration(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, `import vars from "pmilter/vars"; export function mail() { return reject("v " + vars.n); }`, map[string]string{"vars.n": "1"})
	first := f.mustDial() // served to its end, whatever becomes of its process
	serve := func(n, connections int) fleetStatus {
		t.Helper()
		return f.await(fmt.Sprintf("%d serve", n), func(s fleetStatus) bool { return len(s.serving()) == n && s.Connections.Max == connections })
	}
	config := func(workers string, settings map[string]string) {
		settings["milter.workers"], settings["log.level"], settings["milter.max_connections"] = workers, `"debug"`, "1"+workers+"0"
		f.writeConfig(serverConfig{listen: f.listen, settings: settings})
		f.signal(syscall.SIGHUP)
	}
	same := func(want int64) {
		t.Helper()
		for range 4 {
			if got, err := f.version(); got != want || err != nil {
				t.Errorf("%d, %v", got, err)
			}
		}
	}
	config("3", map[string]string{"vars.n": "2"})
	f.awaitLog("reloaded", `"needs_restart":[]`)
	serve(3, 130)
	same(2)
	config("4", map[string]string{"vars.n": "3", "queue.q.maildir": `"q"`, "queue.q.job": `"missing.js"`})
	f.awaitLog("configuration and scripts stay", "missing.js")
	s := serve(3, 130)
	_ = syscall.Kill(s.Fleet.Processes[2].PID, syscall.SIGKILL) // it came last: the first connection is not its
	f.await("another has come", func(s fleetStatus) bool { return len(s.serving()) == 3 && s.Fleet.Started == 4 })
	same(2)
	config("1", map[string]string{"vars.n": "4"})
	serve(1, 110)
	same(4)
	if got, err := first.mail("a@example.org"); err != nil || !strings.Contains(got, "v 1") {
		t.Errorf("%q, %v", got, err)
	}
	config("0", map[string]string{"vars.n": "5"})
	f.awaitLog("reloaded", `"needs_restart":["milter.workers"]`)
	serve(1, 100)
	same(5)
	if s, err := f.status(); err != nil || s.Fleet.Started != 4 || len(s.serving()) != 1 {
		t.Errorf("the number of processes does not stay as it was: %+v, %v", s, err)
	}
}

// kill -9 of one process costs its connections alone.
func TestServingProcessKilled(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, stamp, map[string]string{"milter.max_connections": "10"})
	var callers []*caller
	for range 10 {
		c := f.mustDial()
		if _, err := c.Mail(c.ctx, "<a@example.org>"); err != nil {
			t.Fatal(err)
		}
		callers = append(callers, c)
	}
	s := f.await("all are counted", func(s fleetStatus) bool { return s.Connections.Open == 10 })
	if err := syscall.Kill(s.Fleet.Processes[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, c := range callers {
		if !finishes(c) {
			lost++
		}
	}
	if lost != 5 {
		t.Errorf("%d connections were lost, want 5", lost)
	}
	f.await("another serves", func(s fleetStatus) bool { return len(s.serving()) == 2 && s.Fleet.Died == 1 })
	if c := f.mustDial(); !finishes(c) {
		t.Error("a new connection is not served")
	}
	f.awaitLog("serving process died", fmt.Sprint(s.Fleet.Processes[0].PID))
}

// finishes tells whether a message, perhaps begun, gets its verdict.
func finishes(c *caller) bool {
	if _, err := c.Mail(c.ctx, "<a@example.org>"); err != nil {
		return false
	}
	steps := []func() error{
		func() error { _, err := c.Rcpt(c.ctx, "<b@example.org>"); return err },
		func() error { _, err := c.Data(c.ctx); return err },
		func() error { _, err := c.Header(c.ctx, "Subject", "x"); return err },
		func() error { _, err := c.EOH(c.ctx); return err },
		func() error { _, err := c.Body(c.ctx, []byte("x\r\n")); return err },
		func() error { _, _, err := c.EOM(c.ctx); return err },
	}
	for _, step := range steps {
		if step() != nil {
			return false
		}
	}
	return true
}

// A process with a script that nothing can stop is replaced: another takes its place at
// once, and it serves the connections it has.
func TestServingProcessWithAStuckScriptIsReplaced(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1, `
		export function mail(session, sender) { if (sender.local === "hang") /^(a|aa)+$(?!x)/.test("a".repeat(100) + "!"); }
		export function eom(session) { session.message.headers.add("X-Stamp", "1"); }`,
		map[string]string{"handler.timeout": `"500ms"`, "handler.cpu": `"60s"`, "milter.drain_timeout": `"60s"`})
	leaves(t, f, "hangs in a built-in", func(c *caller) {
		if r, err := c.Mail(c.ctx, "<hang@example.org>"); err != nil || r.Code/10 != 42 && r.Code/10 != 45 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// The same with one whose memory stays past its limit.
func TestServingProcessWithTooMuchMemoryIsReplaced(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1, `
		const kept = [];
		export function mail(session, sender) { if (sender.local === "hog") for (let i = 0; i < 4; i++) kept.push(new Uint8Array(1 << 20)); }
		export function eom(session) { session.message.headers.add("X-Stamp", "1"); }`,
		map[string]string{"handler.memory": `"64MiB"`, "handler.max_value": `"16MiB"`, "milter.drain_timeout": `"60s"`})
	leaves(t, f, "memory", func(c *caller) {
		for range 60 { // a little at a time, so that no call is at fault
			if _, err := c.Mail(c.ctx, "<hog@example.org>"); err != nil {
				t.Error(err)
			}
			if err := c.Abort(c.ctx); err != nil {
				t.Error(err)
			}
		}
	})
}

// leaves has the one process of a fleet get into trouble, and checks how it goes.
func leaves(t *testing.T, f *fleet, reason string, trouble func(*caller)) {
	t.Helper()
	honest, guilty := f.mustDial(), f.mustDial()
	if !finishes(honest) {
		t.Fatal("not served")
	}
	trouble(guilty)
	s := f.await("another has taken its place", func(s fleetStatus) bool { return len(s.Fleet.Processes) == 2 && len(s.serving()) == 1 })
	if s.Fleet.Died != 0 {
		t.Errorf("%+v", s)
	}
	if !finishes(honest) {
		t.Error("the connection that the process has is not served")
	}
	if !finishes(f.mustDial()) {
		t.Error("a new connection is not served")
	}
	honest.Close()
	guilty.Close()
	f.await("it has ended", func(s fleetStatus) bool { return len(s.Fleet.Processes) == 1 })
	f.awaitLog("serving process ended", reason)
}

// SIGTERM: connections are served until the MTA closes them, in every process.
func TestServingProcessesDrain(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, stamp, map[string]string{"milter.drain_timeout": `"60s"`, "milter.max_connections": "6"})
	var callers []*caller
	for range 6 {
		callers = append(callers, f.mustDial())
	}
	f.signal(syscall.SIGTERM)
	awaitNoListener(t, f.listen[0])
	if _, err := os.Lstat(strings.TrimPrefix(f.listen[0], "unix:")); !os.IsNotExist(err) {
		t.Errorf("the socket: %v", err)
	}
	for range 2 {
		for _, c := range callers {
			if !finishes(c) {
				t.Error("not served while draining")
			}
		}
	}
	if f.ended() {
		t.Error("ended with connections open")
	}
	for _, c := range callers {
		c.Close()
	}
	f.awaitExit(0)
}

// All processes have one store; what one that is killed held is free.
func TestServingProcessesShareTheStore(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, `
		import store from "pmilter/store";
		export async function mail(session, sender) {
			if (sender.local === "count") return reject("n " + await store.incr("n"));
			return reject((await store.hold("h", { max: 4 })) ? "held" : "full");
		}`, map[string]string{"milter.max_connections": "4"})
	for n := 1; n <= 4; n++ {
		c := f.mustDial()
		if text, err := c.mail("count@example.org"); err != nil || text != fmt.Sprint("n ", n) {
			t.Errorf("%q, %v", text, err)
		}
		if text, err := c.mail("hold@example.org"); err != nil || text != "held" {
			t.Errorf("%q, %v", text, err)
		}
	}
	s := f.await("two each", func(s fleetStatus) bool { return s.Connections.Open == 4 })
	_ = syscall.Kill(s.Fleet.Processes[0].PID, syscall.SIGKILL)
	f.await("another serves", func(s fleetStatus) bool { return len(s.serving()) == 2 && s.Connections.Open == 2 })
	for range 2 {
		if text, err := f.mustDial().mail("hold@example.org"); err != nil || text != "held" {
			t.Errorf("after the process that held it was killed: %q, %v", text, err)
		}
	}
}

// The decision log and the metrics speak for all processes, those that have ended included.
func TestServingProcessesAreRemembered(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, `export function mail() { return reject("no"); }`, map[string]string{"milter.max_connections": "6"})
	for range 6 {
		if text, err := f.mustDial().mail("a@example.org"); err != nil || text != "no" {
			t.Errorf("%q, %v", text, err)
		}
	}
	s := f.await("three each", func(s fleetStatus) bool { return s.Connections.Open == 6 })
	if err := syscall.Kill(s.Fleet.Processes[0].PID, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	f.terminate()
	cmd := exec.Command(os.Getenv(binaryEnv), "explain", "--json", "-c", filepath.Join(f.dir, "pmilter.toml"), "a@example.org")
	cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+f.dir+"/state", "GORACE=atexit_sleep_ms=10")
	out, err := cmd.Output()
	if n := strings.Count(string(out), `"verdict":"reject"`); err != nil || n != 6 {
		t.Errorf("%d decisions, want 6: %v\n%s", n, err, out)
	}
}

// Processes that die again and again are started again, neither at full speed nor after
// a minute.
func TestServingProcessesDieAgainAndAgain(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1, stamp, nil)
	before := f.await("it serves", func(s fleetStatus) bool { return len(s.serving()) == 1 })
	const span = 5 * time.Second
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, pid := range childrenOf(f.cmd.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	began := time.Now()
	s := f.await("it serves again", func(s fleetStatus) bool { return len(s.serving()) == 1 })
	t.Logf("%d processes in %v, the next served after %v", s.Fleet.Started-before.Fleet.Started, span, time.Since(began))
	if n := s.Fleet.Started - before.Fleet.Started; n > 12 {
		t.Errorf("%d processes were started in %v", n, span)
	}
	if !finishes(f.mustDial()) {
		t.Error("not served")
	}
}

// kill -9 of the server ends its processes, and its port is free at once.
func TestServingProcessesEndWithTheServer(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	f := &fleet{startServer(t, serverConfig{
		listen: []string{"inet:" + addr}, scripts: one(stamp), settings: map[string]string{"milter.workers": "2"},
	}), t}
	f.await("all serve", func(s fleetStatus) bool { return len(s.serving()) == 2 })
	f.mustDial()
	children := childrenOf(f.cmd.Process.Pid)
	f.kill()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	for _, pid := range children {
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !regexp.MustCompile(`\) [ZX] `).Match(data) {
			t.Errorf("process %d lives on", pid)
		}
	}
	f.start(false)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
