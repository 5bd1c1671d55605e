package script

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// HTTP is what pmilter/http does its work with.
type HTTP interface {
	// Fetch sends a request and reads the whole answer, at most MaxSize bytes of
	// its body. Its errors have Name() "NetworkError" with a Code(),
	// "PermissionError", "TypeError", or are context.DeadlineExceeded.
	Fetch(ctx context.Context, r HTTPRequest) (*HTTPResponse, error)
}

// HTTPRequest is what to ask.
type HTTPRequest struct {
	Method, URL string
	Header      [][2]string
	Body        []byte
	MaxSize     int64
	Redirect    string // follow, manual or error
}

// HTTPResponse is an answer, whatever its status. Header's names are in lower case.
type HTTPResponse struct {
	Status     int
	StatusText string
	URL        string
	Redirected bool
	Header     [][2]string
	Body       []byte
}

const (
	defaultWait    = 10 * time.Second // of fetch and net.exchange
	defaultMaxSize = 8 << 20          // of their answers, bytes
	maxHeaders     = 200
)

// httpExport is an export of pmilter/http.
func (w *World) httpExport(name string) goja.Value { return w.function(name, w.fetch) }

func (w *World) fetch(call goja.FunctionCall) goja.Value {
	s := w.settingsArg(call, 1, "fetch", "method", "headers", "body", "timeout", "maxSize", "redirect")
	r := HTTPRequest{
		URL: w.stringArg(call, 0, "fetch: the URL"), Method: s.text("method", "GET"), MaxSize: s.size("maxSize", defaultMaxSize),
		Redirect: s.word("redirect", "follow", "manual", "error"),
	}
	for _, known := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		if strings.EqualFold(r.Method, known) { // Fetch §2.2.1: others keep their case
			r.Method = known
		}
	}
	if headers := s.get("headers"); headers != nil {
		r.Header = w.headerPairs(headers)
	}
	if body := s.get("body"); body != nil {
		var kind string
		r.Body, kind = w.requestBody(body)
		if kind != "" && !hasHeader(r.Header, "content-type") {
			r.Header = append(r.Header, [2]string{"Content-Type", kind})
		}
	}
	timeout := s.duration("timeout", defaultWait)
	http := w.set.o.Services.HTTP
	return async(w, "fetch", func(ctx context.Context) (*HTTPResponse, error) {
		if http == nil {
			return nil, missingServiceError{"pmilter/http"}
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return http.Fetch(ctx, r)
	}, func(r *HTTPResponse) goja.Value { return w.newHost(w.set.classes.response, r) })
}

// headerPairs is an object of headers, or an array of pairs.
func (w *World) headerPairs(v goja.Value) [][2]string {
	o, ok := v.(*goja.Object)
	if !ok {
		panic(w.rt.NewTypeError("fetch: headers is %s: an object or an array of pairs is wanted", shown(v)))
	}
	var list [][2]string
	if o.ClassName() != "Array" {
		for _, e := range entriesOf(w.rt, o) {
			list = append(list, [2]string{textBytes(e.key), bytesOf(e.value)})
		}
	} else {
		for i := range w.lengthArg(o, maxHeaders, "fetch: headers") {
			pair, ok := o.Get(strconv.Itoa(i)).(*goja.Object)
			if !ok || pair.ClassName() != "Array" || pair.Get("length").ToInteger() != 2 {
				panic(w.rt.NewTypeError("fetch: headers: an element is no pair of name and value"))
			}
			list = append(list, [2]string{bytesOf(orUndefined(pair.Get("0"))), bytesOf(orUndefined(pair.Get("1")))})
		}
	}
	if len(list) > maxHeaders {
		panic(w.rt.NewTypeError("fetch: more than %d headers", maxHeaders))
	}
	return list
}

func hasHeader(list [][2]string, name string) bool {
	for _, h := range list {
		if strings.EqualFold(h[0], name) {
			return true
		}
	}
	return false
}

// requestBody is a body with the content type that it has when none is said.
func (w *World) requestBody(v goja.Value) (body []byte, kind string) {
	if _, text := v.(goja.String); text {
		return []byte(bytesOf(v)), "text/plain;charset=UTF-8"
	}
	o, ok := v.(*goja.Object)
	if !ok {
		panic(w.rt.NewTypeError("fetch: body is %s: a string, bytes or URLSearchParams are wanted", shown(v)))
	}
	if class, ok := w.rt.GlobalObject().Get("URLSearchParams").(*goja.Object); ok && w.rt.InstanceOf(o, class) {
		return []byte(bytesOf(o)), "application/x-www-form-urlencoded;charset=UTF-8"
	}
	thrown := w.rt.Try(func() { body = w.bodyArg(goja.FunctionCall{Arguments: []goja.Value{v}}, 0) })
	if thrown != nil {
		panic(w.rt.NewTypeError("fetch: body is an object: send JSON.stringify(it)"))
	}
	return body, ""
}

