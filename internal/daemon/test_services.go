package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"pmilter/internal/auth"
	"pmilter/internal/config"
	"pmilter/internal/store"
	"pmilter/script"
)

// forTest is the services of one test of scripts: a fresh store in memory, and what
// else needs the time or DNS, by the test's own; tables and matchers as in the server.
func (s *Services) forTest(cfg *config.Config, now func() time.Time, dns script.DNS) script.Services {
	return script.Services{
		Tables: tables{s.tables}, Matchers: matchers{s.matchers}, Store: store.NewMemory(now), DNS: dns,
		Auth: authService{auth.New(auth.Options{Resolver: testResolver{dns}, Base: base(cfg), Now: now})},
	}
}

// testResolver has pmilter/auth ask what a test has said by dns.answer.
type testResolver struct{ dns script.DNS }

var _ auth.Resolver = testResolver{}

// LookupTXT implements auth.Resolver, as do the others below.
func (r testResolver) LookupTXT(ctx context.Context, name string) (list []string, err error) {
	records, err := r.lookup(ctx, name, "TXT")
	for _, one := range records {
		list = append(list, one.Text)
	}
	return list, err
}

// LookupMX gives the hosts in the order in which they were said.
func (r testResolver) LookupMX(ctx context.Context, name string) (list []*net.MX, err error) {
	records, err := r.lookup(ctx, name, "MX")
	for _, one := range records {
		list = append(list, &net.MX{Host: one.Name, Pref: uint16(one.Priority)})
	}
	return list, err
}

// LookupIPAddr gives addresses of both families.
func (r testResolver) LookupIPAddr(ctx context.Context, host string) (list []net.IPAddr, err error) {
	for _, kind := range []string{"A", "AAAA"} {
		var records []script.DNSRecord
		var failed error
		if records, failed = r.lookup(ctx, host, kind); failed != nil {
			err = failed
		}
		for _, one := range records {
			list = append(list, net.IPAddr{IP: net.ParseIP(one.Text)})
		}
	}
	if len(list) > 0 {
		err = nil
	}
	return list, err
}

// LookupAddr gives the names of an address.
func (r testResolver) LookupAddr(ctx context.Context, ip string) ([]string, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, err
	}
	names, err := r.dns.Reverse(ctx, addr)
	return names, dnsError(ip, err)
}

func (r testResolver) lookup(ctx context.Context, name, kind string) ([]script.DNSRecord, error) {
	records, err := r.dns.Resolve(ctx, name, kind)
	return records, dnsError(name, err)
}

// dnsError is an error of script.DNS as package net has it.
func dnsError(name string, err error) error {
	var coded interface{ Code() string }
	if !errors.As(err, &coded) {
		return err
	}
	missing := coded.Code() == "ENOTFOUND" || coded.Code() == "ENODATA"
	return &net.DNSError{Err: err.Error(), Name: name, IsNotFound: missing, IsTemporary: !missing, IsTimeout: coded.Code() == "ETIMEOUT"}
}
