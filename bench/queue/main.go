// Command queue measures what a job costs: jobs a second through a Maildir and
// pmilterd's workers, beside a fork and exec of a program for each mail; the time from
// a mail's appearance in new/ to the first line of its job; and the memory of idle
// workers. make bench-queue runs it.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type bench struct {
	binary  string
	mails   int
	workers int
	rounds  int
	dir     string
	out     io.Writer
}

func main() {
	b := bench{out: os.Stdout}
	flag.StringVar(&b.binary, "pmilterd", "./pmilterd", "the binary")
	flag.IntVar(&b.mails, "mails", 2000, "mails a round")
	flag.IntVar(&b.workers, "workers", 2, "workers, and programs at a time")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds; the medians are shown")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := b.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

func (b *bench) run(ctx context.Context) error {
	var err error
	if b.binary, err = filepath.Abs(b.binary); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "pmq"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	ways := []struct {
		name string
		run  func(context.Context) (float64, error)
	}{
		{"pmilterd, job () => {}", b.jobs},
		{"fork+exec /bin/true", b.programs("/bin/true")},
		{"fork+exec perl -e 1", b.programs("perl", "-e", "1")},
		{"fork+exec node -e 1", b.programs("node", "-e", "1")},
	}
	figures := make([][]float64, len(ways))
	for range b.rounds {
		for i, way := range ways {
			n, err := way.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			figures[i] = append(figures[i], n)
		}
	}
	fmt.Fprintf(b.out, "%d mails, %d at a time, medians of %d rounds\n", b.mails, b.workers, b.rounds)
	for i, way := range ways {
		if m := median(figures[i]); m > 0 {
			fmt.Fprintf(b.out, "%-24s %8.0f mails/s  %5.2f of pmilterd\n", way.name, m, m/median(figures[0]))
		} else {
			fmt.Fprintf(b.out, "%-24s not there\n", way.name)
		}
	}
	if err := b.latency(ctx); err != nil {
		return err
	}
	return b.memory(ctx)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// server is pmilterd with one queue.
type server struct {
	cmd   *exec.Cmd
	dir   string
	lines *bufio.Scanner
}

// start runs pmilterd with a job's source, and waits until it serves.
func (b *bench) start(ctx context.Context, job, workers string) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "s")
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("listen = [\"unix:s\"]\nscripts = []\n[server]\nruntime = \"run\"\n[log]\nformat = \"json\"\n[queue.q]\nmaildir = \"q\"\n"+
		"job = \"job.js\"\nmax_requests = 1000000\nworkers = %s\n", workers)
	for name, text := range map[string]string{"pmilter.toml": config, "job.js": job} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	s := &server{dir: dir, cmd: exec.CommandContext(ctx, b.binary, "run", "-c", filepath.Join(dir, "pmilter.toml"))}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.lines = bufio.NewScanner(out)
	return s, s.await(`"msg":"serving"`, 1)
}

// await reads the log until a text has come n times.
func (s *server) await(text string, n int) error {
	for n > 0 {
		if !s.lines.Scan() {
			return fmt.Errorf("pmilterd ended before %q", text)
		}
		if strings.Contains(s.lines.Text(), text) {
			n--
		}
	}
	return nil
}

func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	for s.lines.Scan() { // so that it can write
	}
	return s.cmd.Wait()
}

// mail is what every way is given.
func mail(n int) []byte {
	return fmt.Appendf(nil, "Return-Path: <a@example.org>\nDelivered-To: b@example.net\nSubject: mail %d\n\n%s", n, strings.Repeat("hello hello hello\n", 200))
}

// deliver moves a mail into new/.
func (s *server) deliver(n int) error {
	name := fmt.Sprintf("%d.M%06dP%d.bench", time.Now().Unix(), n, os.Getpid())
	tmp := filepath.Join(s.dir, "q", "tmp", name)
	if err := os.WriteFile(tmp, mail(n), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(s.dir, "q", "new", name))
}

// jobs is how many no-op jobs are done in a second, from the first mail in new/ to the
// last line "job done".
func (b *bench) jobs(ctx context.Context) (float64, error) {
	s, err := b.start(ctx, "export default async function (job) {}\n", fmt.Sprintf("{ min = %d, max = %d }", b.workers, b.workers))
	if err != nil {
		return 0, err
	}
	if err := s.deliver(0); err != nil { // the workers are warm
		return 0, err
	}
	if err := s.await(`"msg":"job done"`, 1); err != nil {
		return 0, err
	}
	start := time.Now()
	for n := range b.mails {
		if err := s.deliver(n + 1); err != nil {
			return 0, err
		}
	}
	if err := s.await(`"msg":"job done"`, b.mails); err != nil {
		return 0, err
	}
	took := time.Since(start)
	return float64(b.mails) / took.Seconds(), s.stop()
}

// programs is how many mails a second are handed to a program of their own each.
func (b *bench) programs(name string, args ...string) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		path, err := exec.LookPath(name)
		if err != nil {
			return 0, nil //nolint:nilerr // it is not there
		}
		mails := b.mails
		if name == "node" {
			mails /= 10 // it is slow
		}
		todo := make(chan int)
		var all sync.WaitGroup
		var once sync.Once
		var failed error
		start := time.Now()
		for range b.workers {
			all.Go(func() {
				for n := range todo {
					cmd := exec.CommandContext(ctx, path, args...)
					cmd.Stdin = strings.NewReader(string(mail(n)))
					if err := cmd.Run(); err != nil && !strings.Contains(err.Error(), "broken pipe") {
						once.Do(func() { failed = err })
					}
				}
			})
		}
		for n := range mails {
			todo <- n
		}
		close(todo)
		all.Wait()
		return float64(mails) / time.Since(start).Seconds(), failed
	}
}

// latency is from the rename into new/ until the log has the job's first line, so it
// has the way of that line in it. One mail is under way at a time.
func (b *bench) latency(ctx context.Context) error {
	s, err := b.start(ctx, "export default async function (job) { console.log('here'); }\n", "{ min = 1, max = 1 }")
	if err != nil {
		return err
	}
	var list []time.Duration
	for n := range 1001 {
		start := time.Now()
		if err := s.deliver(n); err != nil {
			return err
		}
		if err := s.await(`"text":"here"`, 1); err != nil {
			return err
		}
		took := time.Since(start)
		if err := s.await(`"msg":"job done"`, 1); err != nil {
			return err
		}
		if n > 0 { // the worker is warm
			list = append(list, took)
		}
	}
	slices.Sort(list)
	fmt.Fprintf(b.out, "new/ to the job's first line: p50 %s, p99 %s\n",
		list[len(list)/2].Round(time.Microsecond), list[len(list)*99/100].Round(time.Microsecond))
	return s.stop()
}

// memory is that of 16 workers, each of which has done a few jobs and is idle.
func (b *bench) memory(ctx context.Context) error {
	s, err := b.start(ctx, "export default async function (job) { await new Promise((r) => setTimeout(r, 20)); }\n", "{ min = 16, max = 16 }")
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

func childrenOf(pid int) (list []string) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		list = append(list, strings.Fields(string(data))...)
	}
	return list
}

// field is a number of kB in a file of /proc.
func field(file, name string) int64 {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}
