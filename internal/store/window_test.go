package store

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestWindow compares windows with lists of all calls: never more than the limit
// in any span, a call forgotten at the latest a slice too late and never too
// early, in bounded room; exactly at calls that are further apart than a slice.
func TestWindow(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		per := 1 + random.Int64N(100_000)
		most := 1 + random.Int64N(300)
		pace := 1 + random.Int64N(2*per/most+2)
		width := (per + slices - 1) / slices
		var w window
		var counted []int64
		now := int64(1_700_000_000_000)
		for range 1000 {
			now += random.Int64N(2 * pace)
			var young, old int64 // counted calls within per, and within per and a slice
			for _, at := range counted {
				if at+per > now {
					young++
				}
				if at+per+width > now {
					old++
				}
			}
			var ok bool
			var count, reset int64
			w, ok, count, reset = w.take(now, most, per)
			if before := count - b2i(ok); before < young || before > old || ok != (before < most) {
				t.Fatalf("seed %d: %d counted, %v: between %d and %d of %d", seed, before, ok, young, old, most)
			}
			if reset < 1 || reset > per+width || len(w) > slices+2 {
				t.Fatalf("seed %d: reset after %d, %d marks", seed, reset, len(w))
			}
			if !ok {
				if _, early, _, _ := append(window{}, w...).take(now+reset-1, most, per); early {
					t.Fatalf("seed %d: free before %d", seed, reset)
				}
				if _, free, _, _ := append(window{}, w...).take(now+reset, most, per); !free {
					t.Fatalf("seed %d: not free after %d", seed, reset)
				}
				continue
			}
			if counted = append(counted, now); len(counted) > 1000 {
				counted = counted[500:]
			}
			again, err := readWindow(w.append(nil))
			if err != nil || !reflect.DeepEqual(again, w) {
				t.Fatalf("%v %v, written %v", again, err, w)
			}
		}
	}
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// TestWindowClockSetBack: calls of the future leave after a window's length.
func TestWindowClockSetBack(t *testing.T) {
	var w window
	w, _, _, _ = w.take(1_000_000, 1, 1000)
	w, ok, count, reset := w.take(500_000, 1, 1000)
	if ok || count != 1 || reset != 1000 {
		t.Errorf("%v %d %d", ok, count, reset)
	}
	if _, ok, _, _ = w.take(501_000, 1, 1000); !ok {
		t.Error("still there")
	}
}

// TestWindowOfAnotherLength: the length may change between calls.
func TestWindowOfAnotherLength(t *testing.T) {
	var w window
	for i := range int64(200) {
		w, _, _, _ = w.take(1_000_000+i, 1000, 100)
	}
	for i := range int64(5000) {
		if w, _, _, _ = w.take(1_000_200+i*7, 100_000, 10_000); len(w) > slices+2 {
			t.Fatalf("%d marks", len(w))
		}
	}
}
