package script

import (
	"context"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// SMTP is what pmilter/smtp does its work with.
type SMTP interface {
	// Send hands a message to a server. Errors have Name() "SMTPError" with
	// Details() code, enhanced, permanent and rejected; "NetworkError" with a Code();
	// "PermissionError"; or are context.DeadlineExceeded.
	Send(ctx context.Context, m SMTPMessage) (SMTPResult, error)
}

// SMTPMessage is what to send, and how.
type SMTPMessage struct {
	Server  string // "host:port" or "unix:/path"
	Helo    string // "": the host's own name
	From    string // "": the null sender
	To      []string
	Message []byte
	TLS     string // opportunistic, verify, implicit or none
	User    string // "": no authentication
	Pass    string
	Partial bool // send to those recipients that are accepted, when some are refused
}

// SMTPResult is what became of it.
type SMTPResult struct {
	Reply    string // what the server said of the message
	Accepted []string
	Rejected []SMTPRejected
}

// SMTPRejected is a recipient that the server refused.
type SMTPRejected struct {
	Address   string
	Code      int
	Enhanced  string
	Text      string
	Permanent bool
}

// smtpExport is an export of pmilter/smtp.
func (w *World) smtpExport(name string) goja.Value { return w.function(name, w.sendMail) }

func (w *World) sendMail(call goja.FunctionCall) goja.Value {
	s := w.settingsArg(call, 0, "smtp.send", "server", "from", "to", "message", "helo", "tls", "auth", "timeout", "partial")
	need := func(key string) goja.Value {
		v := s.get(key)
		if v == nil {
			panic(w.rt.NewTypeError("smtp.send: %s is missing", key))
		}
		return v
	}
	m := SMTPMessage{
		Server: bytesOf(need("server")), From: bytesOf(need("from")), Helo: s.text("helo", ""), Partial: s.flag("partial"),
	}
	to := need("to")
	if list, ok := to.(*goja.Object); ok && list.ClassName() == "Array" {
		m.To = w.names(list, "smtp.send: to")
	} else {
		m.To = []string{bytesOf(to)}
	}
	if len(m.To) == 0 {
		panic(w.rt.NewTypeError("smtp.send: to is empty"))
	}
	m.Message = w.messageBytes(need("message"))
	m.TLS = s.word("tls", "", "opportunistic", "verify", "implicit", "none")
	if auth, ok := s.get("auth").(*goja.Object); ok {
		m.User, m.Pass = bytesOf(orUndefined(auth.Get("user"))), bytesOf(orUndefined(auth.Get("pass")))
		if goja.IsUndefined(orUndefined(auth.Get("user"))) || goja.IsUndefined(orUndefined(auth.Get("pass"))) {
			panic(w.rt.NewTypeError("smtp.send: auth has user and pass"))
		}
	}
	for _, address := range append([]string{m.From, m.Helo}, m.To...) {
		if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }) {
			panic(w.rt.NewTypeError("smtp.send: %.100q is no address", address))
		}
	}
	timeout := s.duration("timeout", 5*time.Minute)
	service := w.set.o.Services.SMTP
	return async(w, "smtp.send", func(ctx context.Context) (SMTPResult, error) {
		if service == nil {
			return SMTPResult{}, missingServiceError{"pmilter/smtp"}
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return service.Send(ctx, m)
	}, func(r SMTPResult) goja.Value {
		return w.object("reply", r.Reply, "accepted", r.Accepted, "rejected", w.rejectedValue(r.Rejected))
	})
}

// messageBytes is a message as text, bytes, or an object with raw(): job.message.
func (w *World) messageBytes(v goja.Value) []byte {
	if o, ok := v.(*goja.Object); ok {
		if raw, ok := goja.AssertFunction(o.Get("raw")); ok {
			data, err := raw(o)
			if err != nil {
				panic(err)
			}
			v = data
		}
	}
	return w.bytesValue(v, "smtp.send: message")
}

func (w *World) rejectedValue(list []SMTPRejected) goja.Value {
	values := make([]any, len(list))
	for i, r := range list {
		values[i] = w.object("address", r.Address, "code", r.Code, "enhanced", r.Enhanced, "text", r.Text, "permanent", r.Permanent)
	}
	return w.rt.NewArray(values...)
}

// SMTPError is a server's refusal, as scripts catch it.
type SMTPError struct {
	SMTPRejected // Address is "" when it is not about a recipient
	Rejected     []SMTPRejected
}

func (e *SMTPError) Error() string {
	text := e.Text
	if e.Address != "" {
		text = e.Address + ": " + text
	}
	return text
}

// Name is what scripts know the error by.
func (e *SMTPError) Name() string { return "SMTPError" }

// describe gives the exception its properties.
func (e *SMTPError) describe(w *World, o *goja.Object) {
	set := func(key string, v goja.Value) {
		_ = o.DefineDataProperty(key, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
	}
	set("code", w.rt.ToValue(e.SMTPRejected.Code))
	set("enhanced", w.text(e.Enhanced))
	set("permanent", w.rt.ToValue(e.Permanent))
	set("rejected", w.rejectedValue(e.Rejected))
}
