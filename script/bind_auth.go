package script

import (
	"context"
	"errors"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// Auth is what pmilter/auth does its work with. Safe for concurrent use; what
// takes a context returns when that ends, with its error, and with no other.
type Auth interface {
	// ReadMessage takes what it needs of a message as it arrived: values are what
	// stood between colon and CRLF. Neither slice is used afterwards.
	ReadMessage(fields []filter.Field, body []byte) AuthMessage
	SPF(ctx context.Context, c AuthClient) (SPFResult, error)
	DKIM(ctx context.Context, m AuthMessage) ([]DKIMResult, error)
	DMARC(ctx context.Context, m AuthMessage, spf SPFResult, dkim []DKIMResult) (DMARCResult, error)
	ARC(ctx context.Context, m AuthMessage) (ARCResult, error)
	// Signer reads the key at once and returns what signs a message.
	Signer(o SignOptions) (filter.SignFunc, error)
	// FormatResults is the value of an Authentication-Results by id, Claims
	// tells whether one says that it is by id.
	FormatResults(id string, r AuthResults) (string, error)
	Claims(id, value string) bool
}

// AuthMessage is a message in the service's own form.
type AuthMessage any

// AuthClient is whom SPF is about; Server is our own name.
type AuthClient struct{ IP, Helo, Sender, Server string }

// SPFResult is what auth.spf gives.
type SPFResult struct{ Result, Domain, Identity, Sender, Explanation string }

// DKIMResult is what auth.dkim gives for one signature.
type DKIMResult struct{ Result, Domain, Selector, Identity, Algorithm, Signature, Error string }

// DMARCResult is what auth.dmarc gives.
type DMARCResult struct {
	Result, Policy string
	Percent        int
	Disposition    string
	Domain         string
	SPF, DKIM      bool
	Reason         string
}

// ARCResult is what auth.arc gives.
type ARCResult struct {
	Result, Error string
	Chain         []ARCSet
}

// ARCSet is one link of an ARC chain.
type ARCSet struct {
	Instance                  int
	Domain, Selector, Results string
}

// SignOptions are those of auth.sign.
type SignOptions struct {
	Domain, Selector, Key string
	Headers               []string // nil: the usual ones
}

// AuthResults is what an Authentication-Results tells; nil is not told of, but
// DKIM may be empty.
type AuthResults struct {
	SPF   *SPFResult
	DKIM  []DKIMResult
	DMARC *DMARCResult
	ARC   *ARCResult
}

// authWork is what is known of the message under way. Promises of one message
// share it: several calls verify a signature once.
type authWork struct {
	of    *filter.Message
	read  AuthMessage
	turn  chan struct{} // who has it may look at what follows
	spf   map[AuthClient]SPFResult
	dkim  []DKIMResult
	known bool // dkim is
}

func (w *World) authExport(name string) goja.Value {
	calls := map[string]func(goja.FunctionCall) goja.Value{
		"spf": w.authSPF, "dkim": w.authDKIM, "dmarc": w.authDMARC, "arc": w.authARC,
		"sign": w.authSign, "authenticationResults": w.authResults,
	}
	call := calls[name]
	return w.function(name, func(fc goja.FunctionCall) goja.Value {
		w.effect("auth." + name)
		if w.set.o.Services.Auth == nil {
			panic(w.rt.NewTypeError("auth.%s is not there: nothing looks up DNS here", name))
		}
		return call(fc)
	})
}

func (w *World) authSPF(fc goja.FunctionCall) goja.Value {
	s := w.sessionArg(fc, "auth.spf")
	client, work := authClient(s), w.authWork(s.Message)
	return async(w, "auth.spf", func(ctx context.Context) (SPFResult, error) {
		return work.getSPF(ctx, w.set.o.Services.Auth, client)
	}, w.spfValue)
}

func authClient(s *filter.Session) AuthClient {
	c := AuthClient{IP: s.Client.IP, Helo: s.Helo, Server: s.MTA().Hostname}
	if s.Message != nil {
		c.Sender = s.Message.Sender.Address
	}
	return c
}

func (w *World) authDKIM(fc goja.FunctionCall) goja.Value {
	m := w.messageArg(fc, "auth.dkim")
	work := w.arrived(m)
	return async(w, "auth.dkim", func(ctx context.Context) ([]DKIMResult, error) {
		return work.getDKIM(ctx, w.set.o.Services.Auth)
	}, w.dkimValue)
}

func (w *World) authDMARC(fc goja.FunctionCall) goja.Value {
	s := w.sessionArg(fc, "auth.dmarc")
	if s.Message == nil {
		w.throw(errNoMessage)
	}
	client, work, service := authClient(s), w.arrived(s.Message), w.set.o.Services.Auth
	return async(w, "auth.dmarc", func(ctx context.Context) (r DMARCResult, err error) {
		spf, err := work.getSPF(ctx, service, client)
		if err != nil {
			return r, err
		}
		dkim, err := work.getDKIM(ctx, service)
		if err != nil {
			return r, err
		}
		return service.DMARC(ctx, work.read, spf, dkim)
	}, w.dmarcValue)
}

func (w *World) authARC(fc goja.FunctionCall) goja.Value {
	m := w.messageArg(fc, "auth.arc")
	work := w.arrived(m)
	return async(w, "auth.arc", func(ctx context.Context) (ARCResult, error) {
		return w.set.o.Services.Auth.ARC(ctx, work.read)
	}, w.arcValue)
}

// authSign is auth.sign(message, { domain, selector, key, headers }).
func (w *World) authSign(fc goja.FunctionCall) goja.Value {
	m := w.messageArg(fc, "auth.sign")
	s := w.settingsArg(fc, 1, "auth.sign", "domain", "selector", "key", "headers")
	o := SignOptions{Domain: s.need("domain"), Selector: s.need("selector"), Key: s.need("key")}
	if list := s.get("headers"); list != nil {
		o.Headers = w.names(list, "auth.sign: headers")
	}
	sign, err := w.set.o.Services.Auth.Signer(o)
	if err == nil {
		err = m.Sign("DKIM-Signature", "d="+o.Domain+" s="+o.Selector, sign)
	}
	if err != nil {
		w.throw(errors.New("auth.sign: " + err.Error()))
	}
	return goja.Undefined()
}

// authWork is that of the message under way, or a fresh one outside a message.
func (w *World) authWork(m *filter.Message) *authWork {
	if w.auth == nil || w.auth.of != m || m == nil {
		w.auth = &authWork{of: m, turn: make(chan struct{}, 1)}
	}
	return w.auth
}

// arrived is the work of a message that is there; it throws if it is not.
func (w *World) arrived(m *filter.Message) *authWork {
	w.mayReadBody()
	work := w.authWork(m)
	if work.read == nil {
		fields, body, err := m.Arrived()
		w.throw(err)
		work.read = w.set.o.Services.Auth.ReadMessage(fields, body)
	}
	return work
}

func (k *authWork) lock(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *authWork) getSPF(ctx context.Context, service Auth, c AuthClient) (SPFResult, error) {
	if err := k.lock(ctx); err != nil {
		return SPFResult{}, err
	}
	defer func() { <-k.turn }()
	if r, ok := k.spf[c]; ok {
		return r, nil
	}
	r, err := service.SPF(ctx, c)
	if err == nil {
		k.spf = map[AuthClient]SPFResult{c: r}
	}
	return r, err
}

func (k *authWork) getDKIM(ctx context.Context, service Auth) ([]DKIMResult, error) {
	if err := k.lock(ctx); err != nil {
		return nil, err
	}
	defer func() { <-k.turn }()
	if k.known {
		return k.dkim, nil
	}
	r, err := service.DKIM(ctx, k.read)
	if err == nil {
		k.dkim, k.known = r, true
	}
	return r, err
}

var errNoMessage = errors.New("there is no message yet: call it from mail on")

// sessionArg is the first argument, which must be the session.
func (w *World) sessionArg(fc goja.FunctionCall, call string) *filter.Session {
	if h, ok := hostOf(fc.Argument(0), w.set.classes.session); ok {
		return h.self.(*filter.Session)
	}
	panic(w.rt.NewTypeError("%s is called with the session", call))
}

// messageArg is the first argument, which must be the message under way.
func (w *World) messageArg(fc goja.FunctionCall, call string) *filter.Message {
	h, ok := hostOf(fc.Argument(0), w.set.classes.message)
	if !ok {
		panic(w.rt.NewTypeError("%s is called with session.message", call))
	}
	m := h.self.(*filter.Message)
	if w.session == nil || w.session.Message != m {
		w.throw(errOver)
	}
	return m
}
