package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pmilter/internal/load"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	connections, messages, size, headers, write int
	phases                                      []string
	rate                                        float64
	duration                                    time.Duration
	json                                        bool
}

// newBenchCommand puts load on a milter.
func newBenchCommand(a *app) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [flags] ADDR",
		Short: "Put load on a milter, any milter, and measure it",
		Long: "Play an MTA that sends mail to the milter at ADDR (inet:port@host, inet:host:port,\n" +
			"unix:/path) as fast as it answers, with macros before each command as Postfix sends\n" +
			"them, and print messages a second, latencies and answers. Commands that the milter\n" +
			"negotiated away are not sent. Ctrl-C ends it sooner, with what it has.\n\n" +
			"The load takes processor time, too: only compare what was measured on one machine.\n\n" +
			"Exit status 1 if no milter answers, or if it broke a connection.",
		Example: "  pmilterd bench unix:/run/pmilter/milter.sock\n" +
			"  pmilterd bench --connections 64 --messages 1 --size 100000 inet:8890@127.0.0.1\n" +
			"  pmilterd bench --rate 500 --phases connect,helo,mail,rcpt inet:8890@127.0.0.1",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s needs one address of a milter: inet:port@host, unix:/path", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.bench(cmd.Context(), &f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.connections, "connections", 8, "`NUMBER` of connections at once")
	flags.IntVar(&f.messages, "messages", 20, "`NUMBER` of messages a connection, which then quits and another comes; 0: no limit")
	flags.IntVar(&f.size, "size", 8<<10, "`BYTES` of a message's body")
	flags.IntVar(&f.headers, "headers", 12, "`NUMBER` of header fields of a message")
	flags.StringSliceVar(&f.phases, "phases", nil, "send these `PHASES` alone: "+strings.Join(load.Phases(), ",")+" (default all)")
	flags.Float64Var(&f.rate, "rate", 0, "`MESSAGES` a second over all connections (default as many as are answered)")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "`TIME` after which no message begins")
	flags.IntVar(&f.write, "write", 0, "longest write in `BYTES`, 4096 is Postfix's; 0: what goes out up to the next reply is one")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

// bench runs the load and reports.
func (a *app) bench(ctx context.Context, f *benchFlags, address string) error {
	addr, err := milterAddr(address) //nolint:contextcheck // looks a port up in a local file at most
	if err != nil {
		return usagef("%w", err)
	}
	plan, err := f.plan()
	if err != nil {
		return err
	}
	plan.Network, plan.Address = addr.Network, addr.Address
	r, err := load.Run(ctx, plan)
	if errors.Is(err, load.ErrNoMilter) {
		return fmt.Errorf("%w\nno milter answers at %s: start one, for example with 'pmilterd run'", err, address)
	}
	if err != nil {
		return err
	}
	if f.json {
		err = json.NewEncoder(a.stdout).Encode(benchJSON(r))
	} else {
		err = writeBench(a.stdout, r, plan)
	}
	if err == nil && r.Failed() > 0 {
		return errReported
	}
	return err
}

// plan checks the flags.
func (f *benchFlags) plan() (load.Plan, error) {
	p := load.Plan{
		Connections: f.connections, Messages: f.messages, Rate: f.rate, Duration: f.duration,
		Mail: load.Mail{Headers: f.headers, Size: f.size, Write: f.write},
	}
	const most = 1 << 30
	for _, number := range []struct {
		flag         string
		value, least int
	}{{"connections", f.connections, 1}, {"messages", f.messages, 0}, {"size", f.size, 0}, {"headers", f.headers, 0}, {"write", f.write, 0}} {
		if number.value < number.least || number.value > most {
			return p, usagef("--%s: %d is not between %d and %d", number.flag, number.value, number.least, most)
		}
	}
	if f.rate < 0 || f.rate > 1e9 {
		return p, usagef("--rate: %v is no number of messages a second", f.rate)
	}
	if f.duration <= 0 {
		return p, usagef("--duration: it must be longer than %v", f.duration)
	}
	for _, name := range f.phases {
		if name = strings.TrimSpace(name); !slices.Contains(load.Phases(), name) {
			return p, usagef("--phases: %q is none of %s", name, strings.Join(load.Phases(), ", "))
		}
		p.Mail.Phases = append(p.Mail.Phases, name)
	}
	return p, nil
}

// writeBench is for people.
func writeBench(out io.Writer, r *load.Result, p load.Plan) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	row("messages", "%d in %v over %d connections at once", r.Messages, r.Took.Round(time.Millisecond), p.Connections)
	row("messages/s", "%.0f", r.Rate())
	row("latency", "p50 %v, p99 %v, longest %v: of a message, from its first command to its last answer", short(r.Latency.Quantile(0.5)), short(r.Latency.Quantile(0.99)), short(r.Latency.Max()))
	row("answers", "%s", or(tallied(r.Answers), "none"))
	row("errors", "%s", or(tallied(r.Errors), "none"))
	return w.Flush()
}

// short is a duration of three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// tallied is what was counted, in one line.
func tallied(m map[string]int) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(list, ", ")
}

// benchReport is the JSON of bench. Times are in seconds; latency is that of a
// message, from its first command to its last answer.
type benchReport struct {
	Messages  int            `json:"messages"`
	Seconds   float64        `json:"seconds"`
	PerSecond float64        `json:"messages_per_second"`
	Latency   benchLatency   `json:"latency"`
	Answers   map[string]int `json:"answers"`
	Errors    map[string]int `json:"errors"`
}

type benchLatency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func benchJSON(r *load.Result) benchReport {
	return benchReport{
		Messages: r.Messages, Seconds: r.Took.Seconds(), PerSecond: r.Rate(), Answers: r.Answers, Errors: r.Errors,
		Latency: benchLatency{r.Latency.Quantile(0.5).Seconds(), r.Latency.Quantile(0.99).Seconds(), r.Latency.Max().Seconds()},
	}
}
