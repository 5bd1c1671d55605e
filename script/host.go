package script

import (
	"reflect"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// class is a kind of object that scripts get from us. Its tables are made once
// for a set; an object of it costs one allocation, since properties are looked
// up here when a script asks and methods are made at their first use in a world.
type class struct {
	name    string
	keys    []string // in the order in which a script sees them
	get     map[string]func(w *World, self any) goja.Value
	methods map[string]method
}

// method is a function of a class. It may panic with a value that the script
// gets as an exception.
type method func(w *World, self any, call goja.FunctionCall) goja.Value

// host is one object of a class in one world. Its properties are read-only.
type host struct {
	w     *World
	class *class
	self  any
	own   map[string]goja.Value // values that must be the same object each time
}

var _ goja.DynamicObject = (*host)(nil)

// Get implements goja.DynamicObject, as do the others below.
func (h *host) Get(key string) goja.Value {
	if get, ok := h.class.get[key]; ok {
		return get(h.w, h.self)
	}
	if _, ok := h.class.methods[key]; ok {
		return h.w.methodValue(h.class, key)
	}
	return nil
}

// Set refuses: hosts are read-only.
func (h *host) Set(key string, _ goja.Value) bool {
	panic(h.w.rt.NewTypeError("%s.%s is read-only", h.class.name, key))
}

// Has tells whether the class has it.
func (h *host) Has(key string) bool {
	_, property := h.class.get[key]
	_, method := h.class.methods[key]
	return property || method
}

// Delete refuses what is there.
func (h *host) Delete(key string) bool { return !h.Has(key) }

// Keys are the properties that a script enumerates.
func (h *host) Keys() []string { return h.class.keys }

// newHost makes an object of a class.
func (w *World) newHost(c *class, self any) *goja.Object {
	return w.rt.NewDynamicObject(&host{w: w, class: c, self: self})
}

// hostOf is the host behind a value, if it is an object of that class.
func hostOf(v goja.Value, c *class) (*host, bool) {
	o, ok := v.(*goja.Object)
	if !ok || o.ExportType() != reflect.TypeFor[*host]() { // Export would walk through any other object
		return nil, false
	}
	h, ok := o.Export().(*host)
	return h, ok && h.class == c
}

// once is the value of a host's own property, made at its first use.
func (w *World) once(o *goja.Object, key string, make func() goja.Value) goja.Value {
	h, ok := o.Export().(*host)
	if !ok {
		return make()
	}
	if h.own == nil {
		h.own = map[string]goja.Value{}
	}
	if h.own[key] == nil {
		h.own[key] = make()
	}
	return h.own[key]
}

// methodValue is the function of a method, one for each world.
func (w *World) methodValue(c *class, name string) goja.Value {
	key := methodKey{c, name}
	if f, ok := w.objects.methods[key]; ok {
		return f
	}
	call := c.methods[name]
	f := w.function(name, func(fc goja.FunctionCall) goja.Value {
		h, ok := hostOf(fc.This, c)
		if !ok {
			panic(w.rt.NewTypeError("%s.%s is called on something else", c.name, name))
		}
		return call(w, h.self, fc)
	})
	w.objects.methods[key] = f
	return f
}

type methodKey struct {
	class *class
	name  string
}

// function makes a native function with a name.
func (w *World) function(name string, f func(goja.FunctionCall) goja.Value) goja.Value {
	o := w.rt.ToValue(f).(*goja.Object)
	_ = o.DefineDataProperty("name", w.rt.ToValue(name), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	return o
}

// objects are the values of a world that stay the same for its life or the message's.
type objects struct {
	exports *goja.Object
	methods map[methodKey]goja.Value
	session *goja.Object
	message *goja.Object
	of      *filter.Message // behind message
	headers *goja.Object
	client  filter.Client         // behind values["client"]
	values  map[string]goja.Value // other singletons, by name
}

func (o *objects) init() {
	o.methods = map[methodKey]goja.Value{}
	o.values = map[string]goja.Value{}
}

// single is a value made once for a world.
func (w *World) single(name string, make func() goja.Value) goja.Value {
	if v, ok := w.objects.values[name]; ok {
		return v
	}
	v := make()
	w.objects.values[name] = v
	return v
}

// classes are the tables of all kinds of objects, one copy for a set.
type classes struct {
	session, address, message, headers, part, partHeaders, verdict, job *class
	table, matcher                                                      *class
	response, responseHeaders                                           *class
	testSession                                                         *class
}

func newClasses() *classes {
	return &classes{
		session: sessionClass(), address: addressClass(), message: messageClass(),
		headers: headersClass(), part: partClass(), partHeaders: partHeadersClass(), verdict: &class{name: "Verdict"}, job: jobClass(),
		table: tableClass(), matcher: matcherClass(),
		response: responseClass(), responseHeaders: responseHeadersClass(),
		testSession: testSessionClass(),
	}
}
