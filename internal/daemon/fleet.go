package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"pmilter/internal/admin"
	"pmilter/internal/config"
	"pmilter/internal/metrics"
	"pmilter/internal/milter"
	"pmilter/internal/prefork"
	"pmilter/internal/serving"
	"pmilter/internal/store"
	"pmilter/script"
)

// fleet is a front of many processes, each with an engine of its own (see ServeWork). This
// one bundles the scripts and hands them out, has the store and the listening sockets, and
// runs no script: not even to try it.
type fleet struct {
	log     *zap.Logger
	command []string // of a serving process
	started *config.Config
	store   *store.Switch
	share   storeShare
	watches sync.WaitGroup

	listeners []*listening
	pool      atomic.Pointer[serving.Pool] // nil until serve

	library atomic.Pointer[library]
	queues  atomic.Pointer[queues]
	onLoad  loadListener
	merged  *metrics.Merger

	counting sync.Mutex
	counters map[int]*metrics.Worker // by pid

	mu  sync.Mutex // one change at a time
	cfg *config.Config
	// wanted is how many processes the configuration in use wants.
	wanted atomic.Int64
}

var _ front = (*fleet)(nil)

// order is what a serving process is to serve with.
type order struct {
	Config *config.Config  `json:"config"`
	Code   json.RawMessage `json:"code"`
	// CPU is handler.cpu at the server's start, which a match's limit is above in each
	// process, and Listen the names of the inherited sockets.
	CPU    time.Duration `json:"cpu"`
	Listen []string      `json:"listen"`
}

func newFleet(ctx context.Context, cfg *config.Config, o Options, open storeOpener) (*fleet, error) {
	s := store.NewSwitch(nil)
	if err := open(s, cfg, o.Log); err != nil {
		return nil, err
	}
	f := &fleet{log: o.Log, command: append(o.Worker[:len(o.Worker):len(o.Worker)], serveWord), started: cfg, cfg: cfg, counters: map[int]*metrics.Worker{}}
	f.wanted.Store(int64(cfg.Milter.Workers))
	f.store, f.share.store, f.share.log = s, s, o.Log
	l, err := f.load(ctx, cfg)
	if err != nil {
		_ = s.Close() // the scripts' fault matters
		return nil, err
	}
	f.take(ctx, cfg, l)
	return f, nil
}

