package filter_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/filter"
	"pmilter/internal/milter"
	"pmilter/internal/mta"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// play is one call of a handler, as the Go function that stands for it sees it.
type play struct {
	s    *filter.Session
	m    *filter.Message
	c    *filter.Call
	cast *cast
}

// on are the handlers of a script.
type on map[filter.Phase]func(*play) (filter.Verdict, error)

// actor is one script played in Go.
type actor struct {
	filter.Script
	on on
}

// script makes an actor; what it needs follows from its handlers as in package script.
func script(name string, handlers on, options ...func(*filter.Script)) *actor {
	a := &actor{Script: filter.Script{Name: name}, on: handlers}
	for p := range handlers {
		a.Phases = a.Phases.With(p)
	}
	a.Headers = a.Phases.Has(filter.Header) || a.Phases.Has(filter.EOM)
	a.Body = a.Phases.Has(filter.Body) || a.Phases.Has(filter.EOM)
	for _, o := range options {
		o(&a.Script)
	}
	return a
}

func early(s *filter.Script)   { s.Early = true }
func observe(s *filter.Script) { s.Observe = true }
func onError(a filter.Action) func(*filter.Script) {
	return func(s *filter.Script) { s.OnError = a }
}

// cast is a set of scripts played in Go. It notes each call.
type cast struct {
	name    string
	actors  []*actor
	openErr error

	mu             sync.Mutex
	calls          []string
	opened, closed int
}

func newCast(actors ...*actor) *cast { return &cast{name: "1", actors: actors} }

func (c *cast) Version() string { return c.name }

func (c *cast) List() []filter.Script {
	var list []filter.Script
	for _, a := range c.actors {
		list = append(list, a.Script)
	}
	return list
}

func (c *cast) Open(s *filter.Session, _ *filter.Call) (filter.Handler, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.openErr != nil {
		return nil, c.openErr
	}
	c.opened++
	return &world{cast: c, s: s}, nil
}

// take is the calls since the last take.
func (c *cast) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

func (c *cast) note(call string) {
	c.mu.Lock()
	c.calls = append(c.calls, call)
	c.mu.Unlock()
}

// open is how many worlds were made and how many of them live.
func (c *cast) open() (made, alive int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened, c.opened - c.closed
}

type world struct {
	cast   *cast
	s      *filter.Session
	closed bool
}

func (w *world) Call(c *filter.Call) (filter.Verdict, error) {
	if w.closed {
		panic("a world that is closed was called")
	}
	a := w.cast.actors[c.Script]
	call := a.Name + "." + c.Phase.String()
	switch c.Phase {
	case filter.Helo, filter.Unknown:
		call += " " + c.Name
	case filter.Mail, filter.Rcpt:
		call += " " + c.Address.Address
	case filter.Header:
		call += " " + c.HeaderName + "=" + c.HeaderValue
	case filter.Body:
		call += fmt.Sprintf(" %d", len(c.Chunk))
	default:
	}
	w.cast.note(call)
	v, err := a.on[c.Phase](&play{s: w.s, m: w.s.Message, c: c, cast: w.cast})
	return v, err
}

func (w *world) Close() {
	if w.closed {
		panic("a world was closed twice")
	}
	w.closed = true
	w.cast.mu.Lock()
	w.cast.closed++
	w.cast.mu.Unlock()
}

// What handlers may answer.

func pass(*play) (filter.Verdict, error) { return filter.Verdict{}, nil }

func does(a filter.Action) func(*play) (filter.Verdict, error) {
	return func(*play) (filter.Verdict, error) { return verdict(a), nil }
}

func verdict(a filter.Action) filter.Verdict {
	v := filter.Verdict{Action: a}
	switch a {
	case filter.Reject:
		v.Code, v.Enhanced, v.Text = 550, "5.7.1", "no"
	case filter.Tempfail:
		v.Code, v.Enhanced, v.Text = 451, "4.7.1", "later"
	default:
	}
	return v
}

func fails(*play) (filter.Verdict, error) {
	return filter.Verdict{}, &filter.ScriptError{
		Script: "thrower", Message: "TypeError: x is not a function", Pos: filter.Position{File: "thrower.js", Line: 7, Column: 3},
	}
}

// with does something and continues, or fails as a script does that does not catch.
func with(f func(p *play) error) func(*play) (filter.Verdict, error) {
	return func(p *play) (filter.Verdict, error) {
		if err := f(p); err != nil {
			return filter.Verdict{}, err
		}
		return filter.Verdict{}, nil
	}
}

func addHeader(name, value string) func(*play) (filter.Verdict, error) {
	return with(func(p *play) error { return p.m.AddHeader(name, value) })
}

// rig serves a cast over the real engine to one strict client that plays Postfix.
type rig struct {
	t      *testing.T
	filter *filter.Filter
	logs   *observer.ObservedLogs
	srv    *milter.Server

	c        *mta.Client
	macros   []string // besides the usual ones, with CONNECT
	edits    []mta.Modification
	outcomes []*filter.Outcome
}

type option func(*filter.Options, *mta.Options)

func speaking(version uint32) option {
	return func(_ *filter.Options, o *mta.Options) { *o = mta.PostfixOptions(version) }
}

func set(f func(*filter.Options)) option {
	return func(o *filter.Options, _ *mta.Options) { f(o) }
}

