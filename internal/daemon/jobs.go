package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"syscall"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/jobs"
	"pmilter/internal/queue"
	"pmilter/script"
)

// worker is the command line of a worker process.
const worker = "worker"

// Work is a worker process: see jobs.Work.
func Work(ctx context.Context) error {
	signal.Ignore(syscall.SIGHUP) // the server replaces us when it gets one
	// For the server, too, and sent to all of a name. Programs must not inherit that it is ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR2)
	// When memory runs out the kernel shall end us before the server: our event comes again.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	return jobs.Work(ctx, workerServices)
}

// workerConfig is what the services of a worker process need of the configuration.
type workerConfig struct {
	Store       bool // the socket to the server's store is inherited
	File        string
	Permissions config.Permissions
	DNS         config.DNS
}

// workerServices is what the modules of scripts do their work with in a worker process.
// They end with it.
func workerServices(ctx context.Context, data []byte, log *zap.Logger) (script.Services, error) {
	var c workerConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return script.Services{}, fmt.Errorf("daemon: worker: %w", err)
	}
	cfg := config.Default() // of the rest a worker knows nothing
	cfg.File, cfg.Permissions, cfg.DNS = c.File, c.Permissions, c.DNS
	s := NewServices(cfg, log)
	if c.Store {
		if err := s.inheritStore(); err != nil {
			return script.Services{}, err
		}
	}
	go s.Watch(ctx)
	return s.ForJobs(), nil
}

// jobQueues are the queues with a job, running.
type jobQueues struct {
	o jobs.Options

	mu      sync.Mutex
	list    []*jobs.Queue
	retired sync.WaitGroup // those of a configuration before, until their jobs have ended
}

// jobSpecs are the queues with a job.
func jobSpecs(cfg *config.Config, withStore bool) []jobs.Spec {
	var specs []jobs.Spec
	services, err := json.Marshal(workerConfig{withStore, cfg.File, cfg.Permissions, cfg.DNS})
	if err != nil {
		services = nil // strings and durations always marshal
	}
	for _, q := range cfg.Queues {
		if q.Job == "" {
			continue
		}
		specs = append(specs, jobs.Spec{
			Name: q.Name, Maildir: q.Maildir, Keep: q.Keep, Retry: queue.Retry(q.Retry),
			Job: q.Job, Base: base(cfg), Vars: cfg.Vars, MaxValue: cfg.Handler.MaxValue,
			Min: q.Workers.Min, Max: q.Workers.Max, MaxRequests: q.MaxRequests, IdleTimeout: q.IdleTimeout,
			Timeout: q.Timeout, Memory: q.Memory, Services: services,
		})
	}
	return specs
}

// loadJobs loads the script of each job as run would, in a worker process.
func loadJobs(ctx context.Context, cfg *config.Config, command string) error {
	var faults []error
	for _, spec := range jobSpecs(cfg, false) {
		if _, err := os.Stat(spec.Job); err != nil {
			continue // see checkJobs
		}
		faults = append(faults, jobs.Check(ctx, spec, jobs.Options{Command: []string{command}}))
	}
	return errors.Join(faults...)
}

// opened is the queues of a configuration that is to come into use.
type opened struct {
	list []*jobs.Queue // all of it
	new  []*jobs.Queue // of these, those that do not run yet
}

// open loads what cfg has and does not run as it is; the rest loads its script anew. An
// error means that nothing has changed, but for scripts that loaded well.
func (j *jobQueues) open(ctx context.Context, cfg *config.Config) (*opened, error) {
	j.mu.Lock()
	running := slices.Clone(j.list)
	j.mu.Unlock()
	o := &opened{}
	var faults []error
	for _, spec := range jobSpecs(cfg, true) {
		same := slices.IndexFunc(running, func(q *jobs.Queue) bool { return reflect.DeepEqual(q.Spec(), spec) })
		if same >= 0 {
			o.list = append(o.list, running[same])
			faults = append(faults, running[same].Reload(ctx))
			continue
		}
		q, err := jobs.Open(ctx, spec, j.o)
		if err != nil {
			faults = append(faults, fmt.Errorf("queue %s: %w", spec.Name, err))
			continue
		}
		o.list, o.new = append(o.list, q), append(o.new, q)
	}
	if err := errors.Join(faults...); err != nil {
		o.forget(ctx)
		return nil, err
	}
	return o, nil
}

// forget drops what was opened and does not run.
func (o *opened) forget(ctx context.Context) {
	for _, q := range o.new {
		_ = q.Stop(ctx) // it has nothing to finish
	}
}

// use makes what was opened run, and has what is not in it end, in the background.
func (j *jobQueues) use(ctx context.Context, o *opened) {
	for _, q := range o.new {
		q.Start(ctx)
	}
	j.mu.Lock()
	before := j.list
	j.list = o.list
	j.mu.Unlock()
	for _, q := range before {
		if !slices.Contains(o.list, q) {
			j.retired.Go(func() { j.end(ctx, q) })
		}
	}
}

func (j *jobQueues) end(ctx context.Context, q *jobs.Queue) {
	if err := q.Stop(ctx); err != nil {
		j.o.Log.Warn("jobs were killed: they run again", zap.String("queue", q.Spec().Name), zap.Error(err))
	}
}

// stop lets jobs finish, each within its queue's timeout.
func (j *jobQueues) stop(ctx context.Context) {
	j.mu.Lock()
	list := slices.Clone(j.list) // status tells of them until the end
	j.mu.Unlock()
	for _, q := range list {
		j.retired.Go(func() { j.end(ctx, q) })
	}
	j.retired.Wait()
}

// get is the queue of that name, nil if none has a job.
func (j *jobQueues) get(name string) *jobs.Queue {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, q := range j.list {
		if q.Spec().Name == name {
			return q
		}
	}
	return nil
}

// runtimeFolders are where the control socket may be, in the order of trial.
func runtimeFolders(cfg *config.Config, env func(string) (string, bool)) []string {
	if cfg.Server.Runtime != "" {
		return []string{cfg.Server.Runtime}
	}
	var list []string
	if dir, ok := env("RUNTIME_DIRECTORY"); ok && dir != "" {
		// systemd gives several as a list (systemd.exec(5)).
		list = append(list, filepath.SplitList(dir)[0])
	}
	list = append(list, "/run/pmilter")
	if dir, ok := env("XDG_RUNTIME_DIR"); ok && dir != "" {
		list = append(list, filepath.Join(dir, "pmilter"))
	}
	return list
}
