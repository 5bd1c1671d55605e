package script

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/dop251/goja"
	"go.uber.org/zap"

	"pmilter/filter"
)

// Limits is what a script may use; see [handler] in the README.
type Limits struct {
	Timeout  time.Duration // top-level code and what else has no phase's deadline
	CPU      time.Duration // one stretch of JavaScript without an await
	Memory   int64         // bytes of this process's heap
	MaxValue int64         // bytes of one string, array or buffer
}

// Set is one loaded set of scripts, immutable and safe for concurrent use.
type Set struct {
	o       setOptions
	bundle  *bundle
	scripts []filter.Script
	classes *classes
	modules map[string]module
	testing *goja.Program // of files of tests
	globals *globals      // compiled, for each world to install
	guards  *guards
}

// setOptions is what worlds need besides the bundle.
type setOptions struct {
	Limits   Limits
	Vars     map[string]any
	Services Services
	Clock    Clock
	Log      *zap.Logger
	watchdog *watchdog
	base     string // what the scripts' names are relative to
	jobs     bool
}

func (o *Options) set(w *watchdog) setOptions {
	return setOptions{Limits: o.Limits, Vars: o.Vars, Services: o.Services, Log: o.Log, watchdog: w, base: o.Base, jobs: o.Jobs}
}

var _ filter.Scripts = (*Set)(nil)

// newSet runs the bundle once in a throwaway world and reads what the scripts
// export. Faults that are no warnings mean that there is no set.
func newSet(b *bundle, o setOptions) (*Set, Faults) {
	s, err := prepareSet(b, o)
	if err != nil {
		return nil, Faults{{Message: err.Error()}}
	}
	return s.tried()
}

// prepareSet compiles what the worlds of a set install; nothing has run yet.
func prepareSet(b *bundle, o setOptions) (*Set, error) {
	if o.Clock == nil {
		o.Clock = wallClock{}
	}
	s := &Set{o: o, bundle: b, classes: newClasses(), modules: modules()}
	var err error
	if s.globals, err = newGlobals(b.usage); err != nil {
		return nil, err
	}
	if s.guards, err = newGuards(b.usage); err != nil {
		return nil, err
	}
	return s, nil
}

// tried is the set with what its scripts export, read in a throwaway world.
func (s *Set) tried() (*Set, Faults) {
	o := s.o
	s.scripts = make([]filter.Script, len(s.bundle.files))
	for i, file := range s.bundle.files {
		s.scripts[i] = filter.Script{Name: file}
	}
	w, err := newWorld(s, nil, &filter.Call{Script: -1, Deadline: o.Clock.Now().Add(o.Limits.Timeout)})
	if err != nil {
		return nil, Faults{faultOf(err)}
	}
	defer w.Close()
	var faults Faults
	read := s.readExports
	if o.jobs {
		read = s.readJobs
	}
	err = w.stretch(o.Clock.Now().Add(o.Limits.Timeout), func() error {
		if thrown := w.rt.Try(func() { faults = read(w) }); thrown != nil {
			return thrown
		}
		return nil
	})
	if err != nil {
		return nil, Faults{faultOf(w.fault(w.call, err))}
	}
	if faults.Fatal() {
		return nil, faults
	}
	return s, faults
}

func faultOf(err error) Fault {
	if e, ok := err.(*filter.ScriptError); ok { //nolint:errorlint // made here, not wrapped
		return Fault{Pos: e.Pos, Message: e.Message}
	}
	return Fault{Message: err.Error()}
}

// Version implements filter.Scripts.
func (s *Set) Version() string { return s.bundle.version }

// List implements filter.Scripts.
func (s *Set) List() []filter.Script { return s.scripts }

