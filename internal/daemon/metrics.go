package daemon

import "pmilter/internal/metrics"

// measure begins to count what is the whole server's.
func (r *running) measure() {
	r.metrics = metrics.NewServer(metrics.ServerOptions{Version: r.o.Version, Status: r.status})
	r.merged = metrics.NewMerger(r.metrics.Gatherer(), r.engine.meter.Gatherer())
	tell := func(err error) { r.metrics.Reloaded(metrics.Scripts, err) }
	r.engine.onLoad.Store(&tell)
}
