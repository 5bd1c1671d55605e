package script

import "time"

// Clock is the time that scripts see, in Date and in timers, and in which the
// deadlines of their calls are. Safe for concurrent use.
//
// The server's is the real time. The clock of a test stands still while anything
// is under way, and moves on to what is due next when everybody waits: hence Wait
// and Hold, by which it knows.
type Clock interface {
	clock
	// Wait blocks until ready has an element, which it takes, or until the
	// deadline has passed: then it returns false.
	Wait(ready <-chan struct{}, deadline time.Time) bool
	// Hold says that something is under way until release is called, once: work
	// outside of a world, or a task that a waiting world is about to run.
	Hold() (release func())
}

// clock is what timers need of a Clock.
type clock interface {
	Now() time.Time
	// AfterFunc calls f once, after d, on a goroutine that is not the world's.
	AfterFunc(d time.Duration, f func()) Stopper
}

// Stopper is a *time.Timer or a test's.
type Stopper interface{ Stop() bool }

// wallClock is the real time.
type wallClock struct{}

var _ Clock = wallClock{}

// Now implements Clock, as do the others below.
func (wallClock) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (wallClock) AfterFunc(d time.Duration, f func()) Stopper { return time.AfterFunc(d, f) }

// Wait waits in real time.
func (wallClock) Wait(ready <-chan struct{}, deadline time.Time) bool {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-ready:
		return true
	case <-timer.C:
		return false
	}
}

// Hold does nothing: the real time cannot be held.
func (wallClock) Hold() (release func()) { return func() {} }
