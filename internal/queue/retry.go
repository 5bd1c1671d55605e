package queue

import "time"

// Retry is how often a failed job is tried again.
type Retry struct {
	Attempts   int           // in all; then the event has failed
	Backoff    time.Duration // after the first attempt; twice that after the second, and so on
	MaxBackoff time.Duration
}

// Delay is how long to wait after the attempt of that number, from 1. random is
// in [0, 1): the wait is up to a fifth less or more, so that what failed together
// does not come back together.
func (r Retry) Delay(attempt int, random float64) time.Duration {
	d := r.Backoff
	for i := 1; i < attempt && d < r.MaxBackoff; i++ {
		d *= 2
	}
	d = min(d, r.MaxBackoff)
	return d - d/5 + time.Duration(random*float64(d)*2/5)
}
