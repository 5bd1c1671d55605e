package prefork

import "time"

// State is what a worker is at.
type State string

// The states, in the order of a life.
const (
	Starting State = "starting"
	Idle     State = "idle"
	Busy     State = "busy"
	Ending   State = "ending"
)

// Worker is a line of the scoreboard.
type Worker struct {
	PID     int
	State   State
	What    string // the job's, while it is busy
	Since   time.Time
	Started time.Time
	Jobs    int   // that it has done
	Memory  int64 // RssAnon in bytes, now
}

// Status is a pool at one moment.
type Status struct {
	Min, Max int
	Workers  []Worker // the oldest first
	Waiting  int      // jobs that no worker has yet
	Spawned  int      // workers started, ever
	Died     int      // of these, those that ended unasked
	// Fault is why the last worker died before it was of use; "" when one has been of
	// use since. The next start is not before Retry.
	Fault string
	Retry time.Time
}

// Status is the scoreboard.
func (p *Pool) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{
		Min: p.o.Min, Max: p.o.Max, Waiting: len(p.waiting), Spawned: p.spawned, Died: p.died, Fault: p.fault, Retry: p.nextSpawn,
	}
	for _, w := range p.workers {
		s.Workers = append(s.Workers, Worker{
			PID: w.PID(), State: w.state, What: w.what, Since: w.since, Started: w.started, Jobs: w.jobs, Memory: w.Memory(),
		})
	}
	return s
}
