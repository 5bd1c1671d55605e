package script

import (
	"encoding/json"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// queueExport is an export of "pmilter/queue".
func (w *World) queueExport(name string) goja.Value {
	if name == "enqueue" {
		return w.function(name, w.enqueue)
	}
	panic(w.rt.NewTypeError("pmilter/queue has no export %s", name))
}

// maxQueueData is the most that one event's data has as JSON.
const maxQueueData = 1 << 20

// enqueue is enqueue(queue, { data, when }): the message is put on the queue when
// it ends. See filter.Message.Enqueue.
func (w *World) enqueue(call goja.FunctionCall) goja.Value {
	w.effect("enqueue")
	if w.session == nil {
		panic(w.rt.NewTypeError("enqueue: a test has no message of its own: call it in a handler"))
	}
	q := filter.Queued{Queue: w.stringArg(call, 0, "the queue's name")}
	if options := call.Argument(1); !goja.IsUndefined(options) && !goja.IsNull(options) {
		w.queueOptions(&q, options)
	}
	m := w.session.Message
	if m == nil {
		panic(w.rt.NewTypeError("enqueue: there is no message yet, or any more: call it from mail to abort"))
	}
	if err := m.Enqueue(q); err != nil {
		panic(w.rt.NewTypeError("enqueue: %s", err))
	}
	return goja.Undefined()
}

func (w *World) queueOptions(q *filter.Queued, options goja.Value) {
	o, ok := options.(*goja.Object)
	if !ok {
		panic(w.rt.NewTypeError("enqueue: the options are %s, which is no object", shown(options)))
	}
	for _, key := range o.Keys() {
		value := o.Get(key)
		switch {
		case key == "data":
			if data, ok := w.jsonOf(value, maxQueueData).(json.RawMessage); ok {
				q.Data = data
			}
		case key != "when":
			panic(w.rt.NewTypeError("enqueue: option %.50q is not known: there are data and when", key))
		case goja.IsUndefined(value):
		case shown(value) == `"any"`:
			q.Any = true
		case shown(value) != `"accepted"`:
			panic(w.rt.NewTypeError(`enqueue: when is %s: "accepted" or "any"`, shown(value)))
		}
	}
}
