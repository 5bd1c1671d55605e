package prefork

import (
	"context"
	"slices"
	"syscall"
	"time"
)

// Signal does to the workers what Options.Signals says of s, and nothing when it says
// nothing. The package catches no signals: whoever gets one hands it on. It returns when
// every worker there was has had its turn, or the pool stops, or ctx is done; with
// Reaction.Replace that is when the last one is gone. Workers that start meanwhile have
// not had the signal.
func (p *Pool) Signal(ctx context.Context, s syscall.Signal) error {
	r, ok := p.o.Signals[s]
	switch {
	case !ok:
		return nil
	case r.Replace:
		return p.Replace(ctx)
	}
	p.mu.Lock()
	all := slices.Clone(p.workers)
	p.mu.Unlock()
	for i, w := range all {
		if i > 0 && !p.pause(ctx, r.Every) {
			return ctx.Err()
		}
		w.process.Signal(r.Send) // without effect on one that is gone
	}
	return nil
}

// pause waits; it tells whether to go on.
func (p *Pool) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-p.stopped:
	}
	return false
}
