package integration

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	milterclient "pmilter/internal/mta"
	"pmilter/internal/postfixtest"
	"pmilter/internal/redistest"
)

// line is a pmilterd that is replaced by others: a line of processes with one log.
type line struct {
	t       *testing.T
	dir     string
	program string // a copy of the binary, to be replaced
	listen  []string
	env     []string
	first   *exec.Cmd
	pids    []int // all that served, the last one now
}

// startLine runs the first. It listens on a unix socket and on a port.
func startLine(t *testing.T, script string, settings string, env ...string) *line {
	t.Helper()
	dir, err := os.MkdirTemp("", "pmu") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &line{t: t, dir: dir, program: filepath.Join(dir, "pmilterd"), env: env}
	host, port, err := net.SplitHostPort(postfixtest.FreeAddr(t, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	l.listen = []string{"unix:" + dir + "/m.sock", "inet:" + port + "@" + host}
	l.install("")
	if err := os.Mkdir(dir+"/scripts", 0o755); err != nil {
		t.Fatal(err)
	}
	l.script(script)
	l.configure(settings)
	job := `export default function (job) { console.log("job ran " + job.data); }`
	if err := os.WriteFile(dir+"/job.js", []byte(job), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	l.first = exec.Command(l.program, "run", "-c", "pmilter.toml")
	l.first.Dir, l.first.Stdout, l.first.Stderr = dir, log, log
	l.first.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+dir+"/run", "STATE_DIRECTORY="+dir+"/state", "GORACE=atexit_sleep_ms=10")
	l.first.Env = append(l.first.Env, env...)
	if err := l.first.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.first.Wait() }()
	l.pids = []int{l.first.Process.Pid}
	t.Cleanup(l.end)
	l.await(1, `"msg":"serving"`)
	return l
}

// install puts a program in place of the binary, as a package does: a script, or with
// "" pmilterd itself.
func (l *line) install(script string) {
	l.t.Helper()
	data := []byte(script)
	if script == "" {
		var err error
		if data, err = os.ReadFile(os.Getenv(binaryEnv)); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := os.WriteFile(l.program+".new", data, 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(l.program+".new", l.program); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) script(source string) {
	l.t.Helper()
	if err := os.WriteFile(l.dir+"/scripts/.new", []byte(verdicts+source), 0o644); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(l.dir+"/scripts/.new", l.dir+"/scripts/10-test.js"); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) configure(settings string) {
	l.t.Helper()
	text := fmt.Sprintf("listen = [%q, %q]\nscripts = \"scripts\"\n%s\n[log]\nformat = \"json\"\n", l.listen[0], l.listen[1], settings)
	if err := os.WriteFile(l.dir+"/pmilter.toml", []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) log() string {
	data, err := os.ReadFile(l.dir + "/log")
	if err != nil {
		l.t.Fatal(err)
	}
	return string(data)
}

// await returns the lines of the log that have all texts, when there are so many.
func (l *line) await(n int, texts ...string) (found []string) {
	l.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(10 * time.Millisecond) {
		found = nil
		for s := range strings.Lines(l.log()) {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s, text) }) {
				found = append(found, s)
			}
		}
		if len(found) >= n {
			return found
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%d lines of the log have %q, want %d:\n%s", len(found), texts, n, postfixtest.Tail(l.log()))
		}
	}
}

func (l *line) pid() int { return l.pids[len(l.pids)-1] }

func (l *line) signal(sig syscall.Signal) {
	l.t.Helper()
	if err := syscall.Kill(l.pid(), sig); err != nil {
		l.t.Errorf("signal %v: %v", sig, err)
	}
}

// upgrade has the next process take over.
func (l *line) upgrade() {
	l.t.Helper()
	l.signal(syscall.SIGUSR2)
	l.upgraded()
}

// upgraded waits until the next process serves.
func (l *line) upgraded() {
	l.t.Helper()
	last := l.await(len(l.pids), `"msg":"another process serves now`)[len(l.pids)-1]
	var entry struct{ PID int }
	if err := json.Unmarshal([]byte(last), &entry); err != nil || entry.PID == 0 {
		l.t.Fatalf("%s: %v", last, err)
	}
	l.pids = append(l.pids, entry.PID)
	l.await(len(l.pids), `"msg":"serving"`)
}

// end stops the last process, and checks that all have ended, none with a data race.
func (l *line) end() {
	if err := syscall.Kill(l.pid(), syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		l.t.Error(err)
	}
	for _, pid := range l.pids {
		l.awaitGone(pid)
	}
	if log := l.log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
		l.t.Error("a bug in the log")
	}
	if l.t.Failed() {
		l.t.Logf("log:\n%s", postfixtest.Tail(l.log()))
	}
}

