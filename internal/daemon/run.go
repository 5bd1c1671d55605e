package daemon

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pmilter/internal/config"
	"pmilter/internal/jobs"
)

// Options is what Run needs besides the configuration.
type Options struct {
	Log   *zap.Logger
	Level zap.AtomicLevel // of Log: a reload may change it
	// Hangup brings the requests to reload (SIGHUP); Reload reads the
	// configuration anew. Nil: there are none.
	Hangup <-chan struct{}
	Reload func() (*config.Config, error)
	// Upgrade brings the requests to have a new binary take over (SIGUSR2). Nil: there are none.
	Upgrade <-chan struct{}
	// Predecessor is the server to take over from; nil: there is none.
	Predecessor *Predecessor
	// Version is the program's, for the log and status.
	Version string
	// Env is the environment, which may say where the control socket goes.
	Env func(name string) (string, bool)
	// Worker is the command line of a worker process, without the program's name.
	Worker []string
}

// Run serves until ctx is done or another process has taken over, and then drains as
// milter §6.3 says. It returns nil after a drain; an error is a fault of the configuration
// or the scripts at start, or a listener that failed.
func Run(ctx context.Context, cfg *config.Config, o Options) error {
	if cfg.Milter.Workers == 0 {
		defer runtime.KeepAlive(limitProcess(cfg))
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx: draining needs it
	defer cancel()
	notify := newNotifier(o.Env, o.Log)
	defer notify.close()
	s, open := &sockets{}, storeOpener(openStoreIn)
	if o.Predecessor != nil {
		s.inherited, open = o.Predecessor.files, o.Predecessor.openStore
	}
	defer s.closeAll()
	e, err := newFront(work, cfg, o, open)
	if err != nil {
		return err
	}
	defer e.close()
	share := &storeShare{store: e.theStore(), log: o.Log}
	j := &jobQueues{o: jobs.Options{Command: o.Worker, Log: o.Log}}
	j.o.Inherit = func() ([]*os.File, error) {
		file, err := share.inherit(work)
		return []*os.File{file}, err
	}
	defer share.serving.Wait()
	first, err := j.open(work, cfg)
	if err != nil {
		return err
	}
	defer sweepQueues(work, e.theQueues())()
	r := newRunning(o, cfg, e, j, s)
	r.notify = notify
	r.measure()
	return r.run(ctx, work, first)
}

// newRunning is a server that is loaded, and listens on nothing yet.
func newRunning(o Options, cfg *config.Config, e front, j *jobQueues, s *sockets) *running {
	return &running{
		o: o, started: time.Now(), engine: e, jobs: j, sockets: s, serving: newServing(e, s),
		notify: &notifier{log: o.Log}, cfg: cfg, now: cfg, last: time.Now(),
		pings: make(chan struct{}), draining: make(chan struct{}),
	}
}

// run serves until the end. ctx asks for it; work is what goes on until it has come.
func (r *running) run(ctx, work context.Context, queues *opened) error {
	listeners, err := r.serving.open(work, r.cfg)
	if err != nil {
		queues.forget(work)
		return err
	}
	site, err := r.openAdmin(work, r.cfg)
	if err != nil {
		r.serving.forget(listeners)
		queues.forget(work)
		return err
	}
	defer r.closeAdmin()
	if err := r.engine.prepare(work, listeners.added); err != nil { // which serves its processes' store until work is over
		queues.forget(work)
		return errors.Join(err, r.engine.shutdown(work))
	}
	control := r.openControl(work, r.o.Env)
	if err := r.begin(work, queues, listeners, site, control); err != nil {
		return err
	}
	defer r.closeControl()
	r.o.Log.Info("serving", zap.String("version", r.o.Version), zap.Strings("listen", r.serving.names()),
		zap.String("scripts", r.engine.scriptStatus().Version), zap.String("config", r.cfg.File))
	ready := append([]string{"READY=1"}, r.notify.statusLine(r.line(work))...)
	if r.notify.watchdog > 0 {
		ready = append(ready, "WATCHDOG=1") // the last one of a server before may be half of WatchdogSec ago
	}
	r.notify.tell(ready...)
	return r.loop(ctx, work)
}

// begin begins to serve all at once, with the store of the server before, if there is one.
func (r *running) begin(work context.Context, queues *opened, listeners *listenChange, site *adminChange, control []namedListener) error {
	p := r.o.Predecessor
	if p != nil {
		if err := p.ready(work, r.engine.theStore(), r.cfg, r.o.Log); err != nil {
			queues.forget(work)
			return errors.Join(err, r.engine.shutdown(work))
		}
	}
	r.jobs.use(work, queues)
	if err := r.serving.use(work, listeners); err != nil {
		if p != nil {
			p.giveUp()
		}
		return errors.Join(err, r.drain(work, nil))
	}
	r.serveControl(control)
	r.useAdmin(site)
	if p == nil {
		return nil
	}
	taken, err := r.sockets.own()
	if err != nil {
		r.o.Log.Error("rights of a socket", zap.Error(err))
	}
	return p.serving(taken)
}

// loop does what the server is asked for by signals, one thing at a time, and meanwhile
// gives the service manager its signs of life: it must never block itself.
func (r *running) loop(ctx, work context.Context) error {
	tick := time.NewTicker(r.notify.every())
	defer tick.Stop()
	var busy chan bool // with a reload, or an upgrade: true if that was done
	ask := func(do func() bool) {
		busy = make(chan bool, 1)
		go func(result chan<- bool) { result <- do() }(busy)
	}
	stop := ctx.Done()
	for {
		hangup, upgrade := r.o.Hangup, r.o.Upgrade
		if busy != nil {
			hangup, upgrade = nil, nil // they wait
		}
		select {
		case <-stop:
			if stop = nil; busy == nil {
				return r.leave(work, tick.C, nil)
			}
		case err := <-r.serving.failed:
			return r.leave(work, tick.C, err)
		case <-hangup:
			ask(func() bool { r.hangup(work); return false })
		case <-upgrade:
			ask(func() bool { return r.upgraded(ctx) })
		case replaced := <-busy:
			if busy = nil; replaced || ctx.Err() != nil {
				return r.leave(work, tick.C, nil)
			}
		case <-r.pings:
		case <-tick.C:
			r.beat(work)
		}
	}
}

// leave drains, and gives signs of life meanwhile.
func (r *running) leave(work context.Context, tick <-chan time.Time, cause error) error {
	r.notify.tell("STOPPING=1", "STATUS=stopping")
	ended := make(chan error, 1)
	go func() { ended <- r.drain(work, cause) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-r.o.Upgrade:
			r.o.Log.Warn("SIGUSR2 has no effect: this process is stopping")
		case <-tick:
			r.beat(work)
		case <-r.pings:
		}
	}
}

