package integration

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

//go:embed testdata/hostile/10-hostile.js
var hostileScript string

// attackNames are the attacks of hostileScript.
func attackNames() (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^  "([a-z-]+)"\(`).FindAllStringSubmatch(hostileScript, -1) {
		names = append(names, m[1])
	}
	return names
}

// attackPhases are those in which a handler's fault has an answer.
func attackPhases() []string {
	return []string{"connect", "helo", "mail", "rcpt", "data", "header", "eoh", "body", "eom", "unknown"}
}

// A strike is one attack in one phase.
type strike struct{ attack, phase string }

// strikes are each attack in one phase, another each time, and a loop in every
// phase; with PMILTER_LONG set each attack in each phase.
func strikes() (all []strike) {
	phases := attackPhases()
	for i, a := range attackNames() {
		if os.Getenv("PMILTER_LONG") == "" {
			phases = attackPhases()[i%len(attackPhases()):][:1]
		}
		for _, p := range phases {
			all = append(all, strike{a, p})
		}
	}
	for _, p := range append(attackPhases(), "abort", "close") {
		all = append(all, strike{"loop", p})
	}
	return all
}

// The figures of the promise. What a process can hold beyond [handler] memory is in
// docs/serving.md: as much again, 256 MiB, and the one allocation that passes the limit.
const (
	hostileMemory = 256 << 20 // [handler] memory
	memoryMargin  = hostileMemory + 256<<20 + 256<<20
	lateness      = time.Second // of an honest message, on a quiet machine
	busy          = 5           // times that on one that does something else, too
)

// Scripts do their worst while honest mail flows, and honest mail does not suffer:
// none is lost, none late, memory stays bounded, and each attack ends in on_error.
func TestHostileScripts(t *testing.T) {
	s := startServer(t, serverConfig{
		binary:  os.Getenv(plainBinaryEnv),
		listen:  []string{"unix:" + filepath.Join(shortDir(t), "m.sock")},
		scripts: map[string]string{"10-hostile.js": hostileScript},
		settings: map[string]string{
			"milter.workers": "2", "milter.drain_timeout": `"2s"`,
			"handler.memory": fmt.Sprintf("%q", strconv.Itoa(hostileMemory>>20)+"MiB"), "handler.max_value": `"16MiB"`,
			"handler.cpu": `"300ms"`, "handler.timeout": `"1s"`, "handler.eom_timeout": `"1s"`,
		},
	})
	memory := watchMemory(t, s)
	honest := startHonest(t, s.listen[0], 8, 5*time.Millisecond)
	honest.await(t, 50)

	var lost atomic.Int64
	list := make(chan strike)
	var attackers sync.WaitGroup
	for range 2 {
		attackers.Go(func() {
			for a := range list {
				begin := time.Now()
				verdict, err := attackOnce(s.listen[0], a)
				t.Logf("%-22s in %-8s %s %v %v", a.attack, a.phase, verdict, err, time.Since(begin).Round(time.Millisecond))
				if err != nil { // its process died of it
					lost.Add(1)
				} else if verdict != "tempfail" && a.phase != "abort" && a.phase != "close" {
					t.Errorf("%s in %s: %s, want on_error's tempfail", a.attack, a.phase, verdict)
				}
			}
		})
	}
	for _, a := range strikes() {
		list <- a
	}
	close(list)
	attackers.Wait()
	honest.await(t, 50)
	honest.end(t)
	most, who := memory()
	t.Logf("%d strikes, %d cost their process; honest messages: %d, worst %v, put off %d times; memory of a process at most %d MiB (%s)",
		len(strikes()), lost.Load(), honest.passed.Load(), honest.worst(), honest.putOff.Load(), most>>20, who)
	t.Logf("put off:\n%s", honest.why.String())
	if worst := honest.worst(); worst > lateness*busy {
		t.Errorf("an honest message took %v", worst)
	}
	if most > hostileMemory+memoryMargin {
		t.Errorf("a process held %d MiB", most>>20)
	}
	if s.ended() {
		t.Fatal("pmilterd is gone")
	}
}

// shortDir is a folder whose path is short enough for a unix socket in it.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pml") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// attackOnce is one hostile SMTP session; verdict is that of its first refusal.
func attackOnce(addr string, a strike) (verdict string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	session, err := dialAs(ctx, addr, a.attack+"."+a.phase+".hostile")
	if err != nil {
		return "", err
	}
	defer session.Close(ctx)
	if a.phase == "unknown" {
		r, err := session.Unknown(ctx, "XYZZY")
		return r.Verdict(), err
	}
	r, err := sendMail(ctx, session)
	return r.Verdict(), err
}

// watchMemory looks at what the processes of the server hold until the test is over, and
// tells the most that one of them held (RssAnon, bytes), and which: its command line.
func watchMemory(t *testing.T, s *server) (most func() (int64, string)) {
	t.Helper()
	var mu sync.Mutex
	var top int64
	var who string
	stop, done := make(chan struct{}), make(chan struct{})
	look := func() {
		for _, pid := range processes(s.cmd.Process.Pid) {
			n := anonymous(pid)
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			mu.Lock()
			if n > top {
				top, who = n, strings.ReplaceAll(string(line), "\x00", " ")
			}
			mu.Unlock()
		}
	}
	go func() {
		defer close(done)
		for {
			look()
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return func() (int64, string) {
		mu.Lock()
		defer mu.Unlock()
		return top, who
	}
}

// processes are a process and its children.
func processes(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		list, _ := os.ReadFile(task) // the thread may be gone
		for _, f := range strings.Fields(string(list)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// anonymous is RssAnon of a process in bytes, 0 when it is gone.
func anonymous(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}
