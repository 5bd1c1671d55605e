package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// Site is what the server shows over the network, to monitors: /metrics, /healthz,
// /readyz and /status. It is read-only.
type Site struct {
	Status  func(context.Context) *Status
	Metrics http.Handler
	// Alive is nil when the server's main loop answers, Ready when it serves mail as it
	// should. Both answer before ctx ends.
	Alive, Ready func(context.Context) error
	Log          *zap.Logger
}

// What a client may take up: it may be anybody.
const (
	maxClients    = 64
	maxHeader     = 8 << 10
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 30 * time.Second
	answerTimeout = 10 * time.Second
)

// ServeSite begins to answer on l. Close ends it, and closes the listener. At most 64
// clients are connected at a time; more wait.
func ServeSite(l net.Listener, site Site) *Server {
	strangers, err := zap.NewStdLogAt(site.Log.Named("admin"), zap.DebugLevel) // what they get wrong
	if err != nil {
		strangers = nil // it is a level
	}
	s := &Server{
		http: &http.Server{
			Handler: site.handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
			IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: strangers,
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(netutil.LimitListener(l, maxClients)); !errors.Is(err, http.ErrServerClosed) {
			site.Log.Error("admin: nobody answers any more", zap.Stringer("listen", l.Addr()), zap.Error(err))
		}
	}()
	return s
}

func (site Site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", site.Metrics)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { writeStatus(w, site.Status(r.Context())) })
	for path, ask := range map[string]func(context.Context) error{"/readyz": site.Ready, "/healthz": site.Alive} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
			defer cancel()
			say(w, ask(ctx))
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "pmilterd: /metrics /healthz /readyz /status\n") // who asked has gone
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.MaxBytesHandler(mux, 0).ServeHTTP(w, r)
	})
}

// say answers ok, or 503 with what is wrong.
func say(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%s\n", err)
		return
	}
	fmt.Fprintln(w, "ok")
}

func writeStatus(w http.ResponseWriter, s *Status) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s) // who asked has gone
}