func (l *line) awaitGone(pid int) {
	for deadline := time.Now().Add(2 * patience); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Errorf("process %d does not end", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
}

// alive tells whether a process runs. One whose parent has not asked for its end does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// status asks who serves.
func (l *line) status() (s struct {
	PID         int
	Connections struct{ Open, Max int }
	Fleet       struct{ Processes []fleetProcess } `json:"milter_workers"`
},
) {
	l.t.Helper()
	cmd := exec.Command(os.Getenv(binaryEnv), "status", "--json", "-c", "pmilter.toml")
	cmd.Dir, cmd.Env = l.dir, l.first.Env
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		l.t.Errorf("status: %v %s", err, out)
	}
	return s
}

// dial begins a session with one of the addresses.
func (l *line) dial(n int) (*milterclient.Client, error) {
	network, address := dialAddr(l.listen[n%len(l.listen)])
	return milterclient.Dial(context.Background(), network, address, milterclient.PostfixOptions(6))
}

// send passes one mail, and gives the reply that decided.
func (l *line) send(n int) (string, error) {
	c, err := l.dial(n)
	if err != nil {
		return "", err
	}
	r, err := milterclient.Send(context.Background(), c, milterclient.Transaction{
		Peer: milterclient.Peer{Name: "client.example.org", Family: '4', Port: 4711, Addr: "192.0.2.7"},
		Helo: "client.example.org", Sender: "a@example.org", Recipients: []milterclient.Recipient{{Address: "b@example.net"}},
		Message: []byte("Subject: hi\r\n\r\nhello\r\n"),
	})
	return fmt.Sprint(r.Verdict), err
}

// senders send mails until end, over all addresses, a connection each.
type senders struct {
	line    *line
	stop    chan struct{}
	running sync.WaitGroup
	sent    atomic.Int64
}

// load starts clients; each reply must have the text.
func (l *line) load(count int, want string) *senders {
	c := &senders{line: l, stop: make(chan struct{})}
	for n := range count {
		c.running.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				if got, err := l.send(n); err != nil || !strings.Contains(got, want) {
					l.t.Errorf("client %d, mail %d: %q %v", n, c.sent.Load(), got, err)
					return
				}
				c.sent.Add(1)
			}
		})
	}
	return c
}

// some waits until so many more were sent.
func (c *senders) some(n int64) {
	c.line.t.Helper()
	for until, end := c.sent.Load()+n, time.Now().Add(2*patience); c.sent.Load() < until; time.Sleep(time.Millisecond) {
		if time.Now().After(end) || c.line.t.Failed() {
			c.line.t.Fatal("no mail passes")
		}
	}
}

func (c *senders) end() int64 {
	close(c.stop)
	c.running.Wait()
	return c.sent.Load()
}

const counting = `import store from "pmilter/store";
export async function eom(session) { return reject("n" + await store.incr("n") + "."); }`

// TestUpgradeUnderLoad: three take-overs in a row while clients come all the time. No
// connection is refused, no mail fails, the sockets' paths are always there, and what
// old and new processes count together is exact: with serving processes, too, and from
// none of them to some and back.
func TestUpgradeUnderLoad(t *testing.T) {
	for _, url := range []string{"memory:", "file:"} {
		for _, workers := range [][4]int{{0, 0, 0, 0}, {2, 2, 2, 2}, {0, 2, 0, 1}} {
			t.Run(fmt.Sprint(url, workers), func(t *testing.T) { upgradeUnderLoad(t, url, workers) })
		}
	}
}

