package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pmilter/internal/daemon"
	"pmilter/internal/span"
)

// newExplainCommand says why.
func newExplainCommand(a *app) *cobra.Command {
	var since string
	var limit int
	var asJSON, follow bool
	cmd := &cobra.Command{
		Use:   "explain [ID|ADDRESS|IP]",
		Short: "Say why a mail was refused, changed or let through",
		Long: `Say what became of mail, and why: the messages, recipients, connections and commands of
the decision log that match, the newest last, each with its client, envelope, verdict,
the script's line that decided, edits, events in queues and notes. Without an argument
everything matches.

What is looked for is one of:

  4XQ1bc2rbdz9       a queue id, as the MTA logs it; or a session's id, as pmilterd logs
                     it; or an event's id, as "pmilterd queue ls" shows it
  alice@example.org  a sender or recipient, without case; or a Message-ID.
                     <> is the null sender
  @example.org       any address of a domain
  192.0.2.7          a client's address; 192.0.2.0/24 and 2001:db8::/32 are networks
  mail.example.org   a client's name, or its HELO

The log speaks of what scripts decided. A mail that the MTA refused by itself, before it
asked, or that another milter refused later, is not in it, or is there as accepted: see
the MTA's own log. Only the server's user and root can read the decision log. The command
exits with 1 when nothing matches.`,
		Example: `  pmilterd explain alice@example.org --since 1d
  pmilterd explain 192.0.2.0/24 --since "2026-03-01 14:00" --limit 0
  pmilterd explain 4XQ1bc2rbdz9 --json
  pmilterd explain --follow`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := daemon.Question{Limit: limit, Follow: follow}
			if len(args) > 0 {
				if q.About = args[0]; q.About == "" {
					return usagef("an empty argument matches nothing; without one everything matches")
				}
			}
			if limit < 0 || limit > maxExplained {
				return usagef("--limit must be between 0 and %d, not %d", maxExplained, limit)
			}
			var err error
			if q.Since, err = sinceTime(since, time.Now()); err != nil {
				return err
			}
			return a.explain(cmd.Context(), q, asJSON)
		},
	}
	a.configFlag(cmd)
	cmd.Flags().StringVar(&since, "since", "", "from a `TIME` on: an age like 2h or 14d, a date, or \"2006-01-02 15:04\"")
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "show the newest `N`; 0: all")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is decided from now on")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// maxExplained bounds what has to be kept to show the newest last.
const maxExplained = 100_000

func (a *app) explain(ctx context.Context, q daemon.Question, asJSON bool) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	shown := 0
	show := func(d *daemon.Decision) error {
		if asJSON {
			_, err := a.stdout.Write(daemon.DecisionLine(d))
			return err
		}
		if shown++; shown > 1 {
			if _, err := fmt.Fprintln(a.stdout); err != nil {
				return err
			}
		}
		return writeDecision(a.stdout, d, time.Local)
	}
	off := cfg.Decisions.MaxSize == 0
	if off && q.Follow {
		complain(a.stderr, errLogOff) // what follows has no end
	}
	e, err := daemon.Explain(ctx, cfg, a.env, q, show)
	if q.Follow && errors.Is(err, context.Canceled) {
		return nil // the user has seen enough
	}
	if err != nil {
		return err
	}
	if e.Damaged > 0 {
		complain(a.stderr, fmt.Errorf("passed over %s that cannot be read in %s", count(e.Damaged, "line"), e.Folder))
	}
	if off && e.Lines > 0 {
		complain(a.stderr, errLogOff)
	}
	if e.Matched == 0 {
		complain(a.stderr, noDecision(q, &e))
		return errReported
	}
	if older := e.Matched - q.Limit; q.Limit > 0 && older > 0 {
		complain(a.stderr, fmt.Errorf("%s left out: see --limit", count(older, "older one")))
	}
	return nil
}

// errLogOff is no failure: decisions of before may be there.
var errLogOff = errors.New("the decision log is off now ([decisions] max_size is 0 in pmilter.toml): it has nothing of what is decided meanwhile")

// noDecision says what the log has instead.
func noDecision(q daemon.Question, e *daemon.Explained) error {
	if e.Lines == 0 {
		return fmt.Errorf("the decision log in %s is empty: nothing has been decided yet", e.Folder)
	}
	about := ""
	if q.About != "" {
		about = " about " + q.About
	}
	from := e.Oldest
	if q.Since.After(from) {
		from = q.Since
	}
	return fmt.Errorf("nothing%s since %s among the %s in %s\n"+
		"either no script was asked (the MTA may have refused it by itself: see its log), or it is older than what is kept",
		about, from.Local().Format(timeOfDecision), count(e.Lines, "decision"), e.Folder)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// sinceTime reads --since: an age, or a time of the local clock.
func sinceTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := span.Parse(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef(`--since %q is no time: write an age like "2h" or "14d", or a date like "2006-01-02" or "2006-01-02 15:04"`, s)
}
