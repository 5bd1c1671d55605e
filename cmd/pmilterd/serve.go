package main

import (
	"errors"

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
			"Edited scripts are reloaded by themselves.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			logger, level, err := log.New(a.stderr, cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				logger.Warn(w.String())
			}
			signals, stop := a.hangup()
			defer stop()
			hangup := make(chan struct{})
			go func() {
				for {
					select {
					case <-cmd.Context().Done():
						return
					case <-signals:
						select {
						case hangup <- struct{}{}:
						case <-cmd.Context().Done():
							return
						}
					}
				}
			}()
			return daemon.Run(cmd.Context(), cfg, daemon.Options{
				Log: logger, Level: level, Hangup: hangup, Version: a.version, Env: a.env,
				Worker: []string{workerCommand},
				Reload: func() (*config.Config, error) { return a.loadConfig() },
			})
		},
	}
	a.configFlag(cmd)
	return cmd
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
