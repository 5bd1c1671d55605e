package metrics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Merger adds up the snapshots of processes that serve mail, and what this process has
// counted itself. Counters and histograms keep what processes that have ended had
// counted; gauges are the sum of those that live. Safe for concurrent use.
type Merger struct {
	own prometheus.Gatherers

	mu    sync.Mutex
	alive map[*Worker]struct{}
	gone  figures // counters and histograms of those that have ended
	given figures // what Gather gave last
}

// Worker is one process to a Merger.
type Worker struct {
	m    *Merger
	last figures // guarded by m.mu
	gone bool
}

// NewMerger makes a Merger of what own gathers and of no worker yet. What own has that
// is not a metric of this program's, like the collectors of Go, is passed on as it is.
func NewMerger(own ...prometheus.Gatherer) *Merger {
	return &Merger{own: own, alive: map[*Worker]struct{}{}, gone: figures{}}
}

// Worker is a process that has begun and counted nothing. Gone must be called at its end.
func (m *Merger) Worker() *Worker {
	w := &Worker{m: m, last: figures{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alive[w] = struct{}{}
	return w
}

// errOtherKind: the families of two processes do not fit together.
var errOtherKind = errors.New("is another kind of metric than before")

// Update takes a Snapshot of the process; what it counts after the last one is lost
// when it dies. On an error the one before stays.
func (w *Worker) Update(snapshot []byte) error {
	now, err := readSnapshot(snapshot)
	if err != nil {
		return err
	}
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if w.gone {
		return nil // it said so with its last breath
	}
	for _, known := range w.m.parts() {
		if err := now.fit(known); err != nil {
			return err
		}
	}
	now.atLeast(w.last)
	if now.size() > maxSeries {
		return errTooMany
	}
	w.last = now
	return nil
}

// Gone ends the process: its gauges vanish, what it counted stays. It may be called twice.
func (w *Worker) Gone() {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if w.gone {
		return
	}
	w.gone = true
	delete(w.m.alive, w)
	for name, f := range w.last {
		if f.kind != dto.MetricType_GAUGE && w.m.gone.size()+len(f.series) <= 2*maxSeries {
			w.m.gone.add(name, f)
		}
	}
	w.last = nil
}

// parts are the figures that Gather adds up. It is called with mu held.
func (m *Merger) parts() []figures {
	list := []figures{m.gone}
	for w := range m.alive {
		list = append(list, w.last)
	}
	return list
}

// Gather implements prometheus.Gatherer.
func (m *Merger) Gather() ([]*dto.MetricFamily, error) {
	families, failed := m.own.Gather()
	sum := figures{}
	var rest []*dto.MetricFamily
	for _, f := range families {
		if !ours(f.GetName()) {
			rest = append(rest, f)
		} else if err := sum.read(f); err != nil {
			failed = errors.Join(failed, fmt.Errorf("metrics: %q: %w", f.GetName(), err))
		}
	}
	m.mu.Lock()
	for _, part := range m.parts() {
		if err := part.fit(sum); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for name, f := range part {
			sum.add(name, f)
		}
	}
	sum.smooth(m.given)
	m.given = sum
	m.mu.Unlock()
	rest = append(rest, sum.dto()...)
	slices.SortFunc(rest, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return rest, failed
}

// fit tells whether figures can be added to others.
func (all figures) fit(others figures) error {
	for name, f := range all {
		if other := others[name]; other != nil && (other.kind != f.kind || len(f.series) > 0 && len(other.series) > 0 && !slices.Equal(other.bounds, f.bounds)) {
			return fmt.Errorf("metrics: %s %w", name, errOtherKind)
		}
	}
	return nil
}

// size is how many series there are.
func (all figures) size() (n int) {
	for _, f := range all {
		n += len(f.series)
	}
	return n
}

// add adds a family that fits. Its series are not kept.
func (all figures) add(name string, f *family) {
	sum := all[name]
	if sum == nil {
		sum = &family{help: f.help, kind: f.kind, bounds: f.bounds, series: make(map[string]*series, len(f.series))}
		all[name] = sum
	}
	if len(sum.series) == 0 {
		sum.bounds = f.bounds
	}
	for key, s := range f.series {
		to := sum.series[key]
		if to == nil {
			sum.series[key] = s.clone()
			continue
		}
		to.value += s.value
		to.count += s.count
		to.sum += s.sum
		for i := range to.buckets {
			to.buckets[i] += s.buckets[i]
		}
	}
}

func (s *series) clone() *series {
	c := *s
	c.buckets = slices.Clone(s.buckets)
	return &c
}

// atLeast has counters and histograms not be less than before, whatever a worker says.
// Both are of one process, and fit.
func (all figures) atLeast(before figures) {
	for name, f := range before {
		if f.kind == dto.MetricType_GAUGE {
			continue
		}
		now := all[name]
		if now == nil || len(now.series) == 0 {
			all[name] = f
			continue
		}
		for key, s := range f.series {
			if n := now.series[key]; n == nil || n.value < s.value || n.count < s.count || n.sum < s.sum || n.less(s) {
				now.series[key] = s
			}
		}
	}
}

// smooth takes what rounding has made less than in the figures before: sums of seconds
// are added in another order each time, and to Prometheus a counter that goes down by
// the least bit has begun anew.
func (all figures) smooth(before figures) {
	for name, f := range all {
		if f.kind == dto.MetricType_GAUGE || before[name] == nil {
			continue
		}
		for key, s := range f.series {
			if b := before[name].series[key]; b != nil {
				s.value, s.sum = max(s.value, b.value), max(s.sum, b.sum)
			}
		}
	}
}

// less tells whether a bucket of a histogram has less than the other's.
func (s *series) less(other *series) bool {
	for i := range s.buckets {
		if s.buckets[i] < other.buckets[i] {
			return true
		}
	}
	return false
}
