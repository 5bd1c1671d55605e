package resolver_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"pmilter/internal/resolver"
)

func TestResolveTypes(t *testing.T) {
	t.Parallel()
	s := serve(t,
		"www.example.org. 60 IN A 192.0.2.1", "www.example.org. 60 IN A 192.0.2.2", "www.example.org. 60 IN AAAA 2001:db8::1",
		"example.org. 60 IN MX 20 MX2.example.org.", "example.org. 60 IN MX 10 mx1.example.org.", "null.example.org. 60 IN MX 0 .",
		`example.org. 60 IN TXT "v=spf1 " "-all"`, `odd.example.org. 60 IN TXT "a\"b\\c\009\255"`, `empty.example.org. 60 IN TXT ""`,
		"example.org. 60 IN NS NS1.example.org.", "alias.example.org. 60 IN CNAME Deep.example.org.", "deep.example.org. 60 IN CNAME www.example.org.",
		"_imap._tcp.example.org. 60 IN SRV 20 0 143 b.example.org.", "_imap._tcp.example.org. 60 IN SRV 10 1 143 a.example.org.",
		"_imap._tcp.example.org. 60 IN SRV 10 9 993 c.example.org.",
		"7.2.0.192.in-addr.arpa. 60 IN PTR Client.example.org.",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR six.example.org.",
		"xn--bcher-kva.example.org. 60 IN A 192.0.2.9", "a=b+c._spf.example.org. 60 IN A 127.0.0.2",
	)
	// Records of other names and classes in the answer are not the answer.
	s.on("noisy.example.org.", func(w dns.ResponseWriter, m *dns.Msg) {
		r := s.answer(m)
		r.Rcode, r.Ns = 0, nil
		r.Answer = []dns.RR{
			rr(t, "other.example.org. 60 IN A 192.0.2.66"), rr(t, "NOISY.example.org. 60 IN A 192.0.2.3"),
			rr(t, "noisy.example.org. 60 IN TXT x"), rr(t, "noisy.example.org. 60 CH A 192.0.2.67"),
		}
		_ = w.WriteMsg(r)
	})
	r := use(t, resolver.Options{}, s.addr)
	for _, tt := range []struct{ name, kind, want string }{
		{"www.example.org", "A", "192.0.2.1 192.0.2.2"},
		{"WWW.Example.ORG.", "A", "192.0.2.1 192.0.2.2"},
		{"www.example.org", "AAAA", "2001:db8::1"},
		{"alias.example.org", "A", "192.0.2.1 192.0.2.2"},
		{"alias.example.org", "CNAME", "deep.example.org"},
		{"example.org", "MX", "10=mx1.example.org 20=mx2.example.org"},
		{"null.example.org", "MX", "0="},
		{"example.org", "TXT", "v=spf1 -all"},
		{"odd.example.org", "TXT", "a\"b\\c\t\xff"},
		{"empty.example.org", "TXT", ""},
		{"example.org", "NS", "ns1.example.org"},
		{"_imap._tcp.example.org", "SRV", "10/9=c.example.org:993 10/1=a.example.org:143 20/0=b.example.org:143"},
		{"7.2.0.192.in-addr.arpa", "PTR", "client.example.org"},
		{"bücher.example.org", "A", "192.0.2.9"},
		{"BÜCHER.example.org", "A", "192.0.2.9"},
		{"a=b+c._spf.example.org", "A", "127.0.0.2"},
		{"noisy.example.org", "A", "192.0.2.3"},
		{"nowhere.example.org", "A", "ENOTFOUND"},
		{"www.example.org", "TXT", "ENODATA"},
		{"alias.example.org", "TXT", "ENODATA"},
		{"www.example.org", "LOC", "EBADNAME"},
	} {
		got, err := r.Resolve(t.Context(), tt.name, tt.kind)
		var words []string
		for _, record := range got {
			switch tt.kind {
			case "MX":
				words = append(words, fmt.Sprintf("%d=%s", record.Priority, record.Name))
			case "SRV":
				words = append(words, fmt.Sprintf("%d/%d=%s:%d", record.Priority, record.Weight, record.Name, record.Port))
			default:
				words = append(words, record.Text)
			}
		}
		if all := strings.Join(words, " ") + code(t, err); all != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.name, tt.kind, all, tt.want)
		}
	}
	for ip, want := range map[string]string{"192.0.2.7": "client.example.org", "::ffff:192.0.2.7": "client.example.org", "2001:db8::1": "six.example.org"} {
		if got, err := r.Reverse(t.Context(), netip.MustParseAddr(ip)); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v %v", ip, got, err)
		}
	}
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	s := serve(t)
	r := use(t, resolver.Options{}, s.addr)
	for _, name := range []string{
		"", ".", "..", ".a", "a..b", strings.Repeat("a", 64) + ".org", strings.Repeat("a.", 140), "a b", "a\x00b", "a\nb", `a\.b`, `a\046b`,
		"\xff.org", "a\u202e.org", "\u00ad",
	} {
		if _, err := r.Resolve(t.Context(), name, "A"); code(t, err) != resolver.BadName {
			t.Errorf("%q: %v", name, err)
		}
	}
	if s.total.Load() != 0 {
		t.Errorf("%d questions were asked", s.total.Load())
	}
}

