package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pmilter/internal/config"
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
	// Version is the program's, for the log.
	Version string
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
	listeners, err := listen(work, cfg)
	if err != nil {
		return err
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
			return drain(work, e, o.Log, nil)
		case err := <-failed:
			return drain(work, e, o.Log, err)
		case <-o.Hangup:
			cfg = reload(work, e, cfg, o)
		}
	}
}

// drain stops the server. cause is why, nil when it was asked to.
func drain(ctx context.Context, e *engine, log *zap.Logger, cause error) error {
	log.Info("stopping", zap.Int("connections", e.server.Connections()))
	start := time.Now()
	err := e.server.Shutdown(ctx)
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

// reload reads the configuration and the scripts anew, and returns the one in
// force from now on: the old one when anything is wrong.
func reload(ctx context.Context, e *engine, old *config.Config, o Options) *config.Config {
	cfg, err := o.Reload()
	if err != nil {
		o.Log.Error("configuration not reloaded: the old one stays", zap.Error(err))
		return old
	}
	if err := e.configure(ctx, cfg); err != nil {
		o.Log.Error("scripts not reloaded: configuration and scripts stay as they were", zap.Error(err))
		return old
	}
	if level, err := zapcore.ParseLevel(cfg.Log.Level); err == nil {
		o.Level.SetLevel(level)
	}
	for _, w := range cfg.Warnings {
		o.Log.Warn(w.String())
	}
	o.Log.Info("reloaded", zap.Strings("needs_restart", needRestart(old, cfg)))
	return cfg
}

// needRestart names what a reload leaves as it is.
func needRestart(old, cfg *config.Config) []string {
	var list []string
	differs := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			list = append(list, key)
		}
	}
	differs("listen", old.Listen, cfg.Listen)
	differs("milter.socket_mode", old.Milter.SocketMode, cfg.Milter.SocketMode)
	differs("milter.socket_group", old.Milter.SocketGroup, cfg.Milter.SocketGroup)
	differs("milter.max_connections", old.Milter.MaxConnections, cfg.Milter.MaxConnections)
	differs("milter.idle_timeout", old.Milter.IdleTimeout, cfg.Milter.IdleTimeout)
	differs("milter.drain_timeout", old.Milter.DrainTimeout, cfg.Milter.DrainTimeout)
	differs("handler.cpu", old.Handler.CPU, max(old.Handler.CPU, cfg.Handler.CPU)) // see engine.limits
	differs("log.format", old.Log.Format, cfg.Log.Format)
	return list
}
