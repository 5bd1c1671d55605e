package jobs

import (
	"time"

	"pmilter/internal/prefork"
	"pmilter/internal/queue"
	"pmilter/script"
)

// Status is a queue and its workers at one moment.
type Status struct {
	Waiting int       // events that are due
	Running int       // that a worker of this server has
	Delayed int       // that wait for their next attempt
	Failed  int       // in .failed
	Oldest  time.Time // when the oldest of those that wait was made; zero without one
	Fault   error     // why the Maildir cannot be read

	Done, Gone, Retried int64 // jobs since the start: done, in .failed, put off
	Script              script.Status
	Pool                prefork.Status
}

// Status looks at the Maildir and the workers. It blocks on the disk.
func (q *Queue) Status() Status {
	var pool prefork.Status
	if q.pool != nil {
		pool = q.pool.Status()
	}
	running := map[string]bool{}
	for _, w := range pool.Workers {
		if w.State == prefork.Busy {
			running[w.What] = true
		}
	}
	s := Look(q.queue, running)
	s.Done, s.Gone, s.Retried = q.counts[0].Load(), q.counts[1].Load(), q.counts[2].Load()
	s.Pool, s.Script = pool, q.library.Status()
	return s
}

// Look counts the events of a Maildir. running tells which of them are worked on.
func Look(maildir *queue.Queue, running map[string]bool) (s Status) {
	events, err := maildir.Scan()
	if err != nil {
		s.Fault = err
		return s
	}
	now := time.Now()
	for _, e := range events {
		switch {
		case running[e.ID]:
			s.Running++
			continue
		case e.Due(now):
			s.Waiting++
		default:
			s.Delayed++
		}
		if !e.Made.IsZero() && (s.Oldest.IsZero() || e.Made.Before(s.Oldest)) {
			s.Oldest = e.Made
		}
	}
	failed, err := maildir.List(queue.StateFailed)
	s.Failed, s.Fault = len(failed), err
	return s
}
