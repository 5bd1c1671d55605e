package resolver_test

import (
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"pmilter/internal/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nameServer is a real DNS server of a test, on UDP and TCP.
type nameServer struct {
	t    testing.TB
	addr string

	mu      sync.Mutex
	zone    map[dns.Question][]dns.RR
	soa     dns.RR // of negative answers; nil: none
	odd     map[string]dns.HandlerFunc
	queries map[string]int // by "name TYPE net"
	total   atomic.Int64
}

// serve starts a server with some records in zone file format.
func serve(t testing.TB, records ...string) *nameServer {
	t.Helper()
	s := &nameServer{t: t, zone: map[dns.Question][]dns.RR{}, odd: map[string]dns.HandlerFunc{}, queries: map[string]int{}}
	s.soa = rr(t, "example.org. 600 IN SOA ns. hostmaster. 1 2 3 4 300")
	for _, r := range records {
		s.add(r)
	}
	var packets net.PacketConn
	var stream net.Listener
	for range 20 { // the same port of both must be free
		var err error
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if stream, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			break
		}
		packets.Close()
	}
	if stream == nil {
		t.Fatal("no free port")
	}
	s.addr = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: stream, Handler: s}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		done := make(chan struct{})
		go func() { defer close(done); _ = server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = server.Shutdown(); <-done })
	}
	return s
}

func rr(t testing.TB, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil || r == nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func (s *nameServer) add(text string) {
	r := rr(s.t, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := dns.Question{Name: r.Header().Name, Qtype: r.Header().Rrtype, Qclass: dns.ClassINET}
	s.zone[q] = append(s.zone[q], r)
}

// on answers a name in a way of its own.
func (s *nameServer) on(name string, h dns.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.odd[name] = h
}

func (s *nameServer) asked(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[key]
}

// ServeDNS implements dns.Handler: it answers as a recursive server does, with
// the whole chain.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	q := m.Question[0]
	s.total.Add(1)
	s.mu.Lock()
	s.queries[q.Name+" "+dns.TypeToString[q.Qtype]+" "+w.LocalAddr().Network()]++
	odd := s.odd[q.Name]
	s.mu.Unlock()
	if odd != nil {
		odd(w, m)
		return
	}
	_ = w.WriteMsg(s.answer(m))
}

func (s *nameServer) answer(m *dns.Msg) *dns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := new(dns.Msg).SetReply(m)
	r.RecursionAvailable = true
	q := m.Question[0]
	for range 10 {
		if list := s.zone[q]; list != nil {
			r.Answer = append(r.Answer, list...)
			return r
		}
		alias := s.zone[dns.Question{Name: q.Name, Qtype: dns.TypeCNAME, Qclass: dns.ClassINET}]
		if alias == nil {
			break
		}
		r.Answer = append(r.Answer, alias...)
		q.Name = strings.ToLower(alias[0].(*dns.CNAME).Target)
	}
	known := false
	for have := range s.zone {
		known = known || have.Name == q.Name
	}
	if !known {
		r.Rcode = dns.RcodeNameError
	}
	if s.soa != nil {
		r.Ns = []dns.RR{s.soa}
	}
	return r
}

// use is a resolver that asks some servers.
func use(t *testing.T, o resolver.Options, servers ...string) *resolver.Resolver {
	t.Helper()
	o.Servers = servers
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	r := resolver.New(o)
	t.Cleanup(r.Close)
	return r
}

// code is what an error is known by; "" for none.
func code(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *resolver.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T %v is no Error", err, err)
	}
	return e.Code()
}
