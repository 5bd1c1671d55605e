package daemon

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/mta"
)

// negotiated is a connection of an MTA that has said nothing else yet.
func negotiated(t *testing.T, s *stage) (net.Conn, *mta.Client) {
	t.Helper()
	conn, err := s.e.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c, err := mta.NewClient(t.Context(), conn, mta.PostfixOptions(6))
	if err != nil {
		t.Fatal(err)
	}
	return conn, c
}

// TestSettingsOfHandlers: each key of [handler] and [milter] that scripts and
// messages meet does what it says.
func TestSettingsOfHandlers(t *testing.T) {
	const waits = `await new Promise((r) => setTimeout(r, 60000));`
	for _, tt := range []struct {
		name, script, want string
		change             func(*config.Config)
	}{
		{"on_error", `export function mail() { throw 1; }`, "mail 550 5.3.0", func(c *config.Config) { c.Handler.OnError = config.Reject }},
		{"timeout", `export async function mail() { ` + waits + ` }`, "mail 421 4.3.0", func(c *config.Config) { c.Handler.Timeout = time.Second }},
		{"eom_timeout", `export async function eom() { ` + waits + ` }`, "eom 421 4.3.0", func(c *config.Config) { c.Handler.EOMTimeout = time.Second }},
		{"max_value", `export function mail() { "x".repeat(5000); }`, "mail 451 4.3.0", func(c *config.Config) { c.Handler.MaxValue = 4096 }},
		{"oversize", `export function eom() {}`, "eom 452 4.3.4", func(c *config.Config) { c.Milter.MaxMessage, c.Milter.Oversize = 20, config.Tempfail }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := one(t, tt.script, tt.change)
			if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %s", got, tt.want)
			}
			// And after a reload that takes it back.
			back := *s.cfg
			back.Handler, back.Milter = config.Default().Handler, config.Default().Milter
			back.Handler.OnError, back.Handler.Timeout, back.Handler.EOMTimeout = config.Tempfail, 2*time.Second, 2*time.Second
			if err := s.e.configure(t.Context(), &back); err != nil {
				t.Fatal(err)
			}
			if tt.name == "timeout" || tt.name == "eom_timeout" {
				return // two seconds would prove nothing
			}
			if got := outcomeOf(s.send(plain())); strings.HasPrefix(got, tt.want) {
				t.Errorf("after the reload: %q", got)
			}
		})
	}
}

func TestSettingIdleTimeout(t *testing.T) {
	s := one(t, `export function mail() {}`, func(c *config.Config) { c.Milter.IdleTimeout = time.Second })
	conn, _ := negotiated(t, s)
	_ = conn.SetReadDeadline(time.Now().Add(plenty))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v; want the end", n, err)
	}
}

func TestSettingMaxConnections(t *testing.T) {
	s := one(t, `export function mail() {}`, func(c *config.Config) { c.Milter.MaxConnections = 1 })
	first, _ := negotiated(t, s)
	second, err := s.e.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_ = second.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := second.Write([]byte{0}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v: it is served beside the first", err)
	}
	_ = first.Close()
	_ = second.SetWriteDeadline(time.Now().Add(plenty))
	if _, err := second.Write([]byte{0}); err != nil {
		t.Errorf("%v: it is not served after the first", err)
	}
}

func TestSettingDrainTimeout(t *testing.T) {
	s := one(t, `export function mail() {}`, func(c *config.Config) { c.Milter.DrainTimeout = 10 * time.Millisecond })
	conn, _ := negotiated(t, s)
	_ = conn.SetReadDeadline(time.Now().Add(25 * time.Second)) // below the default
	done := make(chan error, 1)
	go func() { done <- s.e.server.Shutdown(t.Context()) }()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v: it is not closed", err)
	}
	_ = conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestReloadOfTheRest: the log's level and warnings; and with a script that does
// not load, or a configuration that cannot be read, nothing changes.
func TestReloadOfTheRest(t *testing.T) {
	s := one(t, `export function mail() { throw 1; }`)
	next := *s.cfg
	next.Handler.OnError, next.Log.Level = config.Reject, "error"
	next.Warnings = []config.Fault{{Message: "hardly meant"}}
	var failure error
	o := Options{Log: s.e.log, Level: zap.NewAtomicLevel(), Reload: func() (*config.Config, error) { return &next, failure }}
	stays := func(what string) {
		t.Helper()
		newRunning(o, s.cfg, s.e, &jobQueues{}, &sockets{}).hangup(t.Context())
		if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "mail 451") || o.Level.Level() != zap.InfoLevel || len(s.entries("reloaded")) > 0 {
			t.Errorf("%s: %q, level %v", what, got, o.Level)
		}
	}
	failure = errors.New("unreadable")
	stays("no configuration")
	failure = nil
	s.write("20-bad.js", "export const = 1")
	stays("a broken script")
	s.write("20-bad.js", "export function helo() {}")
	newRunning(o, s.cfg, s.e, &jobQueues{}, &sockets{}).hangup(t.Context())
	if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "mail 550") || o.Level.Level() != zap.ErrorLevel || len(s.entries("reloaded")) != 1 {
		t.Errorf("reloaded: %q, level %v", got, o.Level)
	}
	if !strings.Contains(s.log.FilterMessageSnippet("hardly meant").All()[0].Message, "hardly meant") {
		t.Error("no warning")
	}
}
