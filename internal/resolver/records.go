package resolver

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Record is one record of a name.
type Record struct {
	// Text is the record as text: an address, a name without its last dot and in
	// lower case, the strings of a TXT joined. "" for the types with fields.
	Text string
	// Name is where an MX or SRV leads, "" for nowhere ("." in the zone).
	Name string
	// Priority is the MX's preference or the SRV's priority; the lowest is first.
	Priority, Weight, Port int
}

// Types are those that Resolve knows.
func Types() []string { return []string{"A", "AAAA", "MX", "TXT", "PTR", "NS", "CNAME", "SRV"} }

// Resolve is the records of a name: MX and SRV by their priority, the others in
// the order of the answer. The error is an *Error; a type that is none of Types
// is a BadName.
func (r *Resolver) Resolve(ctx context.Context, name, kind string) ([]Record, error) {
	if !slices.Contains(Types(), kind) {
		return nil, &Error{code: BadName, name: name, kind: kind, detail: "no such type"}
	}
	rrs, err := r.ask(ctx, name, dns.StringToType[kind])
	if err != nil {
		return nil, err
	}
	list := make([]Record, 0, len(rrs))
	for _, rr := range rrs {
		list = append(list, recordOf(rr))
	}
	slices.SortStableFunc(list, func(a, b Record) int {
		// RFC 2782: among the same priority the weights share the load.
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight))
	})
	return list, nil
}

func recordOf(rr dns.RR) Record {
	switch rr := rr.(type) {
	case *dns.A:
		return Record{Text: rr.A.String()}
	case *dns.AAAA:
		return Record{Text: rr.AAAA.String()}
	case *dns.TXT:
		return Record{Text: joined(rr)}
	case *dns.PTR:
		return Record{Text: bare(rr.Ptr)}
	case *dns.NS:
		return Record{Text: bare(rr.Ns)}
	case *dns.CNAME:
		return Record{Text: bare(rr.Target)}
	case *dns.MX:
		return Record{Name: bare(rr.Mx), Priority: int(rr.Preference)}
	case *dns.SRV:
		return Record{Name: bare(rr.Target), Priority: int(rr.Priority), Weight: int(rr.Weight), Port: int(rr.Port)}
	default:
		return Record{} // ask gives the type that was asked for
	}
}

// joined is the strings of a TXT, one after the other (RFC 7208 §3.3).
func joined(rr *dns.TXT) string {
	var b strings.Builder
	for _, s := range rr.Txt {
		b.WriteString(unescaped(s))
	}
	return b.String()
}

// Reverse is the names of an address. They are what the owner of the address
// wrote there: nothing is verified.
func (r *Resolver) Reverse(ctx context.Context, ip netip.Addr) ([]string, error) {
	records, err := r.Resolve(ctx, reverseName(ip)+arpa(ip), "PTR")
	if err != nil {
		return nil, err
	}
	names := make([]string, len(records))
	for i, record := range records {
		names[i] = record.Text
	}
	return names, nil
}
