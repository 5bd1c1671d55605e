package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/admin"
	"pmilter/internal/config"
	"pmilter/internal/jobs"
	"pmilter/internal/metrics"
	"pmilter/internal/milter"
	"pmilter/internal/queue"
	"pmilter/script"
)

// What status shows, for the command.
type (
	// Status is what a server says of itself.
	Status = admin.Status
	// QueueStatus is one of its queues.
	QueueStatus = admin.Queue
	// FaultStatus is what went wrong.
	FaultStatus = admin.Fault
)

// controlSocket is the name of the socket in the runtime folder.
const controlSocket = "control.sock"

// AskStatus asks the server that the configuration is of.
func AskStatus(ctx context.Context, cfg *config.Config, env func(string) (string, bool)) (*Status, error) {
	var paths []string
	for _, dir := range runtimeFolders(cfg, env) {
		path := filepath.Join(dir, controlSocket)
		s, err := admin.Ask(ctx, path)
		if !errors.Is(err, admin.ErrNoServer) {
			return s, err
		}
		paths = append(paths, path)
	}
	return nil, fmt.Errorf("no server answers on %s: is pmilterd running, with the same [server] runtime?", strings.Join(paths, " or "))
}

// openControl opens the control socket in the first usable folder. A server without one
// serves mail all the same: there is none then, and the log says why.
func (r *running) openControl(ctx context.Context, env func(string) (string, bool)) []namedListener {
	var faults []error
	for _, dir := range runtimeFolders(r.cfg, env) {
		err := os.Mkdir(dir, 0o700)
		if err == nil || errors.Is(err, os.ErrExist) {
			path := filepath.Join(dir, controlSocket)
			l, failed := r.sockets.listen(ctx, "control", milter.Addr{Network: "unix", Address: path}, milter.SocketOptions{Mode: 0o600})
			if failed == nil {
				return l
			}
			err = failed
		}
		faults = append(faults, err)
		if errors.Is(err, milter.ErrSocketInUse) {
			break // of another server: the next folder is not ours to find
		}
	}
	r.o.Log.Warn("no control socket: pmilterd status cannot ask this server", zap.Error(errors.Join(faults...)))
	return nil
}

// serveControl answers on the control socket.
func (r *running) serveControl(list []namedListener) {
	for _, l := range list {
		r.control = append(r.control, admin.Serve(l, r.status))
	}
}

// closeControl ends that.
func (r *running) closeControl() {
	for _, c := range r.control {
		c.Close()
	}
	r.control = nil
}

// running is what a server that runs can tell of itself.
type running struct {
	o       Options
	started time.Time
	engine  front
	jobs    *jobQueues
	sockets *sockets
	serving *listenSet
	control []*admin.Server
	notify  *notifier
	cfg     *config.Config // at the start
	metrics *metrics.Server
	merged  *metrics.Merger // of all processes that serve mail
	admin   adminSite
	pings   chan struct{} // the main loop takes one whenever it can
	heir    net.Conn      // to the server that has taken over; it waits for its end
	// draining is closed when the server begins to stop.
	draining chan struct{}

	mu     sync.Mutex
	now    *config.Config // since the last reload
	reload *admin.Fault
	last   time.Time // of the last reload, or the start
	count  int       // of reloads
}

// configured is the configuration in use.
func (r *running) configured() *config.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// reloaded notes how a reload went.
func (r *running) reloaded(cfg *config.Config, err error) {
	if r.metrics != nil { // nil: nobody measures
		r.metrics.Reloaded(metrics.Configuration, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = time.Now()
	r.count++
	if err != nil {
		r.reload = &admin.Fault{Message: err.Error(), Time: time.Now()}
		return
	}
	r.now, r.reload = cfg, nil
}

// status is the server at this moment.
func (r *running) status(ctx context.Context) *admin.Status {
	r.mu.Lock()
	cfg, fault, last, count := r.now, r.reload, r.last, r.count
	r.mu.Unlock()
	all := r.engine.tally(ctx)
	s := &admin.Status{
		Version: r.o.Version, PID: os.Getpid(), Started: r.started, Config: cfg.File, Listen: r.serving.names(),
		Connections: admin.Connections{Open: all.Connections, Max: cfg.Milter.MaxConnections},
		Verdicts:    all.Verdicts, MilterWorkers: all.Workers, Scripts: scriptStatus(r.engine.scriptStatus()), Reload: fault,
		Queues: []admin.Queue{}, LastReload: last, Reloads: count,
	}
	r.measured(s)
	for _, q := range cfg.Queues {
		s.Queues = append(s.Queues, r.queueStatus(q))
	}
	return s
}

func (r *running) queueStatus(c config.Queue) admin.Queue {
	out := admin.Queue{Name: c.Name, Maildir: c.Maildir, Job: c.Job}
	running := r.jobs.get(c.Name)
	var s jobs.Status
	if running != nil {
		s = running.Status()
	} else {
		s = jobs.Look(queue.New(queue.Options{Name: c.Name, Path: c.Maildir}), nil)
	}
	out.Waiting, out.Running, out.Delayed, out.Failed = s.Waiting, s.Running, s.Delayed, s.Failed
	if !s.Oldest.IsZero() {
		seconds := time.Since(s.Oldest).Seconds()
		out.Oldest = &seconds
	}
	if s.Fault != nil {
		out.Fault = &admin.Fault{Message: s.Fault.Error()}
	}
	if running == nil {
		return out
	}
	out.Jobs = admin.Jobs{Done: s.Done, Failed: s.Gone, Retried: s.Retried}
	scripts := scriptStatus(s.Script)
	out.Scripts = &scripts
	out.Pool = poolStatus(s)
	return out
}

func poolStatus(s jobs.Status) *admin.Pool {
	p := &admin.Pool{Min: s.Pool.Min, Max: s.Pool.Max, Started: s.Pool.Spawned, Died: s.Pool.Died, Workers: []admin.Worker{}}
	if s.Pool.Fault != "" {
		p.Fault = &admin.Fault{Message: s.Pool.Fault, Time: s.Pool.Retry}
	}
	for _, w := range s.Pool.Workers {
		p.Workers = append(p.Workers, admin.Worker{
			PID: w.PID, State: string(w.State), Event: w.What, Seconds: time.Since(w.Since).Seconds(), Jobs: w.Jobs,
			Memory: w.Memory, Age: time.Since(w.Started).Seconds(),
		})
	}
	return p
}

func scriptStatus(s script.Status) admin.Scripts {
	out := admin.Scripts{Version: s.Version, Loaded: s.Loaded, Failed: s.Failed}
	if s.LastError != nil {
		out.Error = &admin.Fault{Message: s.LastError.Error()}
	}
	return out
}

// verdictCounts counts outcomes by verdict. Safe for concurrent use.
type verdictCounts [8]atomic.Int64

func (c *verdictCounts) add(o *filter.Outcome) {
	if !o.WouldBe && int(o.Verdict.Action) < len(c) {
		c[o.Verdict.Action].Add(1)
	}
}

func (c *verdictCounts) all() map[string]int64 {
	counts := map[string]int64{}
	for action := range c {
		if n := c[action].Load(); n > 0 {
			name := filter.Action(action)
			if name == filter.Continue { // nobody had anything against it
				name = filter.Accept
			}
			counts[name.String()] += n
		}
	}
	return counts
}
