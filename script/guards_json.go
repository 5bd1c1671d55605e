package script

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// jsonGuard is JSON with limits: goja's follows the depth of values on Go's
// stack, and its output has no bound.
type jsonGuard struct {
	rt       *goja.Runtime
	maxValue int64
	maxLen   int64
}

// check is the fault of a text that must not reach goja's parser, or undefined.
// Other faults are the parser's to find.
func (j *jsonGuard) check(c goja.FunctionCall) goja.Value {
	text := c.Argument(0).String()
	depth, values := 0, int64(1)
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			if depth++; depth > maxDepth {
				return j.rt.ToValue("JSON.parse: nested deeper than " + strconv.Itoa(maxDepth))
			}
		case ']', '}':
			depth--
		case ',':
			values++
		}
	}
	if values > j.maxLen {
		return j.rt.ToValue("JSON.parse: more values than max_value allows")
	}
	return goja.Undefined()
}

// revive is InternalizeJSONProperty (ECMA-262 §25.5.1.1) with a depth.
func (j *jsonGuard) revive(c goja.FunctionCall) goja.Value {
	reviver, ok := goja.AssertFunction(c.Argument(1))
	if !ok {
		return c.Argument(0)
	}
	root := j.rt.NewObject()
	throwAgain(root.Set("", c.Argument(0)))
	return j.reviveAt(reviver, root, "", 0)
}

