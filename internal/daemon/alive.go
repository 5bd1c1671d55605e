package daemon

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// beat gives the service manager a sign of life, if there is one to give. It is called
// from the main loop, so that one that hangs gives none.
func (r *running) beat(ctx context.Context) {
	lines := r.notify.statusLine(r.line(ctx))
	if r.notify.watchdog > 0 {
		// One that drains takes no connections, and has its deadline.
		if err := r.serving.alive(r.notify.watchdog); err != nil && !r.drains() {
			r.o.Log.Error("no sign of life for the service manager, which may restart the server", zap.Error(err))
		} else {
			lines = append(lines, "WATCHDOG=1")
		}
	}
	r.notify.tell(lines...)
}

// line is the server in a line of text, for systemctl status.
func (r *running) line(ctx context.Context) string {
	r.mu.Lock()
	fault := r.reload
	r.mu.Unlock()
	s := r.engine.scriptStatus()
	text := fmt.Sprintf("%d connections, scripts %s", r.engine.tally(ctx).Connections, s.Version)
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
