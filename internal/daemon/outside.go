package daemon

import (
	"context"
	"net/netip"

	"pmilter/internal/config"
	"pmilter/internal/permit"
	"pmilter/internal/reach"
	"pmilter/internal/resolver"
	"pmilter/script"
)

// outside is what scripts reach beyond their worlds, one for the process: a reload
// changes what it may do, at once and for all connections, and keeps what it knows.
type outside struct {
	resolver *resolver.Resolver
	dialer   *permit.Dialer
	client   *reach.Client
}

func newOutside(cfg *config.Config) *outside {
	d := permit.NewDialer(rulesOf(cfg), nil)
	return &outside{
		resolver: resolver.New(resolver.Options{Servers: cfg.DNS.Servers, Timeout: cfg.DNS.Timeout}),
		dialer:   d, client: reach.NewClient(d, nil),
	}
}

// rulesOf are a configuration's permissions, which config has checked. A fault
// in them, which cannot be, would allow nothing.
func rulesOf(cfg *config.Config) *permit.Rules {
	rules, err := permit.New(cfg.Permissions.Net, cfg.Permissions.Exec)
	if err != nil {
		return nil
	}
	return rules
}

// configure takes the permissions and the name servers of another configuration.
func (o *outside) configure(cfg *config.Config) {
	o.dialer.Configure(rulesOf(cfg))
	o.client.Close() // connections that are not in use were made under the old rules
	o.resolver.Configure(cfg.DNS.Servers, cfg.DNS.Timeout)
}

func (o *outside) close() {
	o.client.Close()
	o.resolver.Close()
}

// scriptDNS is a resolver as scripts know it.
type scriptDNS struct{ r *resolver.Resolver }

// Resolve implements script.DNS.
func (s scriptDNS) Resolve(ctx context.Context, name, kind string) ([]script.DNSRecord, error) {
	records, err := s.r.Resolve(ctx, name, kind)
	list := make([]script.DNSRecord, len(records))
	for i, r := range records {
		list[i] = script.DNSRecord(r)
	}
	return list, err
}

// Reverse implements script.DNS.
func (s scriptDNS) Reverse(ctx context.Context, ip netip.Addr) ([]string, error) {
	return s.r.Reverse(ctx, ip)
}

// DNSBL implements script.DNS.
func (s scriptDNS) DNSBL(ctx context.Context, ip netip.Addr, zones []string) (script.DNSListing, error) {
	l, err := s.r.DNSBL(ctx, ip, zones)
	out := script.DNSListing{Listed: l.Listed}
	for _, z := range l.Zones {
		out.Zones = append(out.Zones, script.DNSZone{Zone: z.Zone, Codes: z.Codes})
	}
	for _, z := range l.Errors {
		out.Errors = append(out.Errors, script.DNSZone{Zone: z.Zone, Code: z.Err.Code(), Message: z.Err.Error()})
	}
	return out, err
}

// scriptHTTP is a client as scripts know it.
type scriptHTTP struct{ c *reach.Client }

// Fetch implements script.HTTP.
func (s scriptHTTP) Fetch(ctx context.Context, r script.HTTPRequest) (*script.HTTPResponse, error) {
	resp, err := s.c.Fetch(ctx, reach.Request(r))
	if err != nil {
		return nil, err
	}
	out := script.HTTPResponse(*resp)
	return &out, nil
}

// scriptNet is a client as scripts know it.
type scriptNet struct{ c *reach.Client }

// Exchange implements script.Net.
func (s scriptNet) Exchange(ctx context.Context, x script.NetExchange) ([]byte, error) {
	return s.c.Exchange(ctx, reach.Exchange(x))
}
