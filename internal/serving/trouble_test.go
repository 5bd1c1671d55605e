package serving_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/internal/serving"
)

// until waits for something, in real time and for long.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(4 * patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// pids are those of the processes that live, the oldest first.
func pids(t *testing.T, p *serving.Pool) (list []int) {
	t.Helper()
	for _, one := range p.Status(t.Context(), false).Processes {
		list = append(list, one.PID)
	}
	return list
}

// Trouble that passes, or is another each time, is none; the same three times in a row is.
func TestTroubleIsBelievedTheThirdTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ills  []string
		leave bool
	}{
		"it passes":     {[]string{"ill", "ill", "", "ill", "ill", ""}, false},
		"it is another": {[]string{"ill", "sick", "ill", "sick", "sick", ""}, false},
		"three times":   {[]string{"ill", "ill", "ill", ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trace := filepath.Join(t.TempDir(), "trace")
			p := open(t, 1, what{Version: 1, Ills: tt.ills, Trace: trace})
			ready(t, p)
			first := pids(t, p)
			if tt.leave { // and so do those that follow
				until(t, "another process", func() bool { now := pids(t, p); return len(now) > 0 && now[0] != first[0] })
				return
			}
			until(t, "the last look", func() bool {
				return slices.ContainsFunc(lines(t, trace), func(line string) bool { return strings.HasSuffix(line, "_look_0") })
			})
			await(t, p, "1") // it has said more since
			if now := pids(t, p); !slices.Equal(now, first) {
				t.Errorf("%v was replaced by %v", first, now)
			}
		})
	}
}

// One that says nothing for long is killed, whether anything is asked of it or not; the
// others stay.
func TestSilenceIsDeath(t *testing.T) {
	t.Parallel()
	p := open(t, 2, what{Version: 1})
	ready(t, p)
	before := pids(t, p)
	_ = syscall.Kill(before[0], syscall.SIGSTOP)
	until(t, "another process", func() bool {
		now := pids(t, p)
		return len(now) == 2 && !slices.Contains(now, before[0]) && slices.Contains(now, before[1])
	})
	if s := p.Status(t.Context(), false); s.Died != 0 {
		t.Errorf("%d died: it was killed", s.Died)
	}
}

// Without a process that serves, the pool is not alive, though those that come up talk.
func TestAliveNeedsOneThatServes(t *testing.T) {
	t.Parallel()
	p := open(t, 1, what{Version: 1})
	ready(t, p)
	gate := filepath.Join(t.TempDir(), "gate")
	touch(t, gate)
	done := make(chan error, 1)
	go func() { done <- p.Switch(context.Background(), what{Version: 2, Gate: gate}.encode()) }()
	_ = syscall.Kill(pids(t, p)[0], syscall.SIGSTOP) // the Switch waits for it
	until(t, "that nobody serves", func() bool { return p.Alive(2*time.Second) != nil })
	_ = os.Remove(gate)
	if err := <-done; err != nil { // when it was killed
		t.Error(err)
	}
	await(t, p, "2")
	until(t, "that somebody serves", func() bool { return p.Alive(5*time.Second) == nil })
}

// More processes, and fewer, while a Switch waits for one: in the end all have the new set.
func TestConfigureInASwitch(t *testing.T) {
	t.Parallel()
	for name, workers := range map[string]int{"more": 4, "fewer": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			trace, gate := filepath.Join(dir, "trace"), filepath.Join(dir, "gate")
			p := open(t, 2, what{Version: 1, Trace: trace})
			ready(t, p)
			touch(t, gate)
			done := make(chan error, 1)
			go func() { done <- p.Switch(context.Background(), what{Version: 2, Trace: trace, Gate: gate}.encode()) }()
			prepares := func() bool { return strings.Count(strings.Join(lines(t, trace), " "), "_prepare_2") == 2 }
			until(t, "that both get ready", prepares)
			p.Configure(workers, patience)
			if workers > 2 {
				until(t, "that others come up", func() bool { return len(pids(t, p)) == workers })
			}
			select {
			case err := <-done:
				t.Errorf("it is over before all are ready: %v", err)
			default:
			}
			_ = os.Remove(gate)
			if err := <-done; err != nil {
				t.Error(err)
			}
			s := await(t, p, strings.TrimSpace(strings.Repeat("2 ", workers)))
			if s.Number != 2 || s.Died != 0 {
				t.Errorf("%+v", s)
			}
			if n := strings.Count(strings.Join(lines(t, trace), " "), "_serves_1"); n != 2 {
				t.Errorf("%d have begun with the old set, not the two of the start", n)
			}
		})
	}
}

// Stop waits for no Switch, and a Switch for no process that is gone.
func TestStopInASwitch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trace, gate := filepath.Join(dir, "trace"), filepath.Join(dir, "gate")
	p := open(t, 2, what{Version: 1, Trace: trace})
	ready(t, p)
	touch(t, gate)
	switched := make(chan error, 1)
	go func() {
		switched <- p.Switch(context.Background(), what{Version: 2, Trace: trace, Gate: gate}.encode())
	}()
	until(t, "that both get ready", func() bool { return strings.Count(strings.Join(lines(t, trace), " "), "_prepare_2") == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	select {
	case <-switched:
	case <-time.After(4 * patience):
		t.Fatal("the Switch waits for ever")
	}
	if now := pids(t, p); len(now) != 0 {
		t.Errorf("left: %v", now)
	}
}

// A report counts once: as that of a process that lives, or as one of those that are gone.
// One that was never heard of counts for nothing, and each end is told of once.
func TestAReportCountsOnce(t *testing.T) {
	t.Parallel()
	gone := make(chan int, 100)
	add := func(sum, last json.RawMessage) json.RawMessage {
		var list []json.RawMessage
		_ = json.Unmarshal(sum, &list)
		data, _ := json.Marshal(append(list, last))
		return data
	}
	reported := make(chan int, 10_000)
	p := serving.Open(serving.Options{
		Command: []string{"be-worker"}, Workers: 2, EndTimeout: patience, Sum: add, Log: zap.NewNop(),
		Reported: func(pid int, _ json.RawMessage) {
			select {
			case reported <- pid:
			default:
			}
		},
		Gone: func(pid int) { gone <- pid },
	}, what{Version: 1}.encode())
	defer func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	ready(t, p)
	for round := range 3 {
		await(t, p, "1 1") // both have reported
		victim := pids(t, p)[0]
		_ = syscall.Kill(victim, syscall.SIGKILL)
		if got := <-gone; got != victim {
			t.Errorf("told of the end of %d, not %d", got, victim)
		}
		var sums []report
		if err := json.Unmarshal(p.Status(t.Context(), false).Gone, &sums); err != nil || len(sums) != round+1 {
			t.Errorf("%d are gone, and have left %v, %v", round+1, sums, err)
		}
	}
	await(t, p, "1 1")
	if n := len(gone); n != 0 || len(reported) == 0 {
		t.Errorf("told of %d more ends; %s", n, fmt.Sprint(len(reported), " reports"))
	}
}
