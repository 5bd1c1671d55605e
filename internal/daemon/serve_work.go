package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"pmilter/internal/config"
	"pmilter/internal/log"
	"pmilter/internal/milter"
	"pmilter/internal/serving"
	"pmilter/script"
)

// serveWord follows the command of a worker process in that of a serving process.
const serveWord = "serve"

// ServeWork is a serving process, one of a fleet: an engine that takes its scripts from
// the server and its connections from the server's sockets. See serving.Work.
func ServeWork(ctx context.Context) error {
	signal.Ignore(syscall.SIGHUP) // the server tells us when it gets one
	// When memory runs out the kernel shall end us before the server.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	return serving.Work(ctx, serving.Worker{Begin: beginServing, Try: tryServing})
}

// tryServing runs scripts' top-level code, and remarks their warnings.
func tryServing(_ context.Context, set json.RawMessage) (json.RawMessage, error) {
	var o order
	if err := json.Unmarshal(set, &o); err != nil {
		return nil, fmt.Errorf("daemon: serving process: %w", err)
	}
	_ = limitServing(o)
	services := NewServices(o.Config, zap.NewNop())
	defer services.Close()
	options := libraryOptions(o.Config, services, zap.NewNop())
	l, err := script.LibraryOf(o.Code, options)
	if err != nil {
		return nil, script.CarryFaults(err)
	}
	defer l.Retire()
	warnings := l.Status().Warnings
	if len(warnings) == 0 {
		return nil, nil
	}
	return json.RawMessage(script.CarryFaults(warnings).Error()), nil
}

// limitServing is limitProcess and what a serving process has besides.
func limitServing(o order) (ballast []byte) {
	limitData(o.Config)
	c := *o.Config
	c.Handler.CPU = o.CPU
	return limitProcess(&c)
}

// servingEngine is an engine in a serving process.
type servingEngine struct {
	*engine
	level     zap.AtomicLevel
	ballast   []byte
	config    []byte       // in use, as JSON
	memory    atomic.Int64 // bytes of heap that it may have
	listeners []namedListener
	accepting sync.WaitGroup
	accept    context.Context //nolint:containedctx // ends when no connection is taken any more
	stop      context.CancelFunc

	mu    sync.Mutex
	begun bool // to accept; or it ends, and never will
}

var _ serving.Server = (*servingEngine)(nil)

func beginServing(ctx context.Context, set json.RawMessage) (serving.Server, error) {
	var o order
	if err := json.Unmarshal(set, &o); err != nil {
		return nil, fmt.Errorf("daemon: serving process: %w", err)
	}
	cfg := o.Config
	os.Stderr = os.NewFile(uintptr(listenFD+len(o.Listen)), "/dev/stderr") //nolint:gosec // 2 is a pipe to the server
	unix.CloseOnExec(int(os.Stderr.Fd()))
	logger, level, err := log.New(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, err
	}
	logger = logger.With(zap.Int("worker", os.Getpid()))
	s := &servingEngine{level: level, ballast: limitServing(o)}
	s.accept, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if s.config, err = json.Marshal(cfg); err != nil {
		return nil, err
	}
	s.engine = rawEngine(cfg, logger, nil)
	s.maxCPU = o.CPU
	if err := s.services.inheritStore(); err != nil {
		return nil, err
	}
	if s.listeners, err = inheritListeners(o.Listen); err != nil {
		return nil, err
	}
	l, err := s.libraryOf(cfg, o.Code)
	if err != nil {
		return nil, script.CarryFaults(err)
	}
	s.engine.begin(ctx, cfg, l)
	s.keepDecisions(cfg)
	s.memory.Store(limits(cfg).Memory)
	s.gate.Lock() // until the first Resume
	return s, nil
}

// listenFD is where a serving process finds the first listening socket.
const listenFD = storeFD + 1

// inheritListeners makes listeners of the server's sockets. Closing them here closes
// them here alone, and leaves their paths.
func inheritListeners(names []string) (list []namedListener, err error) {
	for i, name := range names {
		file := os.NewFile(uintptr(listenFD+i), name)
		l, err := net.FileListener(file)
		file.Close() // the listener has a duplicate, which programs do not inherit
		if err != nil {
			return list, fmt.Errorf("daemon: serving process: %s: %w", name, err)
		}
		list = append(list, namedListener{Listener: l, name: name})
	}
	return list, nil
}

