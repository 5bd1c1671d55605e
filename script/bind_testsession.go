package script

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// openSession is session(options).
func (w *World) openSession(c goja.FunctionCall) goja.Value {
	stand := w.onStand("session")
	var o SessionOptions
	if v := c.Argument(0); !goja.IsUndefined(v) {
		if err := readOptionsOf(w.jsonOf(v, 1<<20), &o); err != nil {
			panic(w.rt.NewTypeError("session: %s", err))
		}
	}
	return async(w, "session", func(ctx context.Context) (TestSession, error) {
		return stand.Open(ctx, o)
	}, func(s TestSession) goja.Value {
		return w.newHost(w.set.classes.testSession, &testHandle{session: s})
	})
}

// readOptionsOf reads JSON strictly: an option that does not exist would be one
// that does nothing.
func readOptionsOf(data, o any) error {
	raw, ok := data.(json.RawMessage)
	if !ok {
		return errors.New("the options are no object")
	}
	err := strictJSON(raw, o)
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	what := "the options are"
	if wrong.Field != "" {
		what = "the option " + wrong.Field + " is"
	}
	return fmt.Errorf("%s a %s, not %s", what, wrong.Value, wanted(wrong.Type))
}

// wanted is a Go type as JavaScript has it.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a whole number"
	}
}

func strictJSON(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	if m := regexp.MustCompile(`^json: unknown field (".*")$`).FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("there is no option %s", m[1])
	}
	return err
}

// UnmarshalJSON takes true for a usual connection.
func (t *TestTLS) UnmarshalJSON(data []byte) error {
	*t = TestTLS{Version: "TLSv1.3", Cipher: "TLS_AES_256_GCM_SHA384", Bits: 256}
	if string(data) == "true" {
		return nil
	}
	type plain TestTLS
	return strictJSON(data, (*plain)(t))
}

// UnmarshalJSON takes a string for the user's name.
func (a *TestAuth) UnmarshalJSON(data []byte) error {
	*a = TestAuth{Method: "PLAIN"}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &a.User)
	}
	type plain TestAuth
	return strictJSON(data, (*plain)(a))
}

// testHandle is a session as a test holds it. Steps run in the order in which
// they were called, awaited or not.
type testHandle struct {
	session TestSession
	last    chan struct{} // closed when the last step is done
}

// do begins a step and returns the promise of its answer.
func (w *World) do(h *testHandle, step TestStep, value func(Answer) goja.Value) goja.Value {
	before, done := h.last, make(chan struct{})
	h.last = done
	return async(w, "session."+step.Do, func(ctx context.Context) (Answer, error) {
		defer close(done)
		if before != nil {
			select {
			case <-before:
			case <-ctx.Done():
				return Answer{}, ctx.Err()
			}
		}
		return h.session.Do(ctx, step)
	}, value)
}

func testSessionClass() *class {
	c := &class{name: "session", get: map[string]func(*World, any) goja.Value{}, methods: map[string]method{}}
	step := func(name string, read func(w *World, call goja.FunctionCall, s *TestStep)) {
		c.methods[name] = func(w *World, self any, call goja.FunctionCall) goja.Value {
			s := TestStep{Do: name}
			if read != nil {
				read(w, call, &s)
			}
			value := w.answerValue
			if name == "rset" || name == "quit" { // nothing is answered
				value = func(a Answer) goja.Value {
					o := w.rt.NewObject()
					throwAgain(o.Set("queued", w.queuedValue(a.Queued)))
					return o
				}
			}
			return w.do(self.(*testHandle), s, value)
		}
	}
	step("connect", nil)
	step("helo", func(w *World, call goja.FunctionCall, s *TestStep) {
		if !goja.IsUndefined(call.Argument(0)) {
			s.Text = w.stringArg(call, 0, "the name")
		}
	})
	step("mail", func(w *World, call goja.FunctionCall, s *TestStep) {
		if !goja.IsUndefined(call.Argument(0)) {
			from := w.pathOf(call.Argument(0), call.Argument(1))
			s.From = &from
		}
	})
	step("rcpt", func(w *World, call goja.FunctionCall, s *TestStep) {
		s.To = []TestPath{w.pathOf(call.Argument(0), call.Argument(1))}
	})
	step("data", nil)
	step("message", func(w *World, call goja.FunctionCall, s *TestStep) { s.Message = w.mailOf(call.Argument(0)) })
	step("send", func(w *World, call goja.FunctionCall, s *TestStep) { w.sendOf(call.Argument(0), s) })
	step("unknown", func(w *World, call goja.FunctionCall, s *TestStep) { s.Text = w.stringArg(call, 0, "the command") })
	step("rset", nil)
	step("quit", nil)
	return c
}

