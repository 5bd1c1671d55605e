// Command queue measures what a job costs: jobs a second through a Maildir and
// pmilterd's workers, beside a fork and exec of a program for each mail; the time from
// a mail's appearance in new/ to the first line of its job; and the memory of idle
// workers. make bench-queue runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type bench struct {
	binaries []string
	mails    int
	workers  int
	rounds   int
	short    bool
	dir      string
	out      io.Writer
}

func main() {
	b := bench{out: os.Stdout}
	binaries := flag.String("pmilterd", "./pmilterd", "the binary, or several with commas between: each has its turn in each round")
	flag.IntVar(&b.mails, "mails", 2000, "mails a round")
	flag.IntVar(&b.workers, "workers", 2, "workers, and programs at a time")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds; the medians are shown")
	flag.BoolVar(&b.short, "short", false, "pmilterd's jobs alone: no other programs, no memory")
	flag.Parse()
	b.binaries = strings.Split(*binaries, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := b.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

// figure is a turn's: mails a second, and the processor time of all processes but
// ours for each, which other work on the machine changes less.
type figure struct{ rate, cpu float64 }

// way is one that a mail's work can be done.
type way struct {
	name    string
	run     func(context.Context) (figure, error)
	figures []figure
}

func (b *bench) run(ctx context.Context) error {
	var err error
	for i, binary := range b.binaries {
		if b.binaries[i], err = filepath.Abs(binary); err != nil {
			return err
		}
	}
	if b.dir, err = os.MkdirTemp("", "pmq"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := b.rates(ctx, b.ways()); err != nil {
		return err
	}
	if err := b.latencies(ctx); err != nil || b.short {
		return err
	}
	return b.memory(ctx)
}

func (b *bench) ways() (list []*way) {
	for _, binary := range b.binaries {
		list = append(list,
			&way{name: b.name(binary, "from a full Maildir"), run: func(ctx context.Context) (figure, error) { return b.backlog(ctx, binary) }},
			&way{name: b.name(binary, "delivered meanwhile"), run: func(ctx context.Context) (figure, error) { return b.jobs(ctx, binary) }})
	}
	if b.short {
		return list
	}
	return append(list,
		&way{name: "fork+exec /bin/true", run: b.programs("/bin/true")},
		&way{name: "fork+exec perl -e 1", run: b.programs("perl", "-e", "1")},
		&way{name: "fork+exec node -e 1", run: b.programs("node", "-e", "1")})
}

// name tells binaries apart when there are several.
func (b *bench) name(binary, what string) string {
	if len(b.binaries) > 1 {
		return filepath.Base(binary) + ", " + what
	}
	return "pmilterd, " + what
}

// rates gives each way a turn in each round, and shows the medians.
func (b *bench) rates(ctx context.Context, ways []*way) error {
	for round := range b.rounds {
		for i := range ways {
			w := ways[(i+round)%len(ways)]
			f, err := w.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			w.figures = append(w.figures, f)
		}
	}
	fmt.Fprintf(b.out, "%d mails, %d at a time, medians of %d rounds, of each round's ratios to the first\n", b.mails, b.workers, b.rounds)
	for _, w := range ways {
		var rates, cpus, ratios []float64
		for i, f := range w.figures {
			rates, cpus, ratios = append(rates, f.rate), append(cpus, f.cpu), append(ratios, f.rate/ways[0].figures[i].rate)
		}
		if m := median(rates); m > 0 {
			fmt.Fprintf(b.out, "%-28s %8.0f mails/s  %6.2f of the first  %8.0f µs of processor time a mail\n", w.name, m, median(ratios), median(cpus)*1e6)
		} else {
			fmt.Fprintf(b.out, "%-28s not there\n", w.name)
		}
	}
	return nil
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// backlog is how many no-op jobs are done in a second of those that lie in new/ when the
// server starts: as with the programs, nobody makes the mails meanwhile.
func (b *bench) backlog(ctx context.Context, binary string) (f figure, err error) {
	s, err := b.prepare(ctx, binary, noop, fmt.Sprintf("{ min = %d, max = %d }", b.workers, b.workers))
	if err != nil {
		return f, err
	}
	const warm = 100
	for n := range b.mails + warm {
		if err := s.deliver(n); err != nil {
			return f, err
		}
	}
	if err := s.start(); err != nil {
		return f, err
	}
	if err := s.await(`"msg":"job done"`, warm); err != nil {
		return f, err
	}
	before, start := s.cpu(), time.Now()
	if err := s.await(`"msg":"job done"`, b.mails); err != nil {
		return f, err
	}
	f.rate = float64(b.mails) / time.Since(start).Seconds()
	f.cpu = (s.cpu() - before) / float64(b.mails)
	return f, s.stop()
}

// jobs is how many no-op jobs are done in a second, from the first mail in new/ to the
// last line "job done".
func (b *bench) jobs(ctx context.Context, binary string) (f figure, err error) {
	s, err := b.start(ctx, binary, noop, fmt.Sprintf("{ min = %d, max = %d }", b.workers, b.workers))
	if err != nil {
		return f, err
	}
	for n := range 100 { // the workers are warm
		if err := s.deliver(n); err != nil {
			return f, err
		}
	}
	if err := s.await(`"msg":"job done"`, 100); err != nil {
		return f, err
	}
	before := s.cpu()
	start := time.Now()
	for n := range b.mails {
		if err := s.deliver(n + 100); err != nil {
			return f, err
		}
	}
	if err := s.await(`"msg":"job done"`, b.mails); err != nil {
		return f, err
	}
	f.rate = float64(b.mails) / time.Since(start).Seconds()
	f.cpu = (s.cpu() - before) / float64(b.mails)
	return f, s.stop()
}

// latencies shows the latency of each binary: each has its turn in each round.
func (b *bench) latencies(ctx context.Context) error {
	lists := make([][]time.Duration, len(b.binaries))
	for range b.rounds {
		for i, binary := range b.binaries {
			list, err := b.latency(ctx, binary)
			if err != nil {
				return err
			}
			lists[i] = append(lists[i], list...)
		}
	}
	for i, list := range lists {
		slices.Sort(list)
		fmt.Fprintf(b.out, "%s: p50 %s, p99 %s\n", b.name(b.binaries[i], "new/ to the job's first line"),
			list[len(list)/2].Round(time.Microsecond), list[len(list)*99/100].Round(time.Microsecond))
	}
	return nil
}

// latency is from the rename into new/ until the log has the job's first line, so it
// has the way of that line in it. One mail is under way at a time.
func (b *bench) latency(ctx context.Context, binary string) (list []time.Duration, err error) {
	s, err := b.start(ctx, binary, "export default async function (job) { console.log('here'); }\n", "{ min = 1, max = 1 }")
	if err != nil {
		return nil, err
	}
	for n := range 501 {
		start := time.Now()
		if err := s.deliver(n); err != nil {
			return nil, err
		}
		if err := s.await(`"text":"here"`, 1); err != nil {
			return nil, err
		}
		took := time.Since(start)
		if err := s.await(`"msg":"job done"`, 1); err != nil {
			return nil, err
		}
		if n > 0 { // the worker is warm
			list = append(list, took)
		}
	}
	return list, s.stop()
}

// memory is that of 16 workers, each of which has done a few jobs and is idle.
func (b *bench) memory(ctx context.Context) error {
	s, err := b.start(ctx, b.binaries[0], "export default async function (job) { await new Promise((r) => setTimeout(r, 20)); }\n", "{ min = 16, max = 16 }")
	if err != nil {
		return err
	}
	for n := range 160 {
		if err := s.deliver(n); err != nil {
			return err
		}
	}
	if err := s.await(`"msg":"job done"`, 160); err != nil {
		return err
	}
	var anon, pss, count int64
	for _, pid := range childrenOf(s.cmd.Process.Pid) {
		count++
		anon += field(filepath.Join("/proc", pid, "status"), "RssAnon:")
		pss += field(filepath.Join("/proc", pid, "smaps_rollup"), "Pss:")
	}
	pid := strconv.Itoa(s.cmd.Process.Pid)
	fmt.Fprintf(b.out, "%d idle workers: RssAnon %.1f MiB, PSS %.1f MiB in all; the server RssAnon %.1f MiB\n",
		count, float64(anon)/1024, float64(pss)/1024, float64(field(filepath.Join("/proc", pid, "status"), "RssAnon:"))/1024)
	return s.stop()
}
