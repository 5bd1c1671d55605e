// Load measures milters side by side: it plays an MTA that sends mail over the
// milter protocol as fast as they answer, peer after peer in rounds, and prints
// messages a second, latencies, and each peer's ratio to the first.
//
//	load -conns 8 -messages 20,1 null=unix:/tmp/null.sock pmilterd=unix:/tmp/pm.sock
//
// It honours what each milter negotiates: commands that it does not want are not
// sent, replies that it does not give are not awaited. Only ratios within one
// run mean anything.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// peer is a milter under measurement.
type peer struct {
	name, network, address string
	scores                 []score // one for each number of messages a connection
}

// score is what a peer reached, round by round.
type score struct {
	results []result
	ratios  []float64 // to the first peer in the same round
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // a program of its own, for make bench
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	conns := flags.Int("conns", 8, "connections at once")
	messages := flags.String("messages", "20", "messages a connection; several numbers, as in 20,1, are measured in turn")
	rounds := flags.Int("rounds", 5, "rounds; in each, every peer has its turn")
	length := flags.Duration("time", 2*time.Second, "length of a turn")
	headers := flags.Int("headers", 12, "header fields of a message")
	body := flags.Int("body", 8<<10, "bytes of a message's body")
	each := flags.Bool("macros", true, "a macro packet before each header, EOH, body and EOM, as Postfix sends them")
	chunk := flags.Int("chunk", 0, "longest write in bytes (Postfix: 4096); 0: everything up to the next reply in one write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	peers, err := parsePeers(flags.Args())
	if err != nil {
		return err
	}
	if *rounds < 1 || *conns < 1 {
		return fmt.Errorf("load: there must be a round and a connection")
	}
	var plans []plan
	for number := range strings.SplitSeq(*messages, ",") {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return fmt.Errorf("load: -messages: %q is no number of messages", number)
		}
		plans = append(plans, plan{
			shape: shape{headers: *headers, body: *body, each: *each, chunk: *chunk},
			conns: *conns, messages: n, time: *length,
		})
	}
	if err := measure(peers, plans, *rounds); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d connections, %d headers, %d bytes of body; medians of %d rounds of %v\n",
		*conns, *headers, *body, *rounds, *length)
	return report(out, peers, plans)
}

// parsePeers reads NAME=ADDRESS with ADDRESS as in Postfix's configuration.
func parsePeers(args []string) ([]*peer, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("load: no peer: give NAME=unix:/PATH or NAME=inet:HOST:PORT")
	}
	var peers []*peer
	for _, arg := range args {
		name, addr, ok := strings.Cut(arg, "=")
		family, address, ok2 := strings.Cut(addr, ":")
		if !ok || !ok2 {
			return nil, fmt.Errorf("load: %q is not NAME=unix:/PATH or NAME=inet:HOST:PORT", arg)
		}
		network := "tcp"
		if family == "unix" || family == "local" {
			network = "unix"
		}
		peers = append(peers, &peer{name: name, network: network, address: address})
	}
	return peers, nil
}

// measure gives each peer its turn in each round, with each plan. The order turns
// with the rounds, so that none always follows the same neighbour; the first
// round, a short one, only warms up.
func measure(peers []*peer, plans []plan, rounds int) error {
	for _, peer := range peers {
		peer.scores = make([]score, len(plans))
	}
	for r := range rounds + 1 {
		for p, now := range plans {
			warm := r == 0
			if warm {
				now.time /= 4
			}
			turn := make([]result, len(peers))
			for i := range peers {
				at := (i + r) % len(peers)
				result, err := now.round(peers[at].network, peers[at].address)
				if err != nil {
					return fmt.Errorf("%s: %w", peers[at].name, err)
				}
				turn[at] = result
			}
			for i, peer := range peers {
				if warm {
					continue
				}
				score := &peer.scores[p]
				score.results = append(score.results, turn[i])
				score.ratios = append(score.ratios, turn[i].rate/turn[0].rate)
			}
		}
	}
	return nil
}

// report prints a line for each plan and peer.
func report(out io.Writer, peers []*peer, plans []plan) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "a connection\tpeer\tmessages/s\tlowest\thighest\tp50\tp99\tratio\t")
	for i, plan := range plans {
		for _, p := range peers {
			var rates []float64
			var p50, p99 []time.Duration
			for _, r := range p.scores[i].results {
				rates = append(rates, r.rate)
				p50, p99 = append(p50, r.quantile(0.5)), append(p99, r.quantile(0.99))
			}
			fmt.Fprintf(w, "%d\t%s\t%.0f\t%.0f\t%.0f\t%v\t%v\t%.2f\t\n", plan.messages, p.name, median(rates), slices.Min(rates), slices.Max(rates),
				median(p50).Round(time.Microsecond), median(p99).Round(time.Microsecond), median(p.scores[i].ratios))
		}
	}
	return w.Flush()
}

// median of a list that is not empty.
func median[T interface{ ~int64 | ~float64 }](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
