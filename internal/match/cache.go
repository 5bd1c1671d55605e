package match

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Cache keeps compiled matchers by their patterns, so that all connections share
// one; those used least lately go. Safe for concurrent use: who wants a matcher
// that is being compiled waits for it, and nobody else does.
type Cache struct {
	compile func(patterns []Pattern, fold bool) (*Matcher, error)

	mu   sync.Mutex
	by   map[[sha256.Size]byte]*list.Element
	used *list.List // of *cached, the latest first
}

type cached struct {
	key     [sha256.Size]byte
	once    sync.Once
	matcher *Matcher
	err     error
}

// maxCached is how many matchers are kept.
const maxCached = 64

// NewCache makes an empty Cache.
func NewCache() *Cache {
	return &Cache{compile: New, by: map[[sha256.Size]byte]*list.Element{}, used: list.New()}
}

// Matcher is the matcher of patterns, compiled at their first use.
func (c *Cache) Matcher(patterns []Pattern, fold bool) (*Matcher, error) {
	k := c.get(keyOf(patterns, fold))
	k.once.Do(func() { k.matcher, k.err = c.compile(patterns, fold) })
	if k.err != nil {
		c.forget(k)
	}
	return k.matcher, k.err
}

// get is what is kept by key, compiled or not yet.
func (c *Cache) get(key [sha256.Size]byte) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.by[key]; known != nil {
		c.used.MoveToFront(known)
		return known.Value.(*cached)
	}
	k := &cached{key: key}
	c.by[key] = c.used.PushFront(k)
	if c.used.Len() > maxCached {
		last := c.used.Remove(c.used.Back()).(*cached)
		delete(c.by, last.key)
	}
	return k
}

// forget drops what could not be compiled.
func (c *Cache) forget(k *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.by[k.key]; known != nil && known.Value == k {
		c.used.Remove(known)
		delete(c.by, k.key)
	}
}

func keyOf(patterns []Pattern, fold bool) (key [sha256.Size]byte) {
	h := sha256.New()
	var head [binary.MaxVarintLen64 + 1]byte
	for _, p := range patterns {
		head[0] = 0
		if p.Expression {
			head[0] = 1
		}
		n := binary.PutUvarint(head[1:], uint64(len(p.Text)))
		h.Write(head[:1+n])
		h.Write([]byte(p.Text))
	}
	if fold {
		h.Write([]byte{2})
	}
	h.Sum(key[:0])
	return key
}