func upgradeUnderLoad(t *testing.T, url string, workers [4]int) {
	t.Helper()
	settings := func(n int) string {
		return fmt.Sprintf("[store]\nurl = %q\n[milter]\ndrain_timeout = \"20s\"\nworkers = %d", url, workers[n])
	}
	l := startLine(t, counting, settings(0))
	c := l.load(8, "550")
	gone := make(chan error, 1)
	go func() { // as fast as it can
		for {
			select {
			case <-c.stop:
				gone <- nil
				return
			default:
			}
			for _, path := range []string{l.dir + "/m.sock", l.dir + "/run/control.sock"} {
				if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
					gone <- fmt.Errorf("%s: %v %w", path, info, err)
					return
				}
			}
		}
	}()
	for n := range 3 {
		c.some(50)
		l.configure(settings(n + 1))
		l.upgrade()
		s := l.status()
		if s.PID != l.pid() {
			t.Errorf("status is of %d, want %d", s.PID, l.pid())
		}
		if got := len(s.Fleet.Processes); got != workers[n+1] {
			t.Errorf("%d serving processes, want %d", got, workers[n+1])
		}
	}
	c.some(50)
	sent := c.end()
	if err := <-gone; err != nil {
		t.Error(err)
	}
	got, err := l.send(0)
	if want := fmt.Sprintf("n%d.", sent+1); err != nil || !strings.Contains(got, want) {
		t.Errorf("the counter is %s (%v), want %s", got, err, want)
	}
	for _, pid := range l.pids[:3] {
		l.awaitGone(pid)
	}
	t.Logf("%d mails", sent)
	if log := l.log(); strings.Contains(log, "serving process died") {
		t.Error("a serving process died")
	}
	l.signal(syscall.SIGTERM)
	l.awaitGone(l.pid())
	for _, path := range []string{l.dir + "/m.sock", l.dir + "/run/control.sock"} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left behind: %s %v", path, err)
		}
	}
}

// TestUpgradeFails: whatever is wrong with the new one, the old one goes on, with its
// store, and says why.
func TestUpgradeFails(t *testing.T) {
	for _, workers := range []string{"", "[milter]\nworkers = 2\n"} {
		t.Run(workers, func(t *testing.T) { upgradeFails(t, workers) })
	}
}

func upgradeFails(t *testing.T, workers string) {
	t.Helper()
	right := "[store]\nurl = \"file:\"\n" + workers
	l := startLine(t, counting, right)
	c := l.load(4, "550")
	fails := func(name string, texts ...string) {
		t.Helper()
		before := len(l.await(0, `"msg":"not upgraded`))
		c.some(5)
		l.signal(syscall.SIGUSR2)
		lines := l.await(before+1, `"msg":"not upgraded`)
		for _, text := range texts {
			if last := lines[len(lines)-1]; !strings.Contains(last, text) {
				t.Errorf("%s: no %q in %s", name, text, last)
			}
		}
		c.some(5)
	}
	l.install("#!/bin/sh\necho 'no such luck' >&2\nexit 3\n")
	fails("crashes", "exit status 3", "no such luck")
	l.install("#!/nowhere/interpreter\n")
	fails("does not start", "no such file")
	l.install("")
	l.configure("[milter]\nno_such_key = 1")
	fails("a broken configuration", "unknown key no_such_key", "exit status 1")
	l.configure("[store]\nurl = \"file:\"\n" + cmp.Or(workers, "[milter]\n") + "socket_group = \"no-such-group\"")
	fails("a group", "no-such-group")
	l.configure(right)
	l.script("export const = 1")
	fails("broken scripts", "10-test.js:2:14")
	l.script("throw new Error('no such world')")
	fails("scripts whose top-level code fails", "no such world")
	l.script(counting)
	l.upgrade() // nothing of it stays
	c.some(5)
	sent := c.end()
	if got, err := l.send(1); err != nil || !strings.Contains(got, fmt.Sprintf("n%d.", sent+1)) {
		t.Errorf("%s %v, want %d", got, err, sent+1)
	}
}

