package resolver

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// FuzzAnswer reads what a name server might send. Nothing may panic, and what is
// taken for the answer belongs to the question and keeps the promises of Record.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"x.example.org. 60 IN A 192.0.2.1", "x.example.org. 60 IN CNAME y.example.org.", `x.example.org. 60 IN TXT "a\"\\\255" ""`,
		"x.example.org. 60 IN MX 10 .", "x.example.org. 60 IN SRV 1 2 3 a\\.b.example.org.", "x.example.org. 60 IN PTR X.", "x.example.org. 60 IN NS a.",
	} {
		r, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: 0x1234, Response: true}, Answer: []dns.RR{r, r}}
		m.Question = []dns.Question{{Name: "x.example.org.", Qtype: r.Header().Rrtype, Qclass: dns.ClassINET}}
		for _, compress := range []bool{true, false} {
			m.Compress = compress
			data, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, r.Header().Rrtype)
			f.Add(data[:len(data)-5], r.Header().Rrtype)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, kind uint16) {
		q := question{"x.example.org.", kind}
		m := q.accept(data, 0x1234)
		if m == nil {
			return
		}
		if binary.BigEndian.Uint16(data) != 0x1234 || data[2]&0x80 == 0 {
			t.Fatalf("not an answer to our question: %x", data)
		}
		_ = lame(m)
		a := q.read(m)
		if a.ttl < 0 || a.ttl > maxTTL || (a.err == nil && a.more == "") != (len(a.records) > 0) {
			t.Fatalf("%+v", a)
		}
		for _, rr := range a.records {
			if rr.Header().Rrtype != kind {
				t.Fatalf("%v is of another type", rr)
			}
			r := recordOf(rr)
			if kind != dns.TypeTXT && strings.ContainsFunc(r.Text+r.Name, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Fatalf("%q is no printable text", r.Text+r.Name)
			}
		}
	})
}

// FuzzName: a name is refused or can be asked for, and is the same when asked again.
func FuzzName(f *testing.F) {
	for _, name := range []string{"example.org", "bücher.de.", "_dmarc.x", "a..b", "\xff", `a\.b`, "xn--bcher-kva.x", strings.Repeat("a.", 127)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		q, bad := newQuestion(name, dns.TypeA)
		if bad != nil {
			_ = bad.Error()
			return
		}
		m := new(dns.Msg).SetQuestion(q.name, dns.TypeA)
		data, err := m.Pack()
		if err != nil {
			t.Fatalf("%q: %v", q.name, err)
		}
		back := new(dns.Msg)
		if err := back.Unpack(data); err != nil || lower(back.Question[0].Name) != q.name {
			t.Fatalf("%q: %v %v", q.name, back, err)
		}
	})
}

// FuzzUnescaped: the bytes of a TXT record come through whatever they are.
func FuzzUnescaped(f *testing.F) {
	f.Add([]byte("a\"\\\xff\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 255 {
			return
		}
		wire := append([]byte("\x00\x00\x10\x00\x01\x00\x00\x00\x3c"), byte((len(data)+1)>>8), byte(len(data)+1), byte(len(data)))
		r, _, err := dns.UnpackRR(append(wire, data...), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := joined(r.(*dns.TXT)); got != string(data) {
			t.Fatalf("%q, want %q", got, data)
		}
	})
}
