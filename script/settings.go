package script

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// settings is the object of options that a function of a module takes last.
type settings struct {
	w    *World
	o    *goja.Object // nil: none were given
	what string       // the function, for errors
}

// settingsArg is an optional object of options with some known keys; others throw.
func (w *World) settingsArg(call goja.FunctionCall, n int, what string, known ...string) settings {
	v := call.Argument(n)
	if goja.IsUndefined(v) || goja.IsNull(v) {
		return settings{w: w, what: what}
	}
	o, ok := v.(*goja.Object)
	if !ok {
		panic(w.rt.NewTypeError("%s: the options are %s, which is no object", what, shown(v)))
	}
	for _, key := range o.Keys() {
		switch {
		case len(known) == 0:
			panic(w.rt.NewTypeError("%s takes no options: there is no %.50q", what, key))
		case !slices.Contains(known, key):
			panic(w.rt.NewTypeError("%s: there is no option %.50q, only: %s", what, key, strings.Join(known, ", ")))
		}
	}
	return settings{w, o, what}
}

// get is the value of an option, nil when it is not given.
func (s settings) get(key string) goja.Value {
	if s.o == nil {
		return nil
	}
	if v := s.o.Get(key); v != nil && !goja.IsUndefined(v) && !goja.IsNull(v) {
		return v
	}
	return nil
}

// fault throws about an option.
func (s settings) fault(key string, v goja.Value, want string) {
	panic(s.w.rt.NewTypeError("%s: %s is %s: %s", s.what, key, shown(v), want))
}

// text is an option that is a string, byte-exact.
func (s settings) text(key, otherwise string) string {
	v := s.get(key)
	if v == nil {
		return otherwise
	}
	t, ok := v.(goja.String)
	if !ok {
		s.fault(key, v, "a string is wanted")
	}
	return textBytes(t)
}

// need is an option that is a string with something in it, and must be there.
func (s settings) need(key string) string {
	t := s.text(key, "")
	if strings.TrimSpace(t) == "" {
		panic(s.w.rt.NewTypeError("%s: %s is missing", s.what, key))
	}
	return t
}

// word is an option that is one of some words, the first of which is the default.
func (s settings) word(key string, words ...string) string {
	t := s.text(key, words[0])
	if !slices.Contains(words, t) {
		s.fault(key, s.get(key), "one of "+strings.Trim(strings.Join(words, ", "), ", "))
	}
	return t
}

// flag is an option that is true or false.
func (s settings) flag(key string) bool {
	v := s.get(key)
	if v == nil {
		return false
	}
	if v != s.w.rt.ToValue(true) && v != s.w.rt.ToValue(false) {
		s.fault(key, v, "true or false")
	}
	return v.ToBoolean()
}

// duration is an option like "10s", or a number of milliseconds; above 0.
func (s settings) duration(key string, otherwise time.Duration) time.Duration {
	v := s.get(key)
	if v == nil {
		return otherwise
	}
	d, err := spanOf(v)
	if err != nil || d <= 0 {
		s.fault(key, v, `write a duration above 0: "500ms", "90s", "10m", "1d" or milliseconds`)
	}
	return d
}

// whole is an option that is a whole number, at least least.
func (s settings) whole(key string, otherwise, least int64) int64 {
	v := s.get(key)
	if v == nil {
		return otherwise
	}
	if n := v.ToInteger(); goja.IsNumber(v) && v.ToFloat() == float64(n) && n >= least && n <= maxSafe {
		return n
	}
	want := "a whole number"
	if least > 0 {
		want += " above 0"
	}
	s.fault(key, v, want+" is wanted")
	return 0
}

// size is an option in bytes: at most max_value, which bounds the default, too.
func (s settings) size(key string, otherwise int64) int64 {
	v := s.get(key)
	if v == nil {
		return min(otherwise, s.w.limits.MaxValue)
	}
	if !goja.IsNumber(v) || v.ToFloat() != float64(v.ToInteger()) || v.ToInteger() < 0 {
		s.fault(key, v, "a number of bytes")
	}
	s.w.fit(v.ToInteger(), s.what+": "+key)
	return v.ToInteger()
}

// bytes is an option that is a string or bytes; bytes are copied.
func (s settings) bytes(key string) []byte {
	v := s.get(key)
	if v == nil {
		return nil
	}
	return s.w.bytesValue(v, s.what+": "+key)
}

// bytesValue is a value that must be a string or bytes.
func (w *World) bytesValue(v goja.Value, what string) []byte {
	if _, text := v.(goja.String); !text {
		switch v.(type) {
		case *goja.Object:
		default:
			panic(w.rt.NewTypeError("%s is %s: a string or a Uint8Array is wanted", what, shown(v)))
		}
	}
	var data []byte
	thrown := w.rt.Try(func() { data = w.bodyArg(goja.FunctionCall{Arguments: []goja.Value{v}}, 0) })
	if thrown != nil {
		panic(w.rt.NewTypeError("%s is no string and no Uint8Array", what))
	}
	return data
}

// object is a plain object of some values, in order.
func (w *World) object(pairs ...any) *goja.Object { return w.members(goja.FLAG_TRUE, pairs) }

// facts is an object like that which scripts can only read.
func (w *World) facts(pairs ...any) *goja.Object { return w.members(goja.FLAG_FALSE, pairs) }

func (w *World) members(writable goja.Flag, pairs []any) *goja.Object {
	o := w.rt.NewObject()
	for i := 0; i+1 < len(pairs); i += 2 {
		value, ok := pairs[i+1].(goja.Value)
		switch v := pairs[i+1].(type) {
		case string:
			value = w.text(v)
		case []string:
			value = w.texts(v)
		default:
			if !ok {
				value = w.rt.ToValue(v)
			}
		}
		_ = o.DefineDataProperty(pairs[i].(string), value, writable, writable, goja.FLAG_TRUE)
	}
	return o
}

// maxNames is how many strings a list of names may have.
const maxNames = 1000

// names is a list of strings that a script gives.
func (w *World) names(v goja.Value, what string) []string {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "Array" {
		panic(w.rt.NewTypeError("%s is no array", what))
	}
	list := make([]string, w.lengthArg(o, maxNames, what))
	for i := range list {
		list[i] = bytesOf(orUndefined(o.Get(strconv.Itoa(i))))
	}
	return list
}

// lengthArg is the length of an array that a script gives.
func (w *World) lengthArg(array *goja.Object, most int64, what string) int {
	n := array.Get("length").ToInteger()
	if n > most {
		panic(w.rt.NewTypeError("%s has more than %d items", what, most))
	}
	return int(n)
}

// texts is an array of strings.
func (w *World) texts(list []string) goja.Value {
	values := make([]any, len(list))
	for i, s := range list {
		values[i] = w.text(s)
	}
	return w.rt.NewArray(values...)
}

// missingServiceError is the error of a module whose service is not there.
type missingServiceError struct{ module string }

func (e missingServiceError) Error() string { return e.module + " is not available here" }
