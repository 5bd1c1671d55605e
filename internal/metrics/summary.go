package metrics

import (
	"math"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pmilter/internal/admin"
)

// Summarize fills in what a status shows of what processes that serve mail have counted.
func Summarize(g prometheus.Gatherer, s *admin.Status) error {
	families, err := g.Gather()
	handlers := map[string]*handlerSum{}
	script := func(m *dto.Metric) *handlerSum {
		name := label(m, "script")
		if handlers[name] == nil {
			handlers[name] = &handlerSum{Handler: admin.Handler{Script: name, Verdicts: map[string]int64{}}}
		}
		return handlers[name]
	}
	for _, f := range families {
		name := strings.TrimPrefix(f.GetName(), namespace+"_")
		for _, m := range f.GetMetric() {
			n := int64(m.GetCounter().GetValue())
			switch name {
			case "connections_accepted_total":
				s.Connections.Accepted = n
			case "message_size_bytes":
				s.Messages = int64(m.GetHistogram().GetSampleCount())
			case "worlds_alive":
				s.Worlds.Alive = int64(m.GetGauge().GetValue())
			case "worlds_stuck":
				s.Worlds.Stuck = int64(m.GetGauge().GetValue())
			case "worlds_dropped_total":
				s.Worlds.Dropped = n
			case "store_errors_total":
				s.StoreErrors += n
			case "dns_errors_total":
				s.DNSErrors += n
			case "script_errors_total":
				script(m).Errors += n
			case "verdicts_total":
				if label(m, "script") != "" {
					script(m).Verdicts[label(m, "verdict")] += n
				}
			case "handler_duration_seconds":
				script(m).add(m.GetHistogram())
			}
		}
	}
	s.Handlers = []admin.Handler{}
	for _, h := range handlers {
		h.P50, h.P99 = h.quantile(0.5), h.quantile(0.99)
		s.Handlers = append(s.Handlers, h.Handler)
	}
	slices.SortFunc(s.Handlers, func(a, b admin.Handler) int { return strings.Compare(a.Script, b.Script) })
	return err
}

func label(m *dto.Metric, name string) string {
	for _, p := range m.GetLabel() {
		if p.GetName() == name {
			return p.GetValue()
		}
	}
	return ""
}

// handlerSum is a script's handlers of all phases together.
type handlerSum struct {
	admin.Handler
	bounds  []float64
	buckets []uint64 // cumulative
}

func (h *handlerSum) add(from *dto.Histogram) {
	h.Calls += int64(from.GetSampleCount())
	for i, b := range from.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			break
		}
		if i == len(h.bounds) {
			h.bounds, h.buckets = append(h.bounds, b.GetUpperBound()), append(h.buckets, 0)
		}
		h.buckets[i] += b.GetCumulativeCount()
	}
}

// quantile is an estimate in seconds, as PromQL's histogram_quantile makes it: within a
// bucket, times are spread evenly. 0 without calls.
func (h *handlerSum) quantile(q float64) float64 {
	if h.Calls == 0 || len(h.bounds) == 0 {
		return 0
	}
	rank := q * float64(h.Calls)
	low, before := 0.0, 0.0
	for i, bound := range h.bounds {
		n := float64(h.buckets[i])
		if n >= rank {
			return low + (bound-low)*(rank-before)/(n-before)
		}
		low, before = bound, n
	}
	return low // past the last bound: at least that
}