// responseClass is what fetch resolves to.
func responseClass() *class {
	get := func(f func(w *World, r *HTTPResponse) goja.Value) func(*World, any) goja.Value {
		return func(w *World, self any) goja.Value { return f(w, self.(*HTTPResponse)) }
	}
	text := func(w *World, self any) goja.Value {
		return w.text(strings.TrimPrefix(string(self.(*HTTPResponse).Body), "\uFEFF"))
	}
	return &class{
		name: "response",
		keys: []string{"status", "statusText", "ok", "url", "redirected", "headers"},
		get: map[string]func(*World, any) goja.Value{
			"status":     get(func(w *World, r *HTTPResponse) goja.Value { return w.rt.ToValue(r.Status) }),
			"statusText": get(func(w *World, r *HTTPResponse) goja.Value { return w.text(r.StatusText) }),
			"ok":         get(func(w *World, r *HTTPResponse) goja.Value { return w.rt.ToValue(r.Status >= 200 && r.Status < 300) }),
			"url":        get(func(w *World, r *HTTPResponse) goja.Value { return w.text(r.URL) }),
			"redirected": get(func(w *World, r *HTTPResponse) goja.Value { return w.rt.ToValue(r.Redirected) }),
			"headers":    get(func(w *World, r *HTTPResponse) goja.Value { return w.newHost(w.set.classes.responseHeaders, r) }),
		},
		methods: map[string]method{
			"text": func(w *World, self any, _ goja.FunctionCall) goja.Value { return w.settled(text(w, self)) },
			"bytes": func(w *World, self any, _ goja.FunctionCall) goja.Value {
				return w.settled(w.uint8Array(append([]byte{}, self.(*HTTPResponse).Body...)))
			},
			"json": func(w *World, self any, _ goja.FunctionCall) goja.Value {
				promise, resolve, reject := w.rt.NewPromise()
				w.settle(resolve, reject, func() goja.Value { return w.parseJSON(text(w, self)) })
				return w.rt.ToValue(promise)
			},
		},
	}
}

// responseHeadersClass is the header of a response.
func responseHeadersClass() *class {
	values := func(self any, name string) []string {
		var list []string
		for _, h := range self.(*HTTPResponse).Header {
			if strings.EqualFold(h[0], name) {
				list = append(list, h[1])
			}
		}
		return list
	}
	return &class{
		name: "response.headers",
		get:  map[string]func(*World, any) goja.Value{},
		methods: map[string]method{
			"get": func(w *World, self any, call goja.FunctionCall) goja.Value {
				list := values(self, w.stringArg(call, 0, "the name"))
				if list == nil {
					return goja.Null()
				}
				return w.text(strings.Join(list, ", "))
			},
			"getAll": func(w *World, self any, call goja.FunctionCall) goja.Value {
				return w.texts(values(self, w.stringArg(call, 0, "the name")))
			},
			"has": func(w *World, self any, call goja.FunctionCall) goja.Value {
				return w.rt.ToValue(values(self, w.stringArg(call, 0, "the name")) != nil)
			},
			"entries": func(w *World, self any, _ goja.FunctionCall) goja.Value {
				var pairs []any
				for _, h := range self.(*HTTPResponse).Header {
					pairs = append(pairs, w.rt.NewArray(w.text(h[0]), w.text(h[1])))
				}
				return w.rt.NewArray(pairs...)
			},
		},
	}
}

// parseJSON is JSON.parse with the limits of the guards, whatever the scripts
// mention or have made of JSON.
func (w *World) parseJSON(text goja.Value) goja.Value {
	guard := &jsonGuard{rt: w.rt, maxValue: w.limits.MaxValue, maxLen: max(w.limits.MaxValue/bytesPerElement, 1)}
	if fault := guard.check(goja.FunctionCall{Arguments: []goja.Value{text}}); !goja.IsUndefined(fault) {
		throwError(w.rt, "RangeError", "%s", fault.String())
	}
	json, _ := w.rt.GlobalObject().Get("JSON").(*goja.Object)
	if json == nil {
		panic(w.rt.NewTypeError("JSON is gone"))
	}
	parse, ok := goja.AssertFunction(json.Get("parse"))
	if !ok {
		panic(w.rt.NewTypeError("JSON.parse is gone"))
	}
	v, err := parse(json, text)
	if err != nil {
		panic(err)
	}
	return v
}