// sendOf reads the argument of send.
func (w *World) sendOf(v goja.Value, s *TestStep) {
	if goja.IsUndefined(v) {
		return
	}
	o, ok := v.(*goja.Object)
	if !ok {
		panic(w.rt.NewTypeError("send: the argument is no object"))
	}
	known := []string{"helo", "from", "to", "message"}
	for _, key := range o.Keys() {
		value := o.Get(key)
		if goja.IsUndefined(value) {
			continue
		}
		switch key {
		case "helo":
			s.Text = bytesOf(value)
		case "from":
			from := w.pathOf(value, goja.Undefined())
			s.From = &from
		case "to":
			if list, ok := value.(*goja.Object); ok && list.ClassName() == "Array" {
				s.To = []TestPath{}
				for _, one := range listOf(list) {
					s.To = append(s.To, w.pathOf(one, goja.Undefined()))
				}
			} else {
				s.To = []TestPath{w.pathOf(value, goja.Undefined())}
			}
		case "message":
			s.Message = w.mailOf(value)
		default:
			panic(w.rt.NewTypeError("send: there is no option %q: there are %s", key, strings.Join(known, ", ")))
		}
	}
}

// pathOf is an address: a string, or an object with address and params.
func (w *World) pathOf(v, params goja.Value) TestPath {
	p := TestPath{}
	if o, ok := v.(*goja.Object); ok && o.ClassName() == "Object" && o.Get("address") != nil {
		v = o.Get("address")
		if own := o.Get("params"); own != nil && goja.IsUndefined(params) {
			params = own
		}
	}
	if goja.IsUndefined(v) || goja.IsNull(v) {
		panic(w.rt.NewTypeError("the address is missing; the null sender is \"\""))
	}
	p.Address = bytesOf(v)
	if inner, ok := strings.CutPrefix(p.Address, "<"); ok {
		p.Address = strings.TrimSuffix(inner, ">")
	}
	if strings.ContainsAny(p.Address, "\r\n\x00") {
		panic(w.rt.NewTypeError("%q is no address", p.Address))
	}
	p.Params = strings.Fields(w.paramsArg(goja.FunctionCall{Arguments: []goja.Value{params}}, 0))
	return p
}

// mailOf is a message: a text with a blank line, bytes, or a file's name.
func (w *World) mailOf(v goja.Value) []byte {
	if goja.IsUndefined(v) {
		return nil
	}
	_, text := v.(goja.String)
	if _, object := v.(*goja.Object); !text && !object {
		panic(w.rt.NewTypeError("the message is %s: it is a file's name, a text with a blank line after its header, or bytes", shown(v)))
	}
	data := w.bodyArg(goja.FunctionCall{Arguments: []goja.Value{v}}, 0)
	if !text || regexp.MustCompile(`\A\r?\n|\n\r?\n`).Match(data) {
		return data
	}
	name := string(data)
	if !filepath.IsAbs(name) {
		name = filepath.Join(w.test.file.folder, name)
	}
	read, err := os.ReadFile(name)
	if err != nil {
		panic(w.rt.NewTypeError("message %s: %s (a message is a file's name, a text with a blank line after its header, or bytes)", shown(v), reason(err)))
	}
	if !slices.Contains(w.test.file.look.paths, name) {
		w.test.file.look.paths = append(w.test.file.look.paths, name)
	}
	return read
}

