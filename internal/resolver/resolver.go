package resolver

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/miekg/dns"
)

// Options is how a Resolver asks.
type Options struct {
	// Servers are recursive name servers, "host:port". With none, those of the
	// system's resolv.conf are asked, which is looked at again when it changes.
	Servers []string
	// Timeout is that of a whole look-up, all tries included; 0 is 3 s.
	Timeout time.Duration
	// ResolvConf is the system's file; "" is /etc/resolv.conf.
	ResolvConf string
	// MaxEntries bounds what is kept; 0 is 10,000.
	MaxEntries int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

const (
	// maxFlights is how many questions are under way at once; more wait.
	maxFlights = 1000
	// maxKept is the largest answer that is kept, in bytes: MaxEntries times it is
	// the most that the memory can hold.
	maxKept = 4096
)

// Resolver looks names up. It is safe for concurrent use; what it returns must
// not be changed. Close ends it.
type Resolver struct {
	now     func() time.Time
	system  *system
	flying  sync.WaitGroup
	permits chan struct{} // one for each question under way

	mu      sync.Mutex
	servers []string
	timeout time.Duration
	kept    *simplelru.LRU[question, keptAnswer]
	flights map[question]*flight
	closed  bool
}

// keptAnswer is an answer with the time at which it ends to hold.
type keptAnswer struct {
	*answer
	until time.Time
}

// flight is a question under way, and what came of it when done is closed.
type flight struct {
	done   chan struct{}
	cancel context.CancelFunc
	answer *answer
}

// New makes a Resolver.
func New(o Options) *Resolver {
	if o.MaxEntries <= 0 {
		o.MaxEntries = 10_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	kept, err := simplelru.NewLRU[question, keptAnswer](o.MaxEntries, nil)
	if err != nil {
		panic(err) // its size is not positive: it is
	}
	r := &Resolver{
		now: o.Now, system: &system{path: o.ResolvConf}, permits: make(chan struct{}, maxFlights),
		kept: kept, flights: map[question]*flight{},
	}
	r.Configure(o.Servers, o.Timeout)
	return r
}

// Configure changes the servers and the timeout for questions from now on. When
// the servers are others, what the old ones said is forgotten.
func (r *Resolver) Configure(servers []string, timeout time.Duration) {
	if timeout <= 0 {
		timeout = 3 * time.Second
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(servers, r.servers) {
		r.kept.Purge()
	}
	r.servers, r.timeout = slices.Clone(servers), timeout
}

// Close ends what is under way and waits for it. Look-ups after it fail.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	for _, f := range r.flights {
		f.cancel()
	}
	r.mu.Unlock()
	r.flying.Wait()
}

// Entries is how many answers are kept.
func (r *Resolver) Entries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept.Len()
}

// ask is the records for a question, at least one, or an *Error. It returns when
// ctx is done; the answer of the servers is then kept for the next who asks.
func (r *Resolver) ask(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	q, bad := newQuestion(name, kind)
	if bad != nil {
		return nil, bad
	}
	if ctx.Err() != nil {
		return nil, q.failed(ctx.Err())
	}
	a, f := r.known(ctx, q)
	if f != nil {
		select {
		case <-f.done:
			a = f.answer
		case <-ctx.Done():
			return nil, q.failed(ctx.Err())
		}
	}
	if a.err != nil {
		again := *a.err
		again.name = name // as this caller wrote it
		return nil, &again
	}
	return a.records, nil
}

// known is the answer that is kept, or the flight that will bring it.
func (r *Resolver) known(ctx context.Context, q question) (*answer, *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.kept.Get(q); ok {
		if r.now().Before(k.until) {
			return k.answer, nil
		}
		r.kept.Remove(q)
	}
	if f := r.flights[q]; f != nil {
		return nil, f
	}
	if r.closed {
		return &answer{err: q.fail(Canceled, "the resolver is closed")}, nil
	}
	f := &flight{done: make(chan struct{})}
	servers := r.servers
	// Who asked first may leave before the others.
	var flying context.Context
	flying, f.cancel = context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
	r.flights[q] = f
	r.flying.Go(func() { r.fly(flying, q, f, servers) })
	return nil, f
}

// fly asks the servers and ends the flight.
func (r *Resolver) fly(ctx context.Context, q question, f *flight, servers []string) {
	defer f.cancel()
	a := r.find(ctx, q, servers)
	r.mu.Lock()
	delete(r.flights, q)
	same := slices.Equal(servers, r.servers)
	if a.ttl > 0 && a.size <= maxKept && same && !r.closed {
		r.kept.Add(q, keptAnswer{a, r.now().Add(a.ttl)})
	}
	r.mu.Unlock()
	f.answer = a
	close(f.done)
}

// find asks the servers, and again where a chain of CNAMEs breaks off.
func (r *Resolver) find(ctx context.Context, q question, servers []string) *answer {
	select {
	case r.permits <- struct{}{}:
		defer func() { <-r.permits }()
	case <-ctx.Done():
		return &answer{err: q.failed(ctx.Err())}
	}
	if len(servers) == 0 {
		servers = r.system.servers(r.now())
	}
	whole := &answer{ttl: maxTTL}
	at := q
	for range maxChain {
		m, failure := at.askServers(ctx, servers)
		if failure != nil {
			return &answer{err: q.fail(failure.code, failure.detail), ttl: failureTTL}
		}
		part := at.read(m)
		whole.ttl = min(whole.ttl, part.ttl)
		whole.size += m.Len()
		if part.more == "" {
			whole.records = part.records
			if part.err != nil {
				whole.err = q.fail(part.err.code, part.err.detail)
			}
			return whole
		}
		at.name = part.more
	}
	return &answer{err: q.fail(BadResp, "the CNAMEs lead nowhere"), ttl: failureTTL}
}
