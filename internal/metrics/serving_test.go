package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"pmilter/filter"
	"pmilter/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func scripts(names ...string) []filter.Script {
	list := make([]filter.Script, len(names))
	for i, name := range names {
		list[i] = filter.Script{Name: name, Phases: filter.Phases(0).With(filter.Rcpt).With(filter.EOM)}
	}
	return list
}

func newServing() *metrics.Serving {
	return metrics.NewServing(metrics.Sources{
		Connections: func() (int, uint64) { return 2, 5 },
		Worlds:      func() filter.Worlds { return filter.Worlds{Alive: 2, Stuck: 1, Dropped: 3} },
	})
}

func TestServing(t *testing.T) {
	t.Parallel()
	s := newServing()
	m := s.Scripts(scripts("a.js", "b.js"))
	s.Arrived(filter.Connect)
	s.Arrived(filter.Rcpt)
	s.Arrived(filter.Rcpt)
	m.Called(1, filter.Rcpt, 30*time.Microsecond)
	m.Called(1, filter.Rcpt, 10*time.Second)
	m.Failed(1, filter.Rcpt, filter.TimedOut)
	m.Failed(0, filter.EOM, filter.Nonsense)
	m.Decided(1, filter.Rcpt, filter.Tempfail, false)
	m.Decided(-1, filter.EOM, filter.Accept, false)
	m.Decided(0, filter.EOM, filter.Reject, true)
	s.Received(2000)
	s.Opened(3 * time.Millisecond)
	s.Store("get", time.Millisecond, true)
	s.Store("get", time.Millisecond, false)
	s.DNS("dnsbl", time.Millisecond, true)
	s.Store("no such operation", 0, true)
	want := `
# HELP pmilter_connections_accepted_total Connections of MTAs, ever.
# TYPE pmilter_connections_accepted_total counter
pmilter_connections_accepted_total 5
# HELP pmilter_connections_open Connections of MTAs that are served now.
# TYPE pmilter_connections_open gauge
pmilter_connections_open 2
# HELP pmilter_dns_errors_total Each lookup of names that failed; that there is nothing of the name is no failure.
# TYPE pmilter_dns_errors_total counter
pmilter_dns_errors_total{operation="auth"} 0
pmilter_dns_errors_total{operation="dnsbl"} 1
pmilter_dns_errors_total{operation="resolve"} 0
pmilter_dns_errors_total{operation="reverse"} 0
# HELP pmilter_observed_verdicts_total Refusals of scripts with options.observe, which were not carried out.
# TYPE pmilter_observed_verdicts_total counter
pmilter_observed_verdicts_total{phase="eom",script="a.js",verdict="reject"} 1
# HELP pmilter_script_errors_total Handlers that threw, overran, answered nonsense, or could not be asked.
# TYPE pmilter_script_errors_total counter
pmilter_script_errors_total{kind="nonsense",phase="eom",script="a.js"} 1
pmilter_script_errors_total{kind="throw",phase="eom",script="a.js"} 0
pmilter_script_errors_total{kind="throw",phase="eom",script="b.js"} 0
pmilter_script_errors_total{kind="throw",phase="rcpt",script="a.js"} 0
pmilter_script_errors_total{kind="throw",phase="rcpt",script="b.js"} 0
pmilter_script_errors_total{kind="timeout",phase="eom",script="a.js"} 0
pmilter_script_errors_total{kind="timeout",phase="eom",script="b.js"} 0
pmilter_script_errors_total{kind="timeout",phase="rcpt",script="a.js"} 0
pmilter_script_errors_total{kind="timeout",phase="rcpt",script="b.js"} 1
# HELP pmilter_verdicts_total Messages, and refused connections, recipients and commands, by the verdict and the script that gave it (empty: none did).
# TYPE pmilter_verdicts_total counter
pmilter_verdicts_total{phase="eom",script="",verdict="accept"} 1
pmilter_verdicts_total{phase="rcpt",script="b.js",verdict="tempfail"} 1
# HELP pmilter_worlds_alive JavaScript worlds, one for each connection that has called a handler.
# TYPE pmilter_worlds_alive gauge
pmilter_worlds_alive 2
# HELP pmilter_worlds_dropped_total Worlds given up: a script overran, or its top-level code failed.
# TYPE pmilter_worlds_dropped_total counter
pmilter_worlds_dropped_total 3
# HELP pmilter_worlds_stuck Worlds that were given up and in which a script still runs.
# TYPE pmilter_worlds_stuck gauge
pmilter_worlds_stuck 1
`
	err := testutil.GatherAndCompare(s.Gatherer(), strings.NewReader(want),
		"pmilter_connections_accepted_total", "pmilter_connections_open", "pmilter_dns_errors_total", "pmilter_observed_verdicts_total",
		"pmilter_script_errors_total", "pmilter_verdicts_total", "pmilter_worlds_alive", "pmilter_worlds_dropped_total", "pmilter_worlds_stuck")
	if err != nil {
		t.Error(err)
	}
	for name, want := range map[string]float64{
		`pmilter_phases_total{phase="rcpt"}`: 2, `pmilter_phases_total{phase="connect"}`: 1, `pmilter_phases_total{phase="data"}`: 0,
		`pmilter_handler_duration_seconds_count{phase="rcpt",script="b.js"}`: 2, `pmilter_handler_duration_seconds_count{phase="eom",script="b.js"}`: 0,
		`pmilter_message_size_bytes_sum`: 2000, `pmilter_world_start_duration_seconds_count`: 1,
		`pmilter_store_operation_duration_seconds_count{operation="get"}`: 2, `pmilter_store_errors_total{operation="get"}`: 1,
	} {
		if got := valueOf(t, s.Gatherer(), name); got != want {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
}

// TestScriptsAreBounded: names that come and go with reloads do not add up for ever.
func TestScriptsAreBounded(t *testing.T) {
	t.Parallel()
	s := newServing()
	for i := range 3000 {
		s.Scripts([]filter.Script{{Name: fmt.Sprintf("%d.js", i)}}).Decided(0, filter.EOM, filter.Reject, false)
	}
	s.Scripts([]filter.Script{{Name: "caf\xe9.js"}}).Decided(0, filter.EOM, filter.Reject, false)
	if n, err := testutil.GatherAndCount(s.Gatherer(), "pmilter_verdicts_total"); err != nil || n > 1001 {
		t.Errorf("%d series, %v", n, err)
	}
	if got := valueOf(t, s.Gatherer(), `pmilter_verdicts_total{phase="eom",script="(others)",verdict="reject"}`); got < 2000 {
		t.Errorf("%v have no name of their own", got)
	}
}

// BenchmarkMessage is what one message of twelve phases costs, with a handler in each.
func BenchmarkMessage(b *testing.B) {
	s := newServing()
	list := []filter.Script{{Name: "a.js", Phases: 1<<filter.NumPhases - 1}}
	b.ReportAllocs()
	for b.Loop() {
		m := s.Scripts(list)
		for p := range filter.Phase(filter.NumPhases) {
			s.Arrived(p)
			m.Called(0, p, 40*time.Microsecond)
		}
		s.Received(4000)
		m.Decided(-1, filter.EOM, filter.Accept, false)
	}
}

// BenchmarkMessages is the same from all processors at once.
func BenchmarkMessages(b *testing.B) {
	s := newServing()
	list := []filter.Script{{Name: "a.js", Phases: 1<<filter.NumPhases - 1}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := s.Scripts(list)
			for p := range filter.Phase(filter.NumPhases) {
				s.Arrived(p)
				m.Called(0, p, 40*time.Microsecond)
			}
			s.Received(4000)
			m.Decided(-1, filter.EOM, filter.Accept, false)
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	s := newServing()
	s.Scripts(scripts("a.js", "b.js", "c.js", "d.js"))
	for b.Loop() {
		data, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(data)))
	}
}
