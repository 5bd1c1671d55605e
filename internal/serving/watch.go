package serving

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// silence is how long a process may say nothing; it says something each second.
const silence = 20 * time.Second

// Limit has a process killed whose RssAnon is past that many bytes; 0: none is.
func (p *Pool) Limit(memory int64) { p.limit.Store(memory) }

// watch kills processes that are past the limit, and those that say nothing any more.
func (p *Pool) watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		limit := p.limit.Load()
		for _, w := range p.pool.Status().Workers {
			if limit > 0 && w.Memory > limit {
				p.o.Log.Error("serving process killed: its memory is past all limits",
					zap.Int("pid", w.PID), zap.Int64("memory", w.Memory), zap.Int64("limit", limit))
				p.pool.Kill(w.PID, "memory")
			}
		}
		p.mu.Lock()
		p.looked = time.Now()
		for pid, w := range p.members {
			if quiet := p.looked.Sub(w.heard); quiet > silence {
				p.o.Log.Error("serving process killed: it says nothing", zap.Int("pid", pid), zap.Duration("for", quiet))
				p.pool.Kill(pid, "hung")
			}
		}
		p.mu.Unlock()
	}
}

// Alive tells whether the pool does what it should: some process serves, each that does
// has said so within that time and a second, and so long ago the pool has looked after
// them at most.
func (p *Pool) Alive(within time.Duration) error {
	within += lookEvery
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		return nil
	}
	if quiet := now.Sub(p.looked); quiet > within {
		return fmt.Errorf("serving: nobody has looked after the processes for %s", quiet)
	}
	if quiet := now.Sub(p.heard); quiet > within {
		return fmt.Errorf("serving: no process has served for %s", quiet)
	}
	for pid, w := range p.members {
		if quiet := now.Sub(w.heard); w.using != 0 && quiet > within {
			return fmt.Errorf("serving: process %d has said nothing for %s", pid, quiet)
		}
	}
	return nil
}
