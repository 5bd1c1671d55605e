package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
)

// What a key in DNS may be. RFC 8301 §3.2 sets the least; more than the most
// would cost more time than any signer has a reason for.
const (
	minRSABits = 1024
	maxRSABits = 8192
	maxRecord  = 8 << 10 // bytes of a record
)

// publicKey is a key record (RFC 6376 §3.6.1).
type publicKey struct {
	algorithm string // "rsa" or "ed25519"
	key       crypto.PublicKey
	hashes    []string // nil: any
	strict    bool     // t=s: i= must have the domain of d=, no subdomain
}

// lookUpKey fetches a key (RFC 6376 §3.6.2).
func (s *Service) lookUpKey(ctx context.Context, selector, domain string) (*publicKey, *fault) {
	domain, ok := asciiDomain(domain)
	if selector, both := asciiDomain(selector); ok && both {
		records, err := s.dns.LookupTXT(ctx, selector+"._domainkey."+domain)
		switch {
		case notFound(err), err == nil && len(records) == 0:
			return nil, &fault{PermError, "no key for signature"}
		case err != nil:
			return nil, &fault{TempError, "the key cannot be looked up: " + err.Error()}
		case len(records) > 1: // RFC 6376 §3.6.2.2: undefined
			return nil, &fault{PermError, "several records for the key"}
		}
		return parseKey(records[0])
	}
	return nil, &fault{PermError, "no key for signature: no name for DNS"}
}

func parseKey(record string) (*publicKey, *fault) {
	if len(record) > maxRecord {
		return nil, &fault{PermError, "the key record is too long"}
	}
	t, err := parseTags(record)
	if err != nil {
		return nil, &fault{PermError, "key record: " + err.Error()}
	}
	if t.has("v") && (t["v"] != "DKIM1" || !strings.HasPrefix(trimFWS(record), "v")) {
		return nil, &fault{PermError, "the key record is of another version"}
	}
	if !t.has("p") {
		return nil, &fault{PermError, "the key record has no key"}
	}
	if dropFWS(t["p"]) == "" {
		return nil, &fault{PermError, "the key was revoked"}
	}
	data, err := t.base64("p")
	if err != nil {
		return nil, &fault{PermError, "the key record has no base64"}
	}
	if t.has("s") && !slices.Contains(t.list("s"), "*") && !slices.Contains(t.list("s"), "email") {
		return nil, &fault{PermError, "the key is not for mail"}
	}
	k := &publicKey{algorithm: t["k"], strict: t.has("t") && slices.Contains(t.list("t"), "s")}
	if t.has("h") {
		k.hashes = t.list("h")
	}
	return k, k.read(data)
}

// read makes the key of a record's p.
func (k *publicKey) read(data []byte) *fault {
	switch k.algorithm {
	case "", "rsa":
		k.algorithm = "rsa"
		key, ok := rsaKey(data)
		if !ok {
			return &fault{PermError, "the key record has no RSA key"}
		}
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return &fault{Policy, "the key's length is not acceptable"}
		}
		k.key = key
	case "ed25519": // RFC 8463 §4
		if len(data) != ed25519.PublicKeySize {
			return &fault{PermError, "the key record has no Ed25519 key"}
		}
		k.key = ed25519.PublicKey(data)
	default:
		return &fault{PermError, "the key's algorithm is not known"}
	}
	return nil
}

// rsaKey reads both forms that are in use (RFC 6376, erratum 3017).
func rsaKey(data []byte) (*rsa.PublicKey, bool) {
	if key, err := x509.ParsePKIXPublicKey(data); err == nil {
		found, ok := key.(*rsa.PublicKey)
		return found, ok
	}
	key, err := x509.ParsePKCS1PublicKey(data)
	return key, err == nil
}

// verifies tells whether a signature of a SHA-256 sum is this key's.
func (k *publicKey) verifies(sum, signature []byte) bool {
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(key, sum, signature)
	}
	return false
}
