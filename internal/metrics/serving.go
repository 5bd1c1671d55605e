package metrics

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pmilter/filter"
)

// Sources are figures that are asked for when metrics are gathered. They must not
// block. Nil: there are none.
type Sources struct {
	Connections func() (open int, accepted uint64)
	Worlds      func() filter.Worlds
}

// Serving is the metrics of one process that serves mail. Safe for concurrent use.
type Serving struct {
	registry *prometheus.Registry

	phases   [filter.NumPhases]prometheus.Counter
	sizes    prometheus.Histogram
	starts   prometheus.Histogram
	handlers *prometheus.HistogramVec // phase, script
	errors   *prometheus.CounterVec   // script, phase, kind
	verdicts *prometheus.CounterVec   // phase, verdict, script
	observed *prometheus.CounterVec   // likewise
	store    *operations
	dns      *operations

	last atomic.Pointer[setMeter]

	mu      sync.Mutex
	scripts map[string]*scriptMeter // by name
}

var _ filter.Meter = (*Serving)(nil)

// NewServing makes the metrics of a process.
func NewServing(from Sources) *Serving {
	s := &Serving{registry: prometheus.NewRegistry(), scripts: map[string]*scriptMeter{}}
	s.sizes = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "message_size_bytes", Buckets: sizeBuckets(),
		Help: "Messages that arrived whole, by the bytes of header and body that the MTA sent.",
	})
	s.starts = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "world_start_duration_seconds", Buckets: durationBuckets(),
		Help: "Time to make the JavaScript world of a connection, top-level code of the scripts included.",
	})
	s.handlers = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "handler_duration_seconds", Buckets: durationBuckets(),
		Help: "Time that one call of a script's handler took, awaits included.",
	}, []string{"phase", "script"})
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
		s.registry.MustRegister(v)
		return v
	}
	s.errors = counters("script_errors_total", "Handlers that threw, overran, answered nonsense, or could not be asked.", "script", "phase", "kind")
	s.verdicts = counters("verdicts_total",
		"Messages, and refused connections, recipients and commands, by the verdict and the script that gave it (empty: none did).", "phase", "verdict", "script")
	s.observed = counters("observed_verdicts_total", "Refusals of scripts with options.observe, which were not carried out.", "phase", "verdict", "script")
	phases := counters("phases_total", "Commands of MTAs, by the phase that they are.", "phase")
	for p := range filter.Phase(filter.NumPhases) {
		s.phases[p] = phases.WithLabelValues(p.String())
	}
	s.registry.MustRegister(s.sizes, s.starts, s.handlers)
	s.store = newOperations(s.registry, "store", "operation", "of the store", "get", "set", "add", "delete", "incr", "limit", "hold")
	s.dns = newOperations(s.registry, "dns", "lookup", "of names", "resolve", "reverse", "dnsbl", "auth")
	s.sources(from)
	return s
}

// sources registers what is asked for.
func (s *Serving) sources(from Sources) {
	gauge := func(name, help string, value func() float64) {
		s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		s.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, value))
	}
	if ask := from.Connections; ask != nil {
		gauge("connections_open", "Connections of MTAs that are served now.", func() float64 { open, _ := ask(); return float64(open) })
		counter("connections_accepted_total", "Connections of MTAs, ever.", func() float64 { _, accepted := ask(); return float64(accepted) })
	}
	if ask := from.Worlds; ask != nil {
		gauge("worlds_alive", "JavaScript worlds, one for each connection that has called a handler.", func() float64 { return float64(ask().Alive) })
		gauge("worlds_stuck", "Worlds that were given up and in which a script still runs.", func() float64 { return float64(ask().Stuck) })
		counter("worlds_dropped_total", "Worlds given up: a script overran, or its top-level code failed.", func() float64 { return float64(ask().Dropped) })
	}
}

// Gatherer is what has been counted so far.
func (s *Serving) Gatherer() prometheus.Gatherer { return s.registry }

// Arrived implements filter.Meter, as do the others below.
func (s *Serving) Arrived(p filter.Phase) {
	if int(p) < len(s.phases) {
		s.phases[p].Inc()
	}
}

// Received notes the size of a message.
func (s *Serving) Received(bytes int64) { s.sizes.Observe(float64(bytes)) }

// Opened notes how long a world took to make.
func (s *Serving) Opened(took time.Duration) { s.starts.Observe(took.Seconds()) }

// Scripts is the counters of a set, the same ones when it is the set of the last call.
func (s *Serving) Scripts(list []filter.Script) filter.ScriptsMeter {
	if last := s.last.Load(); last != nil && last.of(list) {
		return last
	}
	m := &setMeter{list: list, scripts: make([]*scriptMeter, len(list))}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.none = s.script("")
	for i, script := range list {
		m.scripts[i] = s.script(script.Name)
		m.scripts[i].prepare(script.Phases)
	}
	s.last.Store(m)
	return m
}

// maxScripts is how many scripts have counters of their own: names that come and go
// with reloads must not add up for ever.
const maxScripts = 1000

// otherScripts is the name of all that come later.
const otherScripts = "(others)"

// script is the counters of a name. It is called with mu held.
func (s *Serving) script(name string) *scriptMeter {
	name = strings.ToValidUTF8(name, "\uFFFD") // it is a file's
	if _, known := s.scripts[name]; !known && len(s.scripts) >= maxScripts {
		name = otherScripts
	}
	m := s.scripts[name]
	if m == nil {
		m = &scriptMeter{s: s, name: name}
		s.scripts[name] = m
	}
	return m
}
