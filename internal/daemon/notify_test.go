package daemon

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
)

// manager is a service manager's socket.
type manager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "pmn") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); os.RemoveAll(dir) })
	return &manager{t, path, conn}
}

// hears the next message within the time; "" if none comes.
func (m *manager) hears(within time.Duration) string {
	m.t.Helper()
	b := make([]byte, 4096)
	_ = m.conn.SetReadDeadline(time.Now().Add(within))
	n, err := m.conn.Read(b)
	if err != nil && !os.IsTimeout(err) {
		m.t.Error(err)
	}
	return string(b[:n])
}

func (m *manager) env(more ...string) func(string) (string, bool) {
	all := map[string]string{"NOTIFY_SOCKET": m.path}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return func(name string) (string, bool) { v, ok := all[name]; return v, ok }
}

// TestWatchdogNeedsTheMainLoop: signs of life come from the loop that answers signals.
// When that hangs, on a lock that is never given back, there are none any more.
func TestWatchdogNeedsTheMainLoop(t *testing.T) {
	m := newManager(t)
	s := one(t, `export function mail() {}`)
	hangup, requests := make(chan struct{}), 0
	o := Options{Log: s.e.log, Level: zap.NewAtomicLevel(), Hangup: hangup, Reload: func() (*config.Config, error) { requests++; return s.cfg, nil }}
	r := newRunning(o, s.cfg, s.e, &jobQueues{}, &sockets{})
	r.notify = newNotifier(m.env("WATCHDOG_USEC", "100000"), s.e.log)
	defer r.notify.close()
	ctx, stop := t.Context(), make(chan struct{})
	go func() { defer close(stop); _ = r.loop(ctx, ctx) }()
	for range 3 {
		if got := m.hears(plenty); !strings.Contains(got, "WATCHDOG=1") {
			t.Fatalf("%q", got)
		}
	}
	hangup <- struct{}{} // it goes on during and after a reload
	for got := ""; !strings.Contains(got, "READY=1"); {
		if got = m.hears(plenty); got == "" {
			t.Fatal("silence")
		}
	}
	if got := m.hears(plenty); !strings.Contains(got, "WATCHDOG=1") || requests != 1 {
		t.Errorf("%q, %d reloads", got, requests)
	}
	r.serving.mu.Lock()
	for m.hears(500*time.Millisecond) != "" { // what was under way
	}
	if got := m.hears(time.Second); got != "" {
		t.Errorf("the loop is held up, and there was %q", got)
	}
	r.serving.mu.Unlock()
	if got := m.hears(plenty); !strings.Contains(got, "WATCHDOG=1") {
		t.Errorf("%q", got)
	}
}

// TestWatchdogNeedsListeners: a server that accepts from fewer than it should is not alive,
// unless it drains.
func TestWatchdogNeedsListeners(t *testing.T) {
	m := newManager(t)
	s := one(t, `export function mail() {}`)
	r := newRunning(Options{Log: s.e.log}, s.cfg, s.e, &jobQueues{}, &sockets{})
	r.notify = newNotifier(m.env("WATCHDOG_USEC", "100000"), s.e.log)
	defer r.notify.close()
	r.serving.list = []*listening{{entry: "nowhere"}}
	r.beat(t.Context())
	if got := m.hears(plenty); !strings.HasPrefix(got, "STATUS=0 connections, scripts ") || strings.Contains(got, "WATCHDOG=1") {
		t.Errorf("%q", got)
	}
	close(r.draining)
	r.beat(t.Context())
	if got := m.hears(plenty); !strings.Contains(got, "WATCHDOG=1") {
		t.Errorf("draining: %q", got)
	}
	if n := len(s.entries("no sign of life for the service manager, which may restart the server")); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
}

func TestNotifier(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.path)
	for usec, want := range map[string]time.Duration{"": 0, "x": 0, "-5": 0, "2000000": 2 * time.Second} {
		n := newNotifier(m.env("WATCHDOG_USEC", usec), zap.NewNop())
		if n.watchdog != want {
			t.Errorf("%q: %v", usec, n.watchdog)
		}
		n.close()
	}
	if _, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
		t.Error("programs would inherit the socket")
	}
	n := newNotifier(m.env("WATCHDOG_USEC", "1000", "WATCHDOG_PID", "1"), zap.NewNop())
	defer n.close()
	if n.watchdog != 0 {
		t.Error("another process is watched, not this one")
	}
	n.tell("A=1", "B=2")
	if got := m.hears(plenty); got != "A=1\nB=2" {
		t.Errorf("%q", got)
	}
	if got := n.statusLine("a\nREADY=1"); len(got) != 1 || got[0] != "STATUS=a READY=1" {
		t.Errorf("%q", got)
	}
	if got := n.statusLine("a\nREADY=1"); got != nil {
		t.Errorf("told twice: %q", got)
	}
	n.mute()
	n.tell("A=1")
	if got := m.hears(50 * time.Millisecond); got != "" {
		t.Errorf("not the main process any more, and it says %q", got)
	}
	none := newNotifier(func(string) (string, bool) { return "", false }, zap.NewNop())
	none.tell("A=1") // nobody listens
	if none.environment() != nil {
		t.Error("an environment")
	}
}
