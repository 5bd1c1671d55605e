package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pmilter/internal/admin"
)

func at(t *testing.T, clock string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, clock)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// troubled is a server with whom everything is wrong.
func troubled(t *testing.T) *reading {
	t.Helper()
	old := 3600.0
	start := at(t, "2026-01-01T00:00:00Z")
	return &reading{
		now: start.Add(100 * time.Second), passed: 100 * time.Second,
		Status: &admin.Status{
			Version: "v1", PID: 7, Started: start, Config: "/etc/pmilter/pmilter.toml", Listen: []string{"inet:8890@127.0.0.1"},
			Connections: admin.Connections{Open: 10, Max: 10, Accepted: 500},
			Verdicts:    map[string]int64{"accept": 300, "reject": 20, "discard": 1}, Messages: 310,
			Scripts: admin.Scripts{Version: "abc", Loaded: start, Failed: 1, Error: &admin.Fault{Message: "scripts/a.js:4:7: Expected \";\" but found \"}\"\nscripts/b.js:1:1: no"}},
			Reload:  &admin.Fault{Message: "pmilter.toml:3:1: unknown key lisen\x1b[2J", Time: start.Add(90 * time.Second)}, Reloads: 1, LastReload: start.Add(90 * time.Second),
			Handlers: []admin.Handler{
				{Script: "scripts/a.js", Calls: 1000, Errors: 3, P50: 41e-6, P99: 8, Verdicts: map[string]int64{"reject": 20}},
				{Script: "scripts/b.js"},
			},
			Worlds: admin.Worlds{Alive: 10, Stuck: 1, Dropped: 4}, StoreErrors: 2, DNSErrors: 1,
			Queues: []admin.Queue{{
				Name: "archive", Job: "jobs/a.js", Waiting: 5, Failed: 2, Oldest: &old, Scripts: &admin.Scripts{Version: "def"},
				Pool: &admin.Pool{
					Max: 4, Started: 9, Died: 3, Fault: &admin.Fault{Message: "killed"},
					Workers: []admin.Worker{{PID: 99, State: "busy", Event: "1767225600.M1P2Q3.pmilter.host", Seconds: 2, Jobs: 12, Memory: 5 << 20}},
				},
			}},
		},
	}
}

const troubledPage = `pmilterd v1  pid 7  up 1m40s  /etc/pmilter/pmilter.toml
!!  connections: all 10 are taken, more wait; see milter.max_connections
!!  scripts: the last load failed, those of 1m40s ago stay in use:
    scripts/a.js:4:7: Expected ";" but found "}"
    scripts/b.js:1:1: no
!!  configuration: the reload of 10s ago failed, the one before stays in use:
    pmilter.toml:3:1: unknown key lisen�[2J
!!  1 script still runs in a built-in function after its time was up: look for "script error" in the log
!!  queue archive: workers cannot be started: killed
!   queue archive: 3 of 9 workers died
!   queue archive: 2 events failed for good: pmilterd queue ls --failed archive
!   queue archive: the oldest event is 1h0m old
!   script scripts/a.js: 3 errors in 1000 calls: look for "script error" in the log
!   store: 2 errors; see [store]
!   dns: 1 look-up failed; see [dns]

listen       inet:8890@127.0.0.1
connections  10 open of at most 10, 500 accepted (5.00/s)
messages     310 (3.10/s)
verdicts     accept 300 (3.00/s)  reject 20 (0.20/s)  discard 1 (0.01/s)
worlds       10 alive, 1 stuck, 4 dropped
scripts      abc, loaded 1m40s ago, 1 load failed
reload       10s ago, the configuration

script        calls  errors   p50  p99  decided
scripts/a.js   1000       3  41µs   8s  reject 20
scripts/b.js      0       0     -    -  -

queue    waiting  running  delayed  failed  oldest  done   workers  script
archive        5        0        0       2    1h0m     0  1 of 0-4  def

pid  queue    state  for  jobs   memory  event
 99  archive  busy    2s    12  5.0 MiB  1767225600.M1P2Q3.pmilter.host
`

func TestStatusPage(t *testing.T) {
	t.Parallel()
	p := &page{}
	troubled(t).show(p)
	if got := p.b.String(); got != troubledPage {
		t.Errorf("%s", got)
	}
}

// TestStatusPageFits: no line is longer than the terminal is wide, and nothing of what
// is wrong is cut off.
func TestStatusPageFits(t *testing.T) {
	t.Parallel()
	for _, width := range []int{40, 60, 80, 200} {
		p := &page{width: width}
		troubled(t).show(p)
		for line := range strings.Lines(p.b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d: %d: %s", width, n, line)
			}
		}
		all := strings.Join(strings.Fields(p.b.String()), " ")
		for _, must := range []string{"scripts/a.js:4:7: Expected", "pmilter.toml:3:1: unknown key", "--failed archive"} {
			if !strings.Contains(all, must) {
				t.Errorf("%d: no %q in %s", width, must, all)
			}
		}
	}
}

// TestStatusPageColors are around words only, and nothing else steers a terminal.
func TestStatusPageColors(t *testing.T) {
	t.Parallel()
	p := &page{color: true}
	troubled(t).show(p)
	text := p.b.String()
	if !strings.Contains(text, "\x1b[1;31m!!  connections") {
		t.Errorf("what is wrong is not red: %q", text)
	}
	for _, code := range []string{bold, red, yellow, green, dim, "0"} {
		text = strings.ReplaceAll(text, "\x1b["+code+"m", "")
	}
	if text != troubledPage {
		t.Errorf("%q", text)
	}
}

func TestStatusPageOfAHappyServer(t *testing.T) {
	t.Parallel()
	p := &page{}
	start := at(t, "2026-01-01T00:00:00Z")
	before := &admin.Status{Verdicts: map[string]int64{"accept": 10}, Messages: 10}
	r := &reading{
		now: start.Add(time.Hour), before: before, passed: 2 * time.Second,
		Status: &admin.Status{Version: "v1", Started: start, Messages: 14, Verdicts: map[string]int64{"accept": 14}, Connections: admin.Connections{Max: 10}},
	}
	r.show(p)
	for _, want := range []string{"\nok  nothing is wrong\n", "\nmessages     14 (2.00/s)\n", "\nverdicts     accept 14 (2.00/s)\n"} {
		if !strings.Contains(p.b.String(), want) {
			t.Errorf("no %q in\n%s", want, p.b.String())
		}
	}
	p = &page{}
	r.Draining, r.Connections.Open, r.NotReady = true, 1, "the server stops"
	r.show(p)
	if !strings.Contains(p.b.String(), "\n!!  stopping: no new connections; 1 connection still served\n") || strings.Contains(p.b.String(), "nothing is wrong") {
		t.Error(p.b.String())
	}
}
