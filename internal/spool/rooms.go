package spool

import (
	"math/bits"
	"sync"
)

// room is memory for a body; the pointer to it is what a pool can hold without
// allocating.
type room struct{ b []byte }

// Rooms have 1 KiB, 2 KiB and so on. Larger ones than 1 MiB are not kept.
const (
	smallestBits = 10
	classes      = 11
)

// rooms keeps the rooms of bodies that are gone for those that come: a new one
// would be cleared at first, and collected in the end. What nobody has used during
// two rounds of the collector is freed. Safe for concurrent use.
type rooms [classes]sync.Pool

// class is that of the smallest room that holds n bytes; it may be none of ours.
func class(n int) int { return max(bits.Len(uint(max(n, 1)-1))-smallestBits, 0) }

// sizeOf is the size of a room for n bytes.
func sizeOf(n int) int { return 1 << (smallestBits + class(n)) }

// get is an empty room for n bytes, in which anything may lie beyond its length.
func (r *rooms) get(n int) *room {
	if c := class(n); c < classes {
		if kept, ok := r[c].Get().(*room); ok {
			return kept
		}
	}
	return &room{b: make([]byte, 0, sizeOf(n))}
}

// put takes a room that nobody looks at any more.
func (r *rooms) put(old *room) {
	if old == nil {
		return
	}
	if c := class(cap(old.b)); c < classes {
		old.b = old.b[:0]
		r[c].Put(old)
	}
}
