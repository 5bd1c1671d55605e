package main

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"pmilter/internal/load"
)

// usual is the mail of PERFORMANCE: 12 fields, 8 KiB.
func usual() load.Mail { return load.Mail{Headers: 12, Size: 8 << 10} }

// plan is the usual load on a server.
func (b *bench) plan(s *server, messages int) load.Plan {
	return load.Plan{
		Network: "unix", Address: s.socket, Mail: usual(),
		Connections: 8, Messages: messages, Duration: b.turn,
	}
}

// series is what one server did, round by round.
type series struct {
	rates []float64 // messages a second
	times []float64 // of the processors for a message, without the load's; µs
}

// rates is what each server did, by its name. The first round, a short one, only
// warms up.
func (b *bench) rates(ctx context.Context, servers []*server, plan func(*server) load.Plan) (map[string]series, error) {
	done := map[string]series{}
	for r := range b.rounds + 1 {
		for i := range servers {
			s := servers[(i+r)%len(servers)]
			p := plan(s)
			if r == 0 {
				p.Duration /= 4
			}
			before := s.cpu()
			result, err := measured(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			if r > 0 {
				all := done[s.name]
				all.rates = append(all.rates, result.Rate())
				all.times = append(all.times, (s.cpu()-before).Seconds()*1e6/float64(result.Messages))
				done[s.name] = all
			}
		}
	}
	return done, nil
}

// measured runs a plan in which nothing may break.
func measured(ctx context.Context, p load.Plan) (*load.Result, error) {
	result, err := load.Run(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case result.Failed() > 0:
		return nil, fmt.Errorf("connections broke: %v", result.Errors)
	case result.Messages == 0:
		return nil, fmt.Errorf("no message passed")
	}
	return result, nil
}

// ratios of two lists of one run, round by round.
func ratios(list, to []float64) (out []float64) {
	for i := range list {
		out = append(out, list[i]/to[i])
	}
	return out
}

// workload is a script and what it must reach, 0 for no target.
type workload struct {
	script, what string
	many, one    float64
}

func (b *bench) throughput(ctx context.Context) error {
	servers, err := b.nulls(ctx)
	if err != nil {
		return err
	}
	list := []workload{
		{"all", "all twelve handlers, trivial", 4, 2},
		{"realistic", "realistic script", 2.5, 1.2},
		{"large", "300 lines, table, store, an expression a header", 2, 1},
		{"envelope", "mail and rcpt alone", 8, 3.5},
		{"eom", "eom alone without body", 20, 0},
	}
	for _, w := range list {
		s, err := b.pmilterd(ctx, w.script)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	for _, messages := range []int{20, 1} {
		done, err := b.rates(ctx, servers, func(s *server) load.Plan { return b.plan(s, messages) })
		if err != nil {
			return err
		}
		name := fmt.Sprintf(", %d a connection", messages)
		c := done["c"]
		for _, s := range servers[:len(servers)-len(list)] {
			b.throughputOf("null filter: "+s.name+name, done[s.name], c, 0)
		}
		for _, w := range list {
			target := w.many
			if messages == 1 {
				target = w.one
			}
			b.throughputOf(w.what+name, done[w.script], c, target)
		}
	}
	return nil
}

// throughputOf notes the ratio of a server's messages a second to c's, and beside it
// that of its own processor time for a message: a load on the same processors, and
// whatever else runs there, is not in that.
func (b *bench) throughputOf(what string, of, c series, target float64) {
	b.atLeast(what, median(ratios(of.rates, c.rates)), target, fmt.Sprintf("%.0f messages/s; %.0f µs of the server each, %.2f of c's",
		median(of.rates), median(of.times), median(ratios(of.times, c.times))))
}

// nulls starts the peers; c is the first.
func (b *bench) nulls(ctx context.Context) (all []*server, err error) {
	for _, start := range []func(context.Context) (*server, error){b.native, b.python, b.gomilter} {
		s, err := start(ctx)
		if err != nil {
			return nil, err
		}
		if s != nil {
			all = append(all, s)
		}
	}
	return all, nil
}

// pair starts c and some of pmilterd's.
func (b *bench) pair(ctx context.Context, scripts ...string) ([]*server, error) {
	c, err := b.native(ctx)
	all := []*server{c}
	for _, script := range scripts {
		if err == nil {
			var s *server
			s, err = b.pmilterd(ctx, script)
			all = append(all, s)
		}
	}
	return all, err
}

func (b *bench) largeBodies(ctx context.Context) error {
	servers, err := b.pair(ctx, "all")
	if err != nil {
		return err
	}
	done, err := b.rates(ctx, servers, func(s *server) load.Plan {
		p := b.plan(s, 20)
		p.Mail.Size = 256 << 10
		return p
	})
	if err != nil {
		return err
	}
	b.throughputOf("all twelve handlers, 256 KiB body, 20 a connection", done["all"], done["c"], 2.5)
	done, err = b.rates(ctx, servers, func(s *server) load.Plan {
		p := b.plan(s, 20)
		p.Mail.Write = 4096
		return p
	})
	if err != nil {
		return err
	}
	b.throughputOf("all twelve handlers, writes of 4 KiB as Postfix's, 20 a connection", done["all"], done["c"], 0)
	return nil
}

// waitingHandlers: 18 handlers a message (mail, rcpt, data, 12 headers, eoh, body,
// eom) wait 10 ms each, on 1,000 connections. Where the processors are idle for less
// than a tenth of the time, those are the limit: whatever else runs has its share.
func (b *bench) waitingHandlers(ctx context.Context) error {
	const connections, waits, wait = 1000, 18, 10 * time.Millisecond
	s, err := b.pmilterd(ctx, "await")
	if err != nil {
		return err
	}
	var shares, busy, ours, each []float64
	for range min(b.rounds, 3) {
		p := b.plan(s, 0)
		p.Connections, p.Duration = connections, max(5*b.turn, 4*time.Second) // the connections' own beginnings weigh little then
		before, began, idle := s.cpu()+self(), time.Now(), idleTime()
		result, err := measured(ctx, p)
		if err != nil {
			return err
		}
		all := time.Since(began).Seconds() * float64(runtime.NumCPU())
		ideal := connections / (waits * wait).Seconds()
		shares = append(shares, result.Rate()/ideal)
		used := (s.cpu() + self() - before).Seconds()
		busy = append(busy, 1-(idleTime()-idle).Seconds()/all)
		ours = append(ours, used/all)
		each = append(each, used*1e6/float64(result.Messages))
	}
	share, full := median(shares), median(busy)
	b.add(figure{
		"handlers that each await 10 ms, 1,000 connections, of the ideal", fmt.Sprintf("%.2f", share), ">= 0.8 or CPU",
		share >= 0.8 || full >= 0.9, fmt.Sprintf("processors %.0f%% busy, %.0f%% with this: %.0f µs a message, load included", 100*full, 100*median(ours), median(each)),
	})
	return nil
}

// self is the processor time of the load.
func self() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
