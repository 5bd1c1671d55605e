// Package admin answers what a running server is asked about itself: over a private
// unix socket, which has one resource, and to monitors on the network (Site), read-only
// and within bounds. It does not know where the answers come from.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Status is what a server says of itself. Fields are only ever added.
type Status struct {
	Version     string           `json:"version"`
	PID         int              `json:"pid"`
	Started     time.Time        `json:"started"`
	Config      string           `json:"config"` // the file; "" for the defaults
	Listen      []string         `json:"listen"`
	Connections Connections      `json:"connections"`
	Verdicts    map[string]int64 `json:"verdicts"` // messages, recipients, connections and commands, by verdict, since the start
	Scripts     Scripts          `json:"scripts"`
	Reload      *Fault           `json:"reload_error"` // of the configuration; null when the last reload went well
	Queues      []Queue          `json:"queues"`
	// MilterWorkers are the processes that serve MTAs; null when it is one, the server's own.
	MilterWorkers *MilterWorkers `json:"milter_workers"`

	Draining    bool      `json:"draining"`        // it stops: no new connections
	NotReady    string    `json:"not_ready"`       // why /readyz says so; "" when it does not
	Messages    int64     `json:"messages"`        // that arrived whole, since the start
	Handlers    []Handler `json:"handlers"`        // by script
	Worlds      Worlds    `json:"worlds"`          // of JavaScript
	StoreErrors int64     `json:"store_errors"`    // of what scripts asked of the store
	DNSErrors   int64     `json:"dns_errors"`      // likewise of the DNS
	LastReload  time.Time `json:"last_reload"`     // of the configuration; the start when there was none
	Reloads     int       `json:"reloads"`         // that were tried
	Measured    *Fault    `json:"measuring_error"` // why figures are missing; null when none are
}

// Handler is what the handlers of a script did since the start.
type Handler struct {
	Script   string           `json:"script"`
	Calls    int64            `json:"calls"`
	Errors   int64            `json:"errors"`
	P50      float64          `json:"p50_seconds"` // estimates, of all phases together
	P99      float64          `json:"p99_seconds"`
	Verdicts map[string]int64 `json:"verdicts"` // that it decided
}

// Worlds is the JavaScript worlds of connections.
type Worlds struct {
	Alive   int64 `json:"alive"`
	Stuck   int64 `json:"stuck"`   // given up, and a script runs on in them
	Dropped int64 `json:"dropped"` // ever given up
}

// MilterWorkers is the processes that serve MTAs.
type MilterWorkers struct {
	Workers   int            `json:"workers"` // as many as there should be
	Started   int            `json:"started"` // ever
	Died      int            `json:"died"`    // of these, unasked
	Fault     *Fault         `json:"error"`   // why one cannot be started; its time is the next try's
	Processes []MilterWorker `json:"processes"`
}

// MilterWorker is one of them.
type MilterWorker struct {
	PID         int     `json:"pid"`
	State       string  `json:"state"` // starting, serving, ending (it serves what it has)
	Connections int     `json:"connections"`
	Memory      int64   `json:"memory"` // RssAnon, bytes
	Age         float64 `json:"age_seconds"`
	Scripts     string  `json:"scripts"` // the version that new connections get
	Goroutines  int     `json:"goroutines"`
}

// Connections is those of MTAs.
type Connections struct {
	Open     int   `json:"open"`
	Max      int   `json:"max"`
	Accepted int64 `json:"accepted"` // since the start
}

// Scripts is a set of scripts.
type Scripts struct {
	Version string    `json:"version"`
	Loaded  time.Time `json:"loaded"`
	Failed  int       `json:"failed_loads"` // since the start
	Error   *Fault    `json:"error"`        // of the last load; null when it went well
}

// Fault is what went wrong, and when.
type Fault struct {
	Message string    `json:"message"`
	Time    time.Time `json:"time,omitzero"`
}

// Queue is one queue, with its workers if it has a job.
type Queue struct {
	Name    string   `json:"name"`
	Maildir string   `json:"maildir"`
	Job     string   `json:"job"`     // the script; "" when the queue is only written to
	Waiting int      `json:"waiting"` // events that are due
	Running int      `json:"running"`
	Delayed int      `json:"delayed"` // that wait for their next attempt
	Failed  int      `json:"failed"`
	Oldest  *float64 `json:"oldest_seconds"` // age of the oldest that waits; null without one
	Fault   *Fault   `json:"error"`          // why the Maildir cannot be read; null when it can

	Jobs    Jobs     `json:"jobs"`
	Scripts *Scripts `json:"script"` // null without a job
	Pool    *Pool    `json:"pool"`   // likewise
}

// Jobs counts them since the start.
type Jobs struct {
	Done    int64 `json:"done"`
	Failed  int64 `json:"failed"`
	Retried int64 `json:"retried"`
}

// Pool is the workers of a queue.
type Pool struct {
	Min     int      `json:"min"`
	Max     int      `json:"max"`
	Started int      `json:"started"` // ever
	Died    int      `json:"died"`    // of these, unasked
	Fault   *Fault   `json:"error"`   // why workers cannot be started; its time is the next try's
	Workers []Worker `json:"workers"`
}

// Worker is a process.
type Worker struct {
	PID     int     `json:"pid"`
	State   string  `json:"state"` // starting, idle, busy, ending
	Event   string  `json:"event"` // that it works on
	Seconds float64 `json:"seconds"`
	Jobs    int     `json:"jobs"`
	Memory  int64   `json:"memory"` // RssAnon, bytes
	Age     float64 `json:"age_seconds"`
}

// Server answers on one listener.
type Server struct {
	http *http.Server
	done chan struct{}
}

// Serve begins to answer with what status gives, which is called from many goroutines.
// Close ends it, and closes the listener.
func Serve(l net.Listener, status func(ctx context.Context) *Status) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		writeStatus(w, status(r.Context()))
	})
	s := &Server{
		http: &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // it is closed
	}()
	return s
}

// Close stops at once.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.done
}

// ErrNoServer is why nobody answers: there is no socket, or nobody listens on it.
var ErrNoServer = errors.New("no server answers")

// Ask asks the server whose socket is at path, within ten seconds. Errors are
// ErrNoServer, and fs.ErrPermission for who may not.
func Ask(ctx context.Context, path string) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pmilterd/status", nil)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w on %s", ErrNoServer, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: %w: the server's own user and root alone may ask: try sudo", path, fs.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("admin: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("admin: %s: %s", path, response.Status)
	}
	var s Status
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return nil, fmt.Errorf("admin: %s: %w", path, err)
	}
	return &s, nil
}
