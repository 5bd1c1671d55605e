package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pmilter/filter"
)

// setMeter is the counters of the scripts of one set.
type setMeter struct {
	list    []filter.Script
	scripts []*scriptMeter
	none    *scriptMeter // of verdicts that are no script's
}

var _ filter.ScriptsMeter = (*setMeter)(nil)

// of tells whether list is the very one that the meter was made of.
func (m *setMeter) of(list []filter.Script) bool {
	return len(m.list) == len(list) && (len(list) == 0 || &m.list[0] == &list[0])
}

// at is the counters of a script by its index.
func (m *setMeter) at(script int) *scriptMeter {
	if script < 0 || script >= len(m.scripts) {
		return m.none
	}
	return m.scripts[script]
}

// Called implements filter.ScriptsMeter, as do the others below.
func (m *setMeter) Called(script int, p filter.Phase, took time.Duration) {
	if int(p) < filter.NumPhases {
		m.at(script).called(p).Observe(took.Seconds())
	}
}

// Failed counts a fault.
func (m *setMeter) Failed(script int, p filter.Phase, kind filter.FaultKind) {
	if int(p) < filter.NumPhases && int(kind) < filter.NumFaultKinds {
		m.at(script).failed(p, kind).Inc()
	}
}

// Decided counts a verdict.
func (m *setMeter) Decided(script int, p filter.Phase, verdict filter.Action, wouldBe bool) {
	if int(p) < filter.NumPhases && int(verdict) < numActions {
		m.at(script).decided(p, verdict, wouldBe).Inc()
	}
}

const numActions = int(filter.Skip) + 1

// scriptMeter is the counters of one script. Finding a counter by its labels costs
// more than counting: each is looked for once.
type scriptMeter struct {
	s    *Serving
	name string

	calls    [filter.NumPhases]atomic.Pointer[prometheus.Observer]
	faults   [filter.NumPhases][filter.NumFaultKinds]atomic.Pointer[prometheus.Counter]
	verdicts [filter.NumPhases][numActions]atomic.Pointer[prometheus.Counter]
	observed [filter.NumPhases][numActions]atomic.Pointer[prometheus.Counter]
}

// prepare makes the counters that a script with handlers for phases will most likely
// need: a counter that is there before it counts shows its first increase.
func (m *scriptMeter) prepare(phases filter.Phases) {
	for p := range filter.Phase(filter.NumPhases) {
		if phases.Has(p) {
			m.called(p)
			m.failed(p, filter.Threw)
			m.failed(p, filter.TimedOut)
		}
	}
}

// found is what slot holds, made at first. Two that make it at once make the same one.
func found[T any](slot *atomic.Pointer[T], find func() T) T {
	if known := slot.Load(); known != nil {
		return *known
	}
	made := find()
	slot.Store(&made)
	return made
}

func (m *scriptMeter) called(p filter.Phase) prometheus.Observer {
	return found(&m.calls[p], func() prometheus.Observer { return m.s.handlers.WithLabelValues(p.String(), m.name) })
}

func (m *scriptMeter) failed(p filter.Phase, kind filter.FaultKind) prometheus.Counter {
	return found(&m.faults[p][kind], func() prometheus.Counter { return m.s.errors.WithLabelValues(m.name, p.String(), kind.String()) })
}

func (m *scriptMeter) decided(p filter.Phase, verdict filter.Action, wouldBe bool) prometheus.Counter {
	slots, vec := &m.verdicts, m.s.verdicts
	if wouldBe {
		slots, vec = &m.observed, m.s.observed
	}
	return found(&slots[p][verdict], func() prometheus.Counter { return vec.WithLabelValues(p.String(), verdict.String(), m.name) })
}
