package store

import (
	"encoding/binary"
	"errors"
)

// slices is into how many a window is cut.
const slices = 64

// window is the calls that Limit has counted, oldest first. Calls within the same
// slice, a 64th of the window, are one mark and leave the window together, with
// the last of them. So a window is exact for calls that are further apart, never
// has more than the limit in any span of its length, forgets each call at the
// latest a 64th too late, and has 65 marks at most.
type window []mark

// mark is n calls, the last of them at that time.
type mark struct{ at, n int64 } // Unix milliseconds

// take counts a call at now if fewer than most are in the window of per
// milliseconds. w is changed; the window returned takes its place. See Store.Limit.
func (w window) take(now, most, per int64) (after window, ok bool, count, resetAfter int64) {
	after = w[:0]
	for _, m := range w {
		m.at = min(m.at, now) // the clock was set back
		if m.at+per > now {
			after = append(after, m)
			count += m.n
		}
	}
	if ok = count < most; ok {
		count++
		width := (per + slices - 1) / slices
		last := len(after) - 1
		if last >= 0 && (after[last].at/width == now/width || last > slices) {
			after[last] = mark{now, after[last].n + 1}
		} else {
			after = append(after, mark{now, 1})
		}
		return after, true, count, after[0].at + per - now
	}
	left := count
	for _, m := range after {
		resetAfter = m.at + per - now
		if left -= m.n; left < most {
			break
		}
	}
	return after, false, count, resetAfter
}

// append adds the window to b: how many, then each time as the distance from
// the one before it, and the calls.
func (w window) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(w)))
	before := int64(0)
	for _, m := range w {
		b = binary.AppendVarint(b, m.at-before)
		b = binary.AppendVarint(b, m.n)
		before = m.at
	}
	return b
}

var errWindow = errors.New("store: damaged window")

// readWindow undoes append.
func readWindow(b []byte) (window, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > slices+2 {
		return nil, errWindow
	}
	b = b[size:]
	w := make(window, n)
	before := int64(0)
	for i := range w {
		at, size := binary.Varint(b)
		if size <= 0 {
			return nil, errWindow
		}
		b = b[size:]
		calls, size := binary.Varint(b)
		if size <= 0 || calls < 1 {
			return nil, errWindow
		}
		b = b[size:]
		before += at
		w[i] = mark{before, calls}
	}
	if len(b) > 0 {
		return nil, errWindow
	}
	return w, nil
}