// newRig must be called in a synctest bubble.
func newRig(t *testing.T, c *cast, options ...option) *rig {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	r := &rig{t: t, logs: logs}
	o := filter.Options{
		Scripts: func() filter.Scripts { return c }, Timeout: 8 * time.Second, EOMTimeout: time.Minute, OnError: filter.Tempfail,
		MaxMessage: 1 << 20, Oversize: filter.Reject, Log: zap.New(core), Report: func(o *filter.Outcome) { r.outcomes = append(r.outcomes, o) },
	}
	offer := mta.PostfixOptions(6)
	for _, set := range options {
		set(&o, &offer)
	}
	r.filter = filter.New(o)
	r.srv = milter.NewServer(milter.Config{NewSession: func(c *milter.Conn) milter.Session { return r.filter.NewSession(c) }, Log: zap.New(core)})
	ours, theirs := net.Pipe()
	go r.srv.ServeConn(theirs, "inet:8890")
	client, err := mta.NewClient(t.Context(), ours, offer)
	if err != nil {
		t.Fatal(err)
	}
	r.c = client
	t.Cleanup(func() {
		r.hangUp()
		if err := r.srv.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if made, alive := c.open(); alive != 0 && r.filter.Overruns() == 0 {
			t.Errorf("%d of %d worlds were not closed", alive, made)
		}
	})
	return r
}

// hangUp is an MTA that goes away.
func (r *rig) hangUp() {
	_ = r.c.Close()
	synctest.Wait()
}

// say sends commands and compares the replies: "helo x -> accept". Without an
// arrow the reply must be continue.
func (r *rig) say(steps ...string) {
	r.t.Helper()
	for _, step := range steps {
		command, want, ok := strings.Cut(step, " -> ")
		if !ok {
			want = "continue"
		}
		reply, err := r.send(command)
		if err != nil {
			r.t.Fatalf("%s: %v", command, err)
		}
		if reply.String() != want {
			r.t.Errorf("%s: %s, want %s", command, reply, want)
		}
	}
}

func (r *rig) send(command string) (mta.Reply, error) {
	ctx := r.t.Context()
	verb, arg, _ := strings.Cut(command, " ")
	arg = strings.NewReplacer(`\n`, "\n").Replace(arg)
	args := append(strings.Fields(arg), "")
	send := map[string]func() (mta.Reply, error){
		"connect": func() (mta.Reply, error) {
			_ = r.c.Macros(ctx, wire.CodeConn, append([]string{"j", "mx.example.net", "{daemon_name}", "smtpd"}, r.macros...)...)
			return r.c.Connect(ctx, mta.Peer{Name: "client.example.org", Family: wire.FamilyInet, Port: 2525, Addr: "192.0.2.7"})
		},
		"helo": func() (mta.Reply, error) { return r.c.Helo(ctx, arg) },
		"mail": func() (mta.Reply, error) {
			return r.c.Mail(ctx, args[0], slices.DeleteFunc(args[1:], func(s string) bool { return s == "" })...)
		},
		"rcpt": func() (mta.Reply, error) { return r.c.Rcpt(ctx, args[0]) },
		"data": func() (mta.Reply, error) {
			_ = r.c.Macros(ctx, wire.CodeData, "i", "4XQ1")
			return r.c.Data(ctx)
		},
		"header": func() (mta.Reply, error) {
			name, value, _ := strings.Cut(arg, ":")
			return r.c.Header(ctx, name, value)
		},
		"eoh":  func() (mta.Reply, error) { return r.c.EOH(ctx) },
		"body": func() (mta.Reply, error) { return r.c.Body(ctx, []byte(arg)) },
		"eom": func() (reply mta.Reply, err error) {
			_ = r.c.Macros(ctx, wire.CodeEOB, "i", "4XQ1")
			reply, r.edits, err = r.c.EOM(ctx)
			return reply, err
		},
		"unknown": func() (mta.Reply, error) { return r.c.Unknown(ctx, arg) },
		"abort":   func() (mta.Reply, error) { return mta.Reply{Action: wire.ActContinue}, r.c.Abort(ctx) },
		"quitnc":  func() (mta.Reply, error) { return mta.Reply{Action: wire.ActContinue}, r.c.QuitNC(ctx) },
	}[verb]
	if send == nil {
		r.t.Fatalf("no command %q", verb)
	}
	reply, err := send()
	synctest.Wait()
	return reply, err
}

// envelope is the way to the content.
func (r *rig) envelope() {
	r.t.Helper()
	r.say("connect", "helo client.example.org", "mail <a@example.org>", "rcpt <b@example.net>", "data")
}

// content is a small message and its end, answered as last says.
func (r *rig) content(last string) {
	r.t.Helper()
	r.say("header Subject: hello", "eoh", "body text", "eom -> "+last)
}

// did compares the edits that came with the last EOM.
func (r *rig) did(want ...string) {
	r.t.Helper()
	got := []string{}
	for _, e := range r.edits {
		got = append(got, e.String())
	}
	if !slices.Equal(got, append([]string{}, want...)) {
		r.t.Errorf("edits %q, want %q", got, want)
	}
}

// called compares the handler calls since the last time.
func (c *cast) called(t *testing.T, want ...string) {
	t.Helper()
	if got := c.take(); !slices.Equal(got, want) {
		t.Errorf("calls\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// logged is the log's lines with this message.
func (r *rig) logged(message string) []map[string]any {
	var lines []map[string]any
	for _, e := range r.logs.FilterMessage(message).All() {
		lines = append(lines, e.ContextMap())
	}
	return lines
}
