package metrics_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pmilter/filter"
	"pmilter/internal/metrics"
)

// fake is a process that serves mail.
type fake struct {
	*metrics.Serving
	scripts filter.ScriptsMeter
	worker  *metrics.Worker
	open    int
}

func newFake(m *metrics.Merger) *fake {
	f := &fake{worker: m.Worker()}
	f.Serving = metrics.NewServing(metrics.Sources{Connections: func() (int, uint64) { return f.open, uint64(f.open) }})
	f.scripts = f.Serving.Scripts(scripts("a.js"))
	return f
}

// tell sends a snapshot to the parent.
func (f *fake) tell(tb testing.TB) {
	tb.Helper()
	data, err := f.Snapshot()
	if err == nil {
		err = f.worker.Update(data)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

const (
	verdicts = `pmilter_verdicts_total{phase="eom",script="a.js",verdict="reject"}`
	calls    = `pmilter_handler_duration_seconds_count{phase="eom",script="a.js"}`
	slow     = `pmilter_handler_duration_seconds_bucket{phase="eom",script="a.js",le="0.001"}`
	sum      = `pmilter_handler_duration_seconds_sum{phase="eom",script="a.js"}`
	open     = `pmilter_connections_open`
)

func expect(tb testing.TB, g prometheus.Gatherer, want map[string]float64) {
	tb.Helper()
	got := values(tb, g)
	for name, value := range want {
		if got[name] != value {
			tb.Errorf("%s is %v, not %v", name, got[name], value)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	own := newServing() // 2 open
	own.Scripts(scripts("a.js")).Decided(0, filter.EOM, filter.Reject, false)
	server := metrics.NewServer(metrics.ServerOptions{Version: "v1"})
	m := metrics.NewMerger(server.Gatherer(), own.Gatherer())
	a, b := newFake(m), newFake(m)
	a.open, b.open = 3, 4
	for range 5 {
		a.scripts.Decided(0, filter.EOM, filter.Reject, false)
		a.scripts.Called(0, filter.EOM, 500*time.Microsecond)
	}
	b.scripts.Decided(0, filter.EOM, filter.Reject, false)
	b.scripts.Called(0, filter.EOM, 1500*time.Millisecond)
	a.tell(t)
	b.tell(t)
	a.tell(t) // the same again counts once
	expect(t, m, map[string]float64{verdicts: 7, calls: 6, slow: 5, sum: 5*500e-6 + 1.5, open: 9, "pmilter_connections_accepted_total": 12})

	a.worker.Gone()
	a.worker.Gone()
	expect(t, m, map[string]float64{verdicts: 7, calls: 6, slow: 5, open: 6, "pmilter_connections_accepted_total": 12})
	late, _ := a.Snapshot()
	if err := a.worker.Update(late); err != nil {
		t.Error(err)
	}
	expect(t, m, map[string]float64{verdicts: 7, open: 6}) // the dead tell nothing

	c := newFake(m) // its replacement begins at zero
	expect(t, m, map[string]float64{verdicts: 7, open: 6})
	c.scripts.Decided(0, filter.EOM, filter.Reject, false)
	c.open = 1
	c.tell(t)
	expect(t, m, map[string]float64{verdicts: 8, calls: 6, open: 7})
	if got := values(t, m); got[`go_goroutines`] < 1 || got[`pmilter_last_reload_successful{what="scripts"}`] != 1 {
		t.Errorf("the parent's own is missing: %v", got)
	}
}

// TestMergeNeverGoesDown: many workers that count, tell, die and are replaced, in any
// order, and one that says that it has counted less than before.
func TestMergeNeverGoesDown(t *testing.T) {
	t.Parallel()
	m := metrics.NewMerger()
	random := rand.New(rand.NewPCG(1, 2))
	var workers []*fake
	told, untold := map[*fake]float64{}, map[*fake]float64{}
	total, before := 0.0, map[string]float64{}
	for range 2000 {
		if len(workers) < 4 {
			workers = append(workers, newFake(m))
		}
		i := random.IntN(len(workers))
		f := workers[i]
		switch random.IntN(8) {
		case 0:
			f.worker.Gone()
			total += told[f]
			delete(told, f)
			workers = append(workers[:i], workers[i+1:]...)
		case 1, 2:
			f.tell(t)
			told[f] = untold[f]
		case 3:
			if err := f.worker.Update(nil); err != nil { // it has lost all that it counted
				t.Fatal(err)
			}
		default:
			f.scripts.Decided(0, filter.EOM, filter.Reject, false)
			f.scripts.Called(0, filter.EOM, time.Duration(random.IntN(2000))*time.Microsecond)
			untold[f]++
		}
		now := values(t, m)
		for name, v := range before {
			if now[name] < v && name != open {
				t.Fatalf("%s went from %v to %v", name, v, now[name])
			}
		}
		want := total
		for _, n := range told {
			want += n
		}
		if now[verdicts] != want {
			t.Fatalf("%v verdicts, not %v", now[verdicts], want)
		}
		before = now
	}
}

func TestMergeAtOnce(t *testing.T) {
	t.Parallel()
	m := metrics.NewMerger()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				f := newFake(m)
				f.scripts.Decided(0, filter.EOM, filter.Reject, false)
				f.tell(t)
				if _, err := m.Gather(); err != nil {
					t.Error(err)
				}
				f.worker.Gone()
			}
		})
	}
	wg.Wait()
	expect(t, m, map[string]float64{verdicts: 80})
}

