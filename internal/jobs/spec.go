package jobs

import (
	"encoding/json"
	"time"

	"pmilter/internal/queue"
	"pmilter/script"
)

// Spec is one queue with a job.
type Spec struct {
	Name    string
	Maildir string
	Keep    bool // finished events move to .done
	Retry   queue.Retry

	Job      string // the script's file
	Base     string // what names of scripts are relative to
	Vars     map[string]any
	MaxValue int64 // bytes of one value of a script

	Min, Max    int // workers
	MaxRequests int
	IdleTimeout time.Duration
	Timeout     time.Duration // one job
	Memory      int64         // bytes of RssAnon after a job

	Services json.RawMessage // for who makes those of a worker: see Work
}

// grace is how long a job whose time is up has to settle its event before its
// process group is killed. Its script is stopped at once.
const grace = 2 * time.Second

// limits are those of a job's script. A stretch of JavaScript may last as long as the
// job: nobody waits for it. The heap is stopped at what the process may have.
func (s *Spec) limits() script.Limits {
	return script.Limits{Timeout: min(s.Timeout, 30*time.Second), CPU: s.Timeout, Memory: s.Memory, MaxValue: s.MaxValue}
}

func (s *Spec) queue() *queue.Queue {
	return queue.New(queue.Options{Name: s.Name, Path: s.Maildir, Keep: s.Keep})
}

// setup is what a worker is told first.
type setup struct {
	Spec  Spec            `json:"spec"`
	Code  json.RawMessage `json:"code"`
	Level int8            `json:"level"` // of the log: a zapcore.Level
}

// outcome is how an event was settled.
type outcome string

const (
	done    outcome = "done"
	failed  outcome = "failed"  // in .failed
	retried outcome = "retried" // waits for its next time
	passed  outcome = "passed"  // another has it, or it is gone: nothing was done
	stuck   outcome = "stuck"   // it could not be claimed or settled
)

// report is a worker's answer to an order.
type report struct {
	Outcome outcome       `json:"outcome"`
	Event   string        `json:"event,omitempty"`
	QueueID string        `json:"qid,omitempty"`
	Attempt int           `json:"attempt,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	At      string        `json:"at,omitempty"`    // of the script's fault: file:line:column
	Stack   string        `json:"stack,omitempty"` // likewise
	Next    time.Time     `json:"next,omitzero"`
	Took    time.Duration `json:"took,omitempty"`
	Notes   any           `json:"notes,omitempty"`
}