// TestUpgradeHangs: while the new one loads the old one serves; SIGTERM does not wait for it.
func TestUpgradeHangs(t *testing.T) {
	for _, workers := range []string{"", "[milter]\nworkers = 2"} {
		t.Run(workers, func(t *testing.T) { upgradeHangs(t, workers) })
	}
}

func upgradeHangs(t *testing.T, workers string) {
	t.Helper()
	l := startLine(t, counting, workers)
	l.install("#!/bin/sh\nexec sleep 1000\n")
	l.signal(syscall.SIGUSR2)
	l.await(1, "upgrade: started")
	if got, err := l.send(0); err != nil || !strings.Contains(got, "n1.") {
		t.Errorf("while it hangs: %s %v", got, err)
	}
	var entry struct{ PID int }
	if err := json.Unmarshal([]byte(l.await(1, "upgrade: started")[0]), &entry); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	l.signal(syscall.SIGTERM)
	l.awaitGone(l.pid())
	if alive(entry.PID) || time.Since(begin) > patience {
		t.Errorf("process %d runs on, or it took %s", entry.PID, time.Since(begin))
	}
}

// TestUpgradeTimeout: one that is not ready in time is killed, and the old one goes on.
func TestUpgradeTimeout(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	l := startLine(t, counting, "")
	l.install("#!/bin/sh\nexec sleep 1000\n")
	l.signal(syscall.SIGUSR2)
	l.await(1, "upgrade: started")
	time.Sleep(30 * time.Second)
	l.await(1, "not upgraded", "not ready within 1m0s", "killed")
	if got, err := l.send(0); err != nil || !strings.Contains(got, "n1.") {
		t.Errorf("after it: %s %v", got, err)
	}
}

// TestUpgradeTwice: two signals at once are two upgrades at most, and each process
// answers for its own.
func TestUpgradeTwice(t *testing.T) {
	l := startLine(t, counting, "")
	l.signal(syscall.SIGUSR2)
	l.signal(syscall.SIGUSR2)
	l.upgraded()
	l.signal(syscall.SIGUSR2)
	l.upgraded()
	if got, err := l.send(0); err != nil || !strings.Contains(got, "n1.") {
		t.Errorf("%s %v", got, err)
	}
}

// TestUpgradeKeepsHolds: holds of connections of the old process count in the new one
// until they end, and those of the new one in the old.
func TestUpgradeKeepsHolds(t *testing.T) {
	for _, url := range []string{"memory:", "file:"} {
		t.Run(url, func(t *testing.T) {
			l := startLine(t, `import store from "pmilter/store";
export async function mail() { const h = await store.hold("k", { max: 3 }); return reject((h.ok ? "held " : "full ") + h.count); }`,
				fmt.Sprintf("[store]\nurl = %q\n[milter]\ndrain_timeout = \"5s\"", url))
			ctx := context.Background()
			open := func() *milterclient.Session {
				t.Helper()
				c, err := l.dial(0)
				if err != nil {
					t.Fatal(err)
				}
				s := milterclient.NewSession(c, milterclient.Macros{})
				if _, err := s.Connect(ctx, milterclient.Peer{Name: "x.example.org", Family: '4', Addr: "192.0.2.1"}); err != nil {
					t.Fatal(err)
				}
				return s
			}
			hold := func(s *milterclient.Session, want string) {
				t.Helper()
				r, err := s.Mail(ctx, "a@example.org")
				if err != nil || !strings.Contains(fmt.Sprint(r), want) {
					t.Errorf("%v %v, want %s", r, err, want)
				}
			}
			first, second := open(), open()
			hold(first, "held 1")
			l.upgrade()
			third := open()
			hold(third, "held 2")
			hold(second, "held 3") // of the old process, now
			hold(open(), "full 3")
			if err := first.Close(ctx); err != nil {
				t.Error(err)
			}
			for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				last := open()
				r, err := last.Mail(ctx, "a@example.org")
				if err == nil && strings.Contains(fmt.Sprint(r), "held 3") {
					break
				}
				if _ = last.Close(ctx); err != nil || time.Now().After(end) {
					t.Fatalf("after the first has ended: %v %v", r, err)
				}
			}
			_ = second.Close(ctx)
			l.awaitGone(l.pids[0])
			hold(open(), "held 3")
		})
	}
}

