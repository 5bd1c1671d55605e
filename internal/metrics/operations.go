package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// operations is the counters of what scripts ask of a service.
type operations struct {
	took   map[string]prometheus.Observer
	failed map[string]prometheus.Counter
}

// newOperations makes them: noun is in the name of what is timed, of says of what it is.
func newOperations(to prometheus.Registerer, subsystem, noun, of string, names ...string) *operations {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: noun + "_duration_seconds", Buckets: durationBuckets(),
		Help: "Time that one " + noun + " " + of + " took, failed ones included.",
	}, []string{"operation"})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "errors_total",
		Help: "Each " + noun + " " + of + " that failed; that there is nothing of the name is no failure.",
	}, []string{"operation"})
	to.MustRegister(took, failed)
	o := &operations{took: map[string]prometheus.Observer{}, failed: map[string]prometheus.Counter{}}
	for _, name := range names {
		o.took[name], o.failed[name] = took.WithLabelValues(name), failed.WithLabelValues(name)
	}
	return o
}

func (o *operations) done(operation string, took time.Duration, failed bool) {
	if observe := o.took[operation]; observe != nil {
		observe.Observe(took.Seconds())
		if failed {
			o.failed[operation].Inc()
		}
	}
}

// Store notes an operation of the store: get, set, add, delete, incr, limit or hold.
func (s *Serving) Store(operation string, took time.Duration, failed bool) {
	s.store.done(operation, took, failed)
}

// DNS notes a look-up: resolve, reverse, dnsbl, or auth, which is for pmilter/auth.
func (s *Serving) DNS(operation string, took time.Duration, failed bool) {
	s.dns.done(operation, took, failed)
}
