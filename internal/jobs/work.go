package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pmilter/internal/event"
	"pmilter/internal/prefork"
	"pmilter/internal/queue"
	"pmilter/script"
)

// Services makes what the modules of scripts do their work with, of Spec.Services. They
// may use what the process has inherited (Options.Inherit), and end with it.
type Services func(ctx context.Context, data []byte, log *zap.Logger) (script.Services, error)

// Work is the life of a worker process. It returns when the server asks it to end, or
// ctx is done, after the job at hand.
func Work(ctx context.Context, services Services) error {
	return prefork.Serve(ctx, func(ctx context.Context, data []byte, notify func([]byte) error) (prefork.Do, error) {
		return begin(ctx, data, notify, services)
	})
}

// begin sets the process up for one queue.
func begin(ctx context.Context, data []byte, notify func([]byte) error, services Services) (prefork.Do, error) {
	var s setup
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("jobs: setup: %w", err)
	}
	debug.SetMemoryLimit(s.Spec.Memory / 10 * 9)
	// Above the deadline: a match that ran out of time must not be taken for no match.
	script.LimitRegexp(s.Spec.Timeout + time.Second)
	log := zap.New(&noteCore{level: zapcore.Level(s.Level), notify: notify})
	modules, err := services(ctx, s.Spec.Services, log)
	if err != nil {
		return nil, err
	}
	set, _, err := script.LoadCode(s.Code, script.Options{
		Base: s.Spec.Base, Vars: s.Spec.Vars, Services: modules, Limits: s.Spec.limits(), Jobs: true, Log: log,
	})
	if err != nil {
		return nil, script.CarryFaults(err)
	}
	w := &worker{spec: s.Spec, set: set, queue: s.Spec.queue(), log: log}
	debug.FreeOSMemory() // of what loading took: there may be many of us, idle
	return w.do, nil
}

// worker does the jobs of one queue, one after the other.
type worker struct {
	spec  Spec
	set   *script.Set
	queue *queue.Queue
	log   *zap.Logger
}

// do is a prefork.Do. A job is the path of an event's file: bytes, which JSON would
// alter where they are no text.
func (w *worker) do(_ context.Context, path []byte) (answer []byte, leave bool) {
	r, leave := w.event(string(path))
	answer, err := json.Marshal(r)
	if err != nil {
		answer, _ = json.Marshal(report{Outcome: r.Outcome, Event: r.Event, Reason: err.Error()})
	}
	return answer, leave
}

// event takes an event from the claim to its settlement.
func (w *worker) event(path string) (r *report, leave bool) {
	start := time.Now()
	c, err := w.queue.Claim(path)
	switch {
	case errors.Is(err, queue.ErrBusy), errors.Is(err, queue.ErrGone):
		return &report{Outcome: passed}, false
	case err != nil:
		return &report{Outcome: stuck, Reason: err.Error()}, false
	}
	// Programs that the job runs hold the lock as well: none outlives a killed worker
	// while another works on the event.
	if err := c.Inherit(); err != nil {
		return &report{Outcome: stuck, Event: c.ID(), Reason: errors.Join(err, c.Release()).Error()}, false
	}
	r = &report{Event: c.ID(), Attempt: c.Attempts()}
	defer func() { r.Took = time.Since(start) }()
	if r.Attempt >= w.spec.Retry.Attempts {
		// It was begun as often as may be, and whoever began it last could not settle it.
		r.Reason = "the last attempt did not end: its worker died, or its server did"
		w.settle(r, failed, c.Fail(r.Reason))
		return r, false
	}
	if err := c.Begin(); err != nil {
		w.settle(r, stuck, errors.Join(err, c.Release()))
		return r, false
	}
	r.Attempt = c.Attempts()
	e, message, err := c.Event()
	var raw []byte
	if err == nil {
		r.QueueID = e.QueueID
		raw, err = io.ReadAll(message)
	}
	switch {
	case errors.Is(err, event.ErrDamaged), errors.Is(err, event.ErrTooLong):
		r.Reason = err.Error()
		w.settle(r, failed, c.Fail(r.Reason))
		return r, false
	case err != nil:
		r.Reason = err.Error()
		w.again(c, r, -1)
		return r, false
	}
	deadline := start.Add(w.spec.Timeout)
	result := w.set.RunJob(&script.Job{Event: e, Attempt: r.Attempt, Path: c.Path(), Raw: raw, Deadline: deadline})
	w.conclude(c, r, result)
	// What ran out of time may still hold what it began: programs, a spoiled heap.
	return r, result.Spent || !time.Now().Before(deadline)
}

// conclude settles an event as its job has ended.
func (w *worker) conclude(c *queue.Claim, r *report, result *script.JobResult) {
	r.Reason = result.Reason
	if len(result.Notes) > 0 {
		r.Notes = result.Notes
	}
	if f := result.Fault; f != nil {
		r.Reason, r.Stack = f.Message, f.Stack
		if f.Pos.File != "" {
			r.At = f.Pos.String()
		}
	}
	switch result.Ending {
	case script.JobDone:
		w.settle(r, done, c.Done())
	case script.JobFailed:
		w.settle(r, failed, c.Fail(r.Reason))
	default:
		w.again(c, r, result.After)
	}
}

// again has an event wait for its next attempt, if it has one. after < 0 is as long as
// the number of attempts says.
func (w *worker) again(c *queue.Claim, r *report, after time.Duration) {
	again(c, r, w.spec.Retry, after, w.settle)
}

func again(c *queue.Claim, r *report, retry queue.Retry, after time.Duration, settle func(*report, outcome, error)) {
	if c.Attempts() >= retry.Attempts {
		reason := r.Reason
		if r.At != "" {
			reason = r.At + ": " + reason
		}
		settle(r, failed, c.Fail(fmt.Sprintf("attempt %d of %d: %s", c.Attempts(), retry.Attempts, reason)))
		return
	}
	if after < 0 {
		after = retry.Delay(c.Attempts(), rand.Float64()) //nolint:gosec // not a secret
	}
	r.Next = time.Now().Add(after)
	settle(r, retried, c.Retry(r.Next))
}

// settle notes how an event was settled, unless that went wrong: then it is free, and
// comes again.
func (w *worker) settle(r *report, o outcome, err error) { settle(r, o, err) }

func settle(r *report, o outcome, err error) {
	r.Outcome = o
	if err != nil {
		r.Outcome, r.Reason = stuck, err.Error()
	}
}
