package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pmilter/internal/config"
	"pmilter/internal/jobs"
	"pmilter/internal/milter"
)

// Options is what Run needs besides the configuration.
type Options struct {
	Log   *zap.Logger
	Level zap.AtomicLevel // of Log: a reload may change it
	// Hangup brings the requests to reload (SIGHUP); Reload reads the
	// configuration anew. Nil: there are none.
	Hangup <-chan struct{}
	Reload func() (*config.Config, error)
	// Version is the program's, for the log and status.
	Version string
	// Env is the environment, which may say where the control socket goes.
	Env func(name string) (string, bool)
	// Worker is the command line of a worker process, without the program's name.
	Worker []string
}

// Run serves until ctx is done, and then drains as milter §6.3 says. It
// returns nil after a drain; an error is a fault of the configuration or the
// scripts at start, or a listener that failed.
func Run(ctx context.Context, cfg *config.Config, o Options) error {
	defer runtime.KeepAlive(limitProcess(cfg))
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx: draining needs it
	defer cancel()
	e, err := newEngine(work, cfg, o.Log, nil)
	if err != nil {
		return err
	}
	defer e.close()
	e.keepDecisions(cfg)
	j := &jobQueues{o: jobs.Options{Command: o.Worker, Log: o.Log}}
	j.o.Inherit = func() ([]*os.File, error) { return j.shareStore(work, e.services.store) }
	first, err := j.open(work, cfg)
	if err != nil {
		return err
	}
	defer e.sweepQueues(work)()
	listeners, err := listen(work, cfg)
	if err != nil {
		first.forget(work)
		return err
	}
	j.use(work, first)
	r := &running{o: o, started: time.Now(), engine: e, jobs: j, listen: names(listeners), cfg: cfg, now: cfg}
	r.measure()
	if control := r.control(work, o.Env); control != nil {
		defer control.Close()
	}
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			if err := e.server.Serve(work, l.Listener, l.name); !errors.Is(err, milter.ErrServerClosed) {
				failed <- fmt.Errorf("daemon: %s: %w", l.name, err)
			}
		}()
	}
	o.Log.Info("serving", zap.String("version", o.Version), zap.Strings("listen", names(listeners)),
		zap.String("scripts", e.library.Load().Version()), zap.String("config", cfg.File))
	for {
		select {
		case <-ctx.Done():
			return r.drain(work, nil)
		case err := <-failed:
			return r.drain(work, err)
		case <-o.Hangup:
			r.hangup(work)
		}
	}
}

// drain stops the server, and lets jobs finish. cause is why, nil when it was asked to.
func (r *running) drain(ctx context.Context, cause error) error {
	log := r.o.Log
	log.Info("stopping", zap.Int("connections", r.engine.server.Connections()))
	start := time.Now()
	var both sync.WaitGroup
	both.Go(func() { r.jobs.stop(ctx) })
	err := r.engine.server.Shutdown(ctx)
	both.Wait()
	log.Info("stopped", zap.Duration("after", time.Since(start).Round(time.Millisecond)), zap.Error(err))
	return cause
}

type namedListener struct {
	net.Listener
	name string
}

func names(listeners []namedListener) []string {
	list := make([]string, len(listeners))
	for i, l := range listeners {
		list[i] = l.name
	}
	return list
}

// listen opens all that the configuration names, or none.
func listen(ctx context.Context, cfg *config.Config) (all []namedListener, err error) {
	defer func() {
		if err == nil {
			return
		}
		for _, l := range all {
			_ = l.Close() // the error that matters is err
		}
	}()
	for _, entry := range cfg.Listen {
		addr, err := milter.ParseAddr(entry) //nolint:contextcheck // it looks up a service's name in a file
		if err != nil {
			return all, fmt.Errorf("daemon: listen: %w", err)
		}
		opened, err := milter.Listen(ctx, addr, milter.SocketOptions{Mode: cfg.Milter.SocketMode, Group: cfg.Milter.SocketGroup})
		if err != nil {
			return all, fmt.Errorf("daemon: %w", err)
		}
		for _, l := range opened {
			all = append(all, namedListener{l, entry})
		}
	}
	return all, nil
}

// hangup reads the configuration and the scripts anew and replaces the workers; when
// anything is wrong the old ones stay.
func (r *running) hangup(ctx context.Context) {
	o := r.o
	cfg, err := o.Reload()
	if err != nil {
		o.Log.Error("configuration not reloaded: the old one stays", zap.Error(err))
		r.reloaded(nil, err)
		return
	}
	queues, err := r.jobs.open(ctx, cfg)
	if err == nil {
		if err = r.engine.configure(ctx, cfg); err != nil {
			queues.forget(ctx)
		}
	}
	if err != nil {
		o.Log.Error("scripts not reloaded: configuration and scripts stay as they were", zap.Error(err))
		r.reloaded(nil, err)
		return
	}
	r.jobs.use(ctx, queues)
	r.reloaded(cfg, nil)
	if level, err := zapcore.ParseLevel(cfg.Log.Level); err == nil {
		o.Level.SetLevel(level)
	}
	for _, w := range cfg.Warnings {
		o.Log.Warn(w.String())
	}
	o.Log.Info("reloaded", zap.Strings("needs_restart", needRestart(r.cfg, cfg)))
}

// needRestart names what a reload leaves as it was at the start.
func needRestart(started, cfg *config.Config) []string {
	var list []string
	differs := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			list = append(list, key)
		}
	}
	differs("server.runtime", started.Server.Runtime, cfg.Server.Runtime)
	differs("listen", started.Listen, cfg.Listen)
	// One view for all: connections that hold and count something stay with the store.
	differs("store.url", started.Store.URL, cfg.Store.URL)
	differs("server.state", started.Server.State, cfg.Server.State)
	differs("milter.socket_mode", started.Milter.SocketMode, cfg.Milter.SocketMode)
	differs("milter.socket_group", started.Milter.SocketGroup, cfg.Milter.SocketGroup)
	differs("milter.max_connections", started.Milter.MaxConnections, cfg.Milter.MaxConnections)
	differs("milter.idle_timeout", started.Milter.IdleTimeout, cfg.Milter.IdleTimeout)
	differs("milter.drain_timeout", started.Milter.DrainTimeout, cfg.Milter.DrainTimeout)
	differs("handler.cpu", started.Handler.CPU, max(started.Handler.CPU, cfg.Handler.CPU)) // see engine.limits
	differs("log.format", started.Log.Format, cfg.Log.Format)
	return list
}
