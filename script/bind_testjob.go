package script

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/dop251/goja"
)

// playJob is job(message, options).
func (w *World) playJob(c goja.FunctionCall) goja.Value {
	stand := w.onStand("job")
	var o TestJob
	if v := c.Argument(1); !goja.IsUndefined(v) {
		if err := readOptionsOf(w.jsonOf(v, maxQueueData+1<<16), &o); err != nil {
			panic(w.rt.NewTypeError("job: %s", err))
		}
	}
	o.File = filepath.Join(w.test.file.folder, filepath.Base(w.test.file.name))
	o.Message = w.mailOf(c.Argument(0))
	return async(w, "job", func(ctx context.Context) (TestJobResult, error) {
		return stand.Job(ctx, o)
	}, w.jobResultValue)
}

// jobResultValue is what a test sees of a job.
func (w *World) jobResultValue(r TestJobResult) goja.Value {
	fault, after, reason := r.fault(), goja.Null(), r.Reason
	if r.Ending == JobRetry && r.After >= 0 {
		after = w.rt.ToValue(r.After.Milliseconds())
	}
	if r.Fault != nil {
		reason = fault.Message
	}
	notes := []any{}
	for _, n := range r.Notes {
		notes = append(notes, w.noteValue(n))
	}
	return w.object(
		"outcome", r.Ending.String(), "reason", reason, "after", after,
		"error", fault.Message, "script", fault.Pos.File, "line", fault.Pos.Line, "notes", w.rt.NewArray(notes...),
		"fetched", valuesOf(w, r.Fetched, func(q HTTPRequest) *goja.Object {
			headers := w.rt.NewObject()
			for _, f := range q.Header {
				name := strings.ToLower(f[0])
				_ = headers.DefineDataProperty(name, w.text(f[1]), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
			}
			return w.object("method", q.Method, "url", q.URL, "headers", headers, "body", string(q.Body))
		}),
		"exchanged", valuesOf(w, r.Exchanged, func(x NetExchange) *goja.Object {
			return w.object("address", x.Address, "data", string(x.Data))
		}),
		"ran", valuesOf(w, r.Ran, func(p ExecProgram) *goja.Object {
			env := w.rt.NewObject()
			for _, one := range p.Env {
				name, value, _ := strings.Cut(one, "=")
				_ = env.DefineDataProperty(name, w.text(value), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
			}
			return w.object("program", p.Path, "args", append([]string{}, p.Args...), "input", string(p.Input), "env", env)
		}),
		"sent", valuesOf(w, r.Sent, func(m SMTPMessage) *goja.Object {
			return w.object("server", m.Server, "from", m.From, "to", m.To, "message", string(m.Message))
		}),
		"delivered", valuesOf(w, r.Delivered, func(d TestDelivery) *goja.Object {
			return w.object("folder", d.Folder, "id", d.ID, "file", d.File, "message", string(d.Message), "delivered", d.New)
		}),
	)
}

// valuesOf is an array of what value makes of each.
func valuesOf[T any](w *World, list []T, value func(T) *goja.Object) goja.Value {
	values := make([]any, len(list))
	for i, one := range list {
		values[i] = value(one)
	}
	return w.rt.NewArray(values...)
}
