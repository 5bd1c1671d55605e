package daemon

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/config"
	"pmilter/internal/decisions"
	"pmilter/internal/metrics"
	"pmilter/internal/milter"
	"pmilter/internal/spool"
	"pmilter/script"
)

// engine is a filter with its scripts and the server that offers it.
type engine struct {
	log    *zap.Logger
	report func(*filter.Outcome) // when set it is told outcomes in place of the log
	maxCPU time.Duration         // what a regular expression's limit, set at start, is above
	server *milter.Server
	filter *filter.Filter

	services     *Services
	stopServices context.CancelFunc
	spool        atomic.Pointer[spool.Spool]
	// gate is read-locked while a connection takes its scripts: who holds it keeps all
	// from it.
	gate    sync.RWMutex
	library atomic.Pointer[library]
	queues  atomic.Pointer[queues]
	watches sync.WaitGroup

	verdicts  verdictCounts
	decisions *decisions.Writer // nil where there is no log
	meter     *metrics.Serving
	onLoad    loadListener
}

// library is the scripts of one configuration.
type library struct {
	*script.Library
	stop context.CancelFunc // of Watch
}

// newEngine loads the scripts, which must all load, and serves nothing yet.
func newEngine(ctx context.Context, cfg *config.Config, log *zap.Logger, report func(*filter.Outcome)) (*engine, error) {
	return openEngine(ctx, cfg, log, report, openStoreIn)
}

// openEngine is newEngine with the store opened by open.
func openEngine(ctx context.Context, cfg *config.Config, log *zap.Logger, report func(*filter.Outcome),
	open storeOpener,
) (*engine, error) {
	e := rawEngine(cfg, log, report)
	if err := open(e.services.store, cfg, log); err != nil {
		return nil, err
	}
	l, err := e.load(ctx, cfg)
	if err != nil {
		e.services.Close()
		return nil, err
	}
	e.begin(ctx, cfg, l)
	return e, nil
}

// rawEngine has its services and counters, and no store and scripts yet.
func rawEngine(cfg *config.Config, log *zap.Logger, report func(*filter.Outcome)) *engine {
	e := &engine{log: log, report: report, maxCPU: cfg.Handler.CPU, services: NewServices(cfg, log)}
	e.meter = metrics.NewServing(metrics.Sources{
		Connections: func() (int, uint64) { return e.server.Connections(), e.server.Accepted() },
		Worlds:      func() filter.Worlds { return e.filter.Worlds() },
	})
	e.services.MeterBy(e.meter)
	return e
}

// begin makes the rest of an engine, whose services and scripts there are.
func (e *engine) begin(ctx context.Context, cfg *config.Config, l *library) {
	e.takeQueues(e.makeQueues(cfg))
	ctx, e.stopServices = context.WithCancel(ctx)
	e.watches.Go(func() { e.services.Watch(ctx) })
	e.library.Store(l)
	e.spool.Store(spool.New(cfg.Milter.SpoolThreshold, ""))
	e.filter = filter.New(e.filterOptions(cfg))
	e.server = milter.NewServer(milter.Config{
		NewSession:     func(c *milter.Conn) milter.Session { return e.filter.NewSession(c) },
		Log:            e.log,
		MaxConnections: cfg.Milter.MaxConnections,
		IdleTimeout:    cfg.Milter.IdleTimeout,
		DrainTimeout:   drainTimeout(cfg),
	})
}

// drainTimeout is the server's, for which 0 is the default.
func drainTimeout(cfg *config.Config) time.Duration {
	return max(cfg.Milter.DrainTimeout, time.Nanosecond)
}

// limitProcess sets what holds for the whole process. Once, before newEngine;
// what it returns must be kept alive as long as the engine serves.
func limitProcess(cfg *config.Config) (ballast []byte) {
	// Above the deadline: a match that ran out of time must not be taken for no match.
	script.LimitRegexp(cfg.Handler.CPU + time.Second)
	limitMemory(cfg)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	return make([]byte, ballastSize)
}

// limitMemory has the collector work harder when handler.memory is near.
func limitMemory(cfg *config.Config) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cfg.Handler.Memory + ballastSize)
	}
}

// ballastSize is memory that is never touched, so that it costs address space
// alone: it makes the collector wait for half as much garbage before it starts.
// What is alive in the server is a few MB, and each mail leaves some 30 KB
// behind: without this a server with trivial handlers passed a quarter fewer.
const ballastSize = 48 << 20

// garbagePercent is how much garbage the collector leaves beside what is alive.
// Go's own 100 would double what a thousand connections hold.
const garbagePercent = 50

// makeQueues makes a configuration's queues, on the disk too.
func (e *engine) makeQueues(cfg *config.Config) *queues {
	q := newQueues(cfg, e.log)
	q.create()
	return q
}

// takeQueues makes them the ones for new connections.
func (e *engine) takeQueues(q *queues) { e.queues.Store(q) }

