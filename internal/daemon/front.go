package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"pmilter/internal/admin"
	"pmilter/internal/config"
	"pmilter/internal/metrics"
	"pmilter/internal/milter"
	"pmilter/internal/store"
	"pmilter/script"
)

// front is what serves the MTAs: the engine of this process, or a fleet of processes
// with an engine each.
type front interface {
	// serve begins to; failed gets why a listener failed, or has room for all.
	serve(ctx context.Context, listeners []namedListener, failed chan<- error) error
	// configure makes another configuration, and its scripts, those for new connections.
	// With an error everything stays as it was.
	configure(ctx context.Context, cfg *config.Config) error
	// shutdown drains and ends, as milter.Server.Shutdown does.
	shutdown(ctx context.Context) error
	// close ends what shutdown leaves.
	close()

	theStore() store.Store
	theQueues() *atomic.Pointer[queues]
	scriptStatus() script.Status
	// tally is what was counted, of all processes.
	tally(ctx context.Context) tally
	// measure adds the counters of all processes to the server's. Before serve.
	measure(server *metrics.Server) *metrics.Merger
}

// tally is what a front has counted.
type tally struct {
	Connections int              `json:"connections"` // open
	Verdicts    map[string]int64 `json:"verdicts"`    // since the start
	// Workers are the processes; nil when there is one.
	Workers *admin.MilterWorkers `json:"-"`
}

// newFront makes what a configuration asks for, with its scripts, which must load. It
// serves nothing yet.
func newFront(ctx context.Context, cfg *config.Config, o Options) (front, error) {
	if cfg.Milter.Workers > 0 {
		return newFleet(ctx, cfg, o)
	}
	e, err := newEngine(ctx, cfg, o.Log, nil)
	if err != nil {
		return nil, err
	}
	e.keepDecisions(cfg)
	return e, nil
}

var _ front = (*engine)(nil)

func (e *engine) serve(ctx context.Context, listeners []namedListener, failed chan<- error) error {
	for _, l := range listeners {
		go func() {
			if err := e.server.Serve(ctx, l.Listener, l.name); !errors.Is(err, milter.ErrServerClosed) {
				failed <- fmt.Errorf("daemon: %s: %w", l.name, err)
			}
		}()
	}
	return nil
}

func (e *engine) shutdown(ctx context.Context) error { return e.server.Shutdown(ctx) }

func (e *engine) theStore() store.Store { return e.services.store }

func (e *engine) theQueues() *atomic.Pointer[queues] { return &e.queues }

func (e *engine) scriptStatus() script.Status { return e.library.Load().Status() }

func (e *engine) tally(context.Context) tally {
	return tally{Connections: e.server.Connections(), Verdicts: e.verdicts.all()}
}
