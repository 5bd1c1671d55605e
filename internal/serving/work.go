package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"pmilter/internal/prefork"
)

// Server is what a process serves with. Begin makes one, which is held. All but Report
// and Trouble are called one at a time, Shutdown beside them.
type Server interface {
	// Prepare makes another set ready to be used. It changes nothing.
	Prepare(ctx context.Context, set json.RawMessage) (Prepared, error)
	// Hold returns when nothing new is begun any more, until Resume.
	Hold()
	// Resume goes on; the first time it begins.
	Resume()
	// Shutdown begins nothing new, finishes what was begun, and returns.
	Shutdown(ctx context.Context)
	// Report is for the pool: anything, as JSON. Safe for concurrent use.
	Report() json.RawMessage
	// Trouble is why this process should be replaced, "" when it need not. Called every
	// second; what it says three times in a row is believed.
	Trouble() string
}

// Prepared is a set that is ready: one of both is called, once. Use is called while
// nothing new is begun.
type Prepared interface {
	Use(ctx context.Context)
	Drop()
}

// Worker makes what a process is.
type Worker struct {
	// Begin makes the server, with the set in use.
	Begin func(ctx context.Context, set json.RawMessage) (Server, error)
	// Try tells whether a set can be used, in a process that is there for it alone, and
	// what is to be said of one that can.
	Try func(ctx context.Context, set json.RawMessage) (remarks json.RawMessage, err error)
}

// Work is the life of a serving process. It returns when the pool has asked it to end
// and all that was begun is over.
func Work(ctx context.Context, w Worker) error {
	return prefork.Stay(ctx, func(ctx context.Context, data []byte, pool *prefork.Link) (prefork.Resident, error) {
		var s setup
		if err := json.Unmarshal(data, &s); err != nil {
			return nil, fmt.Errorf("serving: setup: %w", err)
		}
		if s.Trial {
			remarks, err := w.Try(ctx, s.Data)
			if err == nil && remarks != nil {
				err = pool.Notify(message{Word: wordReport, Data: remarks}.encode())
			}
			return tried{}, err
		}
		server, err := w.Begin(ctx, s.Data)
		if err != nil {
			return nil, err
		}
		r := &resident{ctx: ctx, pool: pool, server: server, using: s.Number, held: true, stop: make(chan struct{})}
		r.say(message{Word: wordUp, Number: s.Number})
		r.looking.Go(r.look)
		return r, nil
	})
}

// tried is a process that has done all it was there for.
type tried struct{}

// Told implements prefork.Resident, as does End: nothing is told, and nothing to be ended.
func (tried) Told([]byte) {}

// End returns.
func (tried) End(context.Context) {}

// resident is a process that serves.
type resident struct {
	ctx     context.Context //nolint:containedctx // of the process's life: what is told has no other
	pool    *prefork.Link
	server  Server
	using   uint64
	ready   Prepared // nil: none
	number  uint64   // of ready
	held    bool     // as at the start
	stop    chan struct{}
	looking sync.WaitGroup

	mu   sync.Mutex
	last []byte // report
}

var _ prefork.Resident = (*resident)(nil)

func (r *resident) say(m message) { _ = r.pool.Notify(m.encode()) } // without the pool this process ends

// Told implements prefork.Resident.
func (r *resident) Told(data []byte) {
	m, err := decode(data)
	if err != nil {
		return // no pool of this binary says it
	}
	switch m.Word {
	case wordPrepare:
		r.prepare(m)
	case wordHold:
		r.hold()
		r.say(message{Word: wordHold, Number: m.Number})
	case wordUse:
		r.use(m.Number)
	case wordDrop:
		if r.number == m.Number {
			r.drop()
		}
		r.resume()
	case wordCount:
		r.report(m.Number, true)
	default: // the other side's
	}
}

func (r *resident) prepare(m message) {
	r.drop()
	ready, err := r.server.Prepare(r.ctx, m.Data)
	if err != nil {
		r.say(message{Word: wordPrepare, Number: m.Number, Fault: err.Error()})
		return
	}
	r.ready, r.number = ready, m.Number
	r.say(message{Word: wordPrepare, Number: m.Number})
}

func (r *resident) drop() {
	if r.ready != nil {
		r.ready.Drop()
		r.ready = nil
	}
}

// use goes over to a set. That of the setup is used already.
func (r *resident) use(number uint64) {
	if r.ready != nil && r.number == number {
		r.hold()
		r.ready.Use(r.ctx)
		r.ready, r.using = nil, number
	}
	r.resume()
	r.say(message{Word: wordUse, Number: r.using})
}

func (r *resident) hold() {
	if !r.held {
		r.held = true
		r.server.Hold()
	}
}

func (r *resident) resume() {
	if r.held {
		r.held = false
		r.server.Resume()
	}
}

// End implements prefork.Resident.
func (r *resident) End(ctx context.Context) {
	r.server.Shutdown(ctx)
	close(r.stop)
	r.looking.Wait()
	r.report(0, true)
}

// lookEvery is how often a process looks at itself, believedAfter how often it must
// look the same.
const (
	lookEvery     = time.Second
	believedAfter = 3
)

// look reports, and asks to leave when the process is in trouble.
func (r *resident) look() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	times, before := 0, ""
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
		}
		r.report(0, false)
		trouble := r.server.Trouble()
		if trouble != before {
			times, before = 0, trouble
		}
		if times++; trouble != "" && times >= believedAfter {
			r.pool.Leave(trouble)
		}
	}
}

// report tells the pool: that it is alive when there is no news, unless always. number is
// that of the question.
func (r *resident) report(number uint64, always bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.server.Report()
	if !always && bytes.Equal(now, r.last) {
		r.say(message{Word: wordAlive})
		return
	}
	r.last = now
	r.say(message{Word: wordReport, Number: number, Data: now})
}
