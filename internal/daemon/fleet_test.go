package daemon

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pmilter/internal/config"
)

// TestOrderKeepsTheConfiguration: a serving process gets what was configured, but for
// its share of the connections.
func TestOrderKeepsTheConfiguration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pmilter.toml")
	text := `
listen = ["inet:8890@127.0.0.1", "unix:/tmp/x"]
scripts = ["a.js"]
[milter]
workers = 3
max_connections = 100
socket_mode = "0600"
drain_timeout = "7s"
oversize = "tempfail"
[handler]
memory = "64MiB"
max_value = "1MiB"
on_error = "reject"
[dns]
servers = ["127.0.0.1:53"]
[permissions]
net = ["*.example.org", "10.0.0.0/8:25"]
maildir = ["/m"]
exec = ["/bin/true"]
[queue.q]
maildir = "/q"
retry = { attempts = 3, backoff = "1s", max_backoff = "2h" }
[vars]
n = 7
f = 1.5
list = ["a", { b = true }]
[log]
format = "json"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{started: cfg, listeners: []*listening{{entry: "a"}, {entry: "b"}}}
	f.wanted.Store(int64(cfg.Milter.Workers))
	data, err := f.order(cfg, []byte(`{"code":1}`))
	if err != nil {
		t.Fatal(err)
	}
	var o order
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	if o.Config.Milter.MaxConnections != 34 || strings.Join(o.Listen, " ") != "a b" || o.CPU != cfg.Handler.CPU || string(o.Code) != `{"code":1}` {
		t.Errorf("%+v", o)
	}
	want, got := *cfg, *o.Config
	want.Milter.MaxConnections, got.Vars, want.Vars = 34, nil, nil
	want.Warnings = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	vars, err := json.Marshal(o.Config.Vars)
	if err != nil || string(vars) != `{"f":1.5,"list":["a",{"b":true}],"n":7}` {
		t.Errorf("%s, %v", vars, err)
	}
	// What needs a restart stays as it was at the start, for processes that start later.
	changed := *cfg
	changed.Milter.Workers, changed.Milter.MaxConnections, changed.Milter.DrainTimeout, changed.Log.Format = 2, 7, 0, "console"
	changed.Handler.OnError = config.Accept
	if data, err = f.order(&changed, nil); err == nil {
		err = json.Unmarshal(data, &o)
	}
	if m := o.Config.Milter; err != nil || m.MaxConnections != 4 || m.DrainTimeout != 0 || o.Config.Log.Format != "json" || o.Config.Handler.OnError != config.Accept {
		t.Errorf("%+v, %v", o.Config, err)
	}
	changed.Milter.Workers = 0 // without processes: at a restart
	if data, err = f.order(&changed, nil); err == nil {
		err = json.Unmarshal(data, &o)
	}
	if m := o.Config.Milter; err != nil || m.Workers != 3 || m.MaxConnections != 3 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestTalliesAddUp(t *testing.T) {
	t.Parallel()
	var gone json.RawMessage
	for range 2 {
		gone = sumTallies(gone, json.RawMessage(`{"connections":3,"verdicts":{"accept":2,"reject":1},"scripts":"x"}`))
	}
	for _, nonsense := range []string{``, `[]`, `{"verdicts":7}`} {
		gone = sumTallies(gone, json.RawMessage(nonsense))
	}
	if string(gone) != `{"connections":0,"verdicts":{"accept":4,"reject":2}}` {
		t.Errorf("%s", gone)
	}
}

// FuzzReport: whatever a process says of itself, it is only a report.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"connections":3,"verdicts":{"accept":2},"scripts":"x","metrics":"AAEC"}`))
	f.Add([]byte(`{"connections":-1,"verdicts":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		sum := sumTallies(nil, in)
		var all tally
		if sum != nil && json.Unmarshal(sum, &all) != nil {
			t.Errorf("%q: %q", in, sum)
		}
		all.add(tally{Connections: 1, Verdicts: map[string]int64{"accept": 1}})
	})
}

// TestRunawayAllocationEndsTheProcess: what no limit of ours has stopped the kernel does,
// and the process ends, which nobody else notices.
func TestRunawayAllocationEndsTheProcess(t *testing.T) {
	t.Parallel()
	const helper = "PMILTER_TEST_RUNAWAY"
	if os.Getenv(helper) != "" {
		cfg := config.Default()
		cfg.Handler.Memory = 64 << 20
		limitData(cfg)
		kept := make([]byte, 256<<20) // may be
		kept = append(kept, make([]byte, 1<<30)...)
		t.Logf("lives on with %d bytes", len(kept))
		return
	}
	if raceDetector {
		t.Skip("the race detector needs more address space than any limit allows")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunawayAllocationEndsTheProcess$", "-test.v")
	cmd.Env = append(os.Environ(), helper+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "out of memory") && !strings.Contains(string(out), "cannot allocate memory") {
		t.Errorf("%v: %s", err, out)
	}
}
