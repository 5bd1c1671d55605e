package script

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Options says which scripts a Library holds and what they may use.
type Options struct {
	Base    string         // the configuration's folder: names are shown relative to it
	Scripts []string       // files and folders, relative to Base, as configured
	Vars    map[string]any // of pmilter/vars
	Queues  []string       // those that enqueue may name; nil: this is not looked at
	// Services is what the modules do their work with.
	Services Services
	Limits   Limits
	// Jobs: each script is a job's. It exports default and no handlers, and may
	// import what only jobs may.
	Jobs bool
	// Try, when set, runs the top-level code in place of this process: it is given
	// Set.Code, for LoadCode or LibraryOf in another. An error may be that one's Faults;
	// those that are all warnings do not keep the set from coming into use. The sets of
	// such a Library have no worlds.
	Try func(ctx context.Context, code []byte) error
	// Changed, when set, is called when another set has come into use, not for the
	// first. It must not block, nor load.
	Changed func()
	// Loaded, when set, is told of each load that the log tells of, too: nil, or its
	// Faults. It must not block, nor load.
	Loaded func(error)
	Log    *zap.Logger
	// Settle is how long Watch waits for more changes after one; 0 is 100 ms.
	Settle time.Duration
	// Coverage counts how often each statement runs, for tests; nil: not.
	Coverage *Coverage
	tests    bool // see LoadTests
}

// Library holds the scripts of a configuration and loads them anew when they
// change. The set in use changes in one step, and only to one that loads
// wholly; connections keep the set that they began with. It is safe for concurrent use.
type Library struct {
	o        Options
	watchdog *watchdog
	prepare  func(context.Context, *bundle) (*Set, Faults)

	current atomic.Pointer[Set]
	status  atomic.Pointer[Status]
	built   chan struct{} // tells Watch that there may be more to watch

	mu   sync.Mutex // one load at a time; guards seen
	seen seen
}

// Status is how loading went.
type Status struct {
	Version   string    // of the set in use; "" before the first
	Loaded    time.Time // when it came into use
	LastError error     // Faults of the last load; nil when it went well
	Failed    int       // loads that failed, since the start
	Warnings  Faults    // of the set in use
}

// WatchdogQuiet is how long the goroutine that ends handlers at their deadline has not
// looked: a sign of life. 0 before the first handler.
func (l *Library) WatchdogQuiet() time.Duration { return l.watchdog.quiet() }

// NewLibrary makes a Library without scripts; Load loads them. Close frees it.
func NewLibrary(o Options) *Library {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Settle <= 0 {
		o.Settle = 100 * time.Millisecond
	}
	if base, err := filepath.Abs(o.Base); err == nil {
		o.Base = base
	}
	l := &Library{o: o, watchdog: newWatchdog(o.Limits), built: make(chan struct{}, 1)}
	l.prepare = func(ctx context.Context, b *bundle) (*Set, Faults) {
		if o.Try != nil {
			return triedElsewhere(ctx, b, o.Try)
		}
		return newSet(b, o.set(l.watchdog))
	}
	l.status.Store(&Status{})
	return l
}

// Close stops what the worlds' deadlines need. The worlds must be closed before.
func (l *Library) Close() { l.watchdog.close() }

// Current is the set in use: nil before the first load. It never blocks.
func (l *Library) Current() *Set { return l.current.Load() }

// Status is how loading went. It never blocks.
func (l *Library) Status() Status { return *l.status.Load() }

// LastError is the fault of the last load, nil when it went well: Faults.
func (l *Library) LastError() error { return l.Status().LastError }

// Loaded is when the set in use came into use.
func (l *Library) Loaded() time.Time { return l.Status().Loaded }

// Version is that of the set in use.
func (l *Library) Version() string { return l.Status().Version }

// Load loads the scripts for the first time. The error is Faults: one
// "file:line:column: message" a line.
func (l *Library) Load(ctx context.Context) error { return l.load(ctx, true) }

// Reload loads the scripts anew, wholly, and then swaps them in for new
// connections. If anything is wrong the set in use stays; the fault is logged,
// counted and kept for Status. Nothing is swapped when nothing changed.
func (l *Library) Reload(ctx context.Context) error { return l.load(ctx, true) }

// load is Reload; unasked, it is silent about a fault that is known already.
func (l *Library) load(ctx context.Context, asked bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("scripts: load: %w", err)
	}
	start := time.Now()
	set, look, faults := l.build(ctx)
	l.seen = look
	select {
	case l.built <- struct{}{}:
	default:
	}
	before := l.Status()
	if err := faults.Err(); err != nil {
		if asked || before.LastError == nil || before.LastError.Error() != err.Error() {
			l.failed(before, faults)
		}
		return err
	}
	if set == nil || set.Version() == before.Version && before.LastError == nil {
		return nil
	}
	if set.Version() != before.Version {
		if l.current.Swap(set) != nil && l.o.Changed != nil {
			defer l.o.Changed()
		}
		before.Loaded = time.Now()
	}
	l.status.Store(&Status{Version: set.Version(), Loaded: before.Loaded, Failed: before.Failed, Warnings: faults})
	for _, w := range faults {
		l.o.Log.Warn("script warning", placed(w)...)
	}
	l.loaded(nil)
	l.o.Log.Info("scripts loaded", zap.String("version", set.Version()), zap.Int("scripts", len(set.List())),
		zap.Int64("ms", time.Since(start).Milliseconds()))
	return nil
}

func (l *Library) loaded(err error) {
	if l.o.Loaded != nil {
		l.o.Loaded(err)
	}
}

// failed keeps and logs the faults.
func (l *Library) failed(before Status, faults Faults) {
	before.LastError = faults
	before.Failed++
	l.status.Store(&before)
	l.loaded(faults)
	first := faults[0]
	for _, f := range faults {
		if !f.Warning {
			first = f
			break
		}
	}
	fields := placed(first)
	if len(faults) > 1 {
		fields = append(fields, zap.Int("faults", len(faults)), zap.String("all", faults.Error()))
	}
	message := "scripts not loaded"
	if l.current.Load() != nil {
		message = "scripts not reloaded: those in use stay"
	}
	l.o.Log.Error(message, fields...)
}

// placed is a fault as fields of the log.
func placed(f Fault) []zap.Field {
	return []zap.Field{
		zap.String("file", f.Pos.File), zap.Int("line", f.Pos.Line), zap.Int("column", f.Pos.Column),
		zap.String("error", f.Message),
	}
}

// build makes a set of what is there now. It is the border that a panic of the
// bundler or of goja's compiler must not pass: a file saved half-way can bring
// one about, and the mail of the scripts in use must flow on.
func (l *Library) build(ctx context.Context) (set *Set, look seen, faults Faults) {
	defer func() {
		if p := recover(); p != nil {
			set, faults = nil, append(faults, Fault{Message: fmt.Sprintf("internal error while loading: %v", p)})
			l.o.Log.Error("panic while scripts were loaded", zap.Any("panic", p), zap.Stack("stack"))
		}
	}()
	b, look, faults := newBundle(l.o)
	if faults.Fatal() {
		return nil, look, faults
	}
	if now := l.Status(); now.Version == b.version && l.current.Load() != nil {
		return l.current.Load(), look, now.Warnings
	}
	set, more := l.prepare(ctx, b)
	return set, look, append(faults, more...)
}

// Retire frees the Library as soon as the last world of its sets is closed. It
// does not block; Load must not be called any more.
func (l *Library) Retire() { l.watchdog.retire() }