// TestUpgradeAndJobs: events of before, during and after have their jobs done, once.
func TestUpgradeAndJobs(t *testing.T) {
	l := startLine(t, `import { enqueue } from "pmilter/queue"; import store from "pmilter/store";
export async function eom(session) { enqueue("work", { data: await store.incr("n") }); }`, `[queue.work]
maildir = "work"
job = "job.js"
keep = true
workers = { min = 1, max = 2 }`)
	c := l.load(3, "")
	for range 2 {
		c.some(10)
		l.upgrade()
	}
	c.some(10)
	sent := int(c.end())
	for end := time.Now().Add(2 * patience); ; time.Sleep(50 * time.Millisecond) {
		done, _ := filepath.Glob(filepath.Join(l.dir, "work", ".done", "*", "*"))
		if len(done) == sent {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d jobs are done", len(done), sent)
		}
	}
	seen := map[string]int{}
	for _, entry := range l.await(sent, "job ran ") {
		_, n, _ := strings.Cut(entry, "job ran ")
		n, _, _ = strings.Cut(n, `"`)
		seen[n]++
	}
	for n, times := range seen {
		if times != 1 {
			t.Errorf("job %s ran %d times", n, times)
		}
	}
}

// TestUpgradeThenStopped: the new process does not end before the old one has served what
// it has, whatever the store: systemd kills what is left when the main process has ended.
func TestUpgradeThenStopped(t *testing.T) {
	for name, settings := range map[string]string{
		"memory": "",
		"redis":  fmt.Sprintf("[store]\nurl = \"redis://%s/0\"\n", redistest.Start(t).Addr),
	} {
		t.Run(name, func(t *testing.T) {
			l := startLine(t, `export function eom() {}`, settings)
			c, err := l.dial(0)
			if err != nil {
				t.Fatal(err)
			}
			l.upgrade()
			l.signal(syscall.SIGTERM)
			l.await(2, `"msg":"stopping"`) // the old one, and now the new one
			time.Sleep(300 * time.Millisecond)
			if !alive(l.pids[0]) || !alive(l.pids[1]) {
				t.Errorf("the old process lives: %v, the new one: %v", alive(l.pids[0]), alive(l.pids[1]))
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			for _, pid := range l.pids {
				l.awaitGone(pid)
			}
			if log := l.log(); strings.Count(log, `"msg":"stopped"`) != 2 || strings.Contains(log, `"level":"error"`) {
				t.Errorf("not all ended well:\n%s", log)
			}
		})
	}
}

// TestUpgradeThenKilled: when the new process is killed, the old one has given the
// sockets away and only finishes what it has; a start anew finds stale paths and serves.
func TestUpgradeThenKilled(t *testing.T) {
	l := startLine(t, `export function eom() {}`, "")
	c, err := l.dial(0)
	if err != nil {
		t.Fatal(err)
	}
	l.upgrade()
	l.signal(syscall.SIGKILL)
	l.awaitGone(l.pid())
	if _, err := l.dial(0); err == nil {
		t.Error("somebody listens")
	}
	if err := c.Flush(context.Background()); err != nil { // it is served on
		t.Error(err)
	}
	if _, err := milterclient.Send(context.Background(), c, milterclient.Transaction{
		Peer: milterclient.Peer{Name: "x", Family: '4', Addr: "192.0.2.1"}, Helo: "x", Sender: "a@example.org",
		Recipients: []milterclient.Recipient{{Address: "b@example.net"}}, Message: []byte("Subject: x\r\n\r\nx\r\n"),
	}); err != nil {
		t.Error(err)
	}
}
