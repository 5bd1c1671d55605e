package testbed

import (
	"context"
	"encoding/json"
	"slices"

	"pmilter/filter"
	"pmilter/script"
)

// spool takes a session's events and keeps them for the results: nothing is
// written. It has the configuration's queues.
type spool struct {
	s      *session
	queues []string
}

var _ filter.Spool = (*spool)(nil)

// Has implements filter.Spool, as do the others below.
func (p *spool) Has(queue string) bool { return slices.Contains(p.queues, queue) }

// Names are the configured queues.
func (p *spool) Names() []string { return p.queues }

// Put notes the events.
func (p *spool) Put(_ context.Context, mail *filter.QueuedMail, free func()) error {
	defer free()
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	for _, e := range mail.Events {
		q := script.Queued{Queue: e.Queue, When: "accepted"}
		if e.Any {
			q.When = "any"
		}
		if e.Data != nil {
			q.Data = json.RawMessage(e.Data)
		}
		p.s.queued = append(p.s.queued, q)
	}
	return nil
}
