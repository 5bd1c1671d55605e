package testbed

import (
	"errors"
	"sync"
	"time"

	"pmilter/script"
)

// clock is the time of one test. It stands still while anything is under way. When
// everybody waits, for a timer or for a deadline, it moves on to what is due next:
// a handler that sleeps for ten seconds gets its on_error after the eight of its
// limit, and no real second passes.
type clock struct {
	over <-chan struct{} // closed when the test's own, real time has run out

	mu       sync.Mutex
	now      time.Time
	busy     int // who does not wait
	order    int64
	alarms   map[*alarm]struct{}
	sleepers map[*sleeper]struct{}
	fixed    bool // it cannot go back any more
}

var _ script.Clock = (*clock)(nil)

// newClock is a clock that one holds already: the test.
func newClock(now time.Time, over <-chan struct{}) *clock {
	return &clock{now: now, over: over, busy: 1, alarms: map[*alarm]struct{}{}, sleepers: map[*sleeper]struct{}{}}
}

// alarm is a call to come.
type alarm struct {
	c     *clock
	at    time.Time
	order int64
	call  func()
}

// Stop implements script.Stopper.
func (a *alarm) Stop() bool {
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	_, pending := a.c.alarms[a]
	delete(a.c.alarms, a)
	return pending
}

// sleeper is one that waits.
type sleeper struct {
	until   time.Time
	expired chan struct{}
	woken   bool // by the clock, which has counted it as busy
}

// Now implements script.Clock, as do the others below.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc has f called when the clock gets there.
func (c *clock) AfterFunc(d time.Duration, f func()) script.Stopper {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order++
	a := &alarm{c: c, at: c.now.Add(d), order: c.order, call: f}
	c.alarms[a] = struct{}{}
	return a
}

// Wait waits, and so lets the clock move on.
func (c *clock) Wait(ready <-chan struct{}, deadline time.Time) bool {
	select {
	case <-c.over:
		return false
	default:
	}
	c.mu.Lock()
	late := !c.now.Before(deadline)
	c.mu.Unlock()
	select {
	case <-ready:
		return !late
	default:
	}
	if late {
		return false
	}
	s := &sleeper{until: deadline, expired: make(chan struct{})}
	c.mu.Lock()
	c.sleepers[s] = struct{}{}
	c.busy--
	c.mu.Unlock()
	c.settle()
	woken := true
	select {
	case <-ready:
	case <-s.expired:
		woken = false
	case <-c.over:
		woken = false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sleepers, s)
	if !s.woken {
		c.busy++
	}
	return woken
}

// Hold keeps the clock where it is.
func (c *clock) Hold() (release func()) {
	c.mu.Lock()
	c.busy++
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		c.busy--
		c.mu.Unlock()
		c.settle()
	}
}

// settle moves on to what is due next, as long as everybody waits.
func (c *clock) settle() {
	for {
		c.mu.Lock()
		if c.busy > 0 {
			c.mu.Unlock()
			return
		}
		a, s := c.firstAlarm(), c.firstSleeper()
		switch {
		case a != nil && (s == nil || !a.at.After(s.until)):
			c.ring(a)
		case s != nil:
			c.wake(s)
			c.mu.Unlock()
			return
		default:
			c.mu.Unlock()
			return
		}
	}
}

// ring moves to an alarm and calls it. It is called with the mutex, which it releases.
func (c *clock) ring(a *alarm) {
	delete(c.alarms, a)
	c.move(a.at)
	c.busy++
	c.mu.Unlock()
	a.call()
	c.mu.Lock()
	c.busy--
	c.mu.Unlock()
}

// wake moves to the end of a sleeper's patience.
func (c *clock) wake(s *sleeper) {
	delete(c.sleepers, s)
	c.move(s.until)
	s.woken = true
	c.busy++
	close(s.expired)
}

func (c *clock) move(to time.Time) {
	if to.After(c.now) {
		c.now = to
	}
}

func (c *clock) firstAlarm() (first *alarm) {
	for a := range c.alarms {
		if first == nil || a.at.Before(first.at) || a.at.Equal(first.at) && a.order < first.order {
			first = a
		}
	}
	return first
}

func (c *clock) firstSleeper() (first *sleeper) {
	for s := range c.sleepers {
		if first == nil || s.until.Before(first.until) {
			first = s
		}
	}
	return first
}

// advance moves the clock by d; what is due on the way happens in its order.
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	target := c.now.Add(d)
	for {
		a, s := c.firstAlarm(), c.firstSleeper()
		switch {
		case a != nil && !a.at.After(target) && (s == nil || !a.at.After(s.until)):
			c.ring(a)
			c.mu.Lock()
		case s != nil && !s.until.After(target):
			c.wake(s)
		default:
			c.move(target)
			c.mu.Unlock()
			return
		}
	}
}

// set puts the clock to a time, back too as long as no session has begun.
func (c *clock) set(t time.Time) error {
	c.mu.Lock()
	back := t.Before(c.now)
	switch {
	case back && c.fixed:
		c.mu.Unlock()
		return errors.New("the clock cannot go back once a session has begun: set it first")
	case back:
		c.now = t
		c.mu.Unlock()
		return nil
	}
	d := t.Sub(c.now)
	c.mu.Unlock()
	c.advance(d)
	return nil
}

// fix says that a session has begun.
func (c *clock) fix() {
	c.mu.Lock()
	c.fixed = true
	c.mu.Unlock()
}
