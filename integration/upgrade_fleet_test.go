package integration

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	milterclient "pmilter/internal/mta"
)

// TestUpgradeLoadsBeforeTheStoreMoves: a new fleet whose processes take longer to load
// than calls of the store may wait does so while the old one has the store.
func TestUpgradeLoadsBeforeTheStoreMoves(t *testing.T) {
	settings := "[milter]\nworkers = 2\n[handler]\ncpu = \"60s\"\ntimeout = \"60s\""
	l := startLine(t, counting, settings)
	c := l.load(2, "550")
	c.some(5)
	l.script("for (const end = Date.now() + 5500; Date.now() < end;) ;\n" + counting)
	l.upgrade()
	if sent := c.end(); strings.Contains(l.log(), "not upgraded") {
		t.Errorf("after %d mails it was not upgraded", sent)
	}
}

// workers are the serving processes of the present server, sorted.
func (l *line) workers() (pids []int) {
	l.t.Helper()
	for _, p := range l.status().Fleet.Processes {
		if p.State == "serving" {
			pids = append(pids, p.PID)
		}
	}
	slices.Sort(pids)
	return pids
}

// TestUpgradeWhileAProcessDies: one of the old fleet's that dies while the new server
// loads is replaced, as ever; and the new one takes over.
func TestUpgradeWhileAProcessDies(t *testing.T) {
	l := startLine(t, counting, "[milter]\nworkers = 2")
	before := l.workers()
	l.install("#!/bin/sh\nexec sleep 1000\n")
	l.signal(syscall.SIGUSR2)
	l.await(1, "upgrade: started")
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.await(1, "serving process died")
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if now := l.workers(); len(now) == 2 && !slices.Contains(now, before[0]) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is not replaced")
		}
	}
	if got, err := l.send(0); err != nil || !strings.Contains(got, "n1.") {
		t.Errorf("%s %v", got, err)
	}
	l.signal(syscall.SIGTERM) // in the take-over
	for _, pid := range append(before[1:], l.pid()) {
		l.awaitGone(pid)
	}
}

// TestUpgradeThenOldKilled: when the old server is killed while its fleet drains, that
// ends with its connections; the new one serves on, and what they held is free.
func TestUpgradeThenOldKilled(t *testing.T) {
	l := startLine(t, `import store from "pmilter/store";
export async function mail() { const h = await store.hold("k", { max: 1 }); return reject(h.ok ? "held" : "full"); }`,
		"[milter]\nworkers = 2\ndrain_timeout = \"60s\"")
	ctx := context.Background()
	hold := func() (*milterclient.Session, string) {
		t.Helper()
		c, err := l.dial(0)
		if err != nil {
			t.Fatal(err)
		}
		s := milterclient.NewSession(c, milterclient.Macros{})
		if _, err := s.Connect(ctx, milterclient.Peer{Name: "x.example.org", Family: '4', Addr: "192.0.2.1"}); err != nil {
			t.Fatal(err)
		}
		r, err := s.Mail(ctx, "a@example.org")
		if err != nil {
			t.Fatal(err)
		}
		return s, r.Text
	}
	first, text := hold()
	if !strings.Contains(text, "held") {
		t.Fatal(text)
	}
	old := l.workers()
	l.upgrade()
	second, text := hold()
	if !strings.Contains(text, "full") {
		t.Errorf("the old fleet's hold does not count: %s", text)
	}
	_ = second.Close(ctx)
	if err := syscall.Kill(l.pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, pid := range old {
		l.awaitGone(pid)
	}
	if _, err := first.Mail(ctx, "a@example.org"); err == nil {
		t.Error("a connection outlives its process")
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s, text := hold()
		_ = s.Close(ctx)
		if strings.Contains(text, "held") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("what the dead have held is not free")
		}
	}
}

// TestProcessesLeaveUnderLoad: processes that are asked to leave, one after the other,
// while clients come all the time, serve whom they have accepted: no mail fails.
func TestProcessesLeaveUnderLoad(t *testing.T) {
	l := startLine(t, counting, "[milter]\nworkers = 2\ndrain_timeout = \"20s\"")
	c := l.load(8, "550")
	for n := range 20 {
		c.some(20)
		for _, pid := range l.workers()[:1] {
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		l.await(n+1, `"msg":"serving process ended"`)
	}
	c.some(50)
	if sent, got := c.end(), len(l.await(0, "serving process died")); got > 0 {
		t.Errorf("%d processes died in %d mails", got, sent)
	}
}
