package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/config"
	"pmilter/script"
)

// Check loads a configuration's scripts as Run would and changes nothing: it
// writes per script its handlers, what an MTA would be asked for, and what an
// MTA will not do. An error is script.Faults.
func Check(ctx context.Context, cfg *config.Config, out io.Writer) error {
	_ = limitProcess(cfg) // nothing is served: there is no garbage to wait for
	l := script.NewLibrary(libraryOptions(cfg, NewServices(cfg, zap.NewNop()), zap.NewNop()))
	defer l.Retire()
	if err := errors.Join(l.Load(ctx), checkJobs(cfg), loadJobs(ctx, cfg, worker)); err != nil {
		return err
	}
	scripts := l.Current().List()
	for _, s := range scripts {
		fmt.Fprintf(out, "%s: %s%s\n", s.Name, handlersOf(s), wishesOf(s))
	}
	if len(scripts) == 0 {
		fmt.Fprintln(out, "no scripts: nothing is filtered")
	}
	asked, silent := filter.Describe(scripts)
	if len(asked)+len(silent) > 0 {
		fmt.Fprintf(out, "the MTA waits for an answer at: %send of message\n", spaced(asked))
		fmt.Fprintf(out, "the MTA sends without waiting:  %s\n", strings.TrimSpace(spaced(silent)))
	}
	for _, line := range describeQueues(cfg) {
		fmt.Fprintln(out, line)
	}
	for _, w := range l.Status().Warnings {
		fmt.Fprintln(out, w)
	}
	for _, w := range advice(scripts) {
		fmt.Fprintln(out, w)
	}
	return nil
}

func spaced(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return strings.Join(words, " ") + " "
}

func handlersOf(s filter.Script) string {
	var list []string
	for p := range filter.Phase(filter.NumPhases) {
		if s.Phases.Has(p) {
			list = append(list, p.String())
		}
	}
	if len(list) == 0 {
		return "no handlers"
	}
	return strings.Join(list, " ")
}

// wishesOf is what is special about a script.
func wishesOf(s filter.Script) string {
	var list []string
	if s.Early {
		list = append(list, "early")
	}
	if s.Observe {
		list = append(list, "observes: its verdicts are logged and not done")
	}
	if s.OnError != filter.Continue {
		list = append(list, "on error "+s.OnError.String())
	}
	if !s.Body && s.Phases.Has(filter.EOM) {
		list = append(list, "without body")
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// advice is what an MTA will not do as a script may expect.
func advice(scripts []filter.Script) []string {
	var list []string
	for _, s := range scripts {
		if s.Phases.Has(filter.Connect) {
			list = append(list, s.Name+": note: of a refusal in connect Sendmail keeps only the class of the code (and 421); Postfix greets with its own words and gives ours from the next command on")
		}
		if s.Phases.Has(filter.Rcpt) {
			list = append(list, s.Name+": note: behind non_smtpd_milters a refused recipient is a configuration error to Postfix and keeps the mail queued; such mail comes from 127.0.0.1 with port 0")
		}
		if s.Phases.Has(filter.Unknown) {
			list = append(list, s.Name+": note: unknown gets the first word of the command from Postfix, the whole line from Sendmail")
		}
	}
	return list
}
