package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/mta"
)

// TestReloadLeavesOldConnectionsWatched: a connection that came before a SIGHUP
// may call its first handler long after it, when nothing else holds the old
// scripts any more: their deadlines hold all the same.
func TestReloadLeavesOldConnectionsWatched(t *testing.T) {
	s := one(t, `export function mail() { for (;;); }`, overruns)
	conn, err := s.e.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := mta.NewClient(t.Context(), conn, mta.PostfixOptions(6))
	if err != nil {
		t.Fatal(err)
	}
	s.write("10-test.js", imports+`export function mail() {}`)
	if err := s.e.configure(t.Context(), s.cfg); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // the old watchdog looks every 20 ms whether it is needed
	r, err := mta.Send(t.Context(), c, plain())
	if got := outcomeOf(r); err != nil || !strings.HasPrefix(got, "mail 421 4.3.0") {
		t.Errorf("%q, %v", got, err)
	}
	if got := outcomeOf(s.send(plain())); got != "eom c" {
		t.Errorf("a new connection got %q", got)
	}
}

// TestReloadCannotOutlastTheRegexpLimit: the limit of a match is the process's
// and stays. A stretch that were longer would take a match that ran out of time
// for one that found nothing.
func TestReloadCannotOutlastTheRegexpLimit(t *testing.T) {
	s := one(t, `export function mail() { if (!/(?=(a+)+$)b/.test("a".repeat(40) + "!")) return reject("no match"); }`, overruns)
	raised := *s.cfg
	raised.Handler.CPU, raised.Handler.Timeout = 20*time.Second, 30*time.Second
	if err := s.e.configure(t.Context(), &raised); err != nil {
		t.Fatal(err)
	}
	if got := s.e.limits(&raised).CPU; got != overrunCPU {
		t.Errorf("a stretch may run %v, and a match %v", got, overrunCPU+time.Second)
	}
	if list := needRestart(s.cfg, &raised); len(list) != 1 || list[0] != "handler.cpu" {
		t.Errorf("needs a restart: %v", list)
	}
	lowered := *s.cfg
	lowered.Handler.CPU = overrunCPU / 2
	if got := s.e.limits(&lowered).CPU; got != overrunCPU/2 {
		t.Errorf("lowered to %v", got)
	}
}

// TestReloadRemembersWhatNeedsARestart: a change that a reload cannot make is
// named by each reload until the server starts again, not by the first alone.
func TestReloadRemembersWhatNeedsARestart(t *testing.T) {
	s := one(t, `export function mail() {}`)
	changed := *s.cfg
	changed.Store.URL = "file:"
	o := Options{Log: s.e.log, Level: zap.NewAtomicLevel(), Reload: func() (*config.Config, error) { return &changed, nil }}
	r := newRunning(o, s.cfg, s.e, &jobQueues{}, &sockets{})
	for range 2 {
		r.hangup(t.Context())
	}
	for i, line := range s.entries("reloaded") {
		if got := fmt.Sprint(line["needs_restart"]); got != "[store.url]" {
			t.Errorf("reload %d: %s", i, got)
		}
	}
	back := *s.cfg
	r.o.Reload = func() (*config.Config, error) { return &back, nil }
	r.hangup(t.Context())
	if lines := s.entries("reloaded"); len(lines) != 3 || fmt.Sprint(lines[2]["needs_restart"]) != "[]" {
		t.Errorf("log %v", lines)
	}
}