func (j *jsonGuard) reviveAt(reviver goja.Callable, holder *goja.Object, key string, depth int) goja.Value {
	if depth > maxDepth {
		throwError(j.rt, "RangeError", "JSON.parse: nested deeper than %d", maxDepth)
	}
	value := orUndefined(holder.Get(key))
	if object, ok := value.(*goja.Object); ok {
		for _, name := range j.jsonKeys(object) {
			if v := j.reviveAt(reviver, object, name, depth+1); goja.IsUndefined(v) {
				_ = object.Delete(name)
			} else {
				_ = object.DefineDataProperty(name, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
			}
		}
	}
	v, err := reviver(holder, j.rt.ToValue(key), value)
	throwAgain(err)
	return v
}

// jsonKeys are an array's indexes or an object's own enumerable names.
func (j *jsonGuard) jsonKeys(o *goja.Object) []string {
	if o.ClassName() != "Array" {
		return o.Keys()
	}
	n := j.length(o)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	return keys
}

func (j *jsonGuard) length(o *goja.Object) int {
	n := orUndefined(o.Get("length")).ToInteger()
	if n > j.maxLen {
		throwError(j.rt, "RangeError", "JSON: an array longer than max_value allows")
	}
	return int(max(n, 0))
}

// pollEvery is after how many values a loop in Go looks for an interrupt.
const pollEvery = 1024

// jsonWriter is one JSON.stringify (ECMA-262 §25.5.2).
type jsonWriter struct {
	*jsonGuard
	replacer goja.Callable
	list     []string // the property list, when there is one
	hasList  bool
	gap      string
	indent   string
	stack    []*goja.Object
	out      []byte
	poll     goja.Callable // a JavaScript function that does nothing: an interrupt ends it
	count    int
	strict   string // not "": what JSON would leave out or change throws, in this name
}

func (j *jsonGuard) stringify(c goja.FunctionCall) goja.Value {
	w := &jsonWriter{jsonGuard: j, gap: jsonGap(c.Argument(2))}
	w.poll, _ = goja.AssertFunction(c.Argument(3))
	if r, ok := c.Argument(1).(*goja.Object); ok {
		if f, callable := goja.AssertFunction(r); callable {
			w.replacer = f
		} else if r.ClassName() == "Array" {
			w.setList(r)
		}
	}
	var holder *goja.Object
	if w.replacer != nil {
		holder = j.rt.NewObject()
		throwAgain(holder.Set("", c.Argument(0)))
	}
	if !w.property("", holder, c.Argument(0)) {
		return goja.Undefined()
	}
	return j.rt.ToValue(string(w.out))
}

// jsonGap is the space argument: up to ten characters.
func jsonGap(v goja.Value) string {
	if o, ok := v.(*goja.Object); ok {
		switch o.ClassName() {
		case "Number":
			v = o.ToNumber()
		case "String":
			v = o.ToString()
		default:
			return ""
		}
	}
	switch x := v.Export().(type) {
	case int64:
		return strings.Repeat(" ", int(min(max(x, 0), 10)))
	case float64:
		if !(x >= 1) { // NaN too
			return ""
		}
		return strings.Repeat(" ", int(min(x, 10)))
	case string:
		if s, ok := v.(goja.String); ok && s.Length() > 10 {
			return s.Substring(0, 10).String()
		}
		return x
	}
	return ""
}

func (w *jsonWriter) setList(r *goja.Object) {
	w.hasList = true
	seen := make(map[string]bool)
	for i := range w.length(r) {
		v := orUndefined(r.Get(strconv.Itoa(i)))
		switch x := v.(type) {
		case goja.String:
		case *goja.Object:
			if c := x.ClassName(); c != "String" && c != "Number" {
				continue
			}
		default:
			switch v.Export().(type) {
			case int64, float64:
			default:
				continue
			}
		}
		if name := v.String(); !seen[name] {
			seen[name] = true
			w.list = append(w.list, name)
		}
	}
}

// property is SerializeJSONProperty; it returns false for what JSON has no word.
func (w *jsonWriter) property(key string, holder *goja.Object, value goja.Value) bool {
	if w.count++; w.count%pollEvery == 0 && w.poll != nil {
		_, err := w.poll(goja.Undefined())
		throwAgain(err)
	}
	if object, ok := value.(*goja.Object); ok {
		if f, callable := goja.AssertFunction(orUndefined(object.Get("toJSON"))); callable {
			v, err := f(object, w.rt.ToValue(key))
			throwAgain(err)
			value = v
		}
	}
	if w.replacer != nil {
		v, err := w.replacer(holder, w.rt.ToValue(key), value)
		throwAgain(err)
		value = v
	}
	if object, ok := value.(*goja.Object); ok {
		switch object.ClassName() {
		case "Number":
			value = object.ToNumber()
		case "String":
			value = object.ToString()
		case "Boolean":
			value = w.rt.ToValue(object.Export())
		case "RawJSON":
			w.write(orUndefined(object.Get("rawJSON")).String())
			return true
		default:
			if _, callable := goja.AssertFunction(object); callable {
				w.refuse("a function")
				return false
			}
			w.refuseKind(object)
			w.object(object)
			return true
		}
	}
	return w.primitive(value)
}

// refuse throws about what JSON has no word for, if the writer is strict.
func (w *jsonWriter) refuse(what string) {
	if w.strict != "" {
		panic(w.rt.NewTypeError("%s: %s cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null", w.strict, what))
	}
}

// refuseKind is refuse of what is neither a plain object nor an array.
func (w *jsonWriter) refuseKind(o *goja.Object) {
	if w.strict == "" {
		return
	}
	switch kind := objectKind(o); kind {
	case "Object", "Array":
	case "an object of the server":
		w.refuse("a typed array or " + kind)
	case "Error", "ArrayBuffer":
		w.refuse("an " + kind)
	default:
		w.refuse("a " + strings.TrimPrefix(kind, "a "))
	}
}

func (w *jsonWriter) primitive(value goja.Value) bool {
	switch v := value.(type) {
	case goja.String:
		w.quote(v)
		return true
	case *goja.Symbol:
		w.refuse("a symbol")
		return false
	}
	if goja.IsNull(value) {
		w.write("null")
		return true
	}
	if goja.IsUndefined(value) {
		return false
	}
	switch x := value.Export().(type) {
	case bool, int64:
		w.write(value.String())
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			w.refuse(value.String())
			w.write("null")
		} else {
			w.write(value.String())
		}
	default:
		w.refuse("a BigInt")
		panic(w.rt.NewTypeError("Do not know how to serialize a BigInt"))
	}
	return true
}

func (w *jsonWriter) object(o *goja.Object) {
	for _, above := range w.stack {
		if above.SameAs(o) {
			w.refuse("a cycle")
			panic(w.rt.NewTypeError("Converting circular structure to JSON"))
		}
	}
	if len(w.stack) >= maxDepth {
		throwError(w.rt, "RangeError", "JSON.stringify: nested deeper than %d", maxDepth)
	}
	w.stack = append(w.stack, o)
	outer := w.indent
	w.indent += w.gap
	if o.ClassName() == "Array" {
		w.elements(o, outer)
	} else {
		w.members(o, outer)
	}
	w.indent = outer
	w.stack = w.stack[:len(w.stack)-1]
}