// libraryOf is a library of code from the server.
func (s *servingEngine) libraryOf(cfg *config.Config, code []byte) (*library, error) {
	l, err := script.LibraryOf(code, s.libraryOptions(cfg))
	if err != nil {
		return nil, err
	}
	return &library{Library: l, stop: func() {}}, nil // nothing is watched
}

// preparedSet is what a serving process could go over to.
type preparedSet struct {
	s       *servingEngine
	cfg     *config.Config
	config  []byte
	library *library
	queues  *queues // nil: the configuration is that in use
}

// Prepare implements serving.Server, as do the following.
func (s *servingEngine) Prepare(_ context.Context, set json.RawMessage) (serving.Prepared, error) {
	var o order
	if err := json.Unmarshal(set, &o); err != nil {
		return nil, fmt.Errorf("daemon: serving process: %w", err)
	}
	p := &preparedSet{s: s, cfg: o.Config}
	var err error
	if p.library, err = s.libraryOf(o.Config, o.Code); err != nil {
		return nil, script.CarryFaults(err)
	}
	if p.config, err = json.Marshal(o.Config); err != nil {
		return nil, err
	}
	if !bytes.Equal(p.config, s.config) {
		p.queues = s.makeQueues(o.Config)
	}
	return p, nil
}

// Use is called while the gate is shut.
func (p *preparedSet) Use(context.Context) {
	s := p.s
	if p.queues == nil {
		s.takeScripts(p.library)
		return
	}
	s.take(p.cfg, p.library, p.queues)
	s.config = p.config
	s.memory.Store(limits(p.cfg).Memory)
	limitData(p.cfg)
	if level, err := zapcore.ParseLevel(p.cfg.Log.Level); err == nil {
		s.level.SetLevel(level)
	}
}

// Drop forgets it.
func (p *preparedSet) Drop() { p.library.Retire() }

// Hold has connections that negotiate wait.
func (s *servingEngine) Hold() { s.gate.Lock() }

// Resume lets them go on, and the first time begins to accept.
func (s *servingEngine) Resume() {
	s.gate.Unlock()
	if !s.beginOnce() {
		return
	}
	for _, l := range s.listeners {
		s.accepting.Go(func() {
			err := s.server.Serve(s.accept, l.Listener, l.name)
			if s.accept.Err() == nil && !errors.Is(err, milter.ErrServerClosed) {
				s.log.Error("listener failed", zap.String("listener", l.name), zap.Error(err))
				_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // another process may fare better
			}
		})
	}
}

// beginOnce tells whether accepting has not begun yet, and never may from then on.
func (s *servingEngine) beginOnce() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.begun
	s.begun = true
	return first
}

// Shutdown drains. The listeners are the server's, once they are served.
func (s *servingEngine) Shutdown(ctx context.Context) {
	if s.beginOnce() {
		for _, l := range s.listeners {
			_ = l.Close() // nothing was accepted: nothing to lose
		}
	}
	s.stop() // first, so that who was accepted is served
	s.accepting.Wait()
	if err := s.server.Shutdown(ctx); err != nil {
		s.log.Warn("serving process not drained", zap.Error(err))
	}
	s.decisions.Close() // what waits is written
	runtime.KeepAlive(s.ballast)
}

// Report is a report.
func (s *servingEngine) Report() json.RawMessage {
	snapshot, err := s.meter.Snapshot()
	if err != nil {
		s.log.Error("metrics", zap.Error(err))
	}
	data, err := json.Marshal(report{
		tally: s.tally(context.Background()), Scripts: s.library.Load().Version(), Goroutines: runtime.NumGoroutine(), Metrics: snapshot,
	})
	if err != nil {
		return json.RawMessage("{}")
	}
	return data
}

// maxQuiet is how long the goroutine that ends endless scripts, every few milliseconds,
// may be quiet.
const maxQuiet = 10 * time.Second

// Trouble is what a process cannot get rid of by itself.
func (s *servingEngine) Trouble() string {
	if s.filter.Worlds().Stuck > 0 {
		return "a script hangs in a built-in function"
	}
	if s.library.Load().WatchdogQuiet() > maxQuiet {
		return "nobody ends endless scripts"
	}
	limit := uint64(s.memory.Load()) //nolint:gosec // not negative
	if heapBytes() > limit {
		runtime.GC() // what is garbage is no trouble
		if heapBytes() > limit {
			return "memory"
		}
	}
	return ""
}

func heapBytes() uint64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return heap[0].Value.Uint64()
}
