package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// values are all series of a gatherer as they are written in the text format, a
// histogram by its count, sum and buckets.
func values(tb testing.TB, g prometheus.Gatherer) map[string]float64 {
	tb.Helper()
	return valuesOf(tb, g, true)
}

// counters is values without gauges.
func counters(tb testing.TB, g prometheus.Gatherer) map[string]float64 {
	tb.Helper()
	return valuesOf(tb, g, false)
}

func valuesOf(tb testing.TB, g prometheus.Gatherer, gauges bool) map[string]float64 {
	tb.Helper()
	families, err := g.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			put := func(suffix string, value float64, more ...string) {
				all[f.GetName()+suffix+labelsOf(m.GetLabel(), more...)] = value
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				put("", m.GetCounter().GetValue())
			case dto.MetricType_GAUGE:
				if !gauges {
					continue
				}
				put("", m.GetGauge().GetValue())
			case dto.MetricType_HISTOGRAM:
				h := m.GetHistogram()
				put("_count", float64(h.GetSampleCount()))
				put("_sum", h.GetSampleSum())
				for _, b := range h.GetBucket() {
					put("_bucket", float64(b.GetCumulativeCount()), fmt.Sprintf(`le="%g"`, b.GetUpperBound()))
				}
			}
		}
	}
	return all
}

func labelsOf(pairs []*dto.LabelPair, more ...string) string {
	var list []string
	for _, p := range pairs {
		list = append(list, fmt.Sprintf("%s=%q", p.GetName(), p.GetValue()))
	}
	list = append(list, more...)
	if len(list) == 0 {
		return ""
	}
	return "{" + strings.Join(list, ",") + "}"
}

// valueOf is one of them; what is not there is a failure.
func valueOf(tb testing.TB, g prometheus.Gatherer, name string) float64 {
	tb.Helper()
	v, ok := values(tb, g)[name]
	if !ok {
		tb.Errorf("there is no %s", name)
	}
	return v
}
