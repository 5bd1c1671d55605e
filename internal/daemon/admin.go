package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pmilter/internal/admin"
	"pmilter/internal/config"
	"pmilter/internal/metrics"
	"pmilter/internal/milter"
)

// adminSite is the listener of [admin], if there is one. Who reloads owns it.
type adminSite struct {
	listen    string
	listeners []namedListener
	servers   []*admin.Server
}

// adminChange is listeners that are open and not served yet.
type adminChange struct {
	adminSite
	same bool // as it is
}

// openAdmin opens what a configuration wants beside what is open.
func (r *running) openAdmin(ctx context.Context, cfg *config.Config) (*adminChange, error) {
	c := &adminChange{adminSite: adminSite{listen: cfg.Admin.Listen}, same: cfg.Admin.Listen == r.admin.listen}
	if c.same || c.listen == "" {
		return c, nil
	}
	addr := milter.Addr{Network: "tcp", Address: c.listen}
	if path, ok := strings.CutPrefix(c.listen, "unix:"); ok {
		addr = milter.Addr{Network: "unix", Address: path}
	}
	var err error
	c.listeners, err = r.sockets.listen(ctx, "admin", addr, milter.SocketOptions{Mode: cfg.Milter.SocketMode, Group: cfg.Milter.SocketGroup})
	if err != nil {
		return nil, fmt.Errorf("daemon: [admin] listen: %w", err)
	}
	return c, nil
}

// forgetAdmin closes what was opened and will not be used.
func (r *running) forgetAdmin(c *adminChange) { r.sockets.close(c.listeners...) }

// useAdmin serves what was opened, and closes what was served before.
func (r *running) useAdmin(c *adminChange) {
	if c.same {
		return
	}
	old := r.admin
	for _, l := range c.listeners {
		c.servers = append(c.servers, admin.ServeSite(l, admin.Site{
			Status: r.status, Metrics: metrics.Handler(r.o.Log, r.metrics.Gatherer(), r.merged), Alive: r.alive, Ready: r.ready, Log: r.o.Log,
		}))
	}
	r.admin = c.adminSite
	old.close()
	r.sockets.close(old.listeners...)
}

func (s *adminSite) close() {
	for _, server := range s.servers {
		server.Close()
	}
	s.servers = nil
}

// closeAdmin ends it.
func (r *running) closeAdmin() { r.admin.close() }

// alive asks the main loop for a sign of life. One that drains gives none, and has its
// own limits of time.
func (r *running) alive(ctx context.Context) error {
	select {
	case r.pings <- struct{}{}:
		return nil
	case <-r.draining:
		return nil
	case <-ctx.Done():
		return errors.New("the main loop does not answer")
	}
}

// ready tells why the server is not, if so.
func (r *running) ready(ctx context.Context) error {
	return r.fit(r.engine.tally(ctx).Workers)
}

// fit is ready when the processes that serve MTAs are known; nil: there is one, this.
func (r *running) fit(workers *admin.MilterWorkers) error {
	r.mu.Lock()
	scripts := r.now.Scripts
	r.mu.Unlock()
	serving := func(w admin.MilterWorker) bool { return w.State == "serving" }
	switch {
	case r.drains():
		return errors.New("the server stops: it takes no new connections")
	case len(scripts) == 0:
		return errors.New("there are no scripts: scripts = [] lets all mail pass")
	case workers != nil && !slices.ContainsFunc(workers.Processes, serving):
		return fmt.Errorf("none of %d processes serves yet, or any more", workers.Workers)
	}
	return nil
}

// drains tells whether the server has begun to stop.
func (r *running) drains() bool {
	select {
	case <-r.draining:
		return true
	default:
		return false
	}
}
