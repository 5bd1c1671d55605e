package load

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	wire "github.com/emersion/go-milter"
)

// run is a plan under way.
type run struct {
	plan    Plan
	ctxDone <-chan struct{}
	known   dialogues
	begin   time.Time
	end     time.Time    // the last moment at which something may be awaited; zero: none
	over    atomic.Bool  // no message begins any more
	ticket  atomic.Int64 // of the next message, when there is a rate or a total
}

// pause is how long a connection waits after an error before the next.
const pause = 20 * time.Millisecond

// all runs every connection and adds up what they counted.
func (r *run) all(ctx context.Context) *Result {
	r.begin = time.Now()
	if d := r.plan.Duration; d > 0 {
		r.end = r.begin.Add(d + r.plan.Patience)
		timer := time.AfterFunc(d, func() { r.over.Store(true) })
		defer timer.Stop()
	}
	var all sync.WaitGroup
	tallies := make([]tally, r.plan.Connections)
	for i := range tallies {
		all.Go(func() { r.connections(ctx, &tallies[i]) })
	}
	all.Wait()
	total := &Result{Took: time.Since(r.begin), Answers: map[string]int{}, Errors: map[string]int{}}
	if d := r.plan.Duration; d > 0 && ctx.Err() == nil && r.plan.Rate > 0 {
		total.Took = max(total.Took, d) // the last one may have been answered before
	}
	for i := range tallies {
		tallies[i].addTo(total)
	}
	return total
}

// tally is what one connection after the other counts; each goroutine has its own.
type tally struct {
	answers [256]int // by action code
	latency Histogram
	errors  map[string]int
}

func (t *tally) addTo(r *Result) {
	for code, n := range t.answers {
		if n > 0 {
			r.Answers[actionName(wire.ActionCode(code))] += n
			r.Messages += n
		}
	}
	for cause, n := range t.errors {
		r.Errors[cause] += n
	}
	r.Latency.Add(&t.latency)
}

// connections makes one after the other until the run is over.
func (r *run) connections(ctx context.Context, t *tally) {
	for ctx.Err() == nil && !r.over.Load() {
		err := r.connection(ctx, t)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if t.errors == nil {
			t.errors = map[string]int{}
		}
		t.errors[cause(err)]++
		r.wait(time.Now().Add(pause))
	}
}

// wait sleeps until then; false when ctx is done before.
func (r *run) wait(then time.Time) bool {
	timer := time.NewTimer(time.Until(then))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ctxDone:
		return false
	}
}

// connection is one, from its connect to its quit.
func (r *run) connection(ctx context.Context, t *tally) error {
	limit := r.end
	if limit.IsZero() {
		limit = time.Now().Add(r.plan.Patience)
	}
	c, err := dial(ctx, r.plan.Network, r.plan.Address, r.plan.Mail.Write, limit)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	d := r.known.get(c.protocol)
	if action, err := c.run(d.greeting); err != nil || !goesOn(action) {
		if err == nil { // a verdict on the connection is one on a message that never came
			t.answers[action]++
		}
		return err
	}
	mail := d.first
	for n := 0; (r.plan.Messages == 0 || n < r.plan.Messages) && !r.over.Load(); n++ {
		begin, ok := r.due()
		if !ok {
			break
		}
		if r.end.IsZero() {
			c.SetDeadline(time.Now().Add(r.plan.Patience))
		}
		// A milter may end the message early: its word counts as the last.
		action, err := c.run(mail)
		if err != nil {
			return err
		}
		t.latency.Record(time.Since(begin))
		t.answers[action]++
		mail = d.next
	}
	return c.quit()
}

// due waits until the next message may begin, and is when that was: with a rate
// and all connections busy that is in the past, so that a slow milter is not
// spared its queue. False: the run is over.
func (r *run) due() (time.Time, bool) {
	if r.plan.Rate <= 0 && r.plan.Total == 0 {
		return time.Now(), true
	}
	n := r.ticket.Add(1) - 1
	if total := r.plan.Total; total > 0 && n >= int64(total) {
		r.over.Store(true)
		return r.begin, false
	}
	if r.plan.Rate <= 0 {
		return time.Now(), true
	}
	then := r.begin.Add(time.Duration(float64(n) / r.plan.Rate * float64(time.Second)))
	if time.Until(then) <= 0 {
		return then, true
	}
	if d := r.plan.Duration; d > 0 && then.Sub(r.begin) >= d {
		return then, false
	}
	if !r.wait(then) {
		return then, false
	}
	return time.Now(), !r.over.Load()
}

// cause is an error in words that are few for many errors.
func cause(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the milter closed the connection"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return "cannot connect: " + op.Err.Error()
	}
	return err.Error()
}
