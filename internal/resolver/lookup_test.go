package resolver_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"pmilter/internal/resolver"
)

// TestLikeNet: the methods of net.Resolver's shape give what net's own does.
func TestLikeNet(t *testing.T) {
	t.Parallel()
	s := serve(t, "x.example.org. 60 IN A 192.0.2.1", "x.example.org. 60 IN AAAA 2001:db8::1", "four.example.org. 60 IN A 192.0.2.4",
		"x.example.org. 60 IN MX 20 b.example.org.", "x.example.org. 60 IN MX 10 a.example.org.", "null.example.org. 60 IN MX 0 .",
		`x.example.org. 60 IN TXT "a" "b"`, `x.example.org. 60 IN TXT "c"`, "1.2.0.192.in-addr.arpa. 60 IN PTR X.example.org.",
		"half.example.org. 60 IN AAAA 2001:db8::2")
	fail := func(w dns.ResponseWriter, m *dns.Msg) {
		if m.Question[0].Qtype == dns.TypeAAAA {
			_ = w.WriteMsg(s.answer(m))
			return
		}
		_ = w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure))
	}
	s.on("half.example.org.", fail)
	s.on("broken.example.org.", fail)
	s.on("dead.example.org.", func(dns.ResponseWriter, *dns.Msg) {})
	r := use(t, resolver.Options{Timeout: time.Second}, s.addr)
	show := func(v any, err error) string {
		if err != nil {
			var e *net.DNSError
			if !errors.As(err, &e) {
				return fmt.Sprintf("%T is no *net.DNSError", err)
			}
			return fmt.Sprintf("notfound=%v temporary=%v timeout=%v", e.IsNotFound, e.IsTemporary, e.IsTimeout)
		}
		return fmt.Sprint(v)
	}
	mx := func(name string) string {
		list, err := r.LookupMX(t.Context(), name)
		var all []string
		for _, m := range list {
			all = append(all, fmt.Sprint(m.Pref, m.Host))
		}
		return show(strings.Join(all, " "), err)
	}
	txt := func(name string) string { v, err := r.LookupTXT(t.Context(), name); return show(v, err) }
	ip := func(name string) string { v, err := r.LookupIPAddr(t.Context(), name); return show(v, err) }
	addr := func(name string) string { v, err := r.LookupAddr(t.Context(), name); return show(v, err) }
	for got, want := range map[string]string{
		txt("x.example.org"):       "[ab c]",
		txt("nowhere.example.org"): "notfound=true temporary=false timeout=false",
		txt("four.example.org"):    "notfound=true temporary=false timeout=false",
		txt("broken.example.org"):  "notfound=false temporary=true timeout=false",
		txt("a..b"):                "notfound=false temporary=false timeout=false",
		txt("dead.example.org"):    "notfound=false temporary=true timeout=true",
		mx("x.example.org"):        "10a.example.org. 20b.example.org.",
		mx("null.example.org"):     "0.",
		ip("x.example.org"):        "[{192.0.2.1 } {2001:db8::1 }]",
		ip("four.example.org"):     "[{192.0.2.4 }]",
		ip("half.example.org"):     "[{2001:db8::2 }]",
		ip("192.0.2.9"):            "[{192.0.2.9 }]",
		ip("nowhere2.example.org"): "notfound=true temporary=false timeout=false",
		addr("192.0.2.1"):          "[x.example.org.]",
		addr("192.0.2.99"):         "notfound=true temporary=false timeout=false",
		addr("not an address"):     "notfound=false temporary=false timeout=false",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDNSBL(t *testing.T) {
	t.Parallel()
	s := serve(t, "7.2.0.192.zen.example. 60 IN A 127.0.0.2", "7.2.0.192.zen.example. 60 IN A 127.0.0.4",
		"7.2.0.192.other.example. 60 IN A 127.0.0.2", "9.2.0.192.zen.example. 60 IN A 127.0.0.10",
		"7.2.0.192.sold.example. 60 IN A 203.0.113.1", "7.2.0.192.blocked.example. 60 IN A 127.255.255.254",
		"7.2.0.192.uribl.example. 60 IN A 127.0.0.1", "7.2.0.192.wide.example. 60 IN A 127.1.2.3",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.example. 60 IN A 127.0.0.3")
	for _, zone := range []string{"7.2.0.192.broken.example.", "8.2.0.192.broken.example."} {
		s.on(zone, func(w dns.ResponseWriter, m *dns.Msg) {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure))
		})
	}
	r := use(t, resolver.Options{}, s.addr)
	for _, tt := range []struct{ ip, zones, want string }{
		{"192.0.2.7", "zen.example", "true zen.example=127.0.0.2+127.0.0.4"},
		{"192.0.2.7", "zen.example. clean.example other.example", "true zen.example.=127.0.0.2+127.0.0.4 other.example=127.0.0.2"},
		{"::ffff:192.0.2.7", "other.example", "true other.example=127.0.0.2"},
		{"2001:db8::1", "zen.example", "true zen.example=127.0.0.3"},
		{"192.0.2.8", "zen.example other.example", "false"},
		{"192.0.2.7", "wide.example", "true wide.example=127.1.2.3"},
		{"192.0.2.7", "sold.example", "false"},
		{"192.0.2.7", "blocked.example clean.example", "false !blocked.example=EREFUSED"},
		{"192.0.2.7", "uribl.example other.example", "true other.example=127.0.0.2 !uribl.example=EREFUSED"},
		{"192.0.2.7", "broken.example zen.example", "true zen.example=127.0.0.2+127.0.0.4 !broken.example=ESERVFAIL"},
		{"192.0.2.8", "broken.example zen.example", "false !broken.example=ESERVFAIL"},
		{"192.0.2.7", "broken.example", "ESERVFAIL"},
		{"192.0.2.7", "broken.example blocked.example", "ESERVFAIL"},
		{"192.0.2.7", "not..zone zen.example", "true zen.example=127.0.0.2+127.0.0.4 !not..zone=EBADNAME"},
	} {
		l, err := r.DNSBL(t.Context(), netip.MustParseAddr(tt.ip), strings.Fields(tt.zones))
		got := fmt.Sprint(l.Listed)
		for _, z := range l.Zones {
			got += " " + z.Zone + "=" + strings.Join(z.Codes, "+")
		}
		for _, z := range l.Errors {
			got += " !" + z.Zone + "=" + z.Err.Code()
		}
		if err != nil {
			got = code(t, err)
		}
		if got != tt.want {
			t.Errorf("%s in %s: %q, want %q", tt.ip, tt.zones, got, tt.want)
		}
	}
}

// TestDNSBLAtOnce: no list waits for another.
func TestDNSBLAtOnce(t *testing.T) {
	t.Parallel()
	const n = 20
	s := serve(t)
	var zones []string
	all := make(chan struct{})
	var asked atomic.Int64
	for i := range n {
		zones = append(zones, fmt.Sprintf("z%d.example", i))
		s.add(fmt.Sprintf("7.2.0.192.z%d.example. 60 IN A 127.0.0.2", i))
		s.on(fmt.Sprintf("7.2.0.192.z%d.example.", i), func(w dns.ResponseWriter, m *dns.Msg) {
			if asked.Add(1) == n {
				close(all)
			}
			<-all
			_ = w.WriteMsg(s.answer(m))
		})
	}
	l, err := use(t, resolver.Options{Timeout: time.Minute}, s.addr).DNSBL(t.Context(), netip.MustParseAddr("192.0.2.7"), zones)
	if err != nil || len(l.Zones) != n {
		t.Errorf("%d zones, %v", len(l.Zones), err)
	}
}
