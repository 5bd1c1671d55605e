package script

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dop251/goja"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	maxConsoleLines = 1000    // of one connection
	maxConsoleText  = 8 << 10 // bytes of one line
	inspectDepth    = 3
	inspectItems    = 100 // elements or members of one value
)

// console writes what scripts print to the log, as a field: what they print may
// come from mail. It belongs to the world's goroutine.
type console struct {
	rt     *goja.Runtime
	logger func() *zap.Logger
	lines  int
}

func newConsole(rt *goja.Runtime, logger func() *zap.Logger) *console {
	return &console{rt: rt, logger: logger}
}

// print is print(level, values) of globals.js.
func (c *console) print(call goja.FunctionCall) goja.Value {
	c.lines++
	if c.lines > maxConsoleLines {
		if c.lines == maxConsoleLines+1 {
			c.logger().Warn("console: further lines of this connection are dropped")
		}
		return goja.Undefined()
	}
	level, prefix := zapcore.InfoLevel, ""
	frames := c.rt.CaptureCallStack(32, nil)
	fields := make([]zap.Field, 0, 3)
	switch call.Argument(0).String() {
	case "debug":
		level = zapcore.DebugLevel
	case "warn":
		level = zapcore.WarnLevel
	case "error":
		level = zapcore.ErrorLevel
	case "assert":
		level, prefix = zapcore.ErrorLevel, "Assertion failed: "
	case "trace":
		var stack strings.Builder
		for i := range frames {
			if p := position(frames[i : i+1]); p.File != "" {
				stack.WriteString("at " + frames[i].FuncName() + " (" + p.String() + ")\n")
			}
		}
		fields = append(fields, zap.String("stack", strings.TrimSuffix(stack.String(), "\n")))
	}
	entry := c.logger().Check(level, "console")
	if entry == nil {
		return goja.Undefined()
	}
	fields = append(fields, zap.String("text", prefix+consoleText(c.rt, listOf(call.Argument(1)))))
	if p := position(frames); p.File != "" {
		fields = append(fields, zap.Stringer("at", p))
	}
	entry.Write(fields...)
	return goja.Undefined()
}

// consoleText formats values as node's console does, within bounds: %s %d %i %f
// %j %o %O %c %% in the first, the others behind it.
func consoleText(rt *goja.Runtime, values []goja.Value) string {
	in := &inspector{rt: rt}
	if len(values) > 0 {
		if format, ok := values[0].(goja.String); ok && len(values) > 1 {
			values = in.format(format.String(), values[1:])
			if len(values) > 0 {
				in.write(" ")
			}
		}
	}
	for i, v := range values {
		if i > 0 {
			in.write(" ")
		}
		in.top(v)
	}
	return in.text()
}

// inspector writes values for people, never more than maxConsoleText.
type inspector struct {
	rt    *goja.Runtime
	out   strings.Builder
	full  bool
	above []*goja.Object
}

func (in *inspector) write(s string) {
	if in.full {
		return
	}
	if room := maxConsoleText - in.out.Len(); len(s) > room {
		in.full = true
		s = s[:room]
	}
	in.out.WriteString(s)
}

func (in *inspector) text() string {
	s := strings.ToValidUTF8(in.out.String(), "\uFFFD")
	if in.full {
		return strings.TrimRight(s, "\uFFFD") + "..."
	}
	return s
}

// format writes a format with its values and returns those that are left.
func (in *inspector) format(format string, values []goja.Value) []goja.Value {
	for len(format) > 0 && !in.full {
		i := strings.IndexByte(format, '%')
		if i < 0 || i+1 == len(format) {
			break
		}
		in.write(format[:i])
		verb := format[i+1]
		switch {
		case verb == '%':
			in.write("%")
		case strings.IndexByte("sdifjoOc", verb) < 0 || len(values) == 0:
			in.write(format[i : i+2])
		default:
			in.verb(verb, values[0])
			values = values[1:]
		}
		format = format[i+2:]
	}
	in.write(format)
	return values
}

func (in *inspector) verb(verb byte, v goja.Value) {
	_, object := v.(*goja.Object)
	_, symbol := v.(*goja.Symbol)
	switch verb {
	case 's':
		in.top(v)
	case 'c': // a style
	case 'd', 'i', 'f':
		number := math.NaN()
		if !object && !symbol {
			number = v.ToFloat()
		}
		if verb == 'i' {
			number = math.Trunc(number)
		}
		in.write(strconv.FormatFloat(number, 'f', -1, 64))
	default:
		in.value(v, 0)
	}
}

// top is value, but a string is just its text.
func (in *inspector) top(v goja.Value) {
	if s, ok := v.(goja.String); ok {
		in.string(s, false)
		return
	}
	in.value(v, 0)
}

func (in *inspector) string(s goja.String, quoted bool) {
	if s.Length() > maxConsoleText+1 {
		s = s.Substring(0, maxConsoleText+1) // one more than fits
	}
	text := s.String()
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if quoted {
		text = "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text) + "'"
	}
	in.write(text)
}

