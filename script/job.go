package script

import (
	"fmt"
	"time"

	"github.com/dop251/goja"
	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/event"
)

// Job is one event for a job's script.
type Job struct {
	Event   *event.Event
	Attempt int    // from 1
	Path    string // of the event's file
	Raw     []byte // the message, CRLF; it must not be changed
	// Deadline is when the job must have ended, its awaits included.
	Deadline time.Time
}

// Ending is how a job ended.
type Ending int

// The endings.
const (
	JobDone   Ending = iota // it returned
	JobThrew                // it threw, overran, or its world could not be made: see Fault
	JobFailed               // job.fail: not to be tried again
	JobRetry                // job.retry: to be tried again
)

// String names it, for the log.
func (e Ending) String() string {
	return [...]string{"done", "threw", "failed", "retry"}[e]
}

// JobResult is what became of a job.
type JobResult struct {
	Ending Ending
	Reason string        // of job.fail and job.retry, or the fault in one line; "" for JobDone
	After  time.Duration // JobRetry: how long to wait; < 0: as long as it would after a throw
	Fault  *filter.ScriptError
	Notes  []filter.Note
	// Spent: a stretch of the script had to be stopped, or what it began does not end,
	// so that this process may not be what it was. It should do nothing else.
	Spent bool
}

// job is the job that a world is for.
type job struct {
	*Job
	ended  bool // job.fail or job.retry was called: the first call counts
	result JobResult
	data   goja.Value
}

// RunJob runs a job's script, the only one of the set, in a world of its own, which
// nothing of it outlives. It returns at the deadline at the latest, unless a built-in
// function hangs, which only the end of the process stops.
func (s *Set) RunJob(j *Job) *JobResult {
	session := filter.Stored(j.Event.ID, j.Event.Sender, j.Event.Recipients, j.Raw)
	session.Client = filter.Client(j.Event.Client)
	if session.Client.Family == "" {
		session.Client.Family = "unknown"
	}
	call := &filter.Call{Script: 0, Deadline: j.Deadline}
	w, err := newWorld(s, session, call)
	if err != nil {
		return threw(err, true)
	}
	w.job = &job{Job: j}
	err = w.runJob(call)
	w.Close()
	left := !w.quiet(stopTime)
	r := &w.job.result
	if !w.job.ended {
		r = &JobResult{}
		if err != nil {
			r = threw(err, w.spoiled != nil)
		}
	}
	r.Spent = r.Spent || w.spoiled != nil || left
	r.Notes = session.Notes()
	return r
}

// stopTime is how long what a job has begun, programs above all, may take to end when
// it is told to.
const stopTime = 3 * time.Second

// quiet waits until what the world has begun outside has ended, and tells whether it has.
func (w *World) quiet(most time.Duration) bool {
	done := make(chan struct{})
	go func() { w.working.Wait(); close(done) }()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func threw(err error, spent bool) *JobResult {
	r := &JobResult{Ending: JobThrew, Reason: err.Error(), After: -1}
	if fault, ok := err.(*filter.ScriptError); ok { //nolint:errorlint // made here, not wrapped
		r.Fault, r.Spent = fault, spent && fault.Dropped
	}
	return r
}

// runJob calls the script's function and waits for its promise. What it returns is of
// no interest.
func (w *World) runJob(c *filter.Call) error {
	var result goja.Value
	err := w.stretch(c.Deadline, func() error {
		main, ok := goja.AssertFunction(w.objects.exports.Get("0").ToObject(w.rt).Get("default"))
		if !ok {
			return &answerError{message: "default is no function any more"}
		}
		var err error
		result, err = main(goja.Undefined(), w.newHost(w.set.classes.job, w.job))
		return err
	})
	if promise, ok := promiseOf(result); err == nil && ok {
		_, err = w.await(promise, c.Deadline)
	}
	return w.ended(c, err)
}

// readJobs fills in s.scripts from a world whose scripts are jobs.
func (s *Set) readJobs(w *World) Faults {
	var faults Faults
	for i := range s.scripts {
		sc := &s.scripts[i]
		sc.Headers, sc.Body = true, true
		module := w.objects.exports.Get(fmt.Sprint(i)).ToObject(w.rt)
		fault := func(warning bool, name, format string, args ...any) {
			faults = append(faults, Fault{Pos: exportedAt(s.o.base, sc.Name, name, ""), Message: fmt.Sprintf(format, args...), Warning: warning})
		}
		main := module.Get("default")
		if main == nil || goja.IsUndefined(main) {
			fault(false, "", "has no job: write export default async function (job) { ... }")
		} else if _, ok := goja.AssertFunction(main); !ok {
			fault(false, "", "exports a default that is no function: write export default async function (job) { ... }")
		}
		for _, name := range module.Keys() {
			if _, handler := filter.PhaseOf(name); handler {
				fault(true, name, "exports the handler %s, which nobody calls in a job", name)
			}
		}
	}
	return faults
}

// sessionField is what the log calls the id of a world's session.
func (s *Set) sessionField() string {
	if s.o.jobs {
		return "event"
	}
	return "session"
}

// LogFault is a job's fault as fields of the log.
func LogFault(f *filter.ScriptError) []zap.Field {
	fields := []zap.Field{zap.String("error", f.Message)}
	if f.Pos.File != "" {
		fields = append(fields, zap.String("at", f.Pos.String()), zap.Int("line", f.Pos.Line))
	}
	if f.Stack != "" {
		fields = append(fields, zap.String("stack", f.Stack))
	}
	return fields
}
