package auth

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// Resolver is the DNS as net.Resolver has it; one that is none must tell what
// does not exist from what failed by a *net.DNSError too (IsNotFound, and
// IsTemporary or IsTimeout). Safe for concurrent use; calls end with their context.
type Resolver interface {
	// LookupTXT gives each record's strings joined.
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupAddr(ctx context.Context, ip string) ([]string, error)
}

var _ Resolver = (*net.Resolver)(nil)

// limited gives each look-up a deadline and makes every error a *net.DNSError
// that is not wrapped, which package spf insists on: anything unknown is temporary.
type limited struct {
	Resolver
	timeout time.Duration
}

// LookupTXT implements Resolver.
func (l limited) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return within(ctx, l.timeout, name, l.Resolver.LookupTXT)
}

// LookupMX implements Resolver.
func (l limited) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return within(ctx, l.timeout, name, l.Resolver.LookupMX)
}

// LookupIPAddr implements Resolver.
func (l limited) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	return within(ctx, l.timeout, host, l.Resolver.LookupIPAddr)
}

// LookupAddr implements Resolver.
func (l limited) LookupAddr(ctx context.Context, ip string) ([]string, error) {
	return within(ctx, l.timeout, ip, l.Resolver.LookupAddr)
}

func within[T any](ctx context.Context, timeout time.Duration, name string, lookup func(context.Context, string) ([]T, error)) ([]T, error) {
	if !askable(name) {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := lookup(ctx, name)
	return found, dnsError(name, err)
}

// askable tells whether a name can be in DNS at all (RFC 1035 §2.3.4). What
// cannot must not reach a resolver, which may read it in ways of its own.
func askable(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			if label[i] < ' ' || label[i] >= 0x7f {
				return false
			}
		}
	}
	return true
}

func dnsError(name string, err error) error {
	if err == nil {
		return nil
	}
	var known *net.DNSError
	if errors.As(err, &known) {
		if known.IsNotFound || known.IsTemporary || known.IsTimeout {
			return known
		}
		// A resolver that says no more has failed: that proves nothing.
		temporary := *known
		temporary.IsTemporary = true
		return &temporary
	}
	return &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true, IsTimeout: errors.Is(err, context.DeadlineExceeded)}
}

// notFound tells whether DNS has said that there is no such record.
func notFound(err error) bool {
	var known *net.DNSError
	return errors.As(err, &known) && known.IsNotFound
}

// asciiDomain is a domain as DNS has it: A-labels in lower case, without the
// dot at the end (RFC 5890 §2.3.2.1). ok is false for what is no domain.
func asciiDomain(domain string) (ascii string, ok bool) {
	domain = strings.TrimSuffix(domain, ".")
	if strings.Trim(domain, asciiLetters) != "" { // else it is one already
		var err error
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return "", false
		}
	}
	domain = lower(domain)
	return domain, askable(domain) && !strings.Contains(domain, " ")
}

const asciiLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// lower makes ASCII letters small and leaves all else: others are no letters to DNS (RFC 4343 §3).
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
