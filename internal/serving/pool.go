package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/prefork"
)

// Options is how a Pool behaves.
type Options struct {
	// Command is the command line of a process, without the program's name: one that
	// calls Work.
	Command []string
	Workers int
	// Inherit, when set, makes the files that each process inherits, from descriptor 4 on.
	Inherit func() ([]*os.File, error)
	// EndTimeout is how long a process that is to end may take to serve what it has;
	// then it is killed. It and Workers are what Configure changes.
	EndTimeout time.Duration
	// Sum, when set, adds the last report of a process that is no more to those of all
	// that went before; nil at first. It must not block.
	Sum func(gone, last json.RawMessage) json.RawMessage
	// Reported, when set, gets each report, and Gone is told of the end of a process, for
	// one process in order. They must not block.
	Reported func(pid int, report json.RawMessage)
	Gone     func(pid int)
	Log      *zap.Logger
}

// How long a process may take. One that takes longer hangs, and is killed.
const (
	prepareTimeout = 30 * time.Second
	answerTimeout  = 10 * time.Second
	countTimeout   = time.Second
)

// maxLost is how many processes may die before they have come up until Ready says so: a
// start need not fail because of one that was killed.
const maxLost = 3

// Pool is the processes, in the one that looks after them. Safe for concurrent use.
type Pool struct {
	o         Options
	pool      *prefork.Pool
	limit     atomic.Int64 // bytes of RssAnon
	switching sync.Mutex   // one Switch at a time
	stop      context.CancelFunc
	watching  sync.WaitGroup

	mu      sync.Mutex
	number  uint64          // of the newest set, used or not
	using   uint64          // of the set in use
	set     json.RawMessage // in use
	begun   bool            // Begin was called
	busy    bool            // a Switch is under way: who comes up waits for its end
	workers int
	members map[int]*member // processes that have come up and are not gone
	changed chan struct{}   // closed, and made anew, at each change of what is above
	asked   uint64          // reports
	gone    json.RawMessage // the sum of the reports of those that are no more
	failed  error           // of processes that could not be set up
	lost    int             // processes that died before they came up
	looked  time.Time       // when watch came round last
	heard   time.Time       // when one that serves has said something last
}

// member is a process that has come up.
type member struct {
	has      uint64 // the set that it came up with
	admitted bool
	heard    time.Time // when it has said something last
	using    uint64    // 0: it has not begun yet
	prepared uint64    // or could not
	held     uint64
	fault    string // why it could not
	counted  uint64
	report   json.RawMessage
}

// Open starts the processes, with a set that was tried. They get ready, and serve from
// Begin on. Stop ends them.
func Open(o Options, set json.RawMessage) *Pool {
	p := &Pool{o: o, set: set, number: 1, using: 1, workers: o.Workers, members: map[int]*member{}, changed: make(chan struct{})}
	p.pool = prefork.New(prefork.Options{
		Args: o.Command, Setup: p.setup, Min: o.Workers, Max: o.Workers, Resident: true, KeepStderr: true,
		EndTimeout: o.EndTimeout, ErrorInterval: 100 * time.Millisecond, MaxErrorInterval: time.Second,
		Hooks: prefork.Hooks{
			BeforeSpawn: o.Inherit, Note: p.note, OnReap: p.reap,
			SpawnFailed: func(err error) { o.Log.Error("serving process not started", zap.Error(err)) },
			AfterSpawn:  func(pid int) { o.Log.Debug("serving process started", zap.Int("pid", pid)) },
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.watching.Go(func() { p.watch(ctx) })
	return p
}

func (p *Pool) setup() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return setup{Number: p.using, Data: p.set}.encode()
}

func (s setup) encode() []byte {
	data, err := json.Marshal(s)
	if err != nil {
		return nil // Data is JSON: it was tried
	}
	return data
}

// note hears a process.
func (p *Pool) note(pid int, data []byte) {
	m, err := decode(data)
	if err != nil {
		p.o.Log.Error("serving process talks nonsense", zap.Int("pid", pid), zap.Error(err))
		p.pool.Kill(pid, "nonsense")
		return
	}
	if m.Word == wordReport && p.o.Reported != nil {
		p.o.Reported(pid, m.Data)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if m.Word == wordUp {
		p.members[pid] = &member{has: m.Number, heard: now}
		p.admitAll()
		p.wake()
		return
	}
	w := p.members[pid]
	if w == nil {
		return
	}
	if w.heard = now; w.using != 0 {
		p.heard = now
	}
	switch m.Word {
	case wordPrepare:
		w.prepared, w.fault = m.Number, m.Fault
		if m.Fault != "" && w.using == 0 && m.Number == p.using { // the set is in use, and not for this one: the next may fare better
			p.o.Log.Error("serving process killed: it cannot use the set in use", zap.Int("pid", pid), zap.String("error", m.Fault))
			p.pool.Kill(pid, "set")
		}
	case wordHold:
		w.held = m.Number
	case wordUse:
		w.using = m.Number
	case wordReport:
		w.report, w.counted = m.Data, max(w.counted, m.Number)
	default: // ours; or it is alive, and no more
	}
	p.wake()
}

// admitAll lets those begin that wait for it, if they may. With the mutex held.
func (p *Pool) admitAll() {
	if !p.begun || p.busy {
		return
	}
	for pid, w := range p.members {
		if !w.admitted {
			w.admitted = true
			p.admit(pid, w)
		}
	}
}

// admit lets a process begin. With the mutex held.
func (p *Pool) admit(pid int, w *member) {
	if w.has != p.using {
		p.tell(pid, message{Word: wordPrepare, Number: p.using, Data: p.set})
	}
	p.tell(pid, message{Word: wordUse, Number: p.using})
}

func (p *Pool) tell(pid int, m message) { p.pool.Tell(pid, m.encode()) } // one that is gone needs no telling

// wake has those look who wait for a change. With the mutex held.
func (p *Pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// reap hears of the end of a process.
func (p *Pool) reap(e prefork.Exit) {
	p.mu.Lock()
	w := p.members[e.PID]
	delete(p.members, e.PID)
	if w != nil && w.report != nil && p.o.Sum != nil {
		p.gone = p.o.Sum(p.gone, w.report)
	}
	if w == nil {
		p.lost++
	}
	if e.Fault != "" {
		p.failed = &FaultError{e.Fault}
	} else if p.lost > maxLost {
		p.failed = fmt.Errorf("a serving process ended: %s", e.Status)
	}
	p.wake()
	p.mu.Unlock()
	if p.o.Gone != nil {
		p.o.Gone(e.PID)
	}
	fields := []zap.Field{zap.Int("pid", e.PID), zap.String("status", e.Status), zap.Duration("age", e.Age.Round(time.Millisecond))}
	if e.Stderr != "" { // the runtime's last words, mostly
		fields = append(fields, zap.String("stderr", e.Stderr))
	}
	switch {
	case e.Fault != "":
		p.o.Log.Error("serving process not started", append(fields, zap.String("error", e.Fault))...)
	case e.Reason == "":
		p.o.Log.Error("serving process died: its connections are lost", fields...)
	default:
		p.o.Log.Info("serving process ended", append(fields, zap.String("reason", e.Reason))...)
	}
}

// Stop has every process end when what it serves is over, as Options.EndTimeout says,
// and returns when all have; when ctx is done it kills them.
func (p *Pool) Stop(ctx context.Context) error {
	p.stop()
	p.watching.Wait()
	return p.pool.Stop(ctx)
}
