package script

import (
	"errors"
	"testing"
	"time"

	"github.com/dop251/goja"

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
		if longest, _, _ := d.sweep(now, false); (longest == w) != tt.blamed {
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
	d.sweep(int64(time.Hour), false)
	if n := d.stuck.Load(); n != 1 {
		t.Errorf("%d stuck", n)
	}
	if err := w.settleWatch(5, nil); !errors.Is(err, filter.ErrAbandoned) || d.stuck.Load() != 0 {
		t.Errorf("%v, %d stuck", err, d.stuck.Load())
	}
}

// TestLateLooksPardon: what is over its time when the watchdog itself had none may have
// had none either: it is stopped at the next look, and not given up before.
func TestLateLooksPardon(t *testing.T) {
	d := newWatchdog(Limits{})
	now := int64(time.Hour)
	for _, state := range []int64{now - 1, interrupted} {
		w := &World{rt: goja.New(), set: &Set{o: setOptions{watchdog: d}}, call: &filter.Call{Overrun: func(*filter.ScriptError) {}}}
		w.watch.until.Store(state)
		clear(d.worlds)
		d.worlds[w] = struct{}{}
		d.sweep(now, true)
		if got := w.watch.until.Load(); got != state {
			t.Errorf("%d became %d", state, got)
		}
		d.sweep(now, false)
		if got := w.watch.until.Load(); got == state {
			t.Errorf("%d stays", state)
		}
	}
	if d.late(now, now-int64(lateLook)) || !d.late(now, now-int64(lateLook)-1) || d.late(now, 0) {
		t.Error("which look is late?")
	}
	if d.late(now, now-1) || !d.late(now, 0) {
		t.Error("after one that was late the next counts, and then the next")
	}
}
