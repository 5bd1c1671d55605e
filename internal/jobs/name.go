package jobs

import (
	"time"

	"pmilter/internal/event"
)

// nextName is the name of an event's file once its next attempt is counted.
func nextName(file string) string {
	n := event.ParseName(file)
	n.Attempts++
	n.Next = time.Time{}
	return n.String()
}