// TestForged: what does not belong to the question is passed over, and the true
// answer that comes after it counts.
func TestForged(t *testing.T) {
	t.Parallel()
	s := serve(t, "x.example.org. 60 IN A 192.0.2.1")
	s.on("x.example.org.", func(w dns.ResponseWriter, m *dns.Msg) {
		send := func(change func(*dns.Msg)) {
			r := s.answer(m)
			r.Answer = []dns.RR{rr(t, "x.example.org. 60 IN A 192.0.2.66")}
			change(r)
			if data, err := r.Pack(); err == nil {
				_, _ = w.Write(data)
			}
		}
		send(func(r *dns.Msg) { r.Id++ })
		send(func(r *dns.Msg) { r.Response = false })
		send(func(r *dns.Msg) { r.Opcode = dns.OpcodeUpdate })
		send(func(r *dns.Msg) { r.Question[0].Name = "y.example.org." })
		send(func(r *dns.Msg) { r.Question[0].Qtype = dns.TypeAAAA })
		send(func(r *dns.Msg) { r.Question[0].Qclass = dns.ClassCHAOS })
		send(func(r *dns.Msg) { r.Question = nil })
		send(func(r *dns.Msg) { r.Question = append(r.Question, r.Question[0]) })
		for _, garbage := range []string{"", "x", strings.Repeat("\xc0\x0c", 300), strings.Repeat("\xff", 3000)} {
			_, _ = w.Write([]byte(garbage))
		}
		if data, err := s.answer(m).Pack(); err == nil {
			_, _ = w.Write(data[:len(data)-3])
		}
		_ = w.WriteMsg(s.answer(m))
	})
	got, err := use(t, resolver.Options{}, s.addr).Resolve(t.Context(), "x.example.org", "A")
	if err != nil || len(got) != 1 || got[0].Text != "192.0.2.1" {
		t.Errorf("%v %v", got, err)
	}
}