// TestUpdateRefuses what no Snapshot makes; the one before stays.
func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	m := metrics.NewMerger()
	f := newFake(m)
	f.scripts.Decided(0, filter.EOM, filter.Reject, false)
	f.tell(t)
	good, _ := f.Snapshot()
	value := func(name string, kind dto.MetricType, v float64, labels ...string) *dto.MetricFamily {
		metric := &dto.Metric{Counter: &dto.Counter{Value: &v}, Gauge: &dto.Gauge{Value: &v}}
		for i := range labels {
			metric.Label = append(metric.Label, &dto.LabelPair{Name: &labels[i], Value: &labels[i]})
		}
		return &dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{metric}}
	}
	many := value("pmilter_x", dto.MetricType_GAUGE, 1)
	for range 200_000 {
		many.Metric = append(many.Metric, &dto.Metric{})
	}
	for name, data := range map[string][]byte{
		"cut":              good[:len(good)-3],
		"no protobuf":      []byte("\x05hello"),
		"a long length":    {0xff, 0xff, 0xff, 0xff, 0x7f},
		"too long":         make([]byte, metrics.MaxSnapshot+1),
		"not ours":         encoded(t, value("go_goroutines", dto.MetricType_GAUGE, 1)),
		"twice":            encoded(t, value("pmilter_x", dto.MetricType_GAUGE, 1), value("pmilter_x", dto.MetricType_GAUGE, 1)),
		"less than none":   encoded(t, value("pmilter_x", dto.MetricType_COUNTER, -1)),
		"no kind":          encoded(t, value("pmilter_x", dto.MetricType_SUMMARY, 1)),
		"another kind":     encoded(t, value("pmilter_verdicts_total", dto.MetricType_GAUGE, 1)),
		"a label twice":    encoded(t, value("pmilter_x", dto.MetricType_GAUGE, 1, "a", "a")),
		"a strange label":  encoded(t, value("pmilter_x", dto.MetricType_GAUGE, 1, "a b")),
		"a long label":     encoded(t, value("pmilter_x", dto.MetricType_GAUGE, 1, strings.Repeat("a", 5000))),
		"too many metrics": encoded(t, many),
	} {
		if err := f.worker.Update(data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	expect(t, m, map[string]float64{verdicts: 1})
}
