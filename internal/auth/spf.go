package auth

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"
)

// Client is who sends, as SPF asks (RFC 7208 §4.1).
type Client struct {
	IP     string // "" for one that is no internet address: then there is no result
	Helo   string
	Sender string // MAIL FROM without brackets; "" for the null sender
	Server string // our own name, for explanations
}

// SPF is what a domain says of the client that used its name.
type SPF struct {
	Result      string // none neutral pass fail softfail temperror permerror
	Domain      string // that was asked
	Identity    string // "mailfrom", or "helo" with the null sender
	Sender      string // the address that was checked
	Explanation string // with fail what the domain says of it, else why there is an error; "" for nothing
}

// SPF checks the sender's domain, or of a null sender the name in HELO (RFC 7208
// §2.4). There are at most 10 mechanisms that ask DNS, and 2 that find nothing
// (§4.6.4). The error is the context's alone.
func (s *Service) SPF(ctx context.Context, c Client) (SPF, error) {
	r := SPF{Result: None, Identity: "mailfrom", Sender: c.Sender}
	local, domain, ok := cutLast(c.Sender, '@')
	if !ok && c.Sender != "" {
		return r, nil // an address without a domain is the MTA's own affair
	}
	if c.Sender == "" {
		r.Identity, local, domain = "helo", "postmaster", c.Helo
	}
	if local == "" {
		local = "postmaster" // RFC 7208 §4.3
	}
	ip, err := netip.ParseAddr(c.IP)
	if err != nil {
		return r, nil //nolint:nilerr // a client without an address has no result
	}
	// RFC 7208 §4.3: what is no domain of several labels has no result.
	ascii, ok := asciiDomain(domain)
	r.Domain = ascii
	if !ok || !strings.Contains(ascii, ".") {
		r.Domain = ""
		return r, nil
	}
	r.Sender = local + "@" + ascii
	seen := &recorder{Resolver: s.dns}
	result, why := spf.CheckHostWithSender(net.IP(ip.Unmap().AsSlice()), c.Helo, strings.ReplaceAll(local, "@", " ")+"@"+ascii,
		spf.WithContext(ctx), spf.WithResolver(seen))
	if err := ctx.Err(); err != nil {
		return SPF{}, err
	}
	r.Result = string(result)
	switch result {
	case spf.TempError, spf.PermError:
		if why != nil {
			r.Explanation = printable(why.Error())
		}
	case spf.Fail:
		e := explainer{ip: ip.Unmap(), helo: c.Helo, local: local, domain: ascii, server: c.Server, now: s.o.Now()}
		r.Explanation = printable(s.explain(ctx, e, seen))
	default:
	}
	return r, ctx.Err()
}

// recorder notes which TXT records were read.
type recorder struct {
	Resolver
	txt map[string][]string
}

// LookupTXT implements Resolver.
func (r *recorder) LookupTXT(ctx context.Context, name string) ([]string, error) {
	found, err := r.Resolver.LookupTXT(ctx, name)
	if r.txt == nil {
		r.txt = map[string][]string{}
	}
	r.txt[lower(strings.TrimSuffix(name, "."))] = found
	return found, err
}

// maxText is how much of what others wrote goes into a result.
const maxText = 300

// printable is a text as one line of ASCII: it comes from DNS, and may go into a
// reply.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxText)]
}
