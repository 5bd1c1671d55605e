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
	library      atomic.Pointer[library]
	queues       atomic.Pointer[queues]
	watches      sync.WaitGroup

	verdicts verdictCounts
}

// library is the scripts of one configuration.
type library struct {
	*script.Library
	stop context.CancelFunc // of Watch
}

// newEngine loads the scripts, which must all load, and serves nothing yet.
func newEngine(ctx context.Context, cfg *config.Config, log *zap.Logger, report func(*filter.Outcome)) (*engine, error) {
	return openEngine(ctx, cfg, log, report, (*Services).OpenStore)
}

// openEngine is newEngine with the store opened by openStore.
func openEngine(ctx context.Context, cfg *config.Config, log *zap.Logger, report func(*filter.Outcome),
	openStore func(*Services, *config.Config) error,
) (*engine, error) {
	e := &engine{log: log, report: report, maxCPU: cfg.Handler.CPU, services: NewServices(cfg, log)}
	if err := openStore(e.services, cfg); err != nil {
		return nil, err
	}
	l, err := e.load(ctx, cfg)
	if err != nil {
		e.services.Close()
		return nil, err
	}
	e.takeQueues(cfg)
	ctx, e.stopServices = context.WithCancel(ctx)
	e.watches.Go(func() { e.services.Watch(ctx) })
	e.library.Store(l)
	e.spool.Store(spool.New(cfg.Milter.SpoolThreshold, ""))
	e.filter = filter.New(e.filterOptions(cfg))
	e.server = milter.NewServer(milter.Config{
		NewSession:     func(c *milter.Conn) milter.Session { return e.filter.NewSession(c) },
		Log:            log,
		MaxConnections: cfg.Milter.MaxConnections,
		IdleTimeout:    cfg.Milter.IdleTimeout,
		DrainTimeout:   drainTimeout(cfg),
	})
	return e, nil
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

// takeQueues makes a configuration's queues the ones for new connections.
func (e *engine) takeQueues(cfg *config.Config) {
	q := newQueues(cfg, e.log)
	q.create()
	e.queues.Store(q)
}

// load makes a library of a configuration's scripts and watches them. ctx ends
// the watching too.
func (e *engine) load(ctx context.Context, cfg *config.Config) (*library, error) {
	if err := checkJobs(cfg); err != nil {
		return nil, err
	}
	options := libraryOptions(cfg, e.services, e.log)
	options.Limits = e.limits(cfg)
	l := &library{Library: script.NewLibrary(options)}
	if err := l.Load(ctx); err != nil {
		l.Close()
		return nil, err
	}
	ctx, l.stop = context.WithCancel(ctx)
	e.watches.Add(1)
	go func() {
		defer e.watches.Done()
		if err := l.Watch(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("scripts are not watched: send SIGHUP after an edit", zap.Error(err))
		}
	}()
	return l, nil
}

func libraryOptions(cfg *config.Config, s *Services, log *zap.Logger) script.Options {
	return script.Options{
		Base: base(cfg), Scripts: cfg.Scripts, Vars: cfg.Vars, Queues: queueNames(cfg), Services: s.ForScripts(), Log: log, Limits: limits(cfg),
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
	o.Scripts = func() filter.Scripts { return e.library.Load().Current() }
	o.NewBody = func() filter.BodyStore { return e.spool.Load().NewBody() }
	o.Spool = e.queues.Load()
	o.Log, o.Report = log, e.outcome
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
	e.services.Configure(cfg)
	e.takeQueues(cfg)
	old := e.library.Swap(l)
	e.spool.Store(spool.New(cfg.Milter.SpoolThreshold, ""))
	e.filter.Configure(e.filterOptions(cfg))
	e.server.Configure(milter.Limits{
		MaxConnections: cfg.Milter.MaxConnections, IdleTimeout: cfg.Milter.IdleTimeout, DrainTimeout: drainTimeout(cfg),
	})
	limitMemory(cfg)
	old.stop()
	old.Retire()
	return nil
}

// close ends what shutdown of the server leaves.
func (e *engine) close() {
	l := e.library.Load()
	l.stop()
	e.stopServices()
	e.watches.Wait()
	l.Retire()
	e.services.Close()
}
