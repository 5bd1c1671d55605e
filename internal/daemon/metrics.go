package daemon

import (
	"encoding/json"
	"sync/atomic"

	"go.uber.org/zap"

	"pmilter/internal/admin"
	"pmilter/internal/metrics"
)

// measure begins to count what is the whole server's.
func (r *running) measure() {
	r.metrics = metrics.NewServer(metrics.ServerOptions{Version: r.o.Version, Status: r.status})
	r.merged = r.engine.measure(r.metrics)
}

// loadListener is told of each load of the scripts after the first.
type loadListener struct{ to atomic.Pointer[func(error)] }

func (l *loadListener) tell(err error) {
	if tell := l.to.Load(); tell != nil {
		(*tell)(err)
	}
}

func (l *loadListener) set(server *metrics.Server) {
	tell := func(err error) { server.Reloaded(metrics.Scripts, err) }
	l.to.Store(&tell)
}

func (e *engine) measure(server *metrics.Server) *metrics.Merger {
	e.onLoad.set(server)
	return metrics.NewMerger(e.meter.Gatherer())
}

// measure implements front: each process sends what it counts.
func (f *fleet) measure(server *metrics.Server) *metrics.Merger {
	f.onLoad.set(server)
	f.merged = metrics.NewMerger()
	return f.merged
}

// reported is told what a process says of itself, and gone of its end.
func (f *fleet) reported(pid int, data json.RawMessage) {
	var r report
	if json.Unmarshal(data, &r) != nil {
		return // a process of this binary sends no other
	}
	f.counting.Lock()
	defer f.counting.Unlock()
	w := f.counters[pid]
	if w == nil {
		w = f.merged.Worker()
		f.counters[pid] = w
	}
	if err := w.Update(r.Metrics); err != nil {
		f.log.Error("metrics of a serving process", zap.Int("pid", pid), zap.Error(err))
	}
}

func (f *fleet) gone(pid int) {
	f.counting.Lock()
	defer f.counting.Unlock()
	if w := f.counters[pid]; w != nil {
		w.Gone()
		delete(f.counters, pid)
	}
}

// measured fills in what the processes that serve mail have counted, and whether the
// server is ready.
func (r *running) measured(s *admin.Status) {
	if r.merged == nil {
		return // nobody measures
	}
	if err := metrics.Summarize(r.merged, s); err != nil {
		s.Measured = &admin.Fault{Message: err.Error()}
	}
	if err := r.fit(s.MilterWorkers); err != nil {
		s.NotReady = err.Error()
	}
	s.Draining = r.drains()
}
