// Package canned has answers for the modules of scripts that speak to others:
// pmilter/dns, pmilter/http and pmilter/net as tests want them to answer. What no
// answer is given for is not there: ENOTFOUND, ECONNREFUSED. Nothing in it waits.
// All of it is safe for concurrent use.
package canned

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"pmilter/script"
)

// Error is an error that scripts know by a name and a code.
type Error struct{ name, code, text string }

func (e *Error) Error() string { return e.text }

// Name is what scripts know the error by.
func (e *Error) Name() string { return e.name }

// Code is the exception's code.
func (e *Error) Code() string { return e.code }

// DNS answers for names. The zero value knows none.
type DNS struct {
	mu      sync.Mutex
	answers map[[2]string]dnsAnswer
}

type dnsAnswer struct {
	records []script.DNSRecord
	err     error
}

var _ script.DNS = (*DNS)(nil)

// Answer says what a name has: texts, or for MX and SRV the records' fields. No
// records and a code, "ESERVFAIL" or "ETIMEOUT" say, is an error; no records and
// no code is ENOTFOUND.
func (d *DNS) Answer(name, kind string, records []script.DNSRecord, code string) {
	var err error
	if len(records) == 0 {
		if code == "" {
			code = "ENOTFOUND"
		}
		class := "DNSError"
		if code == "ETIMEOUT" {
			class = "TimeoutError"
		}
		err = &Error{class, code, fmt.Sprintf("%q %s: %s", name, kind, code)}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answers == nil {
		d.answers = map[[2]string]dnsAnswer{}
	}
	d.answers[dnsKey(name, kind)] = dnsAnswer{slices.Clone(records), err}
}

func dnsKey(name, kind string) [2]string {
	return [2]string{strings.TrimSuffix(strings.ToLower(name), "."), strings.ToUpper(kind)}
}

// Resolve implements script.DNS.
func (d *DNS) Resolve(_ context.Context, name, kind string) ([]script.DNSRecord, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, ok := d.answers[dnsKey(name, kind)]; ok {
		return a.records, a.err
	}
	code := "ENOTFOUND"
	for key := range d.answers {
		if key[0] == dnsKey(name, kind)[0] {
			code = "ENODATA"
		}
	}
	return nil, &Error{"DNSError", code, fmt.Sprintf("%q %s: no answer is given in this test", name, kind)}
}

// Reverse implements script.DNS: the PTR records of the address's name.
func (d *DNS) Reverse(ctx context.Context, ip netip.Addr) ([]string, error) {
	zone := "in-addr.arpa"
	if ip.Unmap().Is6() {
		zone = "ip6.arpa"
	}
	records, err := d.Resolve(ctx, Backwards(ip)+"."+zone, "PTR")
	var names []string
	for _, r := range records {
		names = append(names, r.Text)
	}
	return names, err
}

// DNSBL implements script.DNS: an A record of the address's name in the zone.
func (d *DNS) DNSBL(ctx context.Context, ip netip.Addr, zones []string) (script.DNSListing, error) {
	var l script.DNSListing
	var first error
	for _, zone := range zones {
		records, err := d.Resolve(ctx, Backwards(ip)+"."+zone, "A")
		switch e, _ := err.(*Error); { //nolint:errorlint // made here
		case err == nil:
			z := script.DNSZone{Zone: zone}
			for _, r := range records {
				z.Codes = append(z.Codes, r.Text)
			}
			l.Zones, l.Listed = append(l.Zones, z), true
		case e != nil && e.code != "ENOTFOUND" && e.code != "ENODATA":
			l.Errors = append(l.Errors, script.DNSZone{Zone: zone, Code: e.code, Message: e.text})
			if first == nil {
				first = err
			}
		}
	}
	if len(l.Errors) == len(zones) {
		return script.DNSListing{}, first
	}
	return l, nil
}

// Backwards is an address as it stands before in-addr.arpa, ip6.arpa and the zone
// of a DNS list.
func Backwards(ip netip.Addr) string {
	ip = ip.Unmap()
	var labels []string
	for _, b := range slices.Backward(ip.AsSlice()) {
		if ip.Is4() {
			labels = append(labels, fmt.Sprint(b))
		} else {
			labels = append(labels, fmt.Sprintf("%x.%x", b&0xf, b>>4))
		}
	}
	return strings.Join(labels, ".")
}

// HTTP answers for URLs. The zero value knows none.
type HTTP struct {
	mu       sync.Mutex
	answers  map[string]script.HTTPResponse
	requests []script.HTTPRequest
}

var _ script.HTTP = (*HTTP)(nil)

// Answer says what a URL gives, whatever the method. A Status of 0 is 200.
func (h *HTTP) Answer(url string, r script.HTTPResponse) {
	if r.Status == 0 {
		r.Status = 200
	}
	r.URL = url
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answers == nil {
		h.answers = map[string]script.HTTPResponse{}
	}
	h.answers[url] = r
}

// Requests are those that came, answered or not.
func (h *HTTP) Requests() []script.HTTPRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

// Fetch implements script.HTTP.
func (h *HTTP) Fetch(_ context.Context, r script.HTTPRequest) (*script.HTTPResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r)
	answer, ok := h.answers[r.URL]
	if !ok {
		return nil, &Error{"NetworkError", "ECONNREFUSED", r.URL + ": no answer is given in this test"}
	}
	if int64(len(answer.Body)) > r.MaxSize {
		return nil, &Error{"NetworkError", "EMSGSIZE", r.URL + ": the answer is larger than maxSize"}
	}
	return &answer, nil
}

// Net answers for addresses. The zero value knows none.
type Net struct {
	mu       sync.Mutex
	answers  map[string][]byte
	requests []script.NetExchange
}

var _ script.Net = (*Net)(nil)

// Answer says what an address answers, whatever is sent.
func (n *Net) Answer(address string, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answers == nil {
		n.answers = map[string][]byte{}
	}
	n.answers[address] = bytes.Clone(data)
}

// Requests are those that came, answered or not.
func (n *Net) Requests() []script.NetExchange {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.requests)
}

// Exchange implements script.Net.
func (n *Net) Exchange(_ context.Context, x script.NetExchange) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests = append(n.requests, x)
	answer, ok := n.answers[x.Address]
	if !ok {
		return nil, &Error{"NetworkError", "ECONNREFUSED", x.Address + ": no answer is given in this test"}
	}
	if len(x.Until) > 0 {
		i := bytes.Index(answer, x.Until)
		if i < 0 {
			return nil, &Error{"NetworkError", "ECONNRESET", x.Address + ": the connection ended before the answer did"}
		}
		answer = answer[:i+len(x.Until)]
	}
	if int64(len(answer)) > x.MaxSize {
		return nil, &Error{"NetworkError", "EMSGSIZE", x.Address + ": the answer is larger than maxSize"}
	}
	return bytes.Clone(answer), nil
}
