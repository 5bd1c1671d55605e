package script

import (
	"strconv"

	"github.com/dop251/goja"
)

// facts is a plain object that scripts can only read, its keys in order.
func (w *World) facts(pairs ...any) *goja.Object {
	o := w.rt.NewObject()
	for i := 0; i < len(pairs); i += 2 {
		var v goja.Value
		switch x := pairs[i+1].(type) {
		case string:
			v = w.text(x)
		case goja.Value:
			v = x
		default:
			v = w.rt.ToValue(x)
		}
		_ = o.DefineDataProperty(pairs[i].(string), v, goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE)
	}
	return o
}

func (w *World) spfValue(r SPFResult) goja.Value {
	return w.facts("result", r.Result, "domain", r.Domain, "explanation", r.Explanation, "identity", r.Identity, "sender", r.Sender)
}

func (w *World) dkimValue(list []DKIMResult) goja.Value {
	values := make([]any, len(list))
	for i, r := range list {
		values[i] = w.facts("result", r.Result, "domain", r.Domain, "selector", r.Selector, "error", r.Error,
			"identity", r.Identity, "algorithm", r.Algorithm, "signature", r.Signature)
	}
	return w.rt.NewArray(values...)
}

func (w *World) dmarcValue(r DMARCResult) goja.Value {
	return w.facts("result", r.Result, "policy", r.Policy, "domain", r.Domain,
		"aligned", w.facts("spf", r.SPF, "dkim", r.DKIM),
		"percent", r.Percent, "disposition", r.Disposition, "reason", r.Reason)
}

func (w *World) arcValue(r ARCResult) goja.Value {
	values := make([]any, len(r.Chain))
	for i, s := range r.Chain {
		values[i] = w.facts("instance", s.Instance, "domain", s.Domain, "selector", s.Selector, "results", s.Results)
	}
	return w.facts("result", r.Result, "chain", w.rt.NewArray(values...), "error", r.Error)
}

// authResults is auth.authenticationResults(session, { spf, dkim, dmarc, arc, authservId }).
func (w *World) authResults(fc goja.FunctionCall) goja.Value {
	const call = "auth.authenticationResults"
	s := w.sessionArg(fc, call)
	if s.Message == nil {
		w.throw(errNoMessage)
	}
	o, ok := fc.Argument(1).(*goja.Object)
	if !ok {
		panic(w.rt.NewTypeError("%s needs results: { spf, dkim, dmarc, arc }, any of them", call))
	}
	var r AuthResults
	id := s.MTA().Hostname
	for _, key := range o.Keys() {
		v := o.Get(key)
		if goja.IsUndefined(v) || goja.IsNull(v) {
			continue
		}
		if key == "authservId" {
			id = bytesOf(v)
			continue
		}
		one, ok := v.(*goja.Object)
		if !ok {
			panic(w.rt.NewTypeError("%s: %s is no result", call, key))
		}
		switch key {
		case "spf":
			r.SPF = &SPFResult{w.member(one, "result"), w.member(one, "domain"), w.member(one, "identity"), w.member(one, "sender"), w.member(one, "explanation")}
		case "dkim":
			r.DKIM = w.dkimResults(one)
		case "dmarc":
			r.DMARC = &DMARCResult{Result: w.member(one, "result"), Policy: w.member(one, "policy"), Domain: w.member(one, "domain"), Reason: w.member(one, "reason")}
		case "arc":
			r.ARC = &ARCResult{Result: w.member(one, "result"), Error: w.member(one, "error")}
		default:
			panic(w.rt.NewTypeError("%s: %q is not known: there are spf, dkim, dmarc, arc and authservId", call, key))
		}
	}
	service := w.set.o.Services.Auth
	value, err := service.FormatResults(id, r)
	w.throw(err)
	w.throw(s.Message.StripHeader("Authentication-Results", func(value string) bool { return service.Claims(id, value) }))
	w.throw(s.Message.InsertHeader(0, "Authentication-Results", value))
	return goja.Undefined()
}

func (w *World) dkimResults(list *goja.Object) []DKIMResult {
	if list.ClassName() != "Array" {
		panic(w.rt.NewTypeError("dkim is no array of results"))
	}
	n := min(list.Get("length").ToInteger(), maxNames)
	results := []DKIMResult{}
	for i := range int(n) {
		one, ok := w.item(list, i).(*goja.Object)
		if !ok {
			panic(w.rt.NewTypeError("dkim[%d] is no result", i))
		}
		results = append(results, DKIMResult{
			w.member(one, "result"), w.member(one, "domain"), w.member(one, "selector"), w.member(one, "identity"),
			w.member(one, "algorithm"), w.member(one, "signature"), w.member(one, "error"),
		})
	}
	return results
}

func (w *World) item(list *goja.Object, i int) goja.Value {
	if v := list.Get(strconv.Itoa(i)); v != nil {
		return v
	}
	return goja.Undefined()
}

// member is a string of an object, "" when it is not there.
func (w *World) member(o *goja.Object, key string) string {
	v := o.Get(key)
	if v == nil || goja.IsUndefined(v) || goja.IsNull(v) {
		return ""
	}
	return bytesOf(v)
}
