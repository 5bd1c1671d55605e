package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/log"
	"pmilter/internal/playground"
)

// playFunc runs the playground on the filters of a configuration until ctx
// ends: it sets what p lacks, Dial, Scripts, Hints and Where.
type playFunc func(ctx context.Context, cfg *config.Config, log *zap.Logger, p playground.Config) error

// newTryCommand is the filters without an MTA. play is the daemon's.
func newTryCommand(a *app, play playFunc) *cobra.Command {
	p := playground.Config{Out: a.stdout, Color: a.colors()}
	cmd := &cobra.Command{
		Use:   "try",
		Short: "Try the filters without an MTA: a small SMTP server that shows each verdict",
		Long: "Try the filters without an MTA.\n\nA small SMTP server passes each phase through the filters over the real milter\n" +
			"protocol, prints the verdict, and delivers what was accepted, as modified, into a\n" +
			"Maildir. Edit a script, and the next connection meets the new one. It relays nothing.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			logger, _, err := log.New(a.stderr, cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				logger.Warn(w.String())
			}
			return play(cmd.Context(), cfg, logger, p)
		},
	}
	a.configFlag(cmd)
	cmd.Flags().StringVar(&p.SMTPAddr, "smtp", "127.0.0.1:2525", "`ADDRESS` to listen on for SMTP, host:port")
	cmd.Flags().StringVar(&p.Maildir, "maildir", "tmp/maildir", "`FOLDER` of the Maildir for accepted mail, made if missing")
	return cmd
}

// colors tells whether standard output is a terminal that shows colours
// (https://no-color.org).
func (a *app) colors() bool {
	if v, ok := a.env("NO_COLOR"); ok && v != "" {
		return false
	}
	f, ok := a.stdout.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