// load makes a library of a configuration's scripts and watches them. ctx ends
// the watching too.
func (e *engine) load(ctx context.Context, cfg *config.Config) (*library, error) {
	if err := checkJobs(cfg); err != nil {
		return nil, err
	}
	l := &library{Library: script.NewLibrary(e.libraryOptions(cfg))}
	if err := l.Load(ctx); err != nil {
		l.Close()
		return nil, err
	}
	l.watch(ctx, &e.watches, e.log)
	return l, nil
}

// watch loads the scripts anew when they change, until ctx is done or stop is called.
func (l *library) watch(ctx context.Context, watches *sync.WaitGroup, log *zap.Logger) {
	ctx, l.stop = context.WithCancel(ctx)
	watches.Go(func() {
		if err := l.Watch(ctx); err != nil && ctx.Err() == nil {
			log.Error("scripts are not watched: send SIGHUP after an edit", zap.Error(err))
		}
	})
}

func (e *engine) libraryOptions(cfg *config.Config) script.Options {
	o := libraryOptions(cfg, e.services, e.log)
	o.Limits, o.Loaded = e.limits(cfg), e.onLoad.tell
	return o
}

func libraryOptions(cfg *config.Config, s *Services, log *zap.Logger) script.Options {
	o := bundleOptions(cfg, log)
	o.Services = s.ForScripts()
	return o
}

// bundleOptions are those of scripts that are not run in this process.
func bundleOptions(cfg *config.Config, log *zap.Logger) script.Options {
	return script.Options{
		Base: base(cfg), Scripts: cfg.Scripts, Vars: cfg.Vars, Queues: queueNames(cfg), Log: log, Limits: limits(cfg),
	}
}

// base is the folder that relative names are relative to.
func base(cfg *config.Config) string {
	if cfg.File == "" {
		return "."
	}
	return filepath.Dir(cfg.File)
}

func limits(cfg *config.Config) script.Limits {
	return script.Limits{
		Timeout: cfg.Handler.Timeout, CPU: cfg.Handler.CPU,
		Memory: cfg.Handler.Memory + ballastSize, MaxValue: cfg.Handler.MaxValue,
	}
}

// limits are those of a configuration that may have come after start: a
// stretch of JavaScript must end before a match in it runs out of time.
func (e *engine) limits(cfg *config.Config) script.Limits {
	l := limits(cfg)
	l.CPU = min(l.CPU, e.maxCPU)
	return l
}

func (e *engine) filterOptions(cfg *config.Config) filter.Options {
	log := e.log
	if e.report != nil {
		log = log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))
	}
	o := filterOptions(cfg)
	o.Scripts = func() filter.Scripts {
		e.gate.RLock()
		defer e.gate.RUnlock()
		return e.library.Load().Current()
	}
	o.NewBody = func() filter.BodyStore { return e.spool.Load().NewBody() }
	o.Spool = e.queues.Load()
	o.Log, o.Report, o.Aside, o.Meter = log, e.outcome, e.remember, e.meter
	return o
}

// filterOptions is how a configuration wants a filter to behave.
func filterOptions(cfg *config.Config) filter.Options {
	return filter.Options{
		Timeout: cfg.Handler.Timeout, EOMTimeout: cfg.Handler.EOMTimeout,
		OnError:    action(cfg.Handler.OnError),
		MaxMessage: cfg.Milter.MaxMessage, Oversize: action(cfg.Milter.Oversize),
	}
}

// outcome is told each outcome.
func (e *engine) outcome(o *filter.Outcome) {
	e.verdicts.add(o)
	e.remember(o)
	if e.report != nil {
		e.report(o)
	}
}

func action(a config.Action) filter.Action {
	switch a {
	case config.Accept:
		return filter.Accept
	case config.Reject:
		return filter.Reject
	default:
		return filter.Tempfail
	}
}

// configure makes another configuration the one for new connections. With an
// error everything stays as it was.
func (e *engine) configure(ctx context.Context, cfg *config.Config) error {
	l, err := e.load(ctx, cfg)
	if err != nil {
		return err
	}
	e.take(cfg, l, e.makeQueues(cfg))
	return nil
}

// take makes a configuration and its parts those for new connections.
func (e *engine) take(cfg *config.Config, l *library, q *queues) {
	e.services.Configure(cfg)
	e.takeQueues(q)
	if e.decisions != nil {
		e.decisions.Configure(decisionLimits(cfg))
	}
	e.takeScripts(l)
	e.spool.Store(spool.New(cfg.Milter.SpoolThreshold, ""))
	e.filter.Configure(e.filterOptions(cfg))
	e.server.Configure(milter.Limits{
		MaxConnections: cfg.Milter.MaxConnections, IdleTimeout: cfg.Milter.IdleTimeout, DrainTimeout: drainTimeout(cfg),
	})
	limitMemory(cfg)
}

// takeScripts makes a library the one for new connections.
func (e *engine) takeScripts(l *library) {
	old := e.library.Swap(l)
	old.stop()
	old.Retire()
}

// close ends what shutdown of the server leaves.
func (e *engine) close() {
	l := e.library.Load()
	l.stop()
	e.stopServices()
	e.watches.Wait()
	l.Retire()
	e.services.Close()
	if e.decisions != nil {
		e.decisions.Close()
	}
}
