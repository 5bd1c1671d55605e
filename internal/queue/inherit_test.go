package queue

import (
	"errors"
	"os/exec"
	"testing"
)

// TestProgramsHoldTheLock: while what a worker ran lives, nobody takes the event of a
// worker that was killed; what it left behind holds up nobody when it has settled.
func TestProgramsHoldTheLock(t *testing.T) {
	// Not beside the others: processes that they start would inherit the lock as well.
	q := newQueue(t)
	path := drop(t, q, "new", "")
	start := func() (end func()) {
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	}
	c := claim(t, q, path)
	if err := c.Inherit(); err != nil {
		t.Fatal(err)
	}
	end := start()
	_ = c.file.Close() // as the end of the process does
	if _, err := q.Claim(path); !errors.Is(err, ErrBusy) {
		t.Errorf("while the program lives: %v", err)
	}
	end()
	c = claim(t, q, path)
	if err := c.Inherit(); err != nil {
		t.Fatal(err)
	}
	defer start()()
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	if err := claim(t, q, path).Release(); err != nil {
		t.Error(err)
	}
}
