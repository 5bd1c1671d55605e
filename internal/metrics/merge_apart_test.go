package metrics_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pmilter/filter"
	"pmilter/internal/metrics"
)

// whole is counters without sums of seconds, which come in another order each time.
func whole(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	all := counters(t, g)
	maps.DeleteFunc(all, func(name string, _ float64) bool { return strings.Contains(name, "_sum") })
	return all
}

// TestGatherChangesNothing: to be asked is not to count, whatever processes have told the
// same series, and whichever of them is added up first.
func TestGatherChangesNothing(t *testing.T) {
	t.Parallel()
	m := metrics.NewMerger()
	list := make([]*fake, 4)
	for i := range list {
		list[i] = newFake(m)
		for range i + 1 {
			list[i].scripts.Called(0, filter.EOM, 500*time.Microsecond)
			list[i].scripts.Decided(0, filter.EOM, filter.Reject, false)
			list[i].Received(1000)
		}
		list[i].tell(t)
	}
	want := map[string]float64{calls: 10, slow: 10, verdicts: 10, "pmilter_message_size_bytes_count": 10}
	for alive := len(list); ; alive-- {
		first := whole(t, m)
		for range 5 {
			if !maps.Equal(whole(t, m), first) {
				t.Fatalf("with %d processes they have other values when they are asked again", alive)
			}
		}
		expect(t, m, want)
		if alive == 0 {
			break
		}
		list[alive-1].worker.Gone()
	}
	next := newFake(m) // what the dead have counted is not its own
	next.scripts.Called(0, filter.EOM, 500*time.Microsecond)
	next.tell(t)
	for range 2 {
		expect(t, m, map[string]float64{calls: 11, slow: 11, verdicts: 10})
	}
}

// longSnapshot is one of so many bytes, and one of a byte more.
func longSnapshot(t *testing.T, size int) (data, more []byte) {
	t.Helper()
	name, pad, label, help, kind, value := "pmilter_long", "pmilter_pad", "l", "", dto.MetricType_GAUGE, 1.0
	long := &dto.MetricFamily{Name: &name, Type: &kind}
	rest := &dto.MetricFamily{Name: &pad, Type: &kind, Help: &help}
	add := func() {
		text := fmt.Sprintf("%02000d", len(long.Metric))
		long.Metric = append(long.Metric, &dto.Metric{Label: []*dto.LabelPair{{Name: &label, Value: &text}}, Gauge: &dto.Gauge{Value: &value}})
	}
	add()
	one := len(encoded(t, long))
	add()
	for each := len(encoded(t, long)) - one; len(long.Metric) < (size-1000)/each; {
		add()
	}
	data = encoded(t, long)
	help = strings.Repeat("h", 200) // its length takes two bytes, and the family's too
	help += strings.Repeat("h", size-len(data)-len(encoded(t, rest)))
	first := encoded(t, rest)
	help += "h"
	data, more = append(slices.Clip(data), first...), append(slices.Clip(data), encoded(t, rest)...)
	if len(data) != size || len(more) != size+1 {
		t.Fatalf("%d and %d bytes, want %d", len(data), len(more), size)
	}
	return data, more
}

// TestSnapshotThatIsTooLong: one as long as may be is taken, a byte more is not, and the
// one before stays.
func TestSnapshotThatIsTooLong(t *testing.T) {
	t.Parallel()
	m := metrics.NewMerger()
	w := m.Worker()
	data, more := longSnapshot(t, metrics.MaxSnapshot)
	if err := w.Update(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Update(more); err == nil || !strings.Contains(err.Error(), fmt.Sprint("at most ", metrics.MaxSnapshot)) {
		t.Errorf("a byte more: %v", err)
	}
	if families, err := m.Gather(); err != nil || len(families) != 2 {
		t.Errorf("%d families, %v", len(families), err)
	}
}
