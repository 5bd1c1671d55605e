package serving_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nothing begins before Begin, and what begins then has the set of a Switch before it.
func TestBegin(t *testing.T) {
	t.Parallel()
	p := open(t, 2, what{Version: 1})
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Switch(t.Context(), what{Version: 2}.encode()); err != nil {
		t.Fatal(err)
	}
	for _, one := range p.Status(t.Context(), false).Processes {
		if one.Number != 0 {
			t.Errorf("%+v has begun", one)
		}
	}
	if err := p.Alive(0); err != nil {
		t.Errorf("%v: nobody is to serve yet", err)
	}
	if err := p.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, one := range p.Status(t.Context(), false).Processes {
		if one.Number == 0 {
			t.Errorf("%+v has not begun", one)
		}
	}
	await(t, p, "2 2")
}

// More processes, and fewer.
func TestConfigure(t *testing.T) {
	t.Parallel()
	p := open(t, 1, what{Version: 1})
	ready(t, p)
	for _, n := range []int{3, 1, 2} {
		p.Configure(n, patience)
		want := fmt.Sprint([]string{"", "1", "1 1", "1 1 1"}[n])
		if s := await(t, p, want); s.Died != 0 || s.Min != n {
			t.Errorf("%+v", s)
		}
	}
}

// A process that says nothing any more does not serve, whatever the others do.
func TestAlive(t *testing.T) {
	t.Parallel()
	p := open(t, 2, what{Version: 1})
	ready(t, p)
	time.Sleep(3 * time.Second) // they say so each second
	if err := p.Alive(5 * time.Second); err != nil {
		t.Error(err)
	}
	pid := p.Status(t.Context(), false).Processes[0].PID
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if p.Alive(2*time.Second) != nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it is alive")
		}
	}
}

// One that is killed while it is set up is started anew; a pool whose processes die of
// it again and again says so.
func TestReadyAfterADeath(t *testing.T) {
	t.Parallel()
	once := filepath.Join(t.TempDir(), "once")
	if err := os.WriteFile(once, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ready(t, open(t, 2, what{Die: true, Only: once}))
	if _, err := os.Stat(once); err == nil {
		t.Error("none has died")
	}
	p := open(t, 2, what{Die: true})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Ready(ctx); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Error(err)
	}
}
