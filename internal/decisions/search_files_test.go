package decisions_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pmilter/internal/decisions"
)

// TestSearchWhileFilesMove: a file that becomes an old one as the search begins is read
// once, and one that is removed before its turn has no lines.
func TestSearchWhileFilesMove(t *testing.T) {
	t.Parallel()
	dir := logOf(t, map[string]string{
		"decisions-20260301T060000.000000000Z.jsonl": stored("abc"),
		"decisions-20260301T080000.000000000Z.jsonl": stored("def"),
		"decisions.jsonl": stored("ghi"),
	})
	// Both names at once: so it looks to who opened the one and lists the other.
	if err := os.Link(filepath.Join(dir, "decisions.jsonl"), filepath.Join(dir, "decisions-20260301T100000.000000000Z.jsonl")); err != nil {
		t.Fatal(err)
	}
	got := ""
	found, err := decisions.Search(t.Context(), dir, decisions.Query{}, func(r *decisions.Record) error {
		if r.QueueID == "a" {
			if err := os.Remove(filepath.Join(dir, "decisions-20260301T080000.000000000Z.jsonl")); err != nil {
				t.Error(err)
			}
		}
		got += r.QueueID
		return nil
	})
	if got != "abcghi" || err != nil || found.Lines != 6 || found.Damaged > 0 {
		t.Errorf("%q %+v %v", got, found, err)
	}
}

// TestSearchSince: an old file is read when a writer that was late may have put into it
// what is asked for, and not when none can have.
func TestSearchSince(t *testing.T) {
	t.Parallel()
	dir := logOf(t, map[string]string{
		"decisions-20260301T060000.000000000Z.jsonl": stored("fgh"), // of 5, 6 and 7 o'clock
		"decisions.jsonl": stored("i"),
	})
	for _, tt := range []struct {
		since time.Duration
		want  string
		lines int
	}{
		{6 * time.Hour, "ghi", 4},
		{6*time.Hour + time.Minute, "hi", 4},
		{6*time.Hour + time.Minute + 1, "i", 1},
	} {
		if got, found := ids(t, dir, decisions.Query{Since: start().Add(tt.since)}); got != tt.want || found.Lines != tt.lines {
			t.Errorf("since %v: %q %+v", tt.since, got, found)
		}
	}
}

// TestSearchIsGivenUp: who has seen enough reads no other file.
func TestSearchIsGivenUp(t *testing.T) {
	t.Parallel()
	dir := logOf(t, map[string]string{
		"decisions-20260301T060000.000000000Z.jsonl": stored("abc"),
		"decisions.jsonl": stored("ghi"),
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := ""
	_, err := decisions.Search(ctx, dir, decisions.Query{}, func(r *decisions.Record) error {
		cancel()
		got += r.QueueID
		return nil
	})
	if got != "abc" || !errors.Is(err, context.Canceled) {
		t.Errorf("%q %v", got, err)
	}
}
