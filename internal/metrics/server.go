package metrics

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pmilter/internal/admin"
)

// ServerOptions is what the metrics of a server need of it.
type ServerOptions struct {
	Version string
	// Status is the server at this moment. It may block, for instance on a disk.
	Status func(context.Context) *admin.Status
	// Patience is how long a scrape waits for Status; 0 is 5 s.
	Patience time.Duration
}

// Server is the metrics of a whole server, of which there is one however many processes
// serve mail. Safe for concurrent use.
type Server struct {
	registry *prometheus.Registry
	reloads  map[string]*reloads
}

// What is reloaded.
const (
	Scripts       = "scripts"
	Configuration = "configuration"
)

type reloads struct {
	succeeded, failed prometheus.Counter
	last, success     prometheus.Gauge
}

// NewServer makes the metrics of a server.
func NewServer(o ServerOptions) *Server {
	s := &Server{registry: prometheus.NewRegistry(), reloads: map[string]*reloads{}}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of the program and of the Go that it was built by.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(o.Version, runtime.Version()).Set(1)
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "reloads_total", Help: "Times that scripts or the configuration were loaded anew, by result; the load at the start is none.",
	}, []string{"what", "result"})
	last := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "last_reload_timestamp_seconds", Help: "When the last load was, the one at the start included.",
	}, []string{"what"})
	success := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "last_reload_successful", Help: "1 if the last load went well, 0 if what was there before is still in use.",
	}, []string{"what"})
	for _, what := range []string{Scripts, Configuration} {
		r := &reloads{
			succeeded: total.WithLabelValues(what, "success"), failed: total.WithLabelValues(what, "failure"),
			last: last.WithLabelValues(what), success: success.WithLabelValues(what),
		}
		r.last.SetToCurrentTime()
		r.success.Set(1)
		s.reloads[what] = r
	}
	s.registry.MustRegister(build, total, last, success,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.Status != nil {
		s.registry.MustRegister(newStatusCollector(o))
	}
	return s
}

// Gatherer is the metrics at this moment. It waits for Status, but no longer than Patience.
func (s *Server) Gatherer() prometheus.Gatherer { return s.registry }

// Reloaded notes how a reload of Scripts or Configuration went.
func (s *Server) Reloaded(what string, err error) {
	r := s.reloads[what]
	if r == nil {
		return
	}
	r.last.SetToCurrentTime()
	if err != nil {
		r.failed.Inc()
		r.success.Set(0)
		return
	}
	r.succeeded.Inc()
	r.success.Set(1)
}
