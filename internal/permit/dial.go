package permit

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Dialer connects to what the rules allow, and to nothing else. It is safe for
// concurrent use; the rules can be changed meanwhile.
type Dialer struct {
	rules  atomic.Pointer[Rules]
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// NewDialer makes a Dialer that looks names up as the system does (/etc/hosts,
// resolv.conf). lookup is for tests, nil otherwise.
func NewDialer(r *Rules, lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)) *Dialer {
	if lookup == nil {
		lookup = (&net.Resolver{}).LookupNetIP
	}
	d := &Dialer{lookup: lookup}
	d.rules.Store(r)
	return d
}

// Configure changes the rules for all connections from now on.
func (d *Dialer) Configure(r *Rules) { d.rules.Store(r) }

// Rules are those that hold now.
func (d *Dialer) Rules() *Rules { return d.rules.Load() }

// Dial connects to a target. Of a name's addresses each is judged, and those that
// pass are tried one after the other, IPv4 first, each for its share of ctx's
// time. The error is a *Error when the rules refuse.
func (d *Dialer) Dial(ctx context.Context, t Target) (net.Conn, error) {
	rules := d.Rules()
	if err := rules.Connect(t); err != nil {
		return nil, err
	}
	if t.Path != "" {
		return (&net.Dialer{}).DialContext(ctx, "unix", t.Path)
	}
	if t.IP.IsValid() {
		return dialIP(ctx, t.IP, t.Port)
	}
	all, err := d.lookup(ctx, "ip", t.Host)
	if err != nil {
		return nil, err
	}
	var allowed []netip.Addr
	var refusal error
	for _, ip := range all {
		if err := rules.Address(t, ip); err != nil {
			refusal = err
			continue
		}
		allowed = append(allowed, ip.Unmap())
	}
	if len(allowed) == 0 {
		if refusal == nil {
			refusal = &net.DNSError{Err: "no addresses", Name: t.Host, IsNotFound: true}
		}
		return nil, refusal
	}
	return dialAny(ctx, allowed, t.Port)
}

// dialAny tries addresses until one answers.
func dialAny(ctx context.Context, all []netip.Addr, port uint16) (net.Conn, error) {
	var ordered []netip.Addr
	for _, four := range []bool{true, false} {
		for _, ip := range all {
			if ip.Is4() == four {
				ordered = append(ordered, ip)
			}
		}
	}
	var errs []error
	for i, ip := range ordered {
		try, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok && i < len(ordered)-1 {
			try, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(ordered)-i))
		}
		conn, err := dialIP(try, ip, port)
		cancel()
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, fmt.Errorf("none of %d addresses answers: %w", len(ordered), errs[0])
}

func dialIP(ctx context.Context, ip netip.Addr, port uint16) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(ip, port).String())
}

// DialContext is Dial for those that have "host:port" (http.Transport).
func (d *Dialer) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	t, err := ParseTarget(addr)
	if err != nil {
		return nil, err
	}
	return d.Dial(ctx, t)
}
