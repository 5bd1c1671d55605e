package script

import (
	"encoding/json"

	"github.com/dop251/goja"
)

// jobClass is the object that a job's script is called with.
func jobClass() *class {
	get := func(f func(w *World, j *job) goja.Value) func(*World, any) goja.Value {
		return func(w *World, self any) goja.Value { return f(w, self.(*job)) }
	}
	return &class{
		name: "job",
		keys: []string{"id", "queue", "attempt", "data", "message", "sender", "recipients", "client", "verdict", "complete", "path", "time"},
		get: map[string]func(*World, any) goja.Value{
			"id":       get(func(w *World, j *job) goja.Value { return w.text(j.Event.ID) }),
			"queue":    get(func(w *World, j *job) goja.Value { return w.text(j.Event.Queue) }),
			"attempt":  get(func(w *World, j *job) goja.Value { return w.rt.ToValue(j.Attempt) }),
			"data":     get(jobData),
			"message":  get(func(w *World, _ *job) goja.Value { return w.messageValue(w.session.Message) }),
			"sender":   get(func(w *World, j *job) goja.Value { return w.text(j.Event.Sender) }),
			"verdict":  get(func(w *World, j *job) goja.Value { return w.text(j.Event.Verdict) }),
			"complete": get(func(w *World, j *job) goja.Value { return w.rt.ToValue(j.Event.Complete) }),
			"time":     get(jobTime),
			"path":     get(func(w *World, j *job) goja.Value { return w.text(j.Path) }),
			"recipients": get(func(w *World, j *job) goja.Value {
				return w.single("job.recipients", func() goja.Value {
					list := make([]any, len(j.Event.Recipients))
					for i, r := range j.Event.Recipients {
						list[i] = w.text(r)
					}
					return w.rt.NewArray(list...)
				})
			}),
			"client": get(func(w *World, _ *job) goja.Value { return clientValue(w, w.session) }),
		},
		methods: map[string]method{"fail": jobFail, "retry": jobRetry},
	}
}

// jobTime is job.time, null when nothing tells it.
func jobTime(w *World, j *job) goja.Value {
	if j.Event.Time.IsZero() {
		return goja.Null()
	}
	date, err := w.rt.New(w.rt.GlobalObject().Get("Date"), w.rt.ToValue(j.Event.Time.UnixMilli()))
	throwAgain(err)
	return date
}

// jobData is job.data, made once: what a script changes in it is its own.
func jobData(w *World, j *job) goja.Value {
	if j.data == nil {
		var value any
		if len(j.Event.Data) > 0 && json.Unmarshal(j.Event.Data, &value) != nil {
			value = nil
		}
		j.data = w.jsonValue(value)
	}
	return j.data
}

// jobFail is job.fail(reason): it throws, and even if that is caught the job has failed.
func jobFail(w *World, self any, call goja.FunctionCall) goja.Value {
	reason := bytesOf(call.Argument(0))
	if goja.IsUndefined(call.Argument(0)) {
		reason = "job.fail was called without a reason"
	}
	return w.endJob(self.(*job), JobResult{Ending: JobFailed, Reason: reason})
}

// jobRetry is job.retry(when, reason): when as in the store, or left out.
func jobRetry(w *World, self any, call goja.FunctionCall) goja.Value {
	r := JobResult{Ending: JobRetry, After: -1, Reason: "job.retry"}
	if when := call.Argument(0); !goja.IsUndefined(when) {
		after, err := spanOf(when)
		if err != nil {
			panic(w.rt.NewTypeError(`job.retry: %s is no time to wait: write "90s", "10m", "1d" or milliseconds`, shown(when)))
		}
		r.After = after
	}
	if reason := call.Argument(1); !goja.IsUndefined(reason) {
		r.Reason = bytesOf(reason)
	}
	return w.endJob(self.(*job), r)
}

// endJob notes how the job ends, unless that is settled, and ends the script's run.
func (w *World) endJob(j *job, r JobResult) goja.Value {
	const most = 2000
	if len(r.Reason) > most {
		r.Reason = r.Reason[:most]
	}
	if !j.ended {
		j.ended, j.result = true, r
	}
	throwError(w.rt, "Error", "the job ends here: %s", j.result.Ending)
	return nil
}
