package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pmilter/internal/daemon"
)

// newStatusCommand asks the running server about itself.
func newStatusCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the running server: connections, verdicts, scripts, queues, workers",
		Long: "Ask the running server about itself, over its control socket. The configuration says\n" +
			"where that is ([server] runtime); without it the usual places are tried.\n\n" +
			"What is wrong comes first: !! keeps mail, an edit or a queue from what it should do,\n" +
			"! is worth a look. Rates are those since the start; top shows those of the last seconds.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			s, err := daemon.AskStatus(cmd.Context(), cfg, a.env)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(a.stdout)
				out.SetIndent("", "  ")
				return out.Encode(s)
			}
			p, now := a.newPage(), time.Now()
			(&reading{Status: s, now: now, passed: now.Sub(s.Started)}).show(p)
			_, err = io.WriteString(a.stdout, p.b.String())
			return err
		},
	}
	a.configFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// lasted is a length of time for people: 350ms, 12s, 5m10s, 3h2m, 4d7h.
func lasted(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 24*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}
