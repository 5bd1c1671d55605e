package auth

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	maxKeys    = 1000     // kept at once; past it all are forgotten
	maxKeyFile = 64 << 10 // bytes
)

// privateKeys keeps keys that were read: parsing and checking one takes longer
// than to sign with it. Safe for concurrent use.
type privateKeys struct {
	base string
	mu   sync.Mutex
	kept map[string]keptKey // by path, or by the sum of a text
}

type keptKey struct {
	signer crypto.Signer
	size   int64
	time   time.Time
	inode  uint64
}

// get is the key of a PEM text, or of the file with that path: PKCS#1 or PKCS#8,
// RSA of at least 1024 bits or Ed25519. A file that changed is read again, and
// nothing is kept of one that cannot be read any more. Errors never show what is in it.
func (k *privateKeys) get(key string) (crypto.Signer, error) {
	if strings.Contains(key, "-----BEGIN") {
		sum := sha256.Sum256([]byte(key))
		return k.keep(string(sum[:]), keptKey{}, func() ([]byte, error) { return []byte(key), nil })
	}
	if key == "" || strings.ContainsAny(key, "\x00\r\n") {
		return nil, errors.New("the key is no PEM text and no file's path")
	}
	path := key
	if !filepath.IsAbs(path) {
		path = filepath.Join(k.base, path)
	}
	signer, err := k.file(path)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return signer, nil
}

func (k *privateKeys) file(path string) (crypto.Signer, error) {
	// O_NONBLOCK: a pipe without a writer must not hold the connection.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Unwrap(err) // without the path, which is said already
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	now := keptKey{size: info.Size(), time: info.ModTime()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		now.inode = stat.Ino
	}
	return k.keep(path, now, func() ([]byte, error) { return io.ReadAll(io.LimitReader(f, maxKeyFile+1)) })
}

// keep returns the kept key of that name if it is of the same state, else what
// is read now.
func (k *privateKeys) keep(name string, state keptKey, read func() ([]byte, error)) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := k.kept[name]
	signer := kept.signer
	kept.signer = nil
	if signer != nil && kept == state {
		return signer, nil
	}
	data, err := read()
	if err != nil {
		return nil, err
	}
	if state.signer, err = parsePrivateKey(data); err != nil {
		return nil, err
	}
	if k.kept == nil || len(k.kept) >= maxKeys {
		k.kept = map[string]keptKey{}
	}
	k.kept[name] = state
	return state.signer, nil
}

var errNoKey = errors.New("no private key in PEM that is RSA or Ed25519 (PKCS#1 or PKCS#8)")

func parsePrivateKey(data []byte) (crypto.Signer, error) {
	if len(data) > maxKeyFile {
		return nil, errNoKey
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errNoKey
		}
		if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the private key is encrypted: it must not be")
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // a certificate beside it
		}
		var key any
		var err error
		if block.Type == "RSA PRIVATE KEY" {
			key, err = x509.ParsePKCS1PrivateKey(bytes.Clone(block.Bytes))
		} else {
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		}
		if err != nil {
			return nil, errNoKey
		}
		return usable(key)
	}
}

func usable(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits: %d to %d are possible", bits, minRSABits, maxRSABits)
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errNoKey
}
