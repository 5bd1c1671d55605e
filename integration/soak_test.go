package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// soakScript is what a site might have, a line each.
const soakScript = `import { note, reject } from "pmilter";
import store from "pmilter/store";
import { enqueue } from "pmilter/queue";
import { matcher } from "pmilter/match";
const words = matcher(["casino", "lottery", /free\s+money/], { ignoreCase: true });
export async function connect(session) { await store.hold("at:" + session.client.ip, { max: 1000 }); }
export async function mail(session, sender) {
  const { ok } = await store.limit("from:" + sender, { max: 1e9, per: "1m" });
  if (!ok) return reject("too much");
}
export async function eom(session) {
  const m = session.message;
  if (words.test(m.text)) return reject("no");
  m.headers.add("X-Soaked", String(await store.incr("n", { ttl: "10m" })));
  note("size", { size: m.size });
  if (Math.random() < 0.05) enqueue("work", { data: { n: 1 } });
}
`

// sample is what the server holds at one moment, all its processes together.
type sample struct {
	at                           time.Duration
	messages                     int64
	memory                       int64 // RssAnon, bytes
	processes, files, goroutines int
}

// TestSoak runs everything at once for PMILTER_SOAK (an hour, "1h"; without it for some
// seconds): honest mail at some rate, jobs, edits of the scripts, SIGHUPs, hostile
// scripts, broken peers. What the server holds must not grow.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("PMILTER_SOAK"))
	long := err == nil
	if !long {
		length = 8 * time.Second
	}
	admin := postfixtest.FreeAddr(t, "127.0.0.1")
	addr := freeListen(t)
	s := startServer(t, serverConfig{
		binary: os.Getenv(plainBinaryEnv), listen: []string{addr},
		scripts: map[string]string{
			"10-hostile.js": hostileScript, "20-soak.js": soakScript, "_job.js": "export default async function (job) {}",
		},
		settings: map[string]string{
			"milter.workers": "2", "milter.drain_timeout": `"2s"`, "admin.listen": fmt.Sprintf("%q", admin),
			"handler.memory": `"256MiB"`, "handler.cpu": `"300ms"`, "handler.timeout": `"2s"`, "log.level": `"warn"`,
			"queue.work.maildir": `"work"`, "queue.work.job": `"scripts/_job.js"`, "queue.work.workers": "{ min = 1, max = 2 }",
		},
	})
	honest := startHonest(t, addr, 4, 40*time.Millisecond)
	begun := time.Now()
	var samples []sample
	for n := 1; time.Since(begun) < length; n++ {
		time.Sleep(time.Second)
		s.trouble(t, addr, n)
		if every := max(length/60, 2*time.Second); time.Since(begun) > every*time.Duration(len(samples)+1) {
			samples = append(samples, s.sample(t, admin, time.Since(begun), honest.passed.Load()))
			t.Logf("%s", samples[len(samples)-1])
		}
	}
	honest.end(t)
	t.Logf("worst %v, put off %d times", honest.worst(), honest.putOff.Load())
	if left := len(entries(t, s.dir, "work/new")); left > 100 {
		t.Errorf("%d events are left", left)
	}
	if long {
		checkFlat(t, samples)
	}
}

// trouble is what happens in second n.
func (s *server) trouble(t *testing.T, addr string, n int) {
	t.Helper()
	_, address := dialAddr(addr)
	all := breaches()
	go func() {
		if conn := breakAt(t, address, all[n%len(all)], n%len(packets())); conn != nil {
			conn.Close()
		}
	}()
	if n%5 == 0 {
		s.writeScript("20-soak.js", soakScript+"// "+strconv.Itoa(n))
	}
	if n%30 == 0 {
		list := strikes()
		_, _ = attackOnce(addr, list[n/30%len(list)]) // its answer is looked at elsewhere
	}
	if n%60 == 0 {
		s.signal(syscall.SIGHUP)
	}
}

func (s sample) String() string {
	return fmt.Sprintf("%8s %8d messages %4d MiB %2d processes %4d files %5d goroutines",
		s.at.Round(time.Second), s.messages, s.memory>>20, s.processes, s.files, s.goroutines)
}

func (s *server) sample(t *testing.T, admin string, at time.Duration, messages int64) sample {
	t.Helper()
	all := processes(s.cmd.Process.Pid)
	out := sample{at: at, messages: messages, processes: len(all)}
	for _, pid := range all {
		out.memory += anonymous(pid)
		list, _ := os.ReadDir(filepath.Join("/proc", fmt.Sprint(pid), "fd")) // it may have ended
		out.files += len(list)
	}
	out.goroutines = goroutines(t, admin)
	return out
}

// goroutines is how many the server and its serving processes have.
func goroutines(t *testing.T, admin string) (all int) {
	t.Helper()
	for line := range strings.Lines(string(ask(t, admin, "/metrics"))) {
		if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			all, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	var s fleetStatus
	if err := json.Unmarshal(ask(t, admin, "/status"), &s); err != nil || all == 0 {
		t.Fatalf("%d goroutines, %v", all, err)
	}
	for _, p := range s.serving() {
		all += p.Goroutines
	}
	return all
}

// ask is what the admin listener has at a path.
func ask(t *testing.T, admin, path string) []byte {
	t.Helper()
	response, err := http.Get("http://" + admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkFlat compares the medians of the second quarter and the last one.
func checkFlat(t *testing.T, samples []sample) {
	t.Helper()
	quarter := len(samples) / 4
	if quarter < 3 {
		t.Fatalf("%d samples are too few", len(samples))
	}
	for what, of := range map[string]func(sample) int64{
		"memory":     func(s sample) int64 { return s.memory },
		"files":      func(s sample) int64 { return int64(s.files) },
		"goroutines": func(s sample) int64 { return int64(s.goroutines) },
	} {
		median := func(part []sample) int64 {
			var list []int64
			for _, s := range part {
				list = append(list, of(s))
			}
			slices.Sort(list)
			return list[len(list)/2]
		}
		early, late := median(samples[quarter:2*quarter]), median(samples[len(samples)-quarter:])
		t.Logf("%s: %d in the second quarter, %d in the last", what, early, late)
		if late > early+early/5 {
			t.Errorf("%s grows: %d, then %d", what, early, late)
		}
	}
}
