package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/filter"
	"pmilter/script"
)

// BenchOptions say what the sessions of tests are made of.
type BenchOptions struct {
	// Scripts is how the configured scripts are loaded.
	Scripts script.Options
	// Filter is how a session behaves. Scripts, Now, Log and Report of it are the
	// tests' own.
	Filter filter.Options
	Vars   map[string]any
	Queues []string // that scripts can enqueue to
	Jobs   []Job    // the queues with a job
	// Services makes what one test's modules do their work with, on its time and its
	// DNS; HTTP and Net are the test's own. Nil: tables and matchers of Scripts alone.
	Services func(now func() time.Time, dns script.DNS) script.Services
}

// Bench is what the sessions of tests are made with, on the filters of a
// configuration. The scripts of a list are bundled once, for all tests. Safe for
// concurrent use.
type Bench struct {
	o BenchOptions

	mu     sync.Mutex
	loaded map[string]*loading
}

var _ script.Bench = (*fileBench)(nil)

// loading is one list of scripts.
type loading struct {
	once    sync.Once
	library *script.Library
	err     error
}

// NewBench makes a Bench; Close frees it.
func NewBench(o BenchOptions) *Bench {
	return &Bench{o: o, loaded: map[string]*loading{}}
}

// Close frees the scripts. No test may run any more.
func (b *Bench) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.loaded {
		if l.library != nil {
			l.library.Retire()
		}
	}
	b.loaded = map[string]*loading{}
}

// Load loads the configured scripts, so that what is wrong with them, and which
// of their lines no test runs, is known before any test asks for them.
func (b *Bench) Load(ctx context.Context) error {
	_, err := b.ofFile().scripts(ctx, b.o.Scripts.Scripts, b.o.Vars, false)
	return err
}

// scripts is the loaded set of a list of files with the variables: what scripts
// export, and whether they load at all, may depend on these.
func (b *fileBench) scripts(ctx context.Context, files []string, vars map[string]any, jobs bool) (*script.Set, error) {
	values, err := json.Marshal(vars)
	if err != nil {
		return nil, err
	}
	key := strings.Join(files, "\x00") + "\x00" + string(values) + "\x00" + strconv.FormatBool(jobs)
	b.mu.Lock()
	l := b.loaded[key]
	if l == nil {
		l = &loading{}
		b.loaded[key] = l
	}
	b.used[l] = true
	b.mu.Unlock()
	l.once.Do(func() {
		o := b.o.Scripts
		o.Scripts, o.Vars, o.Jobs, o.Log = files, vars, jobs, zap.NewNop()
		l.library = script.NewLibrary(o)
		l.err = l.library.Load(context.WithoutCancel(ctx)) // for the tests to come, too
	})
	if l.err != nil {
		return nil, l.err
	}
	return l.library.Current(), nil
}

// Forget has scripts loaded anew that came, or could come, from one of the paths.
func (b *Bench) Forget(changed func(path string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, l := range b.loaded {
		if l.library != nil && slices.ContainsFunc(l.library.Inputs(), changed) {
			l.library.Retire()
			delete(b.loaded, key)
		}
	}
}

// ofFile is the bench for one file of tests: it knows which scripts these use.
func (b *Bench) ofFile() *fileBench { return &fileBench{Bench: b, used: map[*loading]bool{}} }

type fileBench struct {
	*Bench
	used map[*loading]bool // guarded by Bench.mu
}

// inputs are the paths that the scripts came from, or could come from.
func (b *fileBench) inputs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	for l := range b.used {
		list = append(list, l.library.Inputs()...)
	}
	return list
}

