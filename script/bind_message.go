package script

import (
	"errors"
	"maps"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// messageValue is session.message: one object for each message, null outside one.
func (w *World) messageValue(m *filter.Message) goja.Value {
	if m == nil {
		return goja.Null()
	}
	if w.objects.of != m {
		w.objects.of, w.objects.message, w.objects.headers = m, w.newHost(w.set.classes.message, m), nil
	}
	return w.objects.message
}

func messageClass() *class {
	get := func(f func(w *World, m *filter.Message) goja.Value) func(*World, any) goja.Value {
		return func(w *World, self any) goja.Value { return f(w, self.(*filter.Message)) }
	}
	do := func(f func(w *World, m *filter.Message, call goja.FunctionCall) error) method {
		return func(w *World, self any, call goja.FunctionCall) goja.Value {
			w.throw(f(w, self.(*filter.Message), call))
			return goja.Undefined()
		}
	}
	c := &class{
		name: "message",
		keys: []string{
			"sender", "recipients", "headers", "size", "subject", "from", "to", "cc", "date", "messageId",
			"text", "html", "parts", "attachments", "defects", "body", "state",
		},
		get: map[string]func(*World, any) goja.Value{
			"sender":     get(func(w *World, m *filter.Message) goja.Value { return w.addressValue(m.CurrentSender()) }),
			"recipients": get(recipientsValue),
			"headers":    get(headersValue),
			"size":       get(func(w *World, m *filter.Message) goja.Value { return w.rt.ToValue(m.Size()) }),
			"body":       get(bodyValue),
			"state":      get(messageState),
		},
		methods: map[string]method{
			"raw": rawValue,
			"setSender": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.SetSender(w.stringArg(call, 0, "the sender's address"), w.paramsArg(call, 1))
			}),
			"addRecipient": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.AddRecipient(w.stringArg(call, 0, "the recipient's address"), w.paramsArg(call, 1))
			}),
			"removeRecipient": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.RemoveRecipient(w.stringArg(call, 0, "the recipient's address"))
			}),
			"replaceBody": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.ReplaceBody(w.bodyArg(call, 0))
			}),
			"quarantine": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.Quarantine(w.stringArg(call, 0, "the reason"))
			}),
			"addPart": addPart, "appendText": appendText, "wrap": wrap,
		},
	}
	maps.Copy(c.get, mailGetters())
	return c
}

func recipientsValue(w *World, m *filter.Message) goja.Value {
	list := m.Recipients()
	values := make([]any, len(list))
	for i, a := range list {
		values[i] = w.addressValue(a)
	}
	return w.rt.NewArray(values...)
}

// errNoBody is what a script gets that said it needs no body, although another
// script made the MTA send it.
var errNoBody = errors.New("options.body is false: the body is not there")

var errOver = errors.New("this message is over")

func (w *World) mayReadBody() {
	if w.call != nil && w.call.Script >= 0 && !w.set.scripts[w.call.Script].Body {
		w.throw(errNoBody)
	}
}

func bodyValue(w *World, m *filter.Message) goja.Value {
	w.mayReadBody()
	body, err := m.Body()
	w.throw(err)
	w.fit(int64(len(body)), "the body")
	return w.uint8Array(append([]byte{}, body...))
}

func rawValue(w *World, self any, _ goja.FunctionCall) goja.Value {
	w.mayReadBody()
	m := self.(*filter.Message)
	w.fit(m.Size(), "the message")
	raw, err := m.Raw()
	w.throw(err)
	return w.uint8Array(raw)
}

// messageState throws for a message that is over: looking it up would take the
// place of the one under way.
func messageState(w *World, m *filter.Message) goja.Value {
	if w.objects.of != m {
		w.throw(errOver)
	}
	return w.once(w.objects.message, "state", func() goja.Value { return w.rt.NewObject() })
}
