package canned_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"pmilter/script"
	"pmilter/script/canned"
)

// known is an error as scripts know it.
func known(err error) string {
	var e *canned.Error
	if err == nil {
		return ""
	}
	if !errors.As(err, &e) {
		return fmt.Sprintf("%T", err)
	}
	return e.Name() + " " + e.Code()
}

func TestDNS(t *testing.T) {
	t.Parallel()
	d := &canned.DNS{}
	d.Answer("X.example.org.", "a", []script.DNSRecord{{Text: "192.0.2.1"}}, "")
	d.Answer("slow.example.org", "A", nil, "ETIMEOUT")
	d.Answer("gone.example.org", "A", nil, "")
	d.Answer("7.2.0.192.in-addr.arpa", "PTR", []script.DNSRecord{{Text: "c.example.org"}}, "")
	d.Answer("7.2.0.192.bl.example", "A", []script.DNSRecord{{Text: "127.0.0.2"}}, "")
	d.Answer("7.2.0.192.down.example", "A", nil, "ESERVFAIL")
	d.Answer("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example", "A", []script.DNSRecord{{Text: "127.0.0.3"}}, "")
	for _, tt := range []struct{ name, kind, want string }{
		{"x.EXAMPLE.org", "A", "[{192.0.2.1  0 0 0}]"},
		{"x.example.org", "TXT", "DNSError ENODATA"},
		{"y.example.org", "A", "DNSError ENOTFOUND"},
		{"gone.example.org", "A", "DNSError ENOTFOUND"},
		{"slow.example.org", "A", "TimeoutError ETIMEOUT"},
	} {
		records, err := d.Resolve(t.Context(), tt.name, tt.kind)
		got := known(err)
		if err == nil {
			got = fmt.Sprint(records)
		}
		if got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.name, tt.kind, got, tt.want)
		}
	}
	ip := netip.MustParseAddr("192.0.2.7")
	if names, err := d.Reverse(t.Context(), ip); err != nil || fmt.Sprint(names) != "[c.example.org]" {
		t.Errorf("%v %v", names, err)
	}
	for _, tt := range []struct {
		ip    string
		zones []string
		want  string
	}{
		{"192.0.2.7", []string{"bl.example", "down.example", "clean.example"}, "true 1 1"},
		{"2001:db8::1", []string{"bl.example"}, "true 1 0"},
		{"192.0.2.8", []string{"bl.example"}, "false 0 0"},
		{"192.0.2.7", []string{"down.example"}, "DNSError ESERVFAIL"},
	} {
		l, err := d.DNSBL(t.Context(), netip.MustParseAddr(tt.ip), tt.zones)
		got := fmt.Sprint(l.Listed, len(l.Zones), len(l.Errors))
		if err != nil {
			got = known(err)
		}
		if got != tt.want {
			t.Errorf("%s %v: %s, want %s", tt.ip, tt.zones, got, tt.want)
		}
	}
}

func TestHTTPAndNet(t *testing.T) {
	t.Parallel()
	h, n := &canned.HTTP{}, &canned.Net{}
	h.Answer("http://x/", script.HTTPResponse{Body: []byte("12345")})
	n.Answer("x:1", []byte("a\x00b"))
	for _, tt := range []struct {
		url  string
		size int64
		want string
	}{{"http://x/", 5, "200 12345"}, {"http://x/", 4, "NetworkError EMSGSIZE"}, {"http://y/", 5, "NetworkError ECONNREFUSED"}} {
		r, err := h.Fetch(t.Context(), script.HTTPRequest{URL: tt.url, MaxSize: tt.size})
		got := known(err)
		if err == nil {
			got = fmt.Sprint(r.Status, " ", string(r.Body))
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.url, got, tt.want)
		}
	}
	if len(h.Requests()) != 3 {
		t.Errorf("%v", h.Requests())
	}
	for _, tt := range []struct {
		address, until string
		size           int64
		want           string
	}{
		{"x:1", "", 9, "a\x00b"},
		{"x:1", "\x00", 9, "a\x00"},
		{"x:1", "z", 9, "NetworkError ECONNRESET"},
		{"x:1", "", 2, "NetworkError EMSGSIZE"},
		{"y:1", "", 9, "NetworkError ECONNREFUSED"},
	} {
		data, err := n.Exchange(t.Context(), script.NetExchange{Address: tt.address, Until: []byte(tt.until), MaxSize: tt.size})
		if got := string(data) + known(err); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.address, got, tt.want)
		}
	}
	if len(n.Requests()) != 5 {
		t.Errorf("%v", n.Requests())
	}
}
