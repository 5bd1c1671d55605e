package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// plan is what each round does with each peer.
type plan struct {
	shape    shape
	conns    int           // at once
	messages int           // a connection
	time     time.Duration // of a round with one peer
}

// result is one round with one peer.
type result struct {
	rate      float64         // messages a second
	latencies []time.Duration // MAIL to the final reply, sorted
}

// quantile is the latency that a share q of the messages did not exceed.
func (r result) quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(int(q*float64(len(r.latencies))), len(r.latencies)-1)]
}

// round keeps a peer busy for the plan's time. The first error of any
// connection ends it.
func (p plan) round(network, address string) (result, error) {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		first   error
		stop    atomic.Bool
		all     []time.Duration
	)
	known := &dialogues{shape: p.shape}
	begin := time.Now()
	timer := time.AfterFunc(p.time, func() { stop.Store(true) })
	defer timer.Stop()
	for range p.conns {
		workers.Go(func() {
			var mine []time.Duration
			var err error
			for err == nil && !stop.Load() {
				mine, err = p.connection(network, address, known, mine, &stop)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
			if err != nil && first == nil {
				first = err
				stop.Store(true)
			}
		})
	}
	workers.Wait()
	slices.Sort(all)
	return result{rate: float64(len(all)) / time.Since(begin).Seconds(), latencies: all}, first
}

// connection sends the plan's messages over one connection and appends their
// latencies.
func (p plan) connection(network, address string, known *dialogues, latencies []time.Duration, stop *atomic.Bool) ([]time.Duration, error) {
	c, err := dial(network, address, p.shape.chunk)
	if err != nil {
		return latencies, err
	}
	defer c.Close()
	d := known.get(c.protocol)
	if over, err := c.run(d.greeting); over || err != nil {
		return latencies, err
	}
	mail := d.first
	for range p.messages {
		if stop.Load() {
			break
		}
		begin := time.Now()
		// A milter may end the message early: its word counts as the last.
		if _, err := c.run(mail); err != nil {
			return latencies, err
		}
		latencies = append(latencies, time.Since(begin))
		mail = d.next
	}
	return latencies, c.quit()
}