func (w *jsonWriter) elements(o *goja.Object, outer string) {
	n := w.length(o)
	w.write("[")
	for i := range n {
		w.next(i == 0)
		key := strconv.Itoa(i)
		if !w.property(key, o, orUndefined(o.Get(key))) {
			w.write("null")
		}
	}
	w.end(n == 0, outer, "]")
}

func (w *jsonWriter) members(o *goja.Object, outer string) {
	keys := w.list
	if !w.hasList {
		keys = o.Keys()
	}
	w.write("{")
	empty := true
	member := func(key goja.String, value goja.Value) {
		before := len(w.out)
		w.next(empty)
		w.quote(key)
		w.write(":")
		if w.gap != "" {
			w.write(" ")
		}
		if w.property(key.String(), o, value) {
			empty = false
		} else {
			w.out = w.out[:before]
		}
	}
	if !w.hasList && slices.ContainsFunc(keys, lossy) {
		for _, e := range entriesOf(w.rt, o) {
			if !w.rt.ToValue(e.key.String()).StrictEquals(e.key) {
				w.refuse("a property whose name is no Unicode text")
			}
			member(e.key, e.value)
		}
	} else {
		for _, key := range keys {
			member(w.rt.ToValue(key).(goja.String), orUndefined(o.Get(key)))
		}
	}
	w.end(empty, outer, "}")
}

func (w *jsonWriter) next(first bool) {
	if !first {
		w.write(",")
	}
	if w.gap != "" {
		w.write("\n")
		w.write(w.indent)
	}
}

func (w *jsonWriter) end(empty bool, outer, bracket string) {
	if w.gap != "" && !empty {
		w.write("\n")
		w.write(outer)
	}
	w.write(bracket)
}

func (w *jsonWriter) write(s string) {
	if int64(len(w.out)+len(s)) > w.maxValue {
		if w.strict != "" {
			throwError(w.rt, "RangeError", "%s: the value has more than %d bytes as JSON", w.strict, w.maxValue)
		}
		throwError(w.rt, "RangeError", "JSON.stringify: larger than max_value")
	}
	w.out = append(w.out, s...)
}

// quote is QuoteJSONString: lone surrogates are escaped, so that the text is well-formed.
func (w *jsonWriter) quote(v goja.String) {
	s := v.String()
	w.write(`"`)
	if strings.ContainsRune(s, utf8.RuneError) {
		w.quoteUnits(v)
	} else {
		start := 0
		for i := 0; i < len(s); i++ {
			if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
				w.write(s[start:i])
				w.write(jsonEscape(uint16(c)))
				start = i + 1
			}
		}
		w.write(s[start:])
	}
	w.write(`"`)
}

func (w *jsonWriter) quoteUnits(v goja.String) {
	var buf [utf8.UTFMax]byte
	for i, n := 0, v.Length(); i < n; i++ {
		unit := v.CharAt(i)
		r := rune(unit)
		if utf16.IsSurrogate(r) {
			if i+1 < n {
				if pair := utf16.DecodeRune(r, rune(v.CharAt(i+1))); pair != utf8.RuneError {
					w.write(string(utf8.AppendRune(buf[:0], pair)))
					i++
					continue
				}
			}
			w.write(jsonEscape(unit))
		} else if unit < 0x20 || unit == '"' || unit == '\\' {
			w.write(jsonEscape(unit))
		} else {
			w.write(string(utf8.AppendRune(buf[:0], r)))
		}
	}
}

func jsonEscape(c uint16) string {
	switch c {
	case '"':
		return `\"`
	case '\\':
		return `\\`
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	const digits = "0123456789abcdef"
	return `\u` + string([]byte{digits[c>>12], digits[c>>8&15], digits[c>>4&15], digits[c&15]})
}

func orUndefined(v goja.Value) goja.Value {
	if v == nil {
		return goja.Undefined()
	}
	return v
}
