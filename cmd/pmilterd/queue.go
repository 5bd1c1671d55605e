package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pmilter/internal/daemon"
)

func newQueueCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look at and repair the Maildir queues",
		Long: "Look at and repair the Maildir queues of the configuration, whether the server runs\n" +
			"or not. An event that somebody works on is locked: it is left as it is.\n\n" +
			"ID is an event's id as ls shows it, or the start of one.",
	}
	cmd.AddCommand(
		newQueueList(a),
		newQueueShow(a),
		newQueueChange(a, "retry", "Make events due at once; failed ones go back to their queue", "is due", (*daemon.QueueTool).Retry),
		newQueueChange(a, "rm", "Delete events", "is deleted", (*daemon.QueueTool).Remove),
		newQueueFlush(a),
	)
	return cmd
}

// queueTool is the tool for the queues of the configuration.
func (a *app) queueTool() (*daemon.QueueTool, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	return daemon.NewQueueTool(cfg), nil
}

func newQueueList(a *app) *cobra.Command {
	var failed, asJSON bool
	cmd := &cobra.Command{
		Use:   "ls [QUEUE...]",
		Short: "List the events that wait or are worked on, the oldest first",
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := a.queueTool()
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(a.stdout)
				_, err := t.List(args, failed, func(e *daemon.QueuedEvent) error { return encoder.Encode(e) })
				return err
			}
			return listQueues(a.stdout, t, args, failed)
		},
	}
	a.configFlag(cmd)
	cmd.Flags().BoolVar(&failed, "failed", false, "list those that have failed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object an event")
	return cmd
}

func listQueues(out io.Writer, t *daemon.QueueTool, names []string, failed bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	hidden, err := t.List(names, failed, func(e *daemon.QueuedEvent) error {
		if n++; n == 1 {
			fmt.Fprintln(w, "QUEUE\tSTATE\tTRIES\tAGE\tSIZE\tSENDER\tRECIPIENTS\tID")
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n",
			e.Queue, stateOf(e), e.Attempts, age(time.Since(e.Time)), bytesOf(e.Size), address(e.Sender), recipientsOf(e), printable(e.ID))
		return err
	})
	if flushErr := w.Flush(); err == nil {
		err = flushErr
	}
	if n == 0 && err == nil {
		fmt.Fprintln(out, map[bool]string{true: "no event has failed", false: "no event waits"}[failed])
	}
	if hidden > 0 {
		fmt.Fprintf(out, "%d failed: see --failed\n", hidden)
	}
	return err
}

// stateOf is the state in a word or two.
func stateOf(e *daemon.QueuedEvent) string {
	switch {
	case e.Damaged != "":
		return "damaged"
	case e.State == "waiting" && e.Next != nil && e.Next.After(time.Now()):
		return "retry in " + age(time.Until(*e.Next))
	}
	return e.State
}

// age is a duration in its two largest units.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Second).String(), "0s")
	case d < 48*time.Hour:
		return strings.TrimSuffix(strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s"), "0m")
	default:
		return strconv.Itoa(int(d.Hours()/24)) + "d"
	}
}

func bytesOf(n int64) string {
	switch {
	case n < 1<<10:
		return strconv.FormatInt(n, 10)
	case n < 1<<20:
		return strconv.FormatInt(n>>10, 10) + "K"
	default:
		return strconv.FormatInt(n>>20, 10) + "M"
	}
}

func address(a string) string {
	if a == "" {
		return "<>"
	}
	return printable(a)
}

func recipientsOf(e *daemon.QueuedEvent) string {
	switch len(e.Recipients) {
	case 0:
		return "-"
	case 1:
		return address(e.Recipients[0])
	default:
		return fmt.Sprintf("%s and %d more", address(e.Recipients[0]), len(e.Recipients)-1)
	}
}

func newQueueShow(a *app) *cobra.Command {
	var asJSON, raw bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show an event and its message",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := a.queueTool()
			if err != nil {
				return err
			}
			switch {
			case raw:
				_, err := t.Show(args[0], func(r io.Reader) error { _, err := io.Copy(a.stdout, r); return err })
				return err
			case asJSON:
				e, err := t.Show(args[0], nil)
				if err != nil {
					return err
				}
				return json.NewEncoder(a.stdout).Encode(e)
			}
			return showEvent(a.stdout, t, args[0])
		},
	}
	a.configFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the event as a JSON object, without the message")
	cmd.Flags().BoolVar(&raw, "raw", false, "print the message alone, as it is, with CRLF line ends")
	cmd.MarkFlagsMutuallyExclusive("json", "raw")
	return cmd
}

// showEvent writes what is known of an event, and its message made harmless for a terminal.
func showEvent(out io.Writer, t *daemon.QueueTool, id string) error {
	e, err := t.Show(id, nil)
	if err != nil {
		return err
	}
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%-11s %s\n", name, printable(value))
		}
	}
	line("id", e.ID)
	line("queue", e.Queue)
	line("state", stateOf(e))
	line("tries", strconv.Itoa(e.Attempts))
	line("failed", e.Failed)
	line("damaged", e.Damaged)
	if e.Damaged == "" {
		line("queued", e.Time.Format(time.RFC3339))
		line("queue id", e.QueueID)
		line("client", strings.TrimSpace(e.Client.Name+" "+e.Client.IP))
		line("helo", e.Helo)
		line("sender", "<"+e.Sender+">")
		line("recipients", strings.Join(e.Recipients, ", "))
		line("verdict", e.Verdict)
		line("complete", map[bool]string{true: "yes", false: "no: what had arrived"}[e.Complete])
	}
	if e.Data != nil {
		data, err := json.Marshal(e.Data)
		if err != nil {
			return err
		}
		line("data", string(data))
	}
	line("file", e.Path)
	if e.Damaged != "" {
		return nil
	}
	fmt.Fprintln(out)
	_, err = t.Show(e.ID, func(r io.Reader) error {
		b := bufio.NewReader(r)
		for {
			text, more, err := b.ReadLine() // a part of it, if it is long
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Fprint(out, printable(string(text)))
			if !more {
				fmt.Fprintln(out)
			}
		}
	})
	return err
}

// newQueueChange is a command that does something to events by their ids.
func newQueueChange(a *app, name, short, done string, do func(*daemon.QueueTool, string) (string, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " ID...",
		Short: short,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := a.queueTool()
			if err != nil {
				return err
			}
			var failed error
			for _, arg := range args {
				id, err := do(t, arg)
				if err != nil {
					complain(a.stderr, err)
					failed = errReported
					continue
				}
				fmt.Fprintf(a.stdout, "%s %s\n", printable(id), done)
			}
			return failed
		},
	}
	a.configFlag(cmd)
	return cmd
}

func newQueueFlush(a *app) *cobra.Command {
	var failed bool
	cmd := &cobra.Command{
		Use:   "flush [QUEUE...]",
		Short: "Make all events due at once",
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := a.queueTool()
			if err != nil {
				return err
			}
			n, err := t.Flush(args, failed)
			if n > 0 || err == nil {
				fmt.Fprintf(a.stdout, "%d made due\n", n)
			}
			return err
		},
	}
	a.configFlag(cmd)
	cmd.Flags().BoolVar(&failed, "failed", false, "take those that have failed, back to their queues")
	return cmd
}
