package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in classes that are at most a 64th wide: it takes
// the same memory for any number of them. The zero value is empty. Not safe for
// concurrent use.
type Histogram struct {
	counts  [fine * (64 - fineBits)]uint64
	total   uint64
	longest time.Duration
}

const (
	fineBits = 6
	fine     = 1 << fineBits // classes for each power of two
)

// class is exact below 2*fine; above, the seven leading bits choose.
func class(d time.Duration) int {
	n := uint64(max(d, 0))
	shift := max(bits.Len64(n)-1-fineBits, 0)
	return shift<<fineBits + int(n>>shift)
}

// upper is the longest duration of a class.
func upper(class int) time.Duration {
	if class < 2*fine {
		return time.Duration(class)
	}
	shift := class>>fineBits - 1
	return time.Duration((uint64(class-shift<<fineBits)+1)<<shift - 1)
}

// Record counts a duration; a negative one is 0.
func (h *Histogram) Record(d time.Duration) {
	h.counts[class(d)]++
	h.total++
	h.longest = max(h.longest, d)
}

// Add counts what another has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.longest = max(h.longest, other.longest)
}

// Quantile is the duration that a share q of them did not exceed, up to a 64th
// too long; 0 of none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank, seen := uint64(q*float64(h.total)), uint64(0)
	for i, n := range h.counts {
		if seen += n; seen > rank {
			return min(upper(i), h.longest)
		}
	}
	return h.longest
}

// Max is the longest.
func (h *Histogram) Max() time.Duration { return h.longest }

// Count is how many there are.
func (h *Histogram) Count() uint64 { return h.total }
