package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pmilter/internal/admin"
)

// statusCollector makes metrics of what status shows: queues and workers. They are not
// counted twice, and cost nothing until somebody asks.
type statusCollector struct {
	o ServerOptions

	answered, maxConnections                *prometheus.Desc
	events, oldest, readable, jobs          *prometheus.Desc
	scriptLoaded                            *prometheus.Desc
	workers, workersMax, started, died, bad *prometheus.Desc
	milter, milterMax, milterStarted        *prometheus.Desc
	milterDied, milterBad                   *prometheus.Desc

	mu    sync.Mutex
	asked *question // under way
}

// question is a call of Status, which may outlast who asked.
type question struct {
	done   chan struct{}
	status *admin.Status
}

func newStatusCollector(o ServerOptions) *statusCollector {
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &statusCollector{
		o:              o,
		answered:       desc("status_answered", "1 if the server could tell of its queues in time; 0: their metrics are missing now."),
		maxConnections: desc("connections_max", "Connections that are served at a time, at most; more wait in the backlog."),
		events:         desc("queue_events", "Events in a queue: waiting are due, delayed wait for their next attempt.", "queue", "state"),
		oldest:         desc("queue_oldest_event_age_seconds", "Age of the oldest event that has not been worked off; 0 without one.", "queue"),
		readable:       desc("queue_readable", "1 if the queue's Maildir can be read.", "queue"),
		jobs:           desc("jobs_total", "Jobs that have ended since the queue was opened, by result.", "queue", "result"),
		scriptLoaded:   desc("queue_script_successful", "1 if the last load of the queue's job went well, 0 if an older one is in use.", "queue"),
		workers:        desc("workers", "Worker processes of a queue.", "queue", "state"),
		workersMax:     desc("workers_max", "Worker processes that a queue may have.", "queue"),
		started:        desc("worker_starts_total", "Worker processes that were started.", "queue"),
		died:           desc("worker_deaths_total", "Worker processes that ended unasked.", "queue"),
		bad:            desc("workers_failing", "1 if the workers of a queue cannot be started.", "queue"),
		milter:         desc("milter_workers", "Processes for MTAs (milter.workers) that there are.", "state"),
		milterMax:      desc("milter_workers_wanted", "Processes for MTAs (milter.workers) that there should be."),
		milterStarted:  desc("milter_worker_starts_total", "Processes for MTAs (milter.workers) that were started."),
		milterDied:     desc("milter_worker_deaths_total", "Processes for MTAs (milter.workers) that ended unasked."),
		milterBad:      desc("milter_workers_failing", "1 if a process for MTAs (milter.workers) cannot be started."),
	}
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.answered, c.maxConnections, c.events, c.oldest, c.readable, c.jobs, c.scriptLoaded,
		c.workers, c.workersMax, c.started, c.died, c.bad,
		c.milter, c.milterMax, c.milterStarted, c.milterDied, c.milterBad,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		send(d, prometheus.GaugeValue, value, labels...)
	}
	s := c.ask()
	gauge(c.answered, truth(s != nil))
	if s == nil {
		return
	}
	gauge(c.maxConnections, float64(s.Connections.Max))
	if m := s.MilterWorkers; m != nil {
		states := map[string]int{"starting": 0, "serving": 0, "ending": 0}
		for _, w := range m.Processes {
			states[w.State]++
		}
		for state, n := range states {
			gauge(c.milter, float64(n), state)
		}
		gauge(c.milterMax, float64(m.Workers))
		gauge(c.milterBad, truth(m.Fault != nil))
		send(c.milterStarted, prometheus.CounterValue, float64(m.Started))
		send(c.milterDied, prometheus.CounterValue, float64(m.Died))
	}
	for _, q := range s.Queues {
		c.queue(q, gauge, send)
	}
}

// queue sends the metrics of one queue.
func (c *statusCollector) queue(q admin.Queue, gauge func(*prometheus.Desc, float64, ...string),
	send func(*prometheus.Desc, prometheus.ValueType, float64, ...string),
) {
	gauge(c.readable, truth(q.Fault == nil), q.Name)
	for state, n := range map[string]int{"waiting": q.Waiting, "running": q.Running, "delayed": q.Delayed, "failed": q.Failed} {
		gauge(c.events, float64(n), q.Name, state)
	}
	age := 0.0
	if q.Oldest != nil {
		age = *q.Oldest
	}
	gauge(c.oldest, age, q.Name)
	if q.Scripts != nil {
		gauge(c.scriptLoaded, truth(q.Scripts.Error == nil), q.Name)
	}
	if q.Pool == nil {
		return
	}
	for result, n := range map[string]int64{"done": q.Jobs.Done, "failed": q.Jobs.Failed, "retried": q.Jobs.Retried} {
		send(c.jobs, prometheus.CounterValue, float64(n), q.Name, result)
	}
	states := map[string]int{"starting": 0, "idle": 0, "busy": 0, "ending": 0}
	for _, w := range q.Pool.Workers {
		states[w.State]++
	}
	for state, n := range states {
		gauge(c.workers, float64(n), q.Name, state)
	}
	gauge(c.workersMax, float64(q.Pool.Max), q.Name)
	gauge(c.bad, truth(q.Pool.Fault != nil), q.Name)
	send(c.started, prometheus.CounterValue, float64(q.Pool.Started), q.Name)
	send(c.died, prometheus.CounterValue, float64(q.Pool.Died), q.Name)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// ask is the status, nil when it does not come in time. One question is under way at
// a time: who asks meanwhile waits for the same answer.
func (c *statusCollector) ask() *admin.Status {
	c.mu.Lock()
	q := c.asked
	if q == nil {
		q = &question{done: make(chan struct{})}
		c.asked = q
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), c.o.Patience)
			defer cancel()
			q.status = c.o.Status(ctx)
			c.mu.Lock()
			c.asked = nil
			c.mu.Unlock()
			close(q.done)
		}()
	}
	c.mu.Unlock()
	late := time.NewTimer(c.o.Patience)
	defer late.Stop()
	select {
	case <-q.done:
		return q.status
	case <-late.C:
		return nil
	}
}
