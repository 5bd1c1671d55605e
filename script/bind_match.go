package script

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

// Matchers compiles patterns for pmilter/match, and keeps them for all worlds.
// Safe for concurrent use.
type Matchers interface {
	Matcher(patterns []Pattern, ignoreCase bool) (Matcher, error)
}

// Pattern is a word, or an expression in the syntax of Go's regexp.
type Pattern struct {
	Text       string
	Expression bool
}

// Matcher looks for many patterns in a text, in time linear in its length. stop is
// asked now and then whether to give up. Safe for concurrent use.
type Matcher interface {
	Test(text []byte, stop func() bool) bool
	Find(text []byte, stop func() bool) []int
}

func matchModule() module {
	return module{exports: []string{"matcher"}, export: (*World).matcherExport}
}

// matcherExport is matcher(patterns, { ignoreCase }).
func (w *World) matcherExport(string) goja.Value {
	return w.function("matcher", func(call goja.FunctionCall) goja.Value {
		if w.set.o.Services.Matchers == nil {
			panic(w.rt.NewTypeError("matcher: there are no matchers here"))
		}
		ignoreCase := w.settingsArg(call, 1, "matcher", "ignoreCase").flag("ignoreCase")
		patterns := w.patternsArg(call.Argument(0), ignoreCase)
		var m Matcher
		var err error
		w.untimed(func() { m, err = w.set.o.Services.Matchers.Matcher(patterns, ignoreCase) })
		w.throw(err)
		return w.newHost(w.set.classes.matcher, m)
	})
}

// patternsArg is an array of strings and RegExps.
func (w *World) patternsArg(v goja.Value, ignoreCase bool) []Pattern {
	array, ok := v.(*goja.Object)
	if !ok || array.ClassName() != "Array" {
		panic(w.rt.NewTypeError("matcher: the patterns are %s, which is no array", shown(v)))
	}
	n := int(array.Get("length").ToInteger())
	w.fit(int64(n)*bytesPerElement, "the array of patterns")
	patterns := make([]Pattern, n)
	for i := range patterns {
		item := orUndefined(array.Get(strconv.Itoa(i)))
		if s, ok := item.(goja.String); ok {
			patterns[i] = Pattern{Text: textBytes(s)}
			continue
		}
		o, ok := item.(*goja.Object)
		if !ok || o.ClassName() != "RegExp" {
			panic(w.rt.NewTypeError("matcher: pattern %d is %s, and neither a string nor a RegExp", i, shown(item)))
		}
		patterns[i] = Pattern{Text: w.goExpression(i, o, ignoreCase), Expression: true}
	}
	return patterns
}

// goExpression is a RegExp in Go's syntax. What needs backtracking is refused.
func (w *World) goExpression(i int, o *goja.Object, ignoreCase bool) string {
	source, flags := o.Get("source").String(), o.Get("flags").String()
	text, err := parser.TransformRegExp(source, strings.Contains(flags, "s"), strings.ContainsAny(flags, "uv"))
	if err != nil {
		panic(w.rt.NewTypeError("matcher: pattern %d, /%.50s/: %s; lookaround and back-references are not for matcher", i, source, err))
	}
	mode := ""
	if ignoreCase || strings.Contains(flags, "i") {
		mode += "i"
	}
	for _, flag := range []string{"m", "s"} {
		if strings.Contains(flags, flag) {
			mode += flag
		}
	}
	if mode == "" {
		return text
	}
	return "(?" + mode + ":" + text + ")"
}

func matcherClass() *class {
	return &class{
		name: "matcher",
		methods: map[string]method{
			"test": func(w *World, self any, call goja.FunctionCall) goja.Value {
				return w.rt.ToValue(self.(Matcher).Test(w.searchedArg(call, 0), w.interrupted))
			},
			"find": func(w *World, self any, call goja.FunctionCall) goja.Value {
				found := self.(Matcher).Find(w.searchedArg(call, 0), w.interrupted)
				values := make([]any, len(found))
				for i, n := range found {
					values[i] = n
				}
				return w.rt.NewArray(values...)
			},
		},
	}
}

// searchedArg is a string's bytes, or those of a Uint8Array, which are not copied.
func (w *World) searchedArg(call goja.FunctionCall, n int) []byte {
	v := call.Argument(n)
	if o, ok := v.(*goja.Object); ok {
		switch o.ExportType() {
		case reflect.TypeFor[[]byte]():
			data, _ := o.Export().([]byte)
			return data
		case reflect.TypeFor[goja.ArrayBuffer]():
			data, _ := o.Export().(goja.ArrayBuffer)
			return data.Bytes()
		}
	}
	s, ok := v.(goja.String)
	if !ok {
		panic(w.rt.NewTypeError("the text is %s: a string or a Uint8Array is wanted", shown(v)))
	}
	return []byte(textBytes(s))
}
