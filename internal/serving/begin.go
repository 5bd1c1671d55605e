package serving

import (
	"context"
	"time"

	"pmilter/internal/prefork"
)

// Ready returns when all processes could begin; with an error when one could not be set
// up before, or several have died of it.
func (p *Pool) Ready(ctx context.Context) error {
	return p.await(ctx, func() (bool, error) { return len(p.members) >= p.workers, p.failed })
}

// Begin has the processes begin, and returns when those that were ready have; at least one.
func (p *Pool) Begin(ctx context.Context) error {
	p.mu.Lock()
	p.begun = true
	p.heard = time.Now()
	p.admitAll()
	p.mu.Unlock()
	return p.await(ctx, func() (bool, error) {
		serve := len(p.members) > 0
		for _, w := range p.members {
			serve = serve && (w.using != 0 || !w.admitted)
		}
		return serve, nil
	})
}

// await returns when something is so, which is asked with the mutex held, or with its error or ctx's.
func (p *Pool) await(ctx context.Context, so func() (bool, error)) error {
	for {
		p.mu.Lock()
		done, err := so()
		changed := p.changed
		p.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Configure changes how many processes there are, and how long one that is to end from
// now on may take. Those that are too many end when what they serve is over.
func (p *Pool) Configure(workers int, endTimeout time.Duration) {
	p.mu.Lock()
	p.workers = workers
	p.mu.Unlock()
	p.pool.Configure(prefork.Limits{Min: workers, Max: workers, EndTimeout: endTimeout})
}