// drain stops the server, and lets jobs finish. cause is why, nil when it was asked to.
func (r *running) drain(ctx context.Context, cause error) error {
	close(r.draining)
	log := r.o.Log
	log.Info("stopping", zap.Int("connections", r.engine.tally(ctx).Connections))
	start := time.Now()
	var all sync.WaitGroup
	all.Go(func() { r.jobs.stop(ctx) })
	if r.o.Predecessor != nil {
		all.Go(r.o.Predecessor.wait) // it drains, too, and has its store here
	}
	err := r.engine.shutdown(ctx)
	all.Wait()
	log.Info("stopped", zap.Duration("after", time.Since(start).Round(time.Millisecond)), zap.Error(err))
	return cause
}

// hangup reads the configuration and the scripts anew and replaces the workers; when
// anything is wrong the old ones stay.
func (r *running) hangup(ctx context.Context) {
	r.notify.tell(reloading()...)
	defer func() { r.notify.tell(append([]string{"READY=1"}, r.notify.statusLine(r.line(ctx))...)...) }()
	o := r.o
	cfg, err := o.Reload()
	if err != nil {
		o.Log.Error("configuration not reloaded: the old one stays", zap.Error(err))
		r.reloaded(nil, err)
		return
	}
	if err := r.reconfigure(ctx, cfg); err != nil {
		o.Log.Error("scripts not reloaded: configuration and scripts stay as they were", zap.Error(err))
		r.reloaded(nil, err)
		return
	}
	r.reloaded(cfg, nil)
	if level, err := zapcore.ParseLevel(cfg.Log.Level); err == nil {
		o.Level.SetLevel(level)
	}
	for _, w := range cfg.Warnings {
		o.Log.Warn(w.String())
	}
	o.Log.Info("reloaded", zap.Strings("needs_restart", needRestart(r.cfg, cfg)))
}

// reconfigure makes another configuration the one in use, or changes nothing.
func (r *running) reconfigure(ctx context.Context, cfg *config.Config) error {
	queues, err := r.jobs.open(ctx, cfg)
	if err != nil {
		return err
	}
	listeners, err := r.serving.open(ctx, cfg)
	if err != nil {
		queues.forget(ctx)
		return err
	}
	site, err := r.openAdmin(ctx, cfg)
	if err != nil {
		queues.forget(ctx)
		r.serving.forget(listeners)
		return err
	}
	if err = r.serving.permit(cfg); err == nil {
		err = r.engine.configure(ctx, cfg)
	}
	if err != nil {
		queues.forget(ctx)
		r.serving.forget(listeners)
		r.forgetAdmin(site)
		return errors.Join(err, r.serving.permit(r.configured()))
	}
	r.jobs.use(ctx, queues)
	r.useAdmin(site)
	return r.serving.use(ctx, listeners)
}
