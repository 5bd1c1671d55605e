package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pmilter/internal/prefork"
	"pmilter/internal/queue"
	"pmilter/script"
)

// Options is what a Queue needs of its server.
type Options struct {
	// Command is the command line of a worker, without the program's name: one that
	// calls Work.
	Command []string
	// Inherit, when set, makes the files that each worker inherits, from descriptor 4 on.
	Inherit func() ([]*os.File, error)
	Log     *zap.Logger
}

// Queue runs the jobs of one queue, in the server. Safe for concurrent use.
type Queue struct {
	spec    Spec
	o       Options
	log     *zap.Logger
	queue   *queue.Queue
	library *script.Library
	pool    *prefork.Pool

	stopWatch context.CancelFunc // of scripts and events
	watches   sync.WaitGroup
	rolls     sync.WaitGroup
	counts    [3]atomic.Int64 // done, failed, retried

	mu      sync.Mutex
	running map[string]bool // events that a worker of ours has, by ID; true: it came up again meanwhile
}

// Open loads the job's script, which must load, and runs nothing yet. It does not make
// the Maildir.
func Open(ctx context.Context, spec Spec, o Options) (*Queue, error) {
	q := &Queue{
		spec: spec, o: o, log: o.Log.With(zap.String("queue", spec.Name)), running: map[string]bool{},
		queue: queue.New(queue.Options{Name: spec.Name, Path: spec.Maildir, Keep: spec.Keep, Log: o.Log}),
	}
	q.library = script.NewLibrary(q.scriptOptions())
	if err := q.library.Load(ctx); err != nil {
		q.library.Close()
		return nil, err
	}
	return q, nil
}

// Check loads the job's script as Open would, and changes nothing.
func Check(ctx context.Context, spec Spec, o Options) error {
	q := &Queue{spec: spec, o: o, log: zap.NewNop()}
	l := script.NewLibrary(q.scriptOptions())
	defer l.Close()
	return l.Load(ctx)
}

func (q *Queue) scriptOptions() script.Options {
	return script.Options{
		Base: q.spec.Base, Scripts: []string{q.spec.Job}, Vars: q.spec.Vars, Limits: q.spec.limits(), Log: q.log,
		Jobs: true, Try: q.try, Changed: q.replace,
	}
}

// Spec is what it was opened with.
func (q *Queue) Spec() Spec { return q.spec }

// Start begins to run jobs: those whose time has come, and those to come. ctx is for
// values alone: Stop ends it.
func (q *Queue) Start(ctx context.Context) {
	q.pool = prefork.New(prefork.Options{
		Args: q.o.Command, Env: environment(), Setup: func() []byte { return q.setup(nil) },
		Min: q.spec.Min, Max: q.spec.Max, IdleTimeout: q.spec.IdleTimeout,
		MaxRequests: q.spec.MaxRequests, Memory: q.spec.Memory,
		Hooks: q.hooks(), Signals: map[syscall.Signal]prefork.Reaction{syscall.SIGHUP: {Replace: true}},
	})
	ctx, q.stopWatch = context.WithCancel(context.WithoutCancel(ctx))
	due := make(chan queue.Waiting)
	q.watches.Go(func() { q.queue.Watch(ctx, due) })
	for range q.spec.Max {
		q.watches.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case w := <-due:
					q.one(ctx, w)
				}
			}
		})
	}
	q.watches.Go(func() {
		if err := q.library.Watch(ctx); err != nil && ctx.Err() == nil {
			q.log.Error("the job's script is not watched: send SIGHUP after an edit", zap.Error(err))
		}
	})
}

// Stop begins no more jobs and waits for those that run, until each has ended or its
// time is up: no longer than the queue's timeout, or ctx. Then they are killed.
func (q *Queue) Stop(ctx context.Context) error {
	defer q.library.Retire()
	if q.pool == nil {
		return nil
	}
	q.stopWatch()
	ctx, cancel := context.WithTimeout(ctx, q.spec.Timeout+grace)
	defer cancel()
	err := q.pool.Stop(ctx)
	q.watches.Wait()
	q.rolls.Wait()
	return err
}

// Reload loads the script anew and has the workers replaced, one by one. On an error
// both stay.
func (q *Queue) Reload(ctx context.Context) error {
	before := q.library.Version()
	if err := q.library.Reload(ctx); err != nil {
		return err
	}
	if q.library.Version() == before {
		q.replace() //nolint:contextcheck // it ends with the pool
	}
	return nil
}

// replace has the workers replaced in the background, as SIGHUP does.
func (q *Queue) replace() {
	if q.pool == nil {
		return
	}
	q.rolls.Go(func() { _ = q.pool.Signal(context.Background(), syscall.SIGHUP) })
}

// environment is ours, but that a worker, which does one thing at a time, need not wake
// a processor to hand that over from one goroutine to another.
func environment() []string {
	env := os.Environ()
	if !slices.ContainsFunc(env, func(s string) bool { return len(s) > 11 && s[:11] == "GOMAXPROCS=" }) {
		env = append(env, "GOMAXPROCS=1")
	}
	return env
}

// setup is what a new worker is told: code, or that of the script in use.
func (q *Queue) setup(code []byte) []byte {
	if code == nil {
		code, _ = q.library.Current().Code() // it was marshalled before
	}
	data, err := json.Marshal(setup{Spec: q.spec, Code: code, Level: int8(zapcore.LevelOf(q.log.Core()))})
	if err != nil {
		q.log.Error("setup of a worker", zap.Error(err))
	}
	return data
}

