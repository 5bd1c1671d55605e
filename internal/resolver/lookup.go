package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// The methods below are net.Resolver's, for those that take one. Their errors are
// *net.DNSError: IsNotFound for a name or a type that is not there, IsTemporary
// for what may be there later; an *Error is behind them. Names that they return
// end with a dot.

// LookupTXT is the TXT records of a name, the strings of each joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	rrs, err := r.ask(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, asNet(err)
	}
	var list []string
	for _, rr := range rrs {
		if txt, ok := rr.(*dns.TXT); ok {
			list = append(list, joined(txt))
		}
	}
	return list, nil
}

// LookupMX is the MX records of a name, the lowest preference first. A null MX
// (RFC 7505) is one whose host is ".".
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	records, err := r.Resolve(ctx, name, "MX")
	if err != nil {
		return nil, asNet(err)
	}
	list := make([]*net.MX, len(records))
	for i, record := range records {
		list[i] = &net.MX{Host: record.Name + ".", Pref: uint16(record.Priority)}
	}
	return list, nil
}

// LookupIPAddr is the addresses of a name, IPv4 first. When one of the two
// families cannot be looked up, the other is the answer.
func (r *Resolver) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return []net.IPAddr{{IP: ip.AsSlice(), Zone: ip.Zone()}}, nil
	}
	var six []dns.RR
	var failed error
	done := make(chan struct{})
	go func() { defer close(done); six, failed = r.ask(ctx, name, dns.TypeAAAA) }()
	four, err := r.ask(ctx, name, dns.TypeA)
	<-done
	var list []net.IPAddr
	for _, rr := range append(append([]dns.RR(nil), four...), six...) {
		switch rr := rr.(type) {
		case *dns.A:
			list = append(list, net.IPAddr{IP: rr.A})
		case *dns.AAAA:
			list = append(list, net.IPAddr{IP: rr.AAAA})
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	var e *Error
	if errors.As(err, &e) && e.nothing() { // then what is not known of IPv6 counts
		err = failed
	}
	return nil, asNet(err)
}

// LookupAddr is the names of an address in text form.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: "not an address", Name: addr}
	}
	names, err := r.Reverse(ctx, ip)
	for i := range names {
		names[i] += "."
	}
	return names, asNet(err)
}
