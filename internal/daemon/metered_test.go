package daemon

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/script"
)

// outsideTally keeps what an outsideMeter is told.
type outsideTally struct {
	mu sync.Mutex
	n  map[string]int
}

func (o *outsideTally) note(service, operation string, failed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if failed {
		operation += " failed"
	}
	o.n[service+" "+operation]++
}

func (o *outsideTally) Store(operation string, _ time.Duration, failed bool) {
	o.note("store", operation, failed)
}

func (o *outsideTally) DNS(operation string, _ time.Duration, failed bool) {
	o.note("dns", operation, failed)
}

// brokenStore fails with err at each operation that it has.
type brokenStore struct {
	script.Store
	err error
}

func (b brokenStore) Get(context.Context, string) ([]byte, bool, error) { return nil, false, b.err }

func TestMeteredStore(t *testing.T) {
	t.Parallel()
	tally := &outsideTally{n: map[string]int{}}
	s := NewServices(config.Default(), zap.NewNop())
	s.MeterBy(tally)
	defer s.Close()
	given := s.ForScripts().Store
	if n, ok := given.(interface{ NeverWaits() bool }); !ok || !n.NeverWaits() {
		t.Error("a store in memory waits now")
	}
	ctx := t.Context()
	_ = given.Set(ctx, "k", []byte(`"x"`), 0)
	_, _, _ = given.Get(ctx, "k")
	_, _ = given.Add(ctx, "k", []byte(`1`), 0)
	_, incremented := given.Incr(ctx, "k", 1, 0) // it is no number: a mistake of the script
	_, _ = given.Delete(ctx, "k")
	_, _, _, _ = given.Limit(ctx, "l", 1, time.Second)
	_, _, _ = given.Hold(ctx, "h", "me", 0)
	given.Release("me")
	want := map[string]int{"store set": 1, "store get": 1, "store add": 1, "store incr": 1, "store delete": 1, "store limit": 1, "store hold": 1}
	if !maps.Equal(tally.n, want) || incremented == nil {
		t.Errorf("%v, %v", tally.n, incremented)
	}
	clear(tally.n)
	for _, err := range []error{errors.New("no route"), context.DeadlineExceeded, context.Canceled} {
		_, _, _ = meteredStore{brokenStore{err: err}, tally}.Get(ctx, "k")
	}
	if want := map[string]int{"store get failed": 2, "store get": 1}; !maps.Equal(tally.n, want) {
		t.Errorf("%v", tally.n)
	}
}

// TestMeteredDNS asks a server that nobody is.
func TestMeteredDNS(t *testing.T) {
	t.Parallel()
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := nobody.LocalAddr().String()
	nobody.Close()
	cfg := config.Default()
	cfg.DNS.Servers, cfg.DNS.Timeout = []string{address}, 200*time.Millisecond
	tally := &outsideTally{n: map[string]int{}}
	s := NewServices(cfg, zap.NewNop())
	s.MeterBy(tally)
	defer s.Close()
	d := s.ForScripts().DNS
	_, _ = d.Resolve(t.Context(), "example.org", "MX")
	_, _ = d.Reverse(t.Context(), netip.MustParseAddr("192.0.2.1"))
	_, _ = d.DNSBL(t.Context(), netip.MustParseAddr("192.0.2.1"), []string{"bl.example.org"})
	_, _ = d.Resolve(t.Context(), "no name at all..", "A") // a mistake of the script
	r := meteredResolver{s.outside.resolver, s}
	_, _ = r.LookupTXT(t.Context(), "example.org")
	want := map[string]int{"dns resolve failed": 1, "dns reverse failed": 1, "dns dnsbl failed": 1, "dns resolve": 1, "dns auth failed": 1}
	if !maps.Equal(tally.n, want) {
		t.Errorf("%v", tally.n)
	}
	for err, failed := range map[error]bool{
		nil: false, context.Canceled: false, errors.New("x"): true,
		&net.DNSError{IsNotFound: true}: false, &net.DNSError{IsTemporary: true}: true,
	} {
		if dnsFailed(err) != failed {
			t.Errorf("%v: %v", err, !failed)
		}
	}
}
