package script

import (
	"maps"
	"slices"
	"strings"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// sessionValue is the session object, one for a world.
func (w *World) sessionValue() goja.Value {
	if w.objects.session == nil {
		w.objects.session = w.newHost(w.set.classes.session, w.session)
	}
	return w.objects.session
}

func sessionClass() *class {
	get := func(f func(w *World, s *filter.Session) goja.Value) func(*World, any) goja.Value {
		return func(w *World, self any) goja.Value { return f(w, self.(*filter.Session)) }
	}
	return &class{
		name: "session",
		keys: []string{"id", "listener", "client", "helo", "tls", "auth", "queueId", "mta", "macros", "message", "state"},
		get: map[string]func(*World, any) goja.Value{
			"id":       get(func(w *World, s *filter.Session) goja.Value { return w.text(s.ID) }),
			"listener": get(func(w *World, s *filter.Session) goja.Value { return w.text(s.Listener) }),
			"client":   get(clientValue),
			"helo":     get(func(w *World, s *filter.Session) goja.Value { return w.text(s.Helo) }),
			"tls":      get(tlsValue),
			"auth":     get(authValue),
			"queueId":  get(func(w *World, s *filter.Session) goja.Value { return w.text(s.QueueID()) }),
			"mta": get(func(w *World, s *filter.Session) goja.Value {
				m := s.MTA()
				return w.record(map[string]string{"hostname": m.Hostname, "daemon": m.Daemon, "version": m.Version})
			}),
			"macros":  get(macrosValue),
			"message": get(func(w *World, s *filter.Session) goja.Value { return w.messageValue(s.Message) }),
			"state": get(func(w *World, _ *filter.Session) goja.Value {
				return w.single("session.state", func() goja.Value { return w.rt.NewObject() })
			}),
		},
	}
}

// clientValue is kept as long as the client is the same: scripts read it often.
func clientValue(w *World, s *filter.Session) goja.Value {
	if kept, ok := w.objects.values["client"]; ok && w.objects.client == s.Client {
		return kept
	}
	o := w.rt.NewObject()
	set := func(key string, v goja.Value) {
		_ = o.DefineDataProperty(key, v, goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE)
	}
	ip := goja.Null()
	if s.Client.IP != "" {
		ip = w.text(s.Client.IP)
	}
	set("ip", ip)
	set("port", w.rt.ToValue(s.Client.Port))
	set("name", w.text(s.Client.Name))
	set("family", w.text(s.Client.Family))
	w.objects.values["client"], w.objects.client = o, s.Client
	return o
}

func tlsValue(w *World, s *filter.Session) goja.Value {
	t, ok := s.TLS()
	if !ok {
		return goja.Null()
	}
	o := w.record(map[string]string{"version": t.Version, "cipher": t.Cipher, "subject": t.Subject, "issuer": t.Issuer})
	_ = o.DefineDataProperty("bits", w.rt.ToValue(t.BitCount()), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE)
	return o
}

func authValue(w *World, s *filter.Session) goja.Value {
	a, ok := s.Auth()
	if !ok {
		return goja.Null()
	}
	return w.record(map[string]string{"user": a.User, "method": a.Method, "author": a.Author})
}

// macrosValue looks macros up when asked: both spellings work.
func macrosValue(w *World, s *filter.Session) goja.Value {
	return w.single("macros", func() goja.Value { return w.rt.NewDynamicObject(&macros{w, s}) })
}

// macros is session.macros.
type macros struct {
	w *World
	s *filter.Session
}

var _ goja.DynamicObject = (*macros)(nil)

// Get gives a macro by either spelling.
func (m *macros) Get(key string) goja.Value {
	if !m.Has(key) {
		return nil
	}
	return m.w.text(m.s.Macro(key))
}

// Set refuses: macros are the MTA's.
func (m *macros) Set(key string, _ goja.Value) bool {
	panic(m.w.rt.NewTypeError("session.macros.%s is read-only", key))
}

// Has tells whether the MTA sent it.
func (m *macros) Has(key string) bool {
	_, ok := m.s.Macros()[strings.Trim(key, "{}")]
	return ok
}

// Delete refuses what is there.
func (m *macros) Delete(key string) bool { return !m.Has(key) }

// Keys are the names without braces.
func (m *macros) Keys() []string { return slices.Sorted(maps.Keys(m.s.Macros())) }

// addressValue is an Address; one object for each *filter.Address in turn.
func (w *World) addressValue(a *filter.Address) goja.Value {
	return w.newHost(w.set.classes.address, a)
}

func addressClass() *class {
	get := func(f func(a *filter.Address) string) func(*World, any) goja.Value {
		return func(w *World, self any) goja.Value { return w.text(f(self.(*filter.Address))) }
	}
	return &class{
		name: "address",
		keys: []string{"address", "local", "domain", "params"},
		get: map[string]func(*World, any) goja.Value{
			"address": get(func(a *filter.Address) string { return a.Address }),
			"local":   get(func(a *filter.Address) string { return a.Local }),
			"domain":  get(func(a *filter.Address) string { return a.Domain }),
			"params":  func(w *World, self any) goja.Value { return w.record(self.(*filter.Address).Params) },
		},
		methods: map[string]method{
			"toString": func(w *World, self any, _ goja.FunctionCall) goja.Value {
				return w.text(self.(*filter.Address).Address)
			},
			"toJSON": func(w *World, self any, _ goja.FunctionCall) goja.Value {
				return w.text(self.(*filter.Address).Address)
			},
		},
	}
}
