package house

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"testing"
)

// noDNS is the DNS of the examples: nothing is there.
type noDNS struct{}

func (noDNS) none(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (n noDNS) LookupTXT(_ context.Context, name string) ([]string, error) { return nil, n.none(name) }

func (n noDNS) LookupMX(_ context.Context, name string) ([]*net.MX, error) { return nil, n.none(name) }

func (n noDNS) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	return nil, n.none(name)
}

func (n noDNS) LookupAddr(_ context.Context, ip string) ([]string, error) { return nil, n.none(ip) }

// writeKey makes the key that the examples sign with.
func writeKey(t *testing.T, dir string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "keys/example.org.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}
