package metrics_test

import (
	"bytes"
	"math"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"

	"pmilter/filter"
	"pmilter/internal/metrics"
)

func encoded(tb testing.TB, families ...*dto.MetricFamily) []byte {
	tb.Helper()
	var b bytes.Buffer
	for _, f := range families {
		if _, err := protodelim.MarshalTo(&b, f); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Bytes()
}

// FuzzUpdate: whatever a worker says, the parent's metrics can be gathered, no counter
// goes down, and those of an honest worker are all there.
func FuzzUpdate(f *testing.F) {
	s := newServing()
	m := s.Scripts(scripts("a.js"))
	first, _ := s.Snapshot()
	m.Decided(0, filter.EOM, filter.Reject, false)
	second, _ := s.Snapshot()
	f.Add(first, second)
	f.Add(second, first)
	f.Add(second, second[:len(second)/2])
	kind, name, big := dto.MetricType_COUNTER, "pmilter_x", math.MaxFloat64
	f.Add(encoded(f, &dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{{Counter: &dto.Counter{Value: &big}}}}), []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		merger := metrics.NewMerger()
		honest := newFake(merger)
		honest.scripts.Decided(0, filter.EOM, filter.Reject, false)
		honest.tell(t)
		worker := merger.Worker()
		_ = worker.Update(first)
		before := counters(t, merger)
		if before[verdicts] < 1 {
			t.Error("the honest worker's verdict is missing")
		}
		for _, then := range []func(){func() { _ = worker.Update(second) }, worker.Gone} {
			then()
			now := counters(t, merger)
			for name, v := range before {
				if now[name] < v {
					t.Fatalf("%s went from %v to %v", name, v, now[name])
				}
			}
			before = now
		}
	})
}
