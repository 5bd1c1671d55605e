package script

import (
	"errors"
	"testing"
	"time"

	"pmilter/filter"
)

// TestMemoryIsHeldAgainst: the handler that has run longest; while another hangs in
// a built-in, whose memory it most likely is, only one that has run for long.
func TestMemoryIsHeldAgainst(t *testing.T) {
	for _, tt := range []struct {
		stuck  int32
		ran    time.Duration
		blamed bool
	}{
		{0, tick / 2, false},
		{0, 2 * tick, true},
		{1, spared / 2, false},
		{1, 2 * spared, true},
	} {
		d := newWatchdog(Limits{})
		w := &World{}
		now := int64(time.Hour)
		w.watch.until.Store(now + int64(time.Minute))
		w.watch.since.Store(now - int64(tt.ran))
		d.worlds[w] = struct{}{}
		d.stuck.Store(tt.stuck)
		if longest, _, _ := d.sweep(now); (longest == w) != tt.blamed {
			t.Errorf("%d stuck, ran %s: blamed %v", tt.stuck, tt.ran, longest == w)
		}
	}
}

// TestStuckEnds: what was abandoned is stuck until its stretch ends.
func TestStuckEnds(t *testing.T) {
	d := newWatchdog(Limits{})
	w := &World{set: &Set{o: setOptions{watchdog: d}}, call: &filter.Call{Overrun: func(*filter.ScriptError) {}}}
	w.watch.until.Store(interrupted)
	d.worlds[w] = struct{}{}
	d.sweep(int64(time.Hour))
	if n := d.stuck.Load(); n != 1 {
		t.Errorf("%d stuck", n)
	}
	if err := w.settleWatch(5, nil); !errors.Is(err, filter.ErrAbandoned) || d.stuck.Load() != 0 {
		t.Errorf("%v, %d stuck", err, d.stuck.Load())
	}
}
