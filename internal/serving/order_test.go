package serving_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lines are those of a file; none of one that is not there.
func lines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(data)), " ", "_"))
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNothingBeginsWithTheOldSet: no process goes over before all hold, however slow one is.
func TestNothingBeginsWithTheOldSet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trace, slow := filepath.Join(dir, "trace"), filepath.Join(dir, "slow")
	p := open(t, 3, what{Version: 1, Trace: trace, Slow: slow})
	ready(t, p)
	touch(t, slow)
	if err := p.Switch(t.Context(), what{Version: 2, Trace: trace}.encode()); err != nil {
		t.Fatal(err)
	}
	var held, serve int
	for _, line := range lines(t, trace)[3:] { // after the three that began
		switch {
		case strings.HasSuffix(line, "_slow"):
		case strings.HasSuffix(line, "held_1") && serve == 0:
			held++
		case strings.HasSuffix(line, "serves_2") && held == 3:
			serve++
		default:
			t.Errorf("%s after %d held and %d serve", line, held, serve)
		}
	}
	if held != 3 || serve != 3 {
		t.Errorf("%d held, %d serve", held, serve)
	}
}

// TestWhoComesUpInASwitch begins nothing before that is over, and then with the new set.
func TestWhoComesUpInASwitch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trace, slow := filepath.Join(dir, "trace"), filepath.Join(dir, "slow")
	p := open(t, 2, what{Version: 1, Trace: trace})
	ready(t, p)
	before := p.Status(t.Context(), false).Processes
	go func() { // as the slow one gets ready, the other dies, and the next one comes up
		for {
			for _, line := range lines(t, trace) {
				if line == fmt.Sprintf("%d_slow", before[0].PID) {
					_ = syscall.Kill(before[1].PID, syscall.SIGKILL)
					return
				}
				if line == fmt.Sprintf("%d_slow", before[1].PID) {
					_ = syscall.Kill(before[0].PID, syscall.SIGKILL)
					return
				}
			}
			time.Sleep(time.Millisecond)
		}
	}()
	touch(t, slow)
	if err := p.Switch(t.Context(), what{Version: 2, Trace: trace, Slow: slow}.encode()); err != nil {
		t.Fatal(err)
	}
	known := fmt.Sprintf("%d %d", before[0].PID, before[1].PID)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var began []string
		for _, line := range lines(t, trace) {
			pid, what, _ := strings.Cut(line, "_")
			if !strings.Contains(known, pid) && strings.HasPrefix(what, "serves") {
				began = append(began, what)
			}
		}
		if slices.Contains(began, "serves_1") {
			t.Fatalf("it began with the old set: %v", began)
		}
		if slices.Contains(began, "serves_2") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not serve: %v", lines(t, trace))
		}
	}
}

// TestLastWords: what a process counted until its very end is handed on.
func TestLastWords(t *testing.T) {
	t.Parallel()
	p := openSum(t, 1, what{Version: 1}, func(_, last json.RawMessage) json.RawMessage { return last })
	ready(t, p)
	_ = syscall.Kill(p.Status(t.Context(), true).Processes[0].PID, syscall.SIGTERM)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if gone := string(p.Status(t.Context(), false).Gone); gone != "" {
			if !strings.Contains(gone, `"Ended":true`) {
				t.Errorf("its last report was %s", gone)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it stays")
		}
	}
}
