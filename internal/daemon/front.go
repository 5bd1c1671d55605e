package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

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
	// prepare does all that takes long before listeners can be served, and takes no
	// connection. Once, before the first serve.
	prepare(ctx context.Context, listeners []*listening) error
	// serve begins to take connections from listeners, until stop of each is called; failed
	// gets why one failed, if it has room.
	serve(ctx context.Context, listeners []*listening, failed chan<- error) error
	// alive tells whether what all connections depend on still works; the goroutine that
	// ends endless scripts may be quiet for so long.
	alive(listeners int, quiet time.Duration) error
	// configure makes another configuration, and its scripts, those for new connections.
	// With an error everything stays as it was.
	configure(ctx context.Context, cfg *config.Config) error
	// shutdown drains and ends, as milter.Server.Shutdown does.
	shutdown(ctx context.Context) error
	// close ends what shutdown leaves.
	close()

	theStore() *store.Switch
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
func newFront(ctx context.Context, cfg *config.Config, o Options, open storeOpener) (front, error) {
	if cfg.Milter.Workers > 0 {
		return newFleet(ctx, cfg, o, open)
	}
	e, err := openEngine(ctx, cfg, o.Log, nil, open)
	if err != nil {
		return nil, err
	}
	e.keepDecisions(cfg)
	return e, nil
}

var _ front = (*engine)(nil)

func (e *engine) prepare(context.Context, []*listening) error { return nil }

func (e *engine) serve(ctx context.Context, listeners []*listening, failed chan<- error) error {
	for _, l := range listeners {
		ctx, stop := context.WithCancel(ctx)
		l.stop, l.done = stop, make(chan struct{})
		go func() {
			defer close(l.done)
			defer stop()
			err := e.server.Serve(ctx, l.Listener, l.entry)
			if ctx.Err() != nil || errors.Is(err, milter.ErrServerClosed) {
				return // it was asked for
			}
			select {
			case failed <- fmt.Errorf("daemon: %s: %w", l.entry, err):
			default: // the first one stops the server
			}
		}()
	}
	return nil
}

func (e *engine) alive(listeners int, quiet time.Duration) error {
	if n := e.server.Listeners(); n < listeners {
		return fmt.Errorf("daemon: of %d listeners %d are served", listeners, n)
	}
	if silent := e.library.Load().WatchdogQuiet(); silent > quiet {
		return fmt.Errorf("daemon: the watchdog of scripts has not looked for %s", silent)
	}
	return nil
}

func (e *engine) shutdown(ctx context.Context) error { return e.server.Shutdown(ctx) }

func (e *engine) theStore() *store.Switch { return e.services.store }

func (e *engine) theQueues() *atomic.Pointer[queues] { return &e.queues }

func (e *engine) scriptStatus() script.Status { return e.library.Load().Status() }

func (e *engine) tally(context.Context) tally {
	return tally{Connections: e.server.Connections(), Verdicts: e.verdicts.all()}
}
