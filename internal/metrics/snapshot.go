package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// What a snapshot may hold. One of a hundred scripts with handlers for all phases has
// less than a MiB.
const (
	// MaxSnapshot is its length in bytes.
	MaxSnapshot = 16 << 20
	maxFamilies = 500
	maxSeries   = 200_000 // of all families
	maxLabels   = 8
	maxLabel    = 4096 // bytes of a value
)

// Snapshot is what the process has counted so far, for a Merger in another: metric
// families as protocol buffers, each preceded by its length (Prometheus' exposition
// format "delimited").
func (s *Serving) Snapshot() ([]byte, error) {
	families, err := s.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("metrics: snapshot: %w", err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := protodelim.MarshalTo(&b, f); err != nil {
			return nil, fmt.Errorf("metrics: snapshot: %w", err)
		}
	}
	return b.Bytes(), nil
}

var errTooMany = errors.New("metrics: a snapshot of too many metrics")

// figures are metric families by name.
type figures map[string]*family

// family is one of them: counters, gauges, or histograms with the same bounds.
type family struct {
	help   string
	kind   dto.MetricType
	bounds []float64 // of a histogram's buckets, without +Inf
	series map[string]*series
}

// series is one metric.
type series struct {
	labels  []*dto.LabelPair // sorted; never changed
	value   float64          // a counter's or a gauge's
	count   uint64           // a histogram's
	sum     float64
	buckets []uint64 // cumulative, as many as bounds
}

// readSnapshot reads what a Snapshot made. The bytes come from another process: what is
// not as Snapshot makes it is an error.
func readSnapshot(data []byte) (figures, error) {
	if len(data) > MaxSnapshot {
		return nil, fmt.Errorf("metrics: a snapshot of %d bytes: at most %d", len(data), MaxSnapshot)
	}
	all, count := figures{}, 0
	r := bytes.NewReader(data)
	for {
		f := &dto.MetricFamily{}
		err := protodelim.UnmarshalOptions{MaxSize: int64(max(r.Len(), 1))}.UnmarshalFrom(r, f)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("metrics: snapshot: %w", err)
		}
		if count += len(f.GetMetric()); len(all) >= maxFamilies || count > maxSeries {
			return nil, errTooMany
		}
		if err := all.read(f); err != nil {
			return nil, fmt.Errorf("metrics: snapshot: %q: %w", f.GetName(), err)
		}
	}
}

// read adds one family to those of its process.
func (all figures) read(f *dto.MetricFamily) error {
	name := f.GetName()
	if !ours(name) {
		return errors.New("is no metric of ours")
	}
	if all[name] != nil {
		return errors.New("comes twice")
	}
	if !utf8.ValidString(f.GetHelp()) || len(f.GetHelp()) > maxLabel {
		return errors.New("has a strange help")
	}
	made := &family{help: f.GetHelp(), kind: f.GetType(), series: make(map[string]*series, len(f.GetMetric()))}
	for i, m := range f.GetMetric() {
		labels, key, err := readLabels(m.GetLabel())
		if err != nil {
			return err
		}
		s := &series{labels: labels}
		var bounds []float64
		switch {
		case made.kind == dto.MetricType_COUNTER && m.Counter != nil:
			s.value = m.Counter.GetValue()
		case made.kind == dto.MetricType_GAUGE && m.Gauge != nil:
			s.value = m.Gauge.GetValue()
		case made.kind == dto.MetricType_HISTOGRAM && m.Histogram != nil:
			bounds, err = s.readHistogram(m.Histogram)
		default:
			return fmt.Errorf("has a %s, or something else", f.GetType())
		}
		switch {
		case err != nil:
			return err
		case !finite(s.value) || !finite(s.sum) || made.kind != dto.MetricType_GAUGE && (s.value < 0 || s.sum < 0):
			return errors.New("has a value that cannot be")
		case i == 0:
			made.bounds = bounds
		case !slices.Equal(made.bounds, bounds):
			return errors.New("has histograms of two kinds")
		}
		if made.series[key] != nil {
			return errors.New("has a series twice")
		}
		made.series[key] = s
	}
	all[name] = made
	return nil
}

// readLabels are a series' labels by name, and a key that is theirs alone.
func readLabels(pairs []*dto.LabelPair) (labels []*dto.LabelPair, key string, err error) {
	if len(pairs) > maxLabels {
		return nil, "", errors.New("has too many labels")
	}
	for _, p := range pairs {
		name, value := p.GetName(), p.GetValue()
		if !word(name) || !utf8.ValidString(value) || len(value) > maxLabel {
			return nil, "", errors.New("has a label that cannot be")
		}
		labels = append(labels, &dto.LabelPair{Name: &name, Value: &value})
	}
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	var b strings.Builder
	for i, p := range labels {
		if i > 0 && labels[i-1].GetName() == p.GetName() {
			return nil, "", errors.New("has a label twice")
		}
		b.WriteString(p.GetName() + "\xff" + p.GetValue() + "\xff") // no text in UTF-8 has that byte
	}
	return labels, b.String(), nil
}

func (s *series) readHistogram(h *dto.Histogram) (bounds []float64, err error) {
	s.count, s.sum = h.GetSampleCount(), h.GetSampleSum()
	last := uint64(0)
	for i, b := range h.GetBucket() {
		bound, n := b.GetUpperBound(), b.GetCumulativeCount()
		if math.IsInf(bound, 1) && i == len(h.GetBucket())-1 {
			break // it is count
		}
		if !finite(bound) || i > 0 && bound <= bounds[i-1] || n < last || n > s.count {
			return nil, errors.New("has buckets that cannot be")
		}
		bounds, last = append(bounds, bound), n
		s.buckets = append(s.buckets, n)
	}
	if s.count > 1<<53 {
		return nil, errors.New("has counted more than can be")
	}
	return bounds, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// ours tells whether a metric is one of this program's.
func ours(name string) bool {
	return strings.HasPrefix(name, namespace+"_") && len(name) <= 200 && word(name)
}

// word tells whether s is a name in Prometheus' data model.
func word(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if s[i] != '_' && (c < 'a' || c > 'z') && (i == 0 || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 200
}

// dto is the figures as Prometheus' library has them, sorted.
func (all figures) dto() []*dto.MetricFamily {
	list := make([]*dto.MetricFamily, 0, len(all))
	for name, f := range all {
		out := &dto.MetricFamily{Name: &name, Help: &f.help, Type: &f.kind}
		keys := make([]string, 0, len(f.series))
		for key := range f.series {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			out.Metric = append(out.Metric, f.metric(f.series[key]))
		}
		list = append(list, out)
	}
	return list
}

func (f *family) metric(s *series) *dto.Metric {
	m := &dto.Metric{Label: s.labels}
	switch f.kind {
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: &s.value}
	case dto.MetricType_HISTOGRAM:
		m.Histogram = &dto.Histogram{SampleCount: &s.count, SampleSum: &s.sum}
		for i := range f.bounds {
			m.Histogram.Bucket = append(m.Histogram.Bucket, &dto.Bucket{UpperBound: &f.bounds[i], CumulativeCount: &s.buckets[i]})
		}
	default:
		m.Gauge = &dto.Gauge{Value: &s.value}
	}
	return m
}

var _ prometheus.Gatherer = (*Merger)(nil)
