package resolver_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"pmilter/internal/resolver"
)

// clock is steered by a test.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time                 { return time.Unix(1e9, c.at.Load()) }
func (c *clock) advance(d time.Duration)        { c.at.Add(int64(d)) }
func (c *clock) options() resolver.Options      { return resolver.Options{Now: c.now} }
func (c *clock) bounded(n int) resolver.Options { return resolver.Options{Now: c.now, MaxEntries: n} }

// TestKept: each answer is kept as long as it holds and no longer.
func TestKept(t *testing.T) {
	t.Parallel()
	s := serve(t, "x.example.org. 60 IN A 192.0.2.1", "x.example.org. 90 IN A 192.0.2.2",
		"alias.example.org. 30 IN CNAME x.example.org.", "zero.example.org. 0 IN A 192.0.2.3",
		"old.example.org. 4000000000 IN A 192.0.2.4", "forever.example.org. 2000000000 IN A 192.0.2.5")
	s.on("bare.example.org.", func(w dns.ResponseWriter, m *dns.Msg) { // denied without an SOA
		r := new(dns.Msg).SetRcode(m, dns.RcodeNameError)
		r.RecursionAvailable = true
		_ = w.WriteMsg(r)
	})
	s.on("broken.example.org.", func(w dns.ResponseWriter, m *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure))
	})
	for _, tt := range []struct {
		name string
		kind string
		ttl  time.Duration
	}{
		{"x.example.org", "A", 60 * time.Second},
		{"alias.example.org", "A", 30 * time.Second},
		{"zero.example.org", "A", 0},
		{"old.example.org", "A", 0},
		{"forever.example.org", "A", 24 * time.Hour},
		{"nowhere.example.org", "A", 300 * time.Second}, // the SOA's minimum, below its TTL
		{"x.example.org", "MX", 300 * time.Second},
		{"bare.example.org", "A", 0},
		{"broken.example.org", "A", 5 * time.Second},
	} {
		c := &clock{}
		r := use(t, c.options(), s.addr)
		ask := func() int64 {
			before := s.total.Load()
			_, err := r.Resolve(t.Context(), tt.name, tt.kind)
			code(t, err)
			return s.total.Load() - before
		}
		first := ask()
		if tt.ttl > 0 {
			c.advance(tt.ttl - 1)
			if ask() != 0 {
				t.Errorf("%s %s: asked again before %v", tt.name, tt.kind, tt.ttl)
			}
			c.advance(1)
		}
		if again := ask(); first == 0 || again == 0 {
			t.Errorf("%s %s: not asked again after %v (%d, %d)", tt.name, tt.kind, tt.ttl, first, again)
		}
	}
}

func TestKeptIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t)
	r := use(t, (&clock{}).bounded(10), s.addr)
	for i := range 50 {
		_, _ = r.Resolve(t.Context(), fmt.Sprintf("n%d.example.org", i), "A")
	}
	if r.Entries() != 10 {
		t.Errorf("%d are kept", r.Entries())
	}
	before := s.total.Load()
	_, _ = r.Resolve(t.Context(), "n49.example.org", "A")
	_, _ = r.Resolve(t.Context(), "N49.Example.org.", "A")
	if s.total.Load() != before {
		t.Error("the newest is not kept")
	}
}

// TestTogether: many who ask the same are one question; who leaves takes nothing
// from the others, and what was asked for comes to be kept.
func TestTogether(t *testing.T) {
	t.Parallel()
	s := serve(t, "x.example.org. 60 IN A 192.0.2.1")
	asked, goOn := make(chan struct{}, 10), make(chan struct{})
	s.on("x.example.org.", func(w dns.ResponseWriter, m *dns.Msg) {
		asked <- struct{}{}
		<-goOn
		_ = w.WriteMsg(s.answer(m))
	})
	r := use(t, resolver.Options{}, s.addr)
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := r.Resolve(ctx, "x.example.org", "A"); gone <- err }()
	<-asked
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := r.Resolve(t.Context(), "X.example.org", "A"); err != nil || len(got) != 1 {
				t.Errorf("%v %v", got, err)
			}
		})
	}
	leave()
	if err := <-gone; code(t, err) != resolver.Canceled {
		t.Errorf("who left got %v", err)
	}
	close(goOn)
	all.Wait()
	if n := s.asked("x.example.org. A udp"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestConfigure: other servers, another opinion.
func TestConfigure(t *testing.T) {
	t.Parallel()
	a, b := serve(t, "x.example.org. 60 IN A 192.0.2.1"), serve(t, "x.example.org. 60 IN A 192.0.2.2")
	r := use(t, resolver.Options{}, a.addr)
	for _, step := range []struct{ server, want string }{{a.addr, "192.0.2.1"}, {b.addr, "192.0.2.2"}, {b.addr, "192.0.2.2"}} {
		r.Configure([]string{step.server}, time.Minute)
		if got, err := r.Resolve(t.Context(), "x.example.org", "A"); err != nil || got[0].Text != step.want {
			t.Errorf("%v %v, want %s", got, err, step.want)
		}
	}
	if n := b.asked("x.example.org. A udp"); n != 1 {
		t.Errorf("the same servers again: what they said is forgotten (%d)", n)
	}
}

// TestClose ends what waits.
func TestClose(t *testing.T) {
	t.Parallel()
	s := serve(t)
	asked := make(chan struct{}, 10)
	s.on("x.example.org.", func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	r := resolver.New(resolver.Options{Servers: []string{s.addr}, Timeout: time.Minute})
	got := make(chan error)
	go func() { _, err := r.Resolve(t.Context(), "x.example.org", "A"); got <- err }()
	<-asked
	r.Close()
	if err := <-got; code(t, err) != resolver.Canceled {
		t.Errorf("%v", err)
	}
	if _, err := r.Resolve(t.Context(), "y.example.org", "A"); code(t, err) != resolver.Canceled {
		t.Errorf("after Close: %v", err)
	}
}
