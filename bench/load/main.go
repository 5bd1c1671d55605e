// Load measures milters side by side: it plays an MTA that sends mail over the
// milter protocol as fast as they answer, peer after peer in rounds, and prints
// messages a second, latencies, and each peer's ratio to the first.
//
//	load -conns 8 -messages 20 null=unix:/tmp/null.sock pmilterd=unix:/tmp/pm.sock
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
	"strings"
	"text/tabwriter"
	"time"
)

// peer is a milter under measurement.
type peer struct {
	name, network, address string
	results                []result
	ratios                 []float64 // to the first peer in the same round
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
	messages := flags.Int("messages", 20, "messages a connection")
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
	p := plan{
		shape: shape{headers: *headers, body: *body, each: *each, chunk: *chunk},
		conns: *conns, messages: *messages, time: *length,
	}
	if err := measure(peers, p, *rounds); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d connections, %d messages each, %d headers, %d bytes of body, %d rounds of %v; medians\n",
		*conns, *messages, *headers, *body, *rounds, *length)
	return report(out, peers)
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

// measure gives each peer its turn in each round. The order turns with the
// rounds, so that none always follows the same neighbour; the first round, a
// short one, only warms up.
func measure(peers []*peer, p plan, rounds int) error {
	for r := range rounds + 1 {
		now, warm := p, r == 0
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
		if warm {
			continue
		}
		for i, peer := range peers {
			peer.results = append(peer.results, turn[i])
			peer.ratios = append(peer.ratios, turn[i].rate/turn[0].rate)
		}
	}
	return nil
}

// report prints a line a peer.
func report(out io.Writer, peers []*peer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "peer\tmessages/s\tlowest\thighest\tp50\tp99\tratio\t")
	for _, p := range peers {
		var rates []float64
		var p50, p99 []time.Duration
		for _, r := range p.results {
			rates = append(rates, r.rate)
			p50, p99 = append(p50, r.quantile(0.5)), append(p99, r.quantile(0.99))
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%v\t%v\t%.2f\t\n", p.name, median(rates), slices.Min(rates), slices.Max(rates),
			median(p50).Round(time.Microsecond), median(p99).Round(time.Microsecond), median(p.ratios))
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
