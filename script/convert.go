package script

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// text is mail's bytes as a JavaScript string, byte-exact (see textValue).
func (w *World) text(s string) goja.Value { return textValue(w.rt, s) }

// bytesOf is a value as mail's bytes: a string byte-exact, anything else as
// String() makes it.
func bytesOf(v goja.Value) string {
	if s, ok := v.ToString().(goja.String); ok {
		return textBytes(s)
	}
	return v.String()
}

// stringArg is an argument that must be a string, or an object with a
// toString of its own such as an Address.
func (w *World) stringArg(call goja.FunctionCall, n int, what string) string {
	v := call.Argument(n)
	if goja.IsUndefined(v) || goja.IsNull(v) {
		panic(w.rt.NewTypeError("%s is missing", what))
	}
	return bytesOf(v)
}

// intArg is an argument that must be a whole number.
func (w *World) intArg(call goja.FunctionCall, n int, what string) int {
	v := call.Argument(n)
	if !goja.IsNumber(v) || v.ToFloat() != float64(v.ToInteger()) {
		panic(w.rt.NewTypeError("%s is no whole number: %s", what, shown(v)))
	}
	return int(v.ToInteger())
}

// bodyArg is an argument that must be a string or bytes; bytes are copied.
func (w *World) bodyArg(call goja.FunctionCall, n int) []byte {
	v := call.Argument(n)
	if o, ok := v.(*goja.Object); ok {
		switch o.ExportType() { // Export would copy any other object whole
		case reflect.TypeFor[[]byte](), reflect.TypeFor[goja.ArrayBuffer]():
			switch data := o.Export().(type) {
			case []byte:
				return append([]byte{}, data...)
			case goja.ArrayBuffer:
				return append([]byte{}, data.Bytes()...)
			}
		}
		panic(w.rt.NewTypeError("the body is no string and no Uint8Array"))
	}
	if goja.IsUndefined(v) || goja.IsNull(v) {
		panic(w.rt.NewTypeError("the body is missing"))
	}
	return []byte(bytesOf(v))
}

// paramsArg is an optional object of ESMTP parameters as "KEY=VALUE FLAG".
func (w *World) paramsArg(call goja.FunctionCall, n int) string {
	v := call.Argument(n)
	if goja.IsUndefined(v) || goja.IsNull(v) {
		return ""
	}
	o, ok := v.(*goja.Object)
	if !ok {
		panic(w.rt.NewTypeError("the ESMTP parameters are no object"))
	}
	var list []string
	for _, e := range entriesOf(w.rt, o) {
		key, value := textBytes(e.key), bytesOf(e.value)
		if key == "" || strings.ContainsAny(key, " =\r\n\x00") || strings.ContainsAny(value, " \r\n\x00") {
			panic(w.rt.NewTypeError("%q is no ESMTP parameter", key+"="+value))
		}
		if value != "" {
			key += "=" + value
		}
		list = append(list, key)
	}
	return strings.Join(list, " ")
}

// entry is a property of an object.
type entry struct {
	key   goja.String
	value goja.Value
}

// entriesOf is an object's own enumerable properties but for symbols, in order.
// goja's Keys and Get lose what is no Unicode in a name, and the value with it;
// that mail's text is a name happens.
func entriesOf(rt *goja.Runtime, o *goja.Object) []entry {
	names := o.Keys()
	list := make([]entry, 0, len(names))
	exact := true
	for _, name := range names {
		exact = exact && !lossy(name)
		list = append(list, entry{rt.ToValue(name).(goja.String), nil})
	}
	if exact {
		for i, name := range names {
			list[i].value = orUndefined(o.Get(name))
		}
		return list
	}
	object, _ := rt.GlobalObject().Get("Object").(*goja.Object)
	if object == nil {
		panic(rt.NewTypeError("Object is gone"))
	}
	entries, ok := goja.AssertFunction(object.Get("entries"))
	if !ok {
		panic(rt.NewTypeError("Object.entries is gone"))
	}
	pairs, err := entries(object, o)
	throwAgain(err)
	list = list[:0]
	for i := range len(names) {
		pair, _ := pairs.ToObject(rt).Get(strconv.Itoa(i)).(*goja.Object)
		if pair == nil {
			break
		}
		if key, ok := pair.Get("0").(goja.String); ok {
			list = append(list, entry{key, orUndefined(pair.Get("1"))})
		}
	}
	return list
}

// lossy tells whether a property's name, as goja's Keys gives it, may be another one.
func lossy(name string) bool { return strings.ContainsRune(name, utf8.RuneError) }

// uint8Array is a copy-free Uint8Array on data, which must not be used otherwise.
func (w *World) uint8Array(data []byte) goja.Value {
	array, err := w.rt.New(w.rt.GlobalObject().Get("Uint8Array"), w.rt.ToValue(w.rt.NewArrayBuffer(data)))
	if err != nil {
		panic(err)
	}
	return array
}

// fit throws for what is larger than a value may be.
func (w *World) fit(size int64, what string) {
	if size > w.limits.MaxValue {
		throwError(w.rt, "RangeError", "%s has %d bytes: a value has at most %d (max_value)", what, size, w.limits.MaxValue)
	}
}

// record is a plain frozen object of strings, its keys in order.
func (w *World) record(values map[string]string) *goja.Object {
	o := w.rt.NewObject()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		_ = o.DefineDataProperty(key, w.text(values[key]), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE)
	}
	return o
}

// jsonOf is a value as JSON of at most max bytes. It is for functions that
// JavaScript called: what cannot be written throws at the script's line.
func (w *World) jsonOf(v goja.Value, max int) any {
	guard := &jsonGuard{rt: w.rt, maxValue: w.limits.MaxValue, maxLen: int64(max)}
	text := guard.stringify(goja.FunctionCall{Arguments: []goja.Value{v}})
	if goja.IsUndefined(text) {
		return nil
	}
	data := text.String()
	if len(data) > max {
		panic(w.rt.NewTypeError("the values are over %d bytes as JSON", max))
	}
	return json.RawMessage(data)
}

// throw makes of a Go error an exception at the script's line.
func (w *World) throw(err error) {
	if err != nil {
		panic(w.rt.NewTypeError("%s", err))
	}
}
