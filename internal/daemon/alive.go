package daemon

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// beat gives the service manager a sign of life, if there is one to give. It is called
// from the main loop, so that one that hangs gives none.
func (r *running) beat() {
	lines := r.notify.statusLine(r.line())
	if r.notify.watchdog > 0 {
		if err := r.alive(); err != nil {
			r.o.Log.Error("no sign of life for the service manager, which may restart the server", zap.Error(err))
		} else {
			lines = append(lines, "WATCHDOG=1")
		}
	}
	r.notify.tell(lines...)
}

// alive tells whether what all connections depend on still works: the listeners are
// accepted from, and the goroutine that ends endless scripts is there. It takes the
// locks of the server, of its listeners and of the scripts: one that is never given
// back holds the main loop up, too.
func (r *running) alive() error {
	if !r.serving.complete() {
		return fmt.Errorf("daemon: %d listeners are served", r.engine.server.Listeners())
	}
	if quiet := r.engine.library.Load().WatchdogQuiet(); quiet > r.notify.watchdog {
		return fmt.Errorf("daemon: the watchdog of scripts has not looked for %s", quiet)
	}
	return nil
}

// line is the server in a line of text, for systemctl status.
func (r *running) line() string {
	r.mu.Lock()
	fault := r.reload
	r.mu.Unlock()
	s := r.engine.library.Load().Status()
	text := fmt.Sprintf("%d connections, scripts %s", r.engine.server.Connections(), s.Version)
	switch {
	case fault != nil:
		text += "; not reloaded: " + fault.Message
	case s.LastError != nil:
		text += "; not reloaded: " + s.LastError.Error()
	}
	return text
}

// upgraded has a new binary take over, and tells whether it did.
func (r *running) upgraded(ctx context.Context) bool {
	r.notify.tell(reloading()...)
	err := r.upgrade(ctx)
	if err == nil {
		return true
	}
	r.o.Log.Error("not upgraded: this process goes on as before", zap.Error(err))
	r.notify.tell("READY=1")
	return false
}
