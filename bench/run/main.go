// Run measures pmilterd side by side with null filters on libmilter, on Debian's
// pymilter and on go-milter's server, and prints each figure beside its target.
//
//	run [-rounds 5] [-turn 1s] [-only REGEXP] [-pmilterd ./pmilterd]
//
// All servers run on unix sockets in a temporary folder and are ended with it. In
// each round every peer has its turn, in an order that turns with the rounds;
// ratios are of the same round, and medians of the rounds are shown. Only
// ratios within one run mean anything. The repository's top is the current folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// bench is a whole run.
type bench struct {
	out      io.Writer
	binary   string // pmilterd
	top      string // the repository's
	dir      string // where the sockets are
	rounds   int
	turn     time.Duration
	only     *regexp.Regexp
	figures  []figure
	servers  []*server
	failures []string // parts that could not be measured
}

// part is a piece of the run.
type part struct {
	name string // for -only
	run  func(context.Context) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own, for make bench
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	b := &bench{out: out}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", ".", "regular expression: the parts to measure, see -list")
	list := flags.Bool("list", false, "list the parts")
	flags.StringVar(&b.binary, "pmilterd", "pmilterd", "the binary to measure")
	flags.IntVar(&b.rounds, "rounds", 5, "rounds; the medians are shown")
	flags.DurationVar(&b.turn, "turn", time.Second, "time of a peer's turn")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if b.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if *list {
		for _, p := range b.parts() {
			fmt.Fprintln(out, p.name)
		}
		return nil
	}
	if b.rounds < 1 {
		return fmt.Errorf("there must be a round")
	}
	return b.run(ctx)
}

// parts are all there is to measure.
func (b *bench) parts() []part {
	return []part{
		{"throughput", b.throughput},
		{"body", b.largeBodies},
		{"await", b.waitingHandlers},
		{"latency", b.latency},
		{"postfix", b.postfix},
		{"memory", b.memory},
		{"reload", b.reload},
		{"start", b.start},
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.binary, err = filepath.Abs(b.binary); err != nil {
		return err
	}
	if b.top, err = os.Getwd(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "pmb"); err != nil { // short: unix sockets lie there
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // Postfix's daemons connect to what lies there
		return err
	}
	defer b.stopAll()
	fmt.Fprintln(b.out, machine(ctx))
	fmt.Fprintf(b.out, "medians of %d rounds, a turn %v\n\n", b.rounds, b.turn)
	for _, p := range b.parts() {
		if !b.only.MatchString(p.name) {
			continue
		}
		if err := p.run(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			b.failures = append(b.failures, fmt.Sprintf("%s: %v", p.name, err))
		}
		b.stopAll()
	}
	if err := b.report(); err != nil {
		return err
	}
	if len(b.failures) > 0 {
		return fmt.Errorf("not measured: %s", strings.Join(b.failures, "; "))
	}
	return nil
}

// machine says what it is measured on.
func machine(ctx context.Context) string {
	model := "unknown processor"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(data); m != nil {
			model = string(m[1])
		}
	}
	load, _ := os.ReadFile("/proc/loadavg") // it is only told
	kernel, _ := exec.CommandContext(ctx, "uname", "-sr").Output()
	return fmt.Sprintf("%d cores, %s, %s, %s; load before: %s", runtime.NumCPU(), model,
		strings.TrimSpace(string(kernel)), runtime.Version(), strings.TrimSpace(string(load)))
}
