package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"pmilter/internal/config"
	"pmilter/internal/daemon"
	"pmilter/internal/log"
)

// newRunCommand is the server.
func newRunCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve milter connections until SIGTERM",
		Long: "Serve milter connections.\n\nSIGTERM and SIGINT drain and stop, SIGHUP reloads configuration and scripts.\n" +
			"Edited scripts are reloaded by themselves. SIGUSR2 has the program that is at this one's\n" +
			"path now take over its sockets, without refusing a connection.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context()) },
	}
	a.configFlag(cmd)
	return cmd
}

// serve runs the server.
func (a *app) serve(ctx context.Context) error {
	old, err := daemon.TakeOver(a.env)
	if err != nil {
		return err
	}
	stderr := a.stderr
	if old != nil {
		stderr = os.Stderr // where the old one's goes: see TakeOver
	}
	hangup, stopHangup := requests(ctx, a.hangup)
	defer stopHangup()
	upgrade, stopUpgrade := requests(ctx, a.upgrade)
	defer stopUpgrade()
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	logger, level, err := log.New(stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		logger.Warn(w.String())
	}
	return daemon.Run(ctx, cfg, daemon.Options{
		Log: logger, Level: level, Hangup: hangup, Upgrade: upgrade, Predecessor: old, Version: a.version, Env: a.env,
		Worker: []string{workerCommand},
		Reload: func() (*config.Config, error) { return a.loadConfig() },
	})
}

// requests brings each signal to who is ready for it, until ctx is done or stop is called.
func requests(ctx context.Context, notify func() (<-chan os.Signal, func())) (c <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals, end := notify()
	to := make(chan struct{})
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case to <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return to, func() { end(); cancel() }
}

// newCheckCommand loads everything and changes nothing.
func newCheckCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Load configuration and scripts, and say what they will do",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				complain(a.stderr, errors.New(w.String()))
			}
			return daemon.Check(cmd.Context(), cfg, a.stdout)
		},
	}
	a.configFlag(cmd)
	return cmd
}
