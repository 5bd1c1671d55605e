package serving

import (
	"context"
	"encoding/json"

	"pmilter/internal/prefork"
)

// Process is a process at one moment.
type Process struct {
	prefork.Worker
	Number uint64          // of the set that it uses; 0: none yet
	Report json.RawMessage // its last; nil: none yet
}

// Status is the pool at one moment.
type Status struct {
	prefork.Status
	Number    uint64 // of the set in use
	Processes []Process
	Gone      json.RawMessage // Options.Sum of those that are no more
}

// Status is the scoreboard. With fresh every process is asked for its report first; one
// that does not answer within a second is shown as it was.
func (p *Pool) Status(ctx context.Context, fresh bool) Status {
	if fresh {
		p.count(ctx)
	}
	s := Status{Status: p.pool.Status()}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Number, s.Gone = p.using, p.gone
	for _, w := range s.Workers {
		one := Process{Worker: w}
		if m := p.members[w.PID]; m != nil {
			one.Number, one.Report = m.using, m.report
		}
		s.Processes = append(s.Processes, one)
	}
	return s
}

// count asks all for their reports.
func (p *Pool) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	p.mu.Lock()
	p.asked++
	number := p.asked
	for pid := range p.members {
		p.tell(pid, message{Word: wordCount, Number: number})
	}
	p.mu.Unlock()
	for {
		p.mu.Lock()
		changed, missing := p.changed, false
		for _, w := range p.members {
			missing = missing || w.counted < number && w.using != 0
		}
		p.mu.Unlock()
		if !missing {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
