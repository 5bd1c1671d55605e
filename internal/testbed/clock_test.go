package testbed

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestClockWaits: the clock moves when all wait, and only then.
func TestClockWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		c := newClock(begun, nil)
		ready := make(chan struct{}, 1)
		var posted func() // as a world does: what it posts holds the clock until it is awake
		c.AfterFunc(time.Hour, func() { posted = c.Hold(); ready <- struct{}{} })
		release := c.Hold()
		woke := make(chan bool)
		go func() { woke <- c.Wait(ready, begun.Add(2*time.Hour)) }()
		synctest.Wait()
		if !c.Now().Equal(begun) {
			t.Fatalf("it moved to %s while something was under way", c.Now())
		}
		release()
		if !<-woke || !c.Now().Equal(begun.Add(time.Hour)) {
			t.Errorf("at %s", c.Now())
		}
		posted()
		if c.Wait(ready, begun.Add(2*time.Hour)) || !c.Now().Equal(begun.Add(2*time.Hour)) {
			t.Errorf("nothing came, and yet: at %s", c.Now())
		}
		if c.Wait(ready, begun) {
			t.Error("it is later already")
		}
	})
}

// TestClockOrder: what is due on the way happens in its order, and at its time.
func TestClockOrder(t *testing.T) {
	t.Parallel()
	begun := time.Unix(1000, 0)
	c := newClock(begun, nil)
	var got []time.Duration
	note := func() { got = append(got, c.Now().Sub(begun)) }
	c.AfterFunc(3*time.Second, note)
	c.AfterFunc(time.Second, func() { note(); c.AfterFunc(time.Second, note) })
	stopped := c.AfterFunc(time.Second, note)
	c.AfterFunc(time.Minute, note)
	if !stopped.Stop() || stopped.Stop() {
		t.Error("a pending alarm is stopped once")
	}
	c.advance(10 * time.Second)
	if len(got) != 3 || got[0] != time.Second || got[1] != 2*time.Second || got[2] != 3*time.Second {
		t.Errorf("got %v", got)
	}
	if now := c.Now(); !now.Equal(begun.Add(10 * time.Second)) {
		t.Errorf("at %s", now)
	}
	if err := c.set(begun); err != nil || !c.Now().Equal(begun) {
		t.Errorf("%v: at %s", err, c.Now())
	}
	c.fix()
	if err := c.set(begun.Add(-time.Second)); err == nil {
		t.Error("it went back in a session")
	}
}

// TestClockOver: nobody waits any more when the test's own time is over.
func TestClockOver(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	c := newClock(time.Unix(1000, 0), over)
	defer c.Hold()()
	woke := make(chan bool)
	go func() { woke <- c.Wait(make(chan struct{}), time.Unix(5000, 0)) }()
	close(over)
	if <-woke {
		t.Error("woken by nothing")
	}
}