// TestIdsAndPorts: nobody can guess the next id and port.
func TestIdsAndPorts(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var mu sync.Mutex
	ids, ports := map[uint16]bool{}, map[string]bool{}
	const n = 50
	r := use(t, resolver.Options{}, s.addr)
	for i := range n {
		name := fmt.Sprintf("n%d.example.org.", i)
		s.on(name, func(w dns.ResponseWriter, m *dns.Msg) {
			mu.Lock()
			ids[m.Id], ports[w.RemoteAddr().String()] = true, true
			mu.Unlock()
			_ = w.WriteMsg(s.answer(m))
		})
		if _, err := r.Resolve(t.Context(), name, "A"); code(t, err) != resolver.NotFound {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) < n-3 || len(ports) < n/2 {
		t.Errorf("%d ids and %d ports for %d questions", len(ids), len(ports), n)
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for i := range 300 {
		s.add(fmt.Sprintf("big.example.org. 60 IN TXT %q", fmt.Sprint(i, strings.Repeat("x", 150))))
	}
	truncate := func(w dns.ResponseWriter, m *dns.Msg) {
		r := s.answer(m)
		if w.LocalAddr().Network() == "udp" {
			r.Truncate(512)
			r.Truncated = true
		}
		_ = w.WriteMsg(r)
	}
	s.on("big.example.org.", truncate)
	s.on("cut.example.org.", func(w dns.ResponseWriter, m *dns.Msg) { // in the middle of a record
		if w.LocalAddr().Network() == "udp" {
			r := s.answer(m)
			r.Rcode, r.Truncated = 0, true
			r.Answer = []dns.RR{rr(t, "cut.example.org. 60 IN A 192.0.2.66")}
			data, _ := r.Pack()
			_, _ = w.Write(data[:len(data)-20])
			return
		}
		r := s.answer(m)
		r.Rcode, r.Answer = 0, []dns.RR{rr(t, "cut.example.org. 60 IN A 192.0.2.5")}
		_ = w.WriteMsg(r)
	})
	s.on("always.example.org.", func(w dns.ResponseWriter, m *dns.Msg) { // a server that says so over TCP, too
		r := s.answer(m)
		r.Rcode, r.Truncated = 0, true
		r.Answer = []dns.RR{rr(t, "always.example.org. 60 IN A 192.0.2.6")}
		_ = w.WriteMsg(r)
	})
	r := use(t, resolver.Options{}, s.addr)
	if got, err := r.Resolve(t.Context(), "big.example.org", "TXT"); err != nil || len(got) != 300 {
		t.Errorf("%d records, %v", len(got), err)
	}
	for name, want := range map[string]string{"cut.example.org": "192.0.2.5", "always.example.org": "192.0.2.6"} {
		if got, err := r.Resolve(t.Context(), name, "A"); err != nil || len(got) != 1 || got[0].Text != want {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if r.Entries() != 2 {
		t.Errorf("%d answers are kept: the large one is not worth it", r.Entries())
	}
}

// TestServers: who does not know is asked once, and another one answers.
func TestServers(t *testing.T) {
	t.Parallel()
	good := serve(t, "x.example.org. 60 IN A 192.0.2.1")
	bad := serve(t)
	say := func(rcode int, change func(*dns.Msg)) dns.HandlerFunc {
		return func(w dns.ResponseWriter, m *dns.Msg) {
			r := new(dns.Msg).SetRcode(m, rcode)
			r.RecursionAvailable = true
			if change != nil {
				change(r)
			}
			_ = w.WriteMsg(r)
		}
	}
	lame := say(0, func(r *dns.Msg) {
		r.RecursionAvailable = false
		r.Ns = []dns.RR{rr(t, "org. 60 IN NS a0.org.")}
	})
	for name, tt := range map[string]struct {
		handler dns.HandlerFunc
		alone   string
	}{
		"servfail": {say(dns.RcodeServerFailure, nil), resolver.ServFail},
		"refused":  {say(dns.RcodeRefused, nil), resolver.Refused},
		"notimp":   {say(dns.RcodeNotImplemented, nil), resolver.NotImp},
		"formerr":  {say(dns.RcodeFormatError, nil), resolver.FormErr},
		"yxdomain": {say(dns.RcodeYXDomain, nil), resolver.BadResp},
		"lame":     {lame, resolver.ServFail},
	} {
		t.Run(name, func(t *testing.T) {
			bad.on("x.example.org.", tt.handler)
			got, err := use(t, resolver.Options{}, bad.addr, good.addr).Resolve(t.Context(), "x.example.org", "A")
			if err != nil || len(got) != 1 {
				t.Errorf("with another server: %v %v", got, err)
			}
			before := bad.total.Load()
			r := use(t, resolver.Options{}, bad.addr)
			for range 2 {
				if _, err = r.Resolve(t.Context(), "x.example.org", "A"); code(t, err) != tt.alone {
					t.Errorf("alone: %v, want %s", err, tt.alone)
				}
			}
			if n := bad.total.Load() - before; n > 2 { // with and without EDNS
				t.Errorf("asked %d times", n)
			}
		})
	}
	nobody := use(t, resolver.Options{}, "127.0.0.1:1")
	if _, err := nobody.Resolve(t.Context(), "x.example.org", "A"); code(t, err) != resolver.NoServer {
		t.Errorf("nobody there: %v", err)
	}
	if got, err := use(t, resolver.Options{}, "127.0.0.1:1", good.addr).Resolve(t.Context(), "x.example.org", "A"); err != nil || len(got) != 1 {
		t.Errorf("one is not there: %v %v", got, err)
	}
}

// TestOldServer does not know EDNS.
func TestOldServer(t *testing.T) {
	t.Parallel()
	s := serve(t, "x.example.org. 60 IN A 192.0.2.1")
	s.on("x.example.org.", func(w dns.ResponseWriter, m *dns.Msg) {
		if m.IsEdns0() != nil {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeFormatError))
			return
		}
		_ = w.WriteMsg(s.answer(m))
	})
	if got, err := use(t, resolver.Options{}, s.addr).Resolve(t.Context(), "x.example.org", "A"); err != nil || len(got) != 1 {
		t.Errorf("%v %v", got, err)
	}
}

// TestSlow: a server that says nothing costs the timeout and no more; an answer
// to the first question counts after the second was asked.
func TestSlow(t *testing.T) {
	t.Parallel()
	s := serve(t, "late.example.org. 60 IN A 192.0.2.1", "lost.example.org. 60 IN A 192.0.2.2")
	s.on("dead.example.org.", func(dns.ResponseWriter, *dns.Msg) {})
	again := make(chan struct{})
	var questions atomic.Int64
	s.on("late.example.org.", func(w dns.ResponseWriter, m *dns.Msg) {
		switch questions.Add(1) {
		case 1:
			<-again
			_ = w.WriteMsg(s.answer(m))
		case 2:
			close(again) // and is never answered itself
		}
	})
	var lost sync.Once
	s.on("lost.example.org.", func(w dns.ResponseWriter, m *dns.Msg) {
		drop := false
		lost.Do(func() { drop = true })
		if !drop {
			_ = w.WriteMsg(s.answer(m))
		}
	})
	r := use(t, resolver.Options{Timeout: 1200 * time.Millisecond}, s.addr)
	start := time.Now()
	_, err := r.Resolve(t.Context(), "dead.example.org", "A")
	if took := time.Since(start); code(t, err) != resolver.Timeout || took < 1100*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
	if n := s.asked("dead.example.org. A udp"); n != 3 {
		t.Errorf("asked %d times", n)
	}
	if _, err := r.Resolve(t.Context(), "dead.example.org", "A"); code(t, err) != resolver.Timeout || s.asked("dead.example.org. A udp") != 3 {
		t.Errorf("the next one waits again: %v", err)
	}
	for _, name := range []string{"late.example.org", "lost.example.org"} {
		if got, err := use(t, resolver.Options{Timeout: 5 * time.Second}, s.addr).Resolve(t.Context(), name, "A"); err != nil || len(got) != 1 {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	// A caller with less time than the servers have.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	s.on("slow.example.org.", func(dns.ResponseWriter, *dns.Msg) {})
	if _, err := r.Resolve(ctx, "slow.example.org", "A"); code(t, err) != resolver.Timeout {
		t.Errorf("%v", err)
	}
}

func TestChains(t *testing.T) {
	t.Parallel()
	s := serve(t, "end.example.org. 60 IN A 192.0.2.1")
	cname := func(pairs ...string) dns.HandlerFunc {
		return func(w dns.ResponseWriter, m *dns.Msg) {
			r := new(dns.Msg).SetReply(m)
			r.RecursionAvailable = true
			for i := 0; i < len(pairs); i += 2 {
				r.Answer = append(r.Answer, rr(t, pairs[i]+". 60 IN CNAME "+pairs[i+1]+"."))
			}
			_ = w.WriteMsg(r)
		}
	}
	s.on("broken.example.org.", cname("broken.example.org", "mid.example.org"))
	s.on("mid.example.org.", cname("mid.example.org", "end.example.org"))
	s.on("self.example.org.", cname("self.example.org", "self.example.org"))
	s.on("loop.example.org.", cname("loop.example.org", "pool.example.org", "pool.example.org", "loop.example.org"))
	s.on("far.example.org.", cname("far.example.org", "raf.example.org"))
	s.on("raf.example.org.", cname("raf.example.org", "far.example.org"))
	s.add("gone.example.org. 60 IN CNAME nowhere.example.org.")
	var long []string
	for i := range 30 {
		long = append(long, fmt.Sprintf("c%d.example.org", i), fmt.Sprintf("c%d.example.org", i+1))
	}
	s.on("c0.example.org.", cname(long...))
	r := use(t, resolver.Options{}, s.addr)
	for name, want := range map[string]string{
		"broken.example.org": "", "self.example.org": resolver.BadResp, "loop.example.org": resolver.BadResp,
		"far.example.org": resolver.BadResp, "c0.example.org": resolver.BadResp, "gone.example.org": resolver.NotFound,
	} {
		if got, err := r.Resolve(t.Context(), name, "A"); code(t, err) != want || (want == "") != (len(got) == 1) {
			t.Errorf("%s: %v %v, want %q", name, got, err, want)
		}
	}
}
