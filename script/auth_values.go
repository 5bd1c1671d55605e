package script

import (
	"strconv"

	"github.com/dop251/goja"
)

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
	o := w.settingsArg(fc, 1, call, "spf", "dkim", "dmarc", "arc", "authservId")
	if o.o == nil {
		panic(w.rt.NewTypeError("%s needs results: { spf, dkim, dmarc, arc }, any of them", call))
	}
	var r AuthResults
	id := o.text("authservId", s.MTA().Hostname)
	if one := w.resultArg(o, "spf"); one != nil {
		r.SPF = &SPFResult{w.member(one, "result"), w.member(one, "domain"), w.member(one, "identity"), w.member(one, "sender"), w.member(one, "explanation")}
	}
	if list := w.resultArg(o, "dkim"); list != nil {
		r.DKIM = w.dkimResults(list)
	}
	if one := w.resultArg(o, "dmarc"); one != nil {
		r.DMARC = &DMARCResult{Result: w.member(one, "result"), Policy: w.member(one, "policy"), Domain: w.member(one, "domain"), Reason: w.member(one, "reason")}
	}
	if one := w.resultArg(o, "arc"); one != nil {
		r.ARC = &ARCResult{Result: w.member(one, "result"), Error: w.member(one, "error")}
	}
	service := w.set.o.Services.Auth
	value, err := service.FormatResults(id, r)
	w.throw(err)
	w.throw(s.Message.StripHeader("Authentication-Results", func(value string) bool { return service.Claims(id, value) }))
	w.throw(s.Message.InsertHeader(0, "Authentication-Results", value))
	return goja.Undefined()
}

// resultArg is an option that is a result, nil if it is not given.
func (w *World) resultArg(s settings, key string) *goja.Object {
	v := s.get(key)
	if v == nil {
		return nil
	}
	one, ok := v.(*goja.Object)
	if !ok {
		s.fault(key, v, "a result is wanted")
	}
	return one
}

func (w *World) dkimResults(list *goja.Object) []DKIMResult {
	if list.ClassName() != "Array" {
		panic(w.rt.NewTypeError("dkim is no array of results"))
	}
	n := min(list.Get("length").ToInteger(), maxNames)
	results := []DKIMResult{}
	for i := range int(n) {
		one, ok := orUndefined(list.Get(strconv.Itoa(i))).(*goja.Object)
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

// member is a string of an object, "" when it is not there.
func (w *World) member(o *goja.Object, key string) string {
	v := o.Get(key)
	if v == nil || goja.IsUndefined(v) || goja.IsNull(v) {
		return ""
	}
	return bytesOf(v)
}