// try has a worker of its own load the code.
func (q *Queue) try(ctx context.Context, code []byte) error {
	err := prefork.Try(ctx, prefork.Options{
		Args: q.o.Command, Env: environment(), Setup: func() []byte { return q.setup(code) },
		Hooks: prefork.Hooks{BeforeSpawn: q.o.Inherit},
	})
	var ended *prefork.NotReadyError
	if errors.As(err, &ended) {
		return loadFault(ended.Exit)
	}
	return err
}

// loadFault is why a worker could not load a script.
func loadFault(e prefork.Exit) error {
	if e.Fault != "" {
		return script.FaultsOf(e.Fault)
	}
	return fmt.Errorf("the worker that was to try the job's script ended: %s", e.Status)
}

func (q *Queue) hooks() prefork.Hooks {
	return prefork.Hooks{
		BeforeSpawn: q.o.Inherit,
		SpawnFailed: func(err error) { q.log.Error("worker not started", zap.Error(err)) },
		AfterSpawn:  func(pid int) { q.log.Debug("worker started", zap.Int("pid", pid)) },
		Note:        func(pid int, data []byte) { tell(q.log.With(zap.Int("pid", pid)), data) },
		OnReap: func(e prefork.Exit) {
			fields := []zap.Field{
				zap.Int("pid", e.PID), zap.String("status", e.Status), zap.Int("jobs", e.Jobs), zap.Duration("age", e.Age.Round(time.Millisecond)),
			}
			switch {
			case e.Reason == "timeout":
				q.log.Warn("worker killed: its job's time was up", append(fields, zap.String("event", e.What))...)
			case e.Fault != "":
				q.log.Error("worker not started", append(fields, zap.String("error", e.Fault))...)
			case e.Reason == "":
				q.log.Warn("worker died", append(fields, zap.String("event", e.What))...)
			default:
				q.log.Debug("worker ended", append(fields, zap.String("reason", e.Reason))...)
			}
		},
	}
}

// one hands an event to a worker and tells the log what became of it.
func (q *Queue) one(ctx context.Context, w queue.Waiting) {
	if !q.take(w.ID) {
		return // seen twice
	}
	defer q.free(w.ID)
	answer, err := q.pool.Do(ctx, prefork.Job{What: w.ID, Data: []byte(w.Path), Timeout: q.spec.Timeout + grace})
	var died *prefork.DiedError
	switch {
	case errors.As(err, &died):
		q.orphaned(w, died)
		return
	case err != nil:
		return // we stop: it waits for the next start
	}
	r := &report{}
	if err := json.Unmarshal(answer, r); err != nil {
		r = &report{Outcome: stuck, Event: w.ID, Reason: err.Error()}
	}
	q.ended(r, died)
}

func (q *Queue) take(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, running := q.running[id]; running {
		q.running[id] = true
		return false
	}
	q.running[id] = false
	return true
}

func (q *Queue) free(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[id] {
		q.queue.Rescan() // it may be due again already
	}
	delete(q.running, id)
}

// orphaned settles an event whose worker died. Its attempt was counted, if it was begun.
func (q *Queue) orphaned(w queue.Waiting, died *prefork.DiedError) {
	r := &report{Event: w.ID, Reason: died.Status}
	if died.Timeout {
		r.Reason = fmt.Sprintf("the job did not end within %s: its worker was killed", q.spec.Timeout)
	} else {
		r.Reason = fmt.Sprintf("the job's worker died: %s", died.Status)
	}
	c, err := q.queue.Claim(begun(w.Path))
	if err != nil {
		q.queue.Rescan() // not begun, or settled at the last moment, or another has it already
		return
	}
	r.Attempt = c.Attempts()
	again(c, r, q.spec.Retry, -1, settle)
	q.ended(r, died)
}

// ended counts a job that has ended, and is the one line about a job that has ended.
func (q *Queue) ended(r *report, died *prefork.DiedError) {
	fields := []zap.Field{zap.String("event", r.Event), zap.Int("attempt", r.Attempt)}
	if r.QueueID != "" {
		fields = append(fields, zap.String("qid", r.QueueID))
	}
	if died != nil {
		fields = append(fields, zap.Int("pid", died.PID))
	} else {
		fields = append(fields, zap.Duration("took", r.Took.Round(10*time.Microsecond)))
	}
	if r.Notes != nil {
		fields = append(fields, zap.Any("notes", r.Notes))
	}
	if r.Reason != "" {
		fields = append(fields, zap.String("reason", r.Reason))
	}
	if r.At != "" {
		fields = append(fields, zap.String("at", r.At))
	}
	if r.Stack != "" {
		fields = append(fields, zap.String("stack", r.Stack))
	}
	switch r.Outcome {
	case done:
		q.counts[0].Add(1)
		q.log.Info("job done", fields...)
	case failed:
		q.counts[1].Add(1)
		q.log.Error("job failed", fields...)
	case retried:
		q.counts[2].Add(1)
		q.log.Warn("job comes again", append(fields, zap.Time("next", r.Next))...)
	case stuck:
		q.log.Error("job not settled", fields...)
	case passed: // another has it
	}
}

// begun is the path of an event's file once its next attempt is counted.
func begun(path string) string {
	return filepath.Join(filepath.Dir(path), nextName(filepath.Base(path)))
}