// find is the file behind a script's name in session({scripts}): relative to the
// configured folders, to those of the configured files, or to the configuration's own.
func (b *Bench) find(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	base := b.o.Scripts.Base
	var folders []string
	for _, entry := range b.o.Scripts.Scripts {
		path := entry
		if !filepath.IsAbs(path) {
			path = filepath.Join(base, path)
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			folders = append(folders, path)
		} else {
			folders = append(folders, filepath.Dir(path))
		}
	}
	for _, folder := range append(folders, base) {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	shown := base
	if len(folders) > 0 {
		shown = folders[0]
	}
	return "", fmt.Errorf("there is no script %q in %s", name, shown)
}

// Begin implements script.Bench.
func (b *fileBench) Begin(ctx context.Context) (script.Stand, error) {
	core, logged := observer.New(zapcore.DebugLevel)
	s := &stand{
		b: b, canned: b.newCanned(), logged: logged, log: zap.New(core),
		clock: newClock(time.Now().Truncate(time.Millisecond), ctx.Done()),
	}
	s.services = b.services(s.clock, s.canned)
	return s, nil
}

// stand is one test's.
type stand struct {
	b        *fileBench
	clock    *clock
	canned   map[string]canned
	services script.Services
	log      *zap.Logger
	logged   *observer.ObservedLogs

	mu       sync.Mutex
	sessions []*session
	ended    bool
	messages int // queue ids given
}

var _ script.Stand = (*stand)(nil)

// maxSessions is how many sessions a test may begin: each is a server of its own.
const maxSessions = 1000

// Clock implements script.Stand, as do the others below.
func (s *stand) Clock() script.Clock { return s.clock }

// Advance moves the clock.
func (s *stand) Advance(d time.Duration) { s.clock.advance(d) }

// Set puts the clock to a time.
func (s *stand) Set(t time.Time) error { return s.clock.set(t) }

// Services are those of the test's own calls and its sessions.
func (s *stand) Services() script.Services { return s.services }

// Log is what the test itself prints to.
func (s *stand) Log() *zap.Logger { return s.log }

// Answer fills a canned module.
func (s *stand) Answer(module, function string, args []any) error {
	c, ok := s.canned[module]
	if !ok {
		return errors.New("no such module")
	}
	return c.answer(function, args)
}

// Open begins a session.
func (s *stand) Open(ctx context.Context, o script.SessionOptions) (script.TestSession, error) {
	s.mu.Lock()
	many := len(s.sessions) >= maxSessions
	s.mu.Unlock()
	if many {
		return nil, fmt.Errorf("a test begins %d sessions at most", maxSessions)
	}
	files := s.b.o.Scripts.Scripts
	if o.Scripts != nil {
		files = nil
		for _, name := range *o.Scripts {
			file, err := s.b.find(name)
			if err != nil {
				return nil, err
			}
			files = append(files, file)
		}
	}
	vars, _ := s.canned["vars"].(*cannedVars)
	set, err := s.b.scripts(ctx, files, vars.current(), false)
	if err != nil {
		return nil, err
	}
	s.clock.fix()
	n, err := newSession(ctx, s, set.In(script.Surroundings{Clock: s.clock, Services: s.services, Log: s.log}), o)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended { // nobody awaited it
		n.end() //nolint:contextcheck // the test's is over
		return nil, errOver
	}
	s.sessions = append(s.sessions, n)
	return n, nil
}

// queueID names the next message, the same in each run.
func (s *stand) queueID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages++
	return fmt.Sprintf("4TEST%05d", s.messages)
}

// End ends what is left of the test.
func (s *stand) End() []string {
	s.mu.Lock()
	sessions := s.sessions
	s.ended = true
	s.mu.Unlock()
	for _, n := range sessions {
		n.end()
	}
	return logLines(s.logged.All())
}

// logLines are those lines of a log that a test's author wants: what scripts
// printed, and what went wrong in them. What became of each message is for the
// results.
func logLines(entries []observer.LoggedEntry) []string {
	var lines []string
	for _, e := range entries {
		fields := e.ContextMap()
		text := func(key string) string {
			v, _ := fields[key].(string)
			return v
		}
		at := text("at")
		if at != "" {
			at += ": "
		}
		switch e.Message {
		case "console":
			lines = append(lines, at+text("text"))
		case "message", "recipient", "connection", "command":
		default:
			line := at + e.Message
			for _, key := range []string{"error", "edits", "verdict"} {
				if v, ok := fields[key]; ok {
					line += fmt.Sprintf(": %v", v)
				}
			}
			lines = append(lines, line)
		}
	}
	return lines
}