// answerValue is what a test sees of an answer.
func (w *World) answerValue(a Answer) goja.Value {
	o := w.rt.NewObject()
	set := func(key string, v any) {
		_ = o.DefineDataProperty(key, w.rt.ToValue(v), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
	}
	w.setAnswer(a, set)
	would := []any{}
	for _, one := range a.WouldBe {
		other := w.rt.NewObject()
		w.setAnswer(one, func(key string, v any) {
			_ = other.DefineDataProperty(key, w.rt.ToValue(v), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
		})
		would = append(would, other)
	}
	set("wouldBe", w.rt.NewArray(would...))
	notes := []any{}
	for _, n := range a.Notes {
		notes = append(notes, w.noteValue(n))
	}
	set("notes", w.rt.NewArray(notes...))
	set("queued", w.queuedValue(a.Queued))
	if a.Delivered != nil {
		w.setDelivered(a, set)
	}
	return o
}

func (w *World) setAnswer(a Answer, set func(key string, v any)) {
	set("verdict", a.Verdict)
	set("phase", a.Phase)
	set("code", a.Code)
	set("enhanced", a.Enhanced)
	set("text", w.text(a.Text))
	set("script", a.Script)
	set("line", a.Line)
	set("error", w.text(a.Fault))
}

// setDelivered is what a test sees besides, once a message has come to its end.
func (w *World) setDelivered(a Answer, set func(key string, v any)) {
	d := a.Delivered
	set("headers", w.headersOf(w.set.classes.partHeaders, slices.Clone(d.Headers)))
	set("body", w.text(d.Body))
	set("sender", w.text(d.Sender))
	recipients := []any{}
	for _, r := range d.Recipients {
		recipients = append(recipients, w.text(r))
	}
	set("recipients", w.rt.NewArray(recipients...))
	refused := []any{}
	for _, r := range a.Refused {
		one := w.answerValue(r.Answer).(*goja.Object)
		throwAgain(one.Set("recipient", w.text(r.Recipient)))
		refused = append(refused, one)
	}
	set("refused", w.rt.NewArray(refused...))
	set("quarantine", w.text(d.Quarantine))
}

func (w *World) queuedValue(events []Queued) goja.Value {
	list := []any{}
	for _, q := range events {
		list = append(list, w.plain(map[string]any{"queue": q.Queue, "when": q.When, "data": q.Data}))
	}
	return w.rt.NewArray(list...)
}

func (w *World) noteValue(n filter.Note) goja.Value {
	return w.plain(map[string]any{"script": n.Script, "reason": n.Reason, "values": n.Values})
}

// plain is an object of plain members; JSON among them is read, nil left out.
func (w *World) plain(members map[string]any) goja.Value {
	o := w.rt.NewObject()
	for _, key := range slices.Sorted(maps.Keys(members)) {
		v := members[key]
		if raw, ok := v.(json.RawMessage); ok {
			if json.Unmarshal(raw, &v) != nil {
				v = string(raw) // it was made by us a moment ago
			}
		}
		switch v := v.(type) {
		case nil:
		case string:
			throwAgain(o.Set(key, w.text(v)))
		default:
			throwAgain(o.Set(key, w.jsonValue(v)))
		}
	}
	return o
}

// jsonValue is a value of encoding/json as a plain one of JavaScript's.
func (w *World) jsonValue(v any) goja.Value {
	switch v := v.(type) {
	case nil:
		return goja.Null()
	case map[string]any:
		o := w.rt.NewObject()
		for _, key := range slices.Sorted(maps.Keys(v)) {
			// Not Set: a key __proto__ is one like any other.
			_ = o.DefineDataProperty(key, w.jsonValue(v[key]), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
		}
		return o
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = w.jsonValue(item)
		}
		return w.rt.NewArray(list...)
	default:
		return w.rt.ToValue(v)
	}
}
