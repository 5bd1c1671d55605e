package resolver

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
)

// Listing is what DNS lists say of an address.
type Listing struct {
	Listed bool          // by at least one of the zones that answered
	Zones  []ListingZone // those that list it, in the order asked
	Errors []ListingZone // those that could not say
}

// ListingZone is one list's word.
type ListingZone struct {
	Zone  string
	Codes []string // the addresses 127.x.x.x that tell why it is listed
	Err   *Error
}

// DNSBL asks several DNS lists (RFC 5782) about an address, all at once. A list
// that cannot be asked, or that refuses to answer us, is among the Errors and
// says nothing about Listed; only when none could be asked is there an error,
// that of the first.
//
// Only answers within 127.0.0.0/8 count (RFC 5782 §2.1): others come from a
// domain that has been sold. 127.0.0.1 and 127.255.255.0/24 are how lists say
// that they do not serve who asks (URIBL and SURBL; Spamhaus): errors with the
// code EREFUSED.
func (r *Resolver) DNSBL(ctx context.Context, ip netip.Addr, zones []string) (Listing, error) {
	words := make([]ListingZone, len(zones))
	var asked sync.WaitGroup
	for i, zone := range zones {
		asked.Go(func() { words[i] = r.askList(ctx, ip, zone) })
	}
	asked.Wait()
	var l Listing
	for _, w := range words {
		switch {
		case w.Err != nil:
			l.Errors = append(l.Errors, w)
		case len(w.Codes) > 0:
			l.Listed = true
			l.Zones = append(l.Zones, w)
		}
	}
	if len(zones) > 0 && len(l.Errors) == len(zones) {
		return Listing{}, l.Errors[0].Err
	}
	return l, nil
}

// askList is one list's word about an address.
func (r *Resolver) askList(ctx context.Context, ip netip.Addr, zone string) ListingZone {
	w := ListingZone{Zone: zone}
	name := reverseName(ip) + strings.TrimPrefix(zone, ".")
	records, err := r.Resolve(ctx, name, "A")
	var e *Error
	if errors.As(err, &e) {
		if !e.nothing() {
			w.Err = e
		}
		return w
	}
	for _, record := range records {
		code, err := netip.ParseAddr(record.Text)
		switch {
		case err != nil || !netip.MustParsePrefix("127.0.0.0/8").Contains(code):
		case record.Text == "127.0.0.1" || strings.HasPrefix(record.Text, "127.255.255."):
			w.Err = &Error{code: Refused, name: name, kind: "A", detail: "the list does not answer us: " + record.Text}
			w.Codes = nil
			return w
		default:
			w.Codes = append(w.Codes, record.Text)
		}
	}
	return w
}
