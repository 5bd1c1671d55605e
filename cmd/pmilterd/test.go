package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"pmilter/internal/daemon"
)

// newTestCommand runs tests of scripts.
func newTestCommand(a *app) *cobra.Command {
	o := daemon.TestOptions{Out: a.stdout, Color: a.colors()}
	var tap, json bool
	cmd := &cobra.Command{
		Use:   "test [flags] [PATH...]",
		Short: "Run the tests of the scripts",
		Long: "Run the tests of the scripts: the files *.test.js, *.test.mjs, *.test.ts and *.test.mts\n" +
			"in each PATH, a folder or a file; without one in the configuration's folder. A test\n" +
			"plays SMTP sessions against the filters of the configuration, in the real engine,\n" +
			"without a socket: see docs/testing.md.\n\n" +
			"Exit status 1 if a test fails.",
		Example: "  pmilterd test\n  pmilterd test scripts/10-names.test.js --filter \"put off\"",
		RunE: func(cmd *cobra.Command, paths []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				complain(a.stderr, errors.New(w.String()))
			}
			switch {
			case o.Timeout <= 0:
				return usagef("--timeout is %s: it is how long a test may take, such as 10s", o.Timeout)
			case tap && json:
				return usagef("--tap and --json exclude each other")
			case tap:
				o.Format = "tap"
			case json:
				o.Format = "json"
			}
			o.Paths, o.Reload = paths, a.loadConfig
			o.Coverage = o.Coverage || cmd.Flags().Changed("lcov")
			err = daemon.Test(cmd.Context(), cfg, o)
			if errors.Is(err, daemon.ErrTestsFailed) {
				return errReported
			}
			return err
		},
	}
	a.configFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.Filter, "filter", "", "run only the tests with `TEXT` in their names")
	flags.DurationVar(&o.Timeout, "timeout", 5*time.Second, "`TIME` that one test may take")
	flags.BoolVar(&tap, "tap", false, "report as TAP, version 14")
	flags.BoolVar(&json, "json", false, "report one JSON object a test, one a line")
	flags.StringVar(&o.JUnit, "junit", "", "write a report in JUnit's XML to `FILE`, too")
	flags.BoolVar(&o.Coverage, "coverage", false, "show which lines of the filters ran")
	flags.StringVar(&o.LCOV, "lcov", "lcov.info", "`FILE` that --coverage writes, for tools that read lcov; it implies --coverage")
	flags.BoolVar(&o.Watch, "watch", false, "run again what a change touches, until Ctrl-C")
	return cmd
}
