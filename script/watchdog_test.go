package script

import (
	"errors"
	"testing"
	"time"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// TestMemoryIsHeldAgainst: the handler that has run longest; only one that has run for
// long while another hangs in a built-in, is being stopped, or was just
// now: whose memory it is, most likely. And when nobody knows who had the processor.
func TestMemoryIsHeldAgainst(t *testing.T) {
	now := int64(time.Hour)
	another := func(state int64) func(*watchdog) {
		return func(d *watchdog) {
			w := &World{rt: goja.New(), call: &filter.Call{}}
			w.watch.until.Store(state)
			d.worlds[w] = struct{}{}
		}
	}
	for name, tt := range map[string]struct {
		given  func(*watchdog)
		late   bool
		spared bool
	}{
		"alone":             {given: func(*watchdog) {}},
		"stuck":             {given: func(d *watchdog) { d.stuck.Store(1) }, spared: true},
		"stopped just now":  {given: func(d *watchdog) { d.stopped = now - int64(grace) + 1 }, spared: true},
		"stopped before":    {given: func(d *watchdog) { d.stopped = now - int64(grace) }},
		"another ends":      {given: another(interrupted), spared: true},
		"another's time up": {given: another(now - 1), spared: true},
		"another is idle":   {given: another(idle)},
		"a late look":       {given: func(*watchdog) {}, late: true, spared: true},
	} {
		least := tick
		if tt.spared {
			least = spared
		}
		for _, ran := range []time.Duration{least / 2, least, 2 * least} {
			d := newWatchdog(Limits{})
			tt.given(d)
			w := &World{}
			w.watch.until.Store(now + int64(time.Minute))
			w.watch.since.Store(now - int64(ran))
			d.worlds[w] = struct{}{}
			if longest, _, _ := d.sweep(now, tt.late); (longest == w) != (ran > least) {
				t.Errorf("%s, ran %s: blamed %v", name, ran, longest == w)
			}
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
