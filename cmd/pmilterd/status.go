package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
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
			"where that is ([server] runtime); without it the usual places are tried.",
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
			writeStatus(a.stdout, s, time.Now())
			return nil
		},
	}
	a.configFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// writeStatus is for people.
func writeStatus(w io.Writer, s *daemon.Status, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	row("server", "pmilterd %s, pid %d, up %s", s.Version, s.PID, lasted(now.Sub(s.Started)))
	row("config", "%s", or(s.Config, "none: the defaults"))
	row("listen", "%s", strings.Join(s.Listen, " "))
	row("connections", "%d of at most %d", s.Connections.Open, s.Connections.Max)
	row("verdicts", "%s", counts(s.Verdicts))
	row("scripts", "%s, loaded %s ago%s", or(s.Scripts.Version, "none"), lasted(now.Sub(s.Scripts.Loaded)), failedLoads(s.Scripts.Failed))
	if s.Scripts.Error != nil {
		for line := range strings.SplitSeq(s.Scripts.Error.Message, "\n") {
			row("", "last load: %s", line)
		}
	}
	if s.Reload != nil {
		for line := range strings.SplitSeq(s.Reload.Message, "\n") {
			row("", "last reload: %s", line)
		}
	}
	_ = t.Flush() // the writer is a terminal or a pipe
	writeMilterWorkers(w, s)
	writeQueues(w, s.Queues, now)
}

func writeQueues(w io.Writer, queues []daemon.QueueStatus, now time.Time) {
	if len(queues) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "\nqueue\twaiting\trunning\tdelayed\tfailed\toldest\tdone\tworkers\tscript")
	for _, q := range queues {
		oldest, workers, script := "-", "-", "-"
		if q.Oldest != nil {
			oldest = lasted(time.Duration(*q.Oldest * float64(time.Second)))
		}
		if q.Pool != nil {
			workers = fmt.Sprintf("%d of %d-%d", len(q.Pool.Workers), q.Pool.Min, q.Pool.Max)
		}
		if q.Scripts != nil {
			script = q.Scripts.Version
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%d\t%s\t%s\n",
			q.Name, q.Waiting, q.Running, q.Delayed, q.Failed, oldest, q.Jobs.Done, workers, script)
	}
	_ = t.Flush()
	for _, q := range queues {
		tell := func(what string, f *daemon.FaultStatus) {
			if f != nil {
				fmt.Fprintf(w, "queue %s: %s: %s\n", q.Name, what, printable(strings.ReplaceAll(f.Message, "\n", "; ")))
			}
		}
		tell("cannot be read", q.Fault)
		if q.Scripts != nil {
			tell("last load", q.Scripts.Error)
		}
		if q.Pool != nil {
			tell("workers cannot be started", q.Pool.Fault)
		}
	}
	writeWorkers(w, queues)
}

// writeWorkers is the scoreboard.
func writeWorkers(w io.Writer, queues []daemon.QueueStatus) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	head := "\npid\tqueue\tstate\tfor\tjobs\tmemory\tevent"
	for _, q := range queues {
		if q.Pool == nil {
			continue
		}
		for _, p := range q.Pool.Workers {
			if head != "" {
				fmt.Fprintln(t, head)
				head = ""
			}
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%.1f MiB\t%s\n", p.PID, q.Name, p.State,
				lasted(time.Duration(p.Seconds*float64(time.Second))), p.Jobs, float64(p.Memory)/(1<<20), printable(p.Event))
		}
	}
	_ = t.Flush()
}

func failedLoads(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d loads failed", n)
}

// counts is a map of numbers in one line.
func counts(m map[string]int64) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s %d", key, m[key]))
	}
	return or(strings.Join(list, ", "), "none yet")
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
