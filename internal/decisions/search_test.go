package decisions_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pmilter/internal/decisions"
)

// start is when the records of stored begin, an hour each.
func start() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }

func stored(ids string) string {
	var b []byte
	for i, id := range ids {
		b = decisions.Append(b, &decisions.Record{Time: start().Add(time.Duration(id-'a') * time.Hour), About: "message", Phase: "eom", QueueID: string(id), Session: "s" + string(rune('0'+i%2))})
	}
	return string(b)
}

// logOf makes a log of files.
func logOf(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ids is what a search shows, by queue ids.
func ids(t *testing.T, dir string, q decisions.Query) (string, decisions.Found) {
	t.Helper()
	var b strings.Builder
	found, err := decisions.Search(t.Context(), dir, q, func(r *decisions.Record) error { b.WriteString(r.QueueID); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), found
}

func TestSearch(t *testing.T) {
	t.Parallel()
	dir := logOf(t, map[string]string{
		"decisions-20260301T060000.000000000Z.jsonl": stored("abcde"),
		"decisions-20260301T120000.000000000Z.jsonl": stored("fghijk"),
		"decisions.jsonl":            stored("lmon"), // two processes: nearly in order
		"decisions-yesterday.jsonl":  stored("x"),
		"decisions-20260301.jsonl~":  stored("y"),
		"lock":                       "",
		"decisions-20260301T1.jsonl": "z",
	})
	at := func(hour int) time.Time { return start().Add(time.Duration(hour) * time.Hour) }
	one, err := decisions.ParseMatch("s1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		q       decisions.Query
		want    string
		matched int
	}{
		{decisions.Query{}, "abcdefghijklmon", 15},
		{decisions.Query{Limit: 100}, "abcdefghijklmno", 15},
		{decisions.Query{Limit: 4}, "lmno", 15},
		{decisions.Query{Limit: 2}, "no", 15},
		{decisions.Query{Since: at(4)}, "efghijklmon", 11},
		{decisions.Query{Since: at(12)}, "mon", 3},
		{decisions.Query{Since: at(40)}, "", 0},
		{decisions.Query{Match: one}, "bdgikmn", 7},
		{decisions.Query{Match: one, Limit: 3}, "kmn", 7},
	} {
		if got, found := ids(t, dir, tt.q); got != tt.want || found.Matched != tt.matched || found.Damaged > 0 {
			t.Errorf("%+v: %q, want %q; %+v", tt.q, got, tt.want, found)
		}
	}
	if _, found := ids(t, dir, decisions.Query{}); found.Lines != 15 || !found.Oldest.Equal(start()) {
		t.Errorf("%+v", found)
	}
}

// TestDamage: what is no record is passed over, wherever it is.
func TestDamage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*decisions.MaxLine)
	a, b, c := stored("a"), stored("b"), stored("c")
	dir := logOf(t, map[string]string{
		"decisions-20260301T060000.000000000Z.jsonl": "\x00\xff\n" + a[:40] + "\n" + long + "\n" + a + "\n\n" + long,
		"decisions-20260301T070000.000000000Z.jsonl": strings.Replace(b, `"about"`, `"abou"`, 1) + b + b[:len(b)-1],
		"decisions.jsonl": a[:50] + "\n" + c + c[:60],
	})
	got, found := ids(t, dir, decisions.Query{})
	if got != "abc" || found.Damaged != 7 || found.Lines != 3 {
		t.Errorf("%q %+v", got, found)
	}
}

func TestNoLog(t *testing.T) {
	t.Parallel()
	never := func(*decisions.Record) error { return errors.New("a record") }
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := decisions.Search(t.Context(), dir, decisions.Query{}, never); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, decisions.CurrentName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := decisions.Search(t.Context(), dir, decisions.Query{}, never); err == nil {
		t.Error("a folder is no file")
	}
}

// TestFollow: what is written comes, whatever becomes of the file.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := logOf(t, map[string]string{decisions.CurrentName: stored("abc") + stored("d")[:30]})
	path := filepath.Join(dir, decisions.CurrentName)
	add := func(text string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	_, err := decisions.Search(ctx, dir, decisions.Query{Limit: 2, Follow: true}, func(r *decisions.Record) error {
		switch got = append(got, r.QueueID); r.QueueID {
		case "c":
			add(stored("d")[30:])
		case "d":
			add(stored("e"))
			_ = os.Rename(path, filepath.Join(dir, "decisions-20260301T060000.000000000Z.jsonl"))
			add(stored("f"))
		case "f":
			_ = os.Remove(path)
			add(stored("g"))
		case "g":
			cancel()
		}
		return nil
	})
	if want := []string{"b", "c", "d", "e", "f", "g"}; !errors.Is(err, context.Canceled) || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestFollowFromNothing: the first decision comes, too.
func TestFollowFromNothing(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	w := decisions.NewWriter(limits(1<<40), options(state))
	defer w.Close()
	await(t, "a folder", func() bool { return size(current(state)) == 0 })
	r := mail("x", 1)
	w.Add(&r)
	stop := errors.New("seen")
	_, err := decisions.Search(t.Context(), decisions.Folder(state), decisions.Query{Follow: true}, func(*decisions.Record) error { return stop })
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}

func BenchmarkSearch(b *testing.B) {
	dir := b.TempDir()
	var text []byte
	for len(text) < 16<<20 {
		text = decisions.Append(text, full())
	}
	if err := os.WriteFile(filepath.Join(dir, decisions.CurrentName), text, 0o600); err != nil {
		b.Fatal(err)
	}
	m, _ := decisions.ParseMatch("nobody@example.org")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := decisions.Search(b.Context(), dir, decisions.Query{Match: m, Limit: 50}, func(*decisions.Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// Root reads in a folder of another account: a link there is not followed.
func TestSearchFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "decisions"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "decisions", "decisions.jsonl")); err != nil {
		t.Fatal(err)
	}
	_, err := decisions.Search(t.Context(), filepath.Join(dir, "decisions"), decisions.Query{}, func(*decisions.Record) error { return nil })
	if !errors.Is(err, unix.ELOOP) {
		t.Errorf("Search: %v", err)
	}
}