// Open implements filter.Scripts.
func (s *Set) Open(session *filter.Session, first *filter.Call) (filter.Handler, error) {
	w, err := newWorld(s, session, first)
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (s *Set) nameOf(script int) string {
	if script < 0 || script >= len(s.scripts) {
		return ""
	}
	return s.scripts[script].Name
}

// readExports fills in s.scripts from the exports of a world.
func (s *Set) readExports(w *World) Faults {
	var faults Faults
	for i := range s.scripts {
		sc := &s.scripts[i]
		module := w.objects.exports.Get(fmt.Sprint(i)).ToObject(w.rt)
		fault := func(warning bool, name, key, format string, args ...any) {
			faults = append(faults, Fault{Pos: exportedAt(s.o.base, sc.Name, name, key), Message: fmt.Sprintf(format, args...), Warning: warning})
		}
		var options goja.Value
		for _, name := range module.Keys() {
			value := module.Get(name)
			_, function := goja.AssertFunction(value)
			p, handler := filter.PhaseOf(name)
			switch {
			case name == "options":
				options = value
			case handler && !function:
				fault(false, name, "", "exports %s, which is no function", name)
			case handler:
				sc.Phases = sc.Phases.With(p)
			case function:
				if meant := nearestPhase(name); meant != "" {
					fault(true, name, "", "exports %s, which is no handler: is %s meant?", name, meant)
				}
			}
		}
		sc.Queues = s.bundle.imports[i]["pmilter/queue"]
		sc.Headers = sc.Phases.Has(filter.Header) || sc.Phases.Has(filter.EOM) || sc.Queues
		sc.Body = sc.Phases.Has(filter.Body) || sc.Phases.Has(filter.EOM) || sc.Queues
		readOptions(w, sc, options, fault)
		if sc.Phases == 0 {
			fault(true, "", "", "has no handlers: it exports none of connect helo mail rcpt data header eoh body eom abort close unknown")
		}
	}
	return faults
}

// readOptions reads `export const options`.
func readOptions(w *World, sc *filter.Script, options goja.Value, fault func(warning bool, name, key, format string, args ...any)) {
	if options == nil {
		return
	}
	o, ok := options.(*goja.Object)
	if !ok || o.ClassName() == "Array" || o.ClassName() == "Function" {
		fault(false, "options", "", "options is no object")
		return
	}
	flags := map[string]*bool{"headers": &sc.Headers, "body": &sc.Body, "early": &sc.Early, "observe": &sc.Observe}
	for _, key := range o.Keys() {
		value := o.Get(key)
		flag, known := flags[key]
		switch {
		case known:
			if value != w.rt.ToValue(true) && value != w.rt.ToValue(false) {
				fault(false, "options", key, "options.%s is not true or false", key)
				continue
			}
			*flag = value.ToBoolean()
		case key == "onError":
			action, ok := map[string]filter.Action{`"tempfail"`: filter.Tempfail, `"accept"`: filter.Accept, `"reject"`: filter.Reject}[shown(value)]
			if !ok {
				fault(false, "options", key, `options.onError is %s: "tempfail", "accept" or "reject"`, shown(value))
			}
			sc.OnError = action
		default:
			known := []string{"headers", "body", "early", "observe", "onError"}
			fault(false, "options", key, "options.%s is not known: there are %s", key, strings.Join(known, ", "))
		}
	}
	if !sc.Headers && sc.Phases.Has(filter.Header) {
		fault(false, "options", "headers", "options.headers is false, but there is a header handler")
	}
	if !sc.Body && sc.Phases.Has(filter.Body) {
		fault(false, "options", "body", "options.body is false, but there is a body handler")
	}
}

// nearestPhase guesses which handler a misnamed export was meant to be.
func nearestPhase(name string) string {
	lower := strings.ToLower(name)
	aliases := map[string]string{
		"from": "mail", "mailfrom": "mail", "envfrom": "mail", "recipient": "rcpt", "rcptto": "rcpt", "envrcpt": "rcpt",
		"ehlo": "helo", "hello": "helo", "headers": "header", "endofmessage": "eom", "quit": "close", "rset": "abort", "onconnect": "connect",
	}
	if meant := aliases[lower]; meant != "" {
		return meant
	}
	for p := range filter.Phase(filter.NumPhases) {
		if handler := p.String(); sameLetters(lower, handler) || oneMore(lower, handler) || oneMore(handler, lower) {
			return handler
		}
	}
	return ""
}

// sameLetters: in whatever order.
func sameLetters(a, b string) bool {
	letters := func(s string) string {
		b := []byte(s)
		sort.Slice(b, func(i, j int) bool { return b[i] < b[j] })
		return string(b)
	}
	return letters(a) == letters(b)
}

// oneMore tells whether long is short with a letter more, but not before it:
// email is a word of its own.
func oneMore(long, short string) bool {
	if len(long) != len(short)+1 || len(short) < 3 {
		return false
	}
	for i := 1; i < len(long); i++ {
		if long[:i]+long[i+1:] == short {
			return true
		}
	}
	return false
}
