package script

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// verdictExport is an export of the module "pmilter".
func (w *World) verdictExport(name string) goja.Value {
	switch name {
	case "accept":
		return w.plainVerdict(name, filter.Accept)
	case "discard":
		return w.plainVerdict(name, filter.Discard)
	case "skip":
		return w.plainVerdict(name, filter.Skip)
	case "reject":
		return w.refusal(name, filter.Verdict{Action: filter.Reject, Code: 550, Enhanced: "5.7.1", Text: "Command rejected"})
	case "tempfail":
		return w.refusal(name, filter.Verdict{Action: filter.Tempfail, Code: 451, Enhanced: "4.7.1", Text: "Service unavailable, try again later"})
	case "note":
		return w.function(name, w.note)
	}
	panic(w.rt.NewTypeError("pmilter has no export %s", name))
}

func (w *World) plainVerdict(name string, action filter.Action) goja.Value {
	return w.function(name, func(call goja.FunctionCall) goja.Value {
		if len(call.Arguments) > 0 {
			panic(w.rt.NewTypeError("%s() takes nothing", name))
		}
		return w.verdictValue(filter.Verdict{Action: action})
	})
}

// refusal is reject or tempfail: (), (text), (code, text) or (code, enhanced, text).
func (w *World) refusal(name string, defaults filter.Verdict) goja.Value {
	return w.function(name, func(call goja.FunctionCall) goja.Value {
		v, err := refusalOf(call.Arguments, defaults)
		if err != nil {
			panic(w.rt.NewTypeError("%s: %s", name, err))
		}
		return w.verdictValue(v)
	})
}

// maxReply bounds a reply's text; an SMTP reply's lines are cut by the engine.
const maxReply = 4096

func refusalOf(args []goja.Value, v filter.Verdict) (filter.Verdict, error) {
	if len(args) > 3 {
		return v, fmt.Errorf("takes (), (text), (code, text) or (code, enhanced, text)")
	}
	class := v.Code / 100
	if len(args) >= 2 {
		code := args[0]
		if !goja.IsNumber(code) || code.ToInteger()/100 != int64(class) || code.ToFloat() != float64(code.ToInteger()) {
			return v, fmt.Errorf("code %s is not in %d00 to %d99", shown(code), class, class)
		}
		v.Code = int(code.ToInteger())
	}
	if len(args) == 3 {
		v.Enhanced = args[1].String()
		if !regexp.MustCompile(`^[45]\.\d{1,3}\.\d{1,3}$`).MatchString(v.Enhanced) || int(v.Enhanced[0]-'0') != class {
			return v, fmt.Errorf("enhanced code %.50q is not of the form %d.x.y (RFC 3463)", v.Enhanced, class)
		}
	}
	if len(args) == 0 {
		return v, nil
	}
	text := args[len(args)-1]
	if _, ok := text.(goja.String); !ok {
		return v, fmt.Errorf("the text is %s, which is no string", shown(text))
	}
	v.Text = strings.TrimSuffix(strings.ReplaceAll(text.String(), "\r\n", "\n"), "\n")
	if len(v.Text) > maxReply {
		return v, fmt.Errorf("the text has %d bytes: at most %d", len(v.Text), maxReply)
	}
	if strings.ContainsFunc(v.Text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
		return v, fmt.Errorf("the text has control characters")
	}
	return v, nil
}

// shown is a value for the words of an error, without a call of its toString:
// fmt would swallow what that throws, an interrupt too.
func shown(v goja.Value) string {
	const most = 50
	switch v := v.(type) {
	case *goja.Object:
		return "an object"
	case *goja.Symbol:
		return "Symbol(" + strings.ToValidUTF8(v.String()[:min(len(v.String()), most)], "") + ")"
	case goja.String:
		if v.Length() > most {
			v = v.Substring(0, most)
			return strconv.Quote(v.String()) + "..."
		}
		return strconv.Quote(v.String())
	}
	return v.String()
}

// verdictValue is a verdict as scripts hold it: nothing of it can be changed.
func (w *World) verdictValue(v filter.Verdict) goja.Value {
	frames := w.rt.CaptureCallStack(8, nil)
	v.Where = func() filter.Position { return position(frames) }
	return w.newHost(w.set.classes.verdict, v)
}

// verdictOf is what a handler returned as a verdict; ok is false for nonsense.
func (w *World) verdictOf(v goja.Value) (filter.Verdict, bool) {
	if v == nil || goja.IsUndefined(v) {
		return filter.Verdict{}, true
	}
	if h, ok := hostOf(v, w.set.classes.verdict); ok {
		verdict, ok := h.self.(filter.Verdict)
		return verdict, ok
	}
	return filter.Verdict{}, false
}

// note is note(reason, values).
func (w *World) note(call goja.FunctionCall) goja.Value {
	if w.session == nil {
		panic(w.rt.NewTypeError("note() is called outside a handler"))
	}
	n := filter.Note{Script: w.set.nameOf(w.call.Script), Reason: w.stringArg(call, 0, "the reason")}
	if len(n.Reason) > 1000 {
		n.Reason = strings.ToValidUTF8(n.Reason[:1000], "")
	}
	if values := call.Argument(1); !goja.IsUndefined(values) {
		n.Values = w.jsonOf(values, 8192)
	}
	if !w.session.AddNote(n) {
		panic(w.rt.NewTypeError("too many notes"))
	}
	return goja.Undefined()
}

// varsExport is an export of "pmilter/vars": the default is [vars], frozen, and
// each variable is there by its name too.
func (w *World) varsExport(name string) goja.Value {
	all := w.single("vars", func() goja.Value { return w.frozen(w.set.o.Vars) })
	if name == "default" {
		return all
	}
	return all.(*goja.Object).Get(name)
}

// frozen is a TOML value as JavaScript's, which cannot be changed.
func (w *World) frozen(value any) goja.Value {
	var o *goja.Object
	set := func(key string, item any) {
		_ = o.DefineDataProperty(key, w.frozen(item), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE)
	}
	switch v := value.(type) {
	case map[string]any:
		o = w.rt.NewObject()
		for _, key := range slices.Sorted(maps.Keys(v)) {
			set(key, v[key])
		}
	case []any:
		o = w.rt.NewArray()
		for i, item := range v {
			set(strconv.Itoa(i), item)
		}
	default:
		return w.rt.ToValue(v)
	}
	if freeze, ok := goja.AssertFunction(w.rt.Get("Object").ToObject(w.rt).Get("freeze")); ok {
		_, err := freeze(goja.Undefined(), o)
		throwAgain(err)
	}
	return o
}
