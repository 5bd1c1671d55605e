package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"pmilter/internal/auth"
	"pmilter/internal/resolver"
	"pmilter/internal/store"
	"pmilter/script"
)

// outsideMeter counts what scripts ask of the world outside. Safe for concurrent use.
type outsideMeter interface {
	Store(operation string, took time.Duration, failed bool)
	DNS(operation string, took time.Duration, failed bool)
}

// MeterBy has what scripts ask of the store and the DNS counted; before ForScripts.
func (s *Services) MeterBy(m outsideMeter) { s.meter = m }

// storeForScripts is the store, and counts if somebody does.
func (s *Services) storeForScripts() script.Store {
	if s.meter == nil {
		return s.store
	}
	return meteredStore{s.store, s.meter}
}

// meteredStore counts how the operations of a store go.
type meteredStore struct {
	script.Store
	meter outsideMeter
}

var _ script.Store = meteredStore{}

// NeverWaits tells package script whether the store does.
func (m meteredStore) NeverWaits() bool {
	s, ok := m.Store.(interface{ NeverWaits() bool })
	return ok && s.NeverWaits()
}

func (m meteredStore) done(operation string, begun time.Time, err error) {
	m.meter.Store(operation, time.Since(begun), storeFailed(err))
}

// storeFailed tells trouble of the store from a mistake of the script, and from a call
// that nobody waits for any more.
func storeFailed(err error) bool {
	var e *store.Error
	if errors.As(err, &e) {
		return e.Code() == store.CodeUnavailable || e.Code() == store.CodeFull
	}
	return err != nil && !errors.Is(err, context.Canceled)
}

// Get implements script.Store, as do the others below.
func (m meteredStore) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	begun := time.Now()
	value, found, err = m.Store.Get(ctx, key)
	m.done("get", begun, err)
	return value, found, err
}

// Set stores a value.
func (m meteredStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	begun := time.Now()
	err := m.Store.Set(ctx, key, value, ttl)
	m.done("set", begun, err)
	return err
}

// Add stores it where none is.
func (m meteredStore) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	begun := time.Now()
	added, err := m.Store.Add(ctx, key, value, ttl)
	m.done("add", begun, err)
	return added, err
}

// Delete removes it.
func (m meteredStore) Delete(ctx context.Context, key string) (bool, error) {
	begun := time.Now()
	existed, err := m.Store.Delete(ctx, key)
	m.done("delete", begun, err)
	return existed, err
}

// Incr adds to a number.
func (m meteredStore) Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	begun := time.Now()
	sum, err := m.Store.Incr(ctx, key, by, ttl)
	m.done("incr", begun, err)
	return sum, err
}

// Limit counts within a window.
func (m meteredStore) Limit(ctx context.Context, key string, most int64, per time.Duration) (ok bool, count int64, resetAfter time.Duration, err error) {
	begun := time.Now()
	ok, count, resetAfter, err = m.Store.Limit(ctx, key, most, per)
	m.done("limit", begun, err)
	return ok, count, resetAfter, err
}

// Hold makes a holder.
func (m meteredStore) Hold(ctx context.Context, key, holder string, most int64) (ok bool, count int64, err error) {
	begun := time.Now()
	ok, count, err = m.Store.Hold(ctx, key, holder, most)
	m.done("hold", begun, err)
	return ok, count, err
}

// dnsForScripts is the DNS, and counts if somebody does.
func (s *Services) dnsForScripts() script.DNS {
	d := scriptDNS{s.outside.resolver}
	if s.meter == nil {
		return d
	}
	return meteredDNS{d, s.meter}
}

// meteredDNS counts how look-ups go.
type meteredDNS struct {
	dns   script.DNS
	meter outsideMeter
}

var _ script.DNS = meteredDNS{}

// dnsFailed tells trouble from the answer that there is nothing, from a mistake of the
// script, and from a call that nobody waits for any more.
func dnsFailed(err error) bool {
	var e *resolver.Error
	if errors.As(err, &e) {
		return e.Temporary() && e.Code() != resolver.Canceled
	}
	var of *net.DNSError
	if errors.As(err, &of) {
		return !of.IsNotFound
	}
	return err != nil && !errors.Is(err, context.Canceled)
}

func (m meteredDNS) done(operation string, begun time.Time, err error) {
	m.meter.DNS(operation, time.Since(begun), dnsFailed(err))
}

// Resolve implements script.DNS, as do the others below.
func (m meteredDNS) Resolve(ctx context.Context, name, kind string) ([]script.DNSRecord, error) {
	begun := time.Now()
	list, err := m.dns.Resolve(ctx, name, kind)
	m.done("resolve", begun, err)
	return list, err
}

// Reverse finds the names of an address.
func (m meteredDNS) Reverse(ctx context.Context, ip netip.Addr) ([]string, error) {
	begun := time.Now()
	list, err := m.dns.Reverse(ctx, ip)
	m.done("reverse", begun, err)
	return list, err
}

// DNSBL asks lists. One that does not answer is a failure, though others have.
func (m meteredDNS) DNSBL(ctx context.Context, ip netip.Addr, zones []string) (script.DNSListing, error) {
	begun := time.Now()
	l, err := m.dns.DNSBL(ctx, ip, zones)
	m.meter.DNS("dnsbl", time.Since(begun), dnsFailed(err) || len(l.Errors) > 0)
	return l, err
}

// meteredResolver counts the look-ups of pmilter/auth, once MeterBy was called.
type meteredResolver struct {
	auth.Resolver
	s *Services
}

func (m meteredResolver) done(begun time.Time, err error) {
	if m.s.meter != nil {
		m.s.meter.DNS("auth", time.Since(begun), dnsFailed(err))
	}
}

// LookupTXT implements auth.Resolver, as do the others below.
func (m meteredResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	begun := time.Now()
	list, err := m.Resolver.LookupTXT(ctx, name)
	m.done(begun, err)
	return list, err
}

// LookupMX finds mail servers.
func (m meteredResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	begun := time.Now()
	list, err := m.Resolver.LookupMX(ctx, name)
	m.done(begun, err)
	return list, err
}

// LookupIPAddr finds addresses.
func (m meteredResolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	begun := time.Now()
	list, err := m.Resolver.LookupIPAddr(ctx, host)
	m.done(begun, err)
	return list, err
}

// LookupAddr finds names.
func (m meteredResolver) LookupAddr(ctx context.Context, ip string) ([]string, error) {
	begun := time.Now()
	list, err := m.Resolver.LookupAddr(ctx, ip)
	m.done(begun, err)
	return list, err
}
