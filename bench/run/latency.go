package main

import (
	"context"
	"fmt"
	"time"

	"pmilter/internal/load"
)

// latency is that of a message at 500 a second, where a milter has time to spare.
func (b *bench) latency(ctx context.Context) error {
	servers, err := b.pair(ctx, "all", "realistic")
	if err != nil {
		return err
	}
	p50, p99 := map[string][]float64{}, map[string][]float64{}
	for r := range b.rounds + 1 {
		for i := range servers {
			s := servers[(i+r)%len(servers)]
			p := b.plan(s, 20)
			p.Rate, p.Duration = 500, max(2*b.turn, time.Second)
			result, err := measured(ctx, p)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if r > 0 {
				p50[s.name] = append(p50[s.name], milliseconds(result.Latency.Quantile(0.5)))
				p99[s.name] = append(p99[s.name], milliseconds(result.Latency.Quantile(0.99)))
			}
		}
	}
	for _, s := range servers[1:] {
		for _, q := range []struct {
			name string
			of   map[string][]float64
		}{{"p50", p50}, {"p99", p99}} {
			c, ours := median(q.of["c"]), median(q.of[s.name])
			b.add(figure{
				fmt.Sprintf("500 messages/s, %s, %s", s.name, q.name), fmt.Sprintf("%.3f ms", ours),
				"below C's", ours < c, fmt.Sprintf("C: %.3f ms", c),
			})
		}
	}
	return nil
}

// memory is that of the idle server, and of each further connection that ran
// connect and helo and then says nothing.
func (b *bench) memory(ctx context.Context) error {
	const connections = 1000
	s, err := b.pmilterd(ctx, "realistic")
	if err != nil {
		return err
	}
	pause(ctx, time.Second)
	idle := s.resident()
	b.atMost("memory of the idle server", idle/(1<<20), 40, "MB", "VmRSS, realistic script")
	first, err := load.Hold(ctx, "unix", s.socket, connections)
	if err != nil {
		return err
	}
	defer first()
	pause(ctx, time.Second)
	some := s.resident()
	second, err := load.Hold(ctx, "unix", s.socket, connections)
	if err != nil {
		return err
	}
	defer second()
	pause(ctx, time.Second)
	each := (s.resident() - some) / connections
	b.atMost("each further idle connection that ran connect and helo", each/1024, 80, "KB",
		fmt.Sprintf("from 1,000 to 2,000; the first 1,000: %.0f KB each", (some-idle)/connections/1024))
	return nil
}