func (in *inspector) value(v goja.Value, depth int) {
	if in.full {
		return
	}
	switch x := v.(type) {
	case goja.String:
		in.string(x, true)
	case *goja.Symbol:
		in.write("Symbol(" + x.String() + ")")
	case *goja.Object:
		// A getter or a Proxy of the script's may throw. What cannot be caught,
		// an interrupt, passes.
		if thrown := in.rt.Try(func() { in.object(x, depth) }); thrown != nil {
			in.write("[threw]")
		}
	default:
		text := v.String()
		if t := v.ExportType(); t != nil && t.String() == "*big.Int" {
			text += "n"
		}
		in.write(text)
	}
}

func (in *inspector) object(o *goja.Object, depth int) {
	for _, above := range in.above {
		if above.SameAs(o) {
			in.write("[Circular]")
			return
		}
	}
	in.above = append(in.above, o)
	defer func() { in.above = in.above[:len(in.above)-1] }()
	if o.ExportType() == reflect.TypeFor[goja.Proxy]() {
		in.write("[Proxy]")
		return
	}
	switch class := o.ClassName(); class {
	case "Function", "AsyncFunction", "GeneratorFunction":
		in.function(o, class)
	case "Error":
		in.error(o)
	case "Date":
		if t, ok := o.Export().(time.Time); ok {
			in.write(t.UTC().Format("2006-01-02T15:04:05.000Z"))
		} else {
			in.write("Invalid Date")
		}
	case "RegExp":
		in.write(o.String())
	case "Boolean", "Number", "String":
		in.write("[" + class + ": " + o.String() + "]")
	case "Array":
		in.array(o, depth)
	default:
		in.members(o, depth)
	}
}

func (in *inspector) function(o *goja.Object, class string) {
	name := "(anonymous)"
	if n, ok := orUndefined(o.Get("name")).(goja.String); ok && n.Length() > 0 {
		name = n.String()
	}
	in.write("[" + class + ": " + name + "]")
}

func (in *inspector) error(o *goja.Object) {
	if s, ok := orUndefined(o.Get("stack")).(goja.String); ok && s.Length() > 0 {
		first, _, _ := strings.Cut(s.String(), "\n\tat ")
		in.write(first)
		return
	}
	in.write(o.String())
}

func (in *inspector) array(o *goja.Object, depth int) {
	n := orUndefined(o.Get("length")).ToInteger()
	if depth >= inspectDepth && n > 0 {
		in.write("[Array]")
		return
	}
	in.write("[")
	for i := int64(0); i < n && !in.full; i++ {
		if i == inspectItems {
			in.write(", ... " + strconv.FormatInt(n-i, 10) + " more")
			break
		}
		if i > 0 {
			in.write(",")
		}
		in.write(" ")
		in.value(orUndefined(o.Get(strconv.FormatInt(i, 10))), depth+1)
	}
	in.closing(n == 0, "]")
}

func (in *inspector) members(o *goja.Object, depth int) {
	name := ""
	if c, ok := orUndefined(o.Get("constructor")).(*goja.Object); ok {
		if n, ok := orUndefined(c.Get("name")).(goja.String); ok && n.String() != "Object" && n.Length() < 100 {
			name = n.String() + " "
		}
	}
	if t := o.ExportType(); t != nil && t.Kind() == reflect.Slice || t == reflect.TypeFor[goja.ArrayBuffer]() {
		in.list(o, name, depth) // a Map, a Set, a typed array
		return
	}
	if depth >= inspectDepth {
		in.write("[" + strings.TrimSpace(name+"Object") + "]")
		return
	}
	in.write(name + "{")
	keys := o.Keys()
	for i, key := range keys {
		if i == inspectItems || in.full {
			in.write(", ... " + strconv.Itoa(len(keys)-i) + " more")
			break
		}
		if i > 0 {
			in.write(",")
		}
		in.write(" " + key + ": ")
		in.value(orUndefined(o.Get(key)), depth+1)
	}
	in.closing(len(keys) == 0, "}")
}

// list writes what is iterated over.
func (in *inspector) list(o *goja.Object, name string, depth int) {
	size := orUndefined(o.Get("length"))
	if goja.IsUndefined(size) {
		size = orUndefined(o.Get("size"))
	}
	if goja.IsUndefined(size) {
		size = orUndefined(o.Get("byteLength"))
	}
	in.write(name + "(" + size.String() + ")")
	if depth >= inspectDepth || o.ExportType() == reflect.TypeFor[goja.ArrayBuffer]() {
		return
	}
	in.write(" [")
	n := 0
	in.rt.ForOf(o, func(v goja.Value) bool {
		if n == inspectItems || in.full {
			in.write(", ...")
			return false
		}
		if n > 0 {
			in.write(",")
		}
		n++
		in.write(" ")
		in.value(v, depth+1)
		return true
	})
	in.closing(n == 0, "]")
}

func (in *inspector) closing(empty bool, bracket string) {
	if !empty {
		in.write(" ")
	}
	in.write(bracket)
}
