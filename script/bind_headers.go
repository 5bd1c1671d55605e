package script

import (
	"strings"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// headersValue is message.headers, one object for each message.
func headersValue(w *World, m *filter.Message) goja.Value {
	if w.objects.of == m && w.objects.headers != nil {
		return w.objects.headers
	}
	o := w.headersOf(w.set.classes.headers, m)
	if w.objects.of == m {
		w.objects.headers = o
	}
	return o
}

// headersOf is the header of a message or of a part.
func (w *World) headersOf(c *class, self any) *goja.Object {
	o := w.newHost(c, self)
	if err := o.SetPrototype(w.single("headers.prototype", w.headersPrototype).(*goja.Object)); err != nil {
		panic(err)
	}
	return o
}

// headersPrototype makes headers iterable: pairs of name and decoded value.
func (w *World) headersPrototype() goja.Value {
	proto := w.rt.NewObject()
	_ = proto.SetSymbol(goja.SymIterator, w.function("[Symbol.iterator]", func(call goja.FunctionCall) goja.Value {
		h, ok := hostOf(call.This, w.set.classes.headers)
		if !ok {
			h, ok = hostOf(call.This, w.set.classes.partHeaders)
		}
		if !ok {
			panic(w.rt.NewTypeError("headers are iterated on something else"))
		}
		fields := w.fields(h.self)
		pairs := make([]any, len(fields))
		for i, f := range fields {
			pairs[i] = w.rt.NewArray(w.text(f.Name), w.text(f.Decoded()))
		}
		list := w.rt.NewArray(pairs...)
		iterate, ok := goja.AssertFunction(list.GetSymbol(goja.SymIterator))
		if !ok { // a script has taken it from Array
			panic(w.rt.NewTypeError("arrays are not iterable"))
		}
		iterator, err := iterate(list)
		if err != nil {
			panic(err)
		}
		return iterator
	}))
	return proto
}

// fields is the header as it stands; it throws when the scripts did not ask for it.
func (w *World) fields(self any) []filter.Field {
	if list, ok := self.([]filter.Field); ok {
		return list // of a message that a test looks at
	}
	if _, part := self.(partRef); part {
		own := w.node(self).Part().Headers()
		fields := make([]filter.Field, len(own))
		for i, f := range own {
			fields[i] = filter.Field{Name: f.Name, Value: strings.ReplaceAll(f.Value, "\r\n", "\n")}
		}
		return fields
	}
	fields, err := self.(*filter.Message).Fields()
	w.throw(err)
	return fields
}

func headersClass() *class {
	do := func(f func(w *World, m *filter.Message, call goja.FunctionCall) error) method {
		return func(w *World, self any, call goja.FunctionCall) goja.Value {
			w.throw(f(w, self.(*filter.Message), call))
			return goja.Undefined()
		}
	}
	return &class{
		name: "headers",
		keys: []string{"length"},
		get: map[string]func(*World, any) goja.Value{
			"length": func(w *World, self any) goja.Value { return w.rt.ToValue(len(w.fields(self))) },
		},
		methods: map[string]method{
			"get":    first(filter.Field.Decoded),
			"raw":    first(filter.Field.Text),
			"getAll": every(filter.Field.Decoded),
			"rawAll": every(filter.Field.Text),
			"has": func(w *World, self any, call goja.FunctionCall) goja.Value {
				name := w.stringArg(call, 0, "the header's name")
				for _, f := range w.fields(self) {
					if f.Is(name) {
						return w.rt.ToValue(true)
					}
				}
				return w.rt.ToValue(false)
			},
			"add": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.AddHeader(w.stringArg(call, 0, "the header's name"), w.stringArg(call, 1, "the header's value"))
			}),
			"prepend": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.InsertHeader(0, w.stringArg(call, 0, "the header's name"), w.stringArg(call, 1, "the header's value"))
			}),
			"insert": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.InsertHeader(w.intArg(call, 0, "the index"), w.stringArg(call, 1, "the header's name"), w.stringArg(call, 2, "the header's value"))
			}),
			"set": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.SetHeader(w.stringArg(call, 0, "the header's name"), w.stringArg(call, 1, "the header's value"))
			}),
			"remove": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.RemoveHeader(w.stringArg(call, 0, "the header's name"))
			}),
			"removeAt": do(func(w *World, m *filter.Message, call goja.FunctionCall) error {
				return m.RemoveHeaderAt(w.stringArg(call, 0, "the header's name"), w.intArg(call, 1, "the index"))
			}),
		},
	}
}

// first is a method that gives the first field of a name, or null.
func first(value func(filter.Field) string) method {
	return func(w *World, self any, call goja.FunctionCall) goja.Value {
		name := w.stringArg(call, 0, "the header's name")
		for _, f := range w.fields(self) {
			if f.Is(name) {
				return w.text(value(f))
			}
		}
		return goja.Null()
	}
}

// every is a method that gives all fields of a name.
func every(value func(filter.Field) string) method {
	return func(w *World, self any, call goja.FunctionCall) goja.Value {
		name := w.stringArg(call, 0, "the header's name")
		values := []any{}
		for _, f := range w.fields(self) {
			if f.Is(name) {
				values = append(values, w.text(value(f)))
			}
		}
		return w.rt.NewArray(values...)
	}
}
