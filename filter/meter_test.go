package filter_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pmilter/filter"
)

// tally is a Meter that keeps everything by name.
type tally struct {
	mu   sync.Mutex
	sets int
	n    map[string]int
	took map[string]time.Duration
}

func newTally() *tally { return &tally{n: map[string]int{}, took: map[string]time.Duration{}} }

func (m *tally) add(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n[fmt.Sprintf(format, args...)]++
}

func (m *tally) Arrived(p filter.Phase) { m.add("%s", p) }
func (m *tally) Received(bytes int64)   { m.add("message of %d", bytes) }
func (m *tally) Opened(time.Duration)   { m.add("world") }

func (m *tally) Scripts(list []filter.Script) filter.ScriptsMeter {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets++
	return tallied{m, list}
}

type tallied struct {
	*tally
	list []filter.Script
}

func (m tallied) name(script int) string {
	if script < 0 {
		return "nobody"
	}
	return m.list[script].Name
}

func (m tallied) Called(script int, p filter.Phase, took time.Duration) {
	m.add("called %s %s", m.name(script), p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took[m.name(script)] += took
}

func (m tallied) Failed(script int, p filter.Phase, kind filter.FaultKind) {
	m.add("failed %s %s %s", m.name(script), p, kind)
}

func (m tallied) Decided(script int, p filter.Phase, v filter.Action, wouldBe bool) {
	m.add("decided %s %s %s%s", m.name(script), p, v, map[bool]string{true: " not done"}[wouldBe])
}

func (m *tally) expect(t *testing.T, want map[string]int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !maps.Equal(m.n, want) {
		t.Errorf("counted %v\nwant    %v", m.n, want)
	}
	clear(m.n)
}

func TestMeter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(*play) (filter.Verdict, error) {
			time.Sleep(time.Second)
			return filter.Verdict{}, nil
		}
		timesOut := func(p *play) (filter.Verdict, error) {
			return filter.Verdict{}, &filter.ScriptError{Script: "b", Phase: p.c.Phase, Kind: filter.TimedOut, Dropped: true}
		}
		c := newCast(
			script("a", on{filter.Helo: does(filter.Discard), filter.Rcpt: slow, filter.EOM: pass}, onError(filter.Accept)),
			script("b", on{filter.Rcpt: func(p *play) (filter.Verdict, error) {
				switch p.c.Address.Local {
				case "fails":
					return fails(p)
				case "slow":
					return timesOut(p)
				case "no":
					return verdict(filter.Reject), nil
				}
				return filter.Verdict{}, nil
			}}),
			script("o", on{filter.EOM: does(filter.Reject)}, observe),
		)
		m := newTally()
		r := newRig(t, c, set(func(o *filter.Options) { o.Meter = m }))
		r.say("connect", "helo x") // a's answer is nonsense, and accepted: it is out for good
		m.expect(t, map[string]int{"connect": 1, "helo": 1, "world": 1, "called a helo": 1, "failed a helo nonsense": 1})
		if w := r.filter.Worlds(); w != (filter.Worlds{Alive: 1}) {
			t.Errorf("%+v", w)
		}
		r.say("mail <a@example.org>", "rcpt <no@example.net> -> reject 550 5.7.1 no", "rcpt <fails@example.net> -> tempfail 451 4.3.0 Message filter error, try again later",
			"rcpt <b@example.net>", "data")
		m.expect(t, map[string]int{
			"mail": 1, "rcpt": 3, "called b rcpt": 3, "failed b rcpt throw": 1, "decided b rcpt reject": 1, "decided b rcpt tempfail": 1,
		})
		r.content("continue")
		m.expect(t, map[string]int{
			"header": 1, "body": 1, "eom": 1, "message of 20": 1, "called o eom": 1, "decided o eom reject not done": 1, "decided nobody eom accept": 1,
		})
		r.say("mail <a@example.org>", "rcpt <slow@example.net> -> "+gone, "rcpt <slow@example.net> -> "+gone, "abort")
		m.expect(t, map[string]int{
			"mail": 1, "rcpt": 2, "abort": 1, "called b rcpt": 1, "failed b rcpt timeout": 1, "failed b rcpt dropped": 1, "decided b rcpt tempfail": 2,
		})
		if w := r.filter.Worlds(); w != (filter.Worlds{Dropped: 1}) {
			t.Errorf("%+v", w)
		}
		r.hangUp()
		m.expect(t, map[string]int{"close": 1})
		if m.sets != 1 {
			t.Errorf("asked for the meters of a set %d times", m.sets)
		}
	})
}

// TestMeterOverrun: a command that a successor answers anew is counted once, the stuck
// world is alive until its script comes back.
func TestMeterOverrun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, m := newStuck(), newTally()
		c := newCast(script("b", on{filter.Helo: pass, filter.EOM: s.call}))
		r := newRig(t, c, set(func(o *filter.Options) { o.Meter = m }))
		r.envelope()
		r.content(gone)
		m.expect(t, map[string]int{
			"connect": 1, "helo": 1, "world": 1, "called b helo": 1, "mail": 1, "rcpt": 1,
			"header": 1, "body": 1, "eom": 1, "message of 20": 1, "called b eom": 1, "failed b eom throw": 1, "decided b eom tempfail": 1,
		})
		if w := r.filter.Worlds(); w != (filter.Worlds{Alive: 1, Stuck: 1, Dropped: 1}) {
			t.Errorf("%+v", w)
		}
		if m.took["b"] < time.Minute {
			t.Errorf("the stuck call took %s", m.took["b"])
		}
		s.let()
		if w := r.filter.Worlds(); w != (filter.Worlds{Dropped: 1}) {
			t.Errorf("%+v", w)
		}
		r.hangUp()
		m.expect(t, map[string]int{"close": 1})
		if w := r.filter.Worlds(); w != (filter.Worlds{Dropped: 1}) {
			t.Errorf("after the end: %+v", w)
		}
	})
}

// TestWorldsAreCounted: none is alive when all connections have ended, however.
func TestWorldsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCast(script("a", on{filter.Helo: pass}))
		r := newRig(t, c)
		r.say("connect", "helo x")
		r.say("quitnc", "connect", "helo y")
		if w := r.filter.Worlds(); w != (filter.Worlds{Alive: 1}) {
			t.Errorf("%+v", w)
		}
		r.hangUp()
		if w := r.filter.Worlds(); w != (filter.Worlds{}) {
			t.Errorf("%+v", w)
		}
	})
}