// load makes a library of a configuration's scripts, of which nothing is in use yet.
func (f *fleet) load(ctx context.Context, cfg *config.Config) (*library, error) {
	if err := checkJobs(cfg); err != nil {
		return nil, err
	}
	o := bundleOptions(cfg, f.log)
	o.Loaded = f.onLoad.tell
	l := &library{}
	o.Try = func(ctx context.Context, code []byte) error { return f.try(ctx, l, cfg, code) }
	l.Library = script.NewLibrary(o)
	if err := l.Load(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// try has a process that is there for it alone run the scripts' top-level code; once they
// are those in use, all processes then go over to the new ones. An error may be
// script.Faults, warnings alone too.
func (f *fleet) try(ctx context.Context, l *library, cfg *config.Config, code []byte) error {
	set, err := f.order(cfg, code)
	if err != nil {
		return err
	}
	remarks, err := serving.Try(ctx, f.command, set)
	if err != nil {
		return faultsOf(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if pool := f.pool.Load(); pool != nil && f.library.Load() == l {
		if err := pool.Switch(ctx, set); err != nil {
			return faultsOf(err)
		}
	}
	if remarks != nil {
		return script.FaultsOf(string(remarks))
	}
	return nil
}

// faultsOf is an error of the pool's with the scripts' faults in it.
func faultsOf(err error) error {
	var fault *serving.FaultError
	if errors.As(err, &fault) {
		return script.FaultsOf(fault.Fault)
	}
	return err
}

// workers is how many processes a configuration wants: a fleet stays one, as it is.
func (f *fleet) workers(cfg *config.Config) int {
	if cfg.Milter.Workers == 0 {
		return int(f.wanted.Load())
	}
	return cfg.Milter.Workers
}

// order is what processes are told of a configuration: of it, what needs a restart is as
// it was at the start, in those that start later too.
func (f *fleet) order(cfg *config.Config, code []byte) (json.RawMessage, error) {
	c := *cfg
	n := f.workers(cfg)
	c.Milter.Workers, c.Milter.MaxConnections = n, (cfg.Milter.MaxConnections+n-1)/n
	c.Log.Format, c.Server = f.started.Log.Format, f.started.Server
	c.Warnings = nil
	data, err := json.Marshal(order{Config: &c, Code: code, CPU: f.started.Handler.CPU, Listen: entriesOf(f.listeners)})
	if err != nil {
		return nil, fmt.Errorf("daemon: order: %w", err)
	}
	return data, nil
}

// take makes a configuration and its scripts those in use, here. With the mutex held, or
// before anybody else has the fleet.
func (f *fleet) take(ctx context.Context, cfg *config.Config, l *library) {
	q := newQueues(cfg, f.log)
	q.create()
	f.queues.Store(q)
	f.cfg = cfg
	f.wanted.Store(int64(f.workers(cfg)))
	if old := f.library.Swap(l); old != nil {
		old.stop()
		old.Retire()
	}
	l.watch(ctx, &f.watches, f.log)
	if pool := f.pool.Load(); pool != nil {
		pool.Limit(killMemory(cfg))
		pool.Configure(f.workers(cfg), endTimeout(cfg))
	}
}

// drainMargin is how long a process may take to end beyond what draining may: the
// verdicts of messages under way, what is stuck, and a busy machine.
const drainMargin = 15 * time.Second

func endTimeout(cfg *config.Config) time.Duration { return cfg.Milter.DrainTimeout + drainMargin }

// prepare starts the processes, and returns when all are ready.
func (f *fleet) prepare(ctx context.Context, listeners []*listening) error {
	f.mu.Lock()
	f.listeners = listeners
	code, err := f.library.Load().Current().Code()
	var set json.RawMessage
	if err == nil {
		set, err = f.order(f.cfg, code)
	}
	if err != nil {
		f.mu.Unlock()
		return err
	}
	pool := serving.Open(serving.Options{ //nolint:contextcheck // it lives until Stop
		Command: f.command, Workers: f.workers(f.cfg), Inherit: func() ([]*os.File, error) { return f.inherit(ctx) },
		EndTimeout: endTimeout(f.cfg), Sum: sumTallies,
		Reported: f.reported, Gone: f.gone, Log: f.log,
	}, set)
	pool.Limit(killMemory(f.cfg))
	f.pool.Store(pool)
	f.mu.Unlock()
	return pool.Ready(ctx)
}

// serve has the processes accept: by themselves, so nothing is said of a listener that
// fails later.
func (f *fleet) serve(ctx context.Context, _ []*listening, _ chan<- error) error {
	return f.pool.Load().Begin(ctx)
}

// inherit is what each process gets: the store, the listening sockets, and where the log
// goes: its standard error is ours to read, see serving.
func (f *fleet) inherit(ctx context.Context) ([]*os.File, error) {
	var files []*os.File
	for _, l := range f.listeners {
		file, err := milter.Handover(l.Listener)
		if err != nil {
			return files, fmt.Errorf("daemon: %s: %w", l.name, err)
		}
		files = append(files, file)
	}
	log, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return files, fmt.Errorf("daemon: log of a serving process: %w", err)
	}
	files = append(files, os.NewFile(uintptr(log), os.Stderr.Name())) //nolint:gosec // not negative
	share, err := f.share.inherit(ctx)
	if err != nil {
		return files, err
	}
	return append([]*os.File{share}, files...), nil
}

// configure implements front, as do the following.
func (f *fleet) configure(ctx context.Context, cfg *config.Config) error {
	l, err := f.load(ctx, cfg)
	if err != nil {
		return err
	}
	code, err := l.Current().Code()
	var set json.RawMessage
	if err == nil {
		set, err = f.order(cfg, code)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if pool := f.pool.Load(); err == nil && pool != nil {
		err = faultsOf(pool.Switch(ctx, set))
	}
	if err != nil {
		l.Close()
		return err
	}
	f.take(ctx, cfg, l)
	return nil
}

// alive implements front: it is the processes that are.
func (f *fleet) alive(_ int, quiet time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock() // a change that never ends is no life
	if pool := f.pool.Load(); pool != nil {
		return pool.Alive(quiet)
	}
	return nil
}

// shutdown has all processes drain. The sockets go first: nothing is to be accepted.
func (f *fleet) shutdown(ctx context.Context) error {
	for _, l := range f.listeners {
		_ = l.Close() // nothing was accepted here: nothing to lose
	}
	pool := f.pool.Load()
	if pool == nil {
		return nil
	}
	return pool.Stop(ctx)
}

func (f *fleet) close() {
	l := f.library.Load()
	l.stop()
	f.watches.Wait()
	l.Retire()
	f.share.serving.Wait()
	if err := f.share.store.Close(); err != nil {
		f.log.Error("store not closed", zap.Error(err))
	}
}

func (f *fleet) theStore() *store.Switch { return f.store }

func (f *fleet) theQueues() *atomic.Pointer[queues] { return &f.queues }

func (f *fleet) scriptStatus() script.Status { return f.library.Load().Status() }

// report is what a serving process says of itself.
type report struct {
	tally
	Scripts    string `json:"scripts"` // the version
	Goroutines int    `json:"goroutines"`
	Metrics    []byte `json:"metrics"` // metrics.Serving's snapshot
}

// sumTallies is serving.Options.Sum: what was counted by processes that are gone. Their
// connections are gone, too.
func sumTallies(gone, last json.RawMessage) json.RawMessage {
	var sum, one tally
	if gone != nil && json.Unmarshal(gone, &sum) != nil || json.Unmarshal(last, &one) != nil {
		return gone // a process of this binary sends no other
	}
	one.Connections = 0
	sum.add(one)
	data, err := json.Marshal(sum)
	if err != nil {
		return gone
	}
	return data
}

// add adds what another process has counted.
func (t *tally) add(other tally) {
	t.Connections += other.Connections
	if t.Verdicts == nil {
		t.Verdicts = map[string]int64{}
	}
	for verdict, n := range other.Verdicts {
		t.Verdicts[verdict] += n
	}
}

// tally asks all processes; one that does not answer within a second counts as it last said.
func (f *fleet) tally(ctx context.Context) tally {
	all := tally{Verdicts: map[string]int64{}}
	pool := f.pool.Load()
	if pool == nil {
		return all
	}
	s := pool.Status(ctx, true)
	var gone tally
	if s.Gone != nil && json.Unmarshal(s.Gone, &gone) == nil {
		all.add(gone)
	}
	all.Workers = &admin.MilterWorkers{Workers: s.Min, Started: s.Spawned, Died: s.Died, Processes: []admin.MilterWorker{}}
	if s.Fault != "" {
		all.Workers.Fault = &admin.Fault{Message: s.Fault, Time: s.Retry}
	}
	for _, p := range s.Processes {
		var r report
		if p.Report != nil && json.Unmarshal(p.Report, &r) == nil {
			all.add(r.tally)
		}
		all.Workers.Processes = append(all.Workers.Processes, admin.MilterWorker{
			PID: p.PID, State: servingState(p), Connections: r.Connections, Memory: p.Memory,
			Age: time.Since(p.Started).Seconds(), Scripts: r.Scripts, Goroutines: r.Goroutines,
		})
	}
	return all
}

func servingState(p serving.Process) string {
	switch {
	case p.State == prefork.Ending:
		return "ending"
	case p.Number == 0:
		return "starting"
	default:
		return "serving"
	}
}
