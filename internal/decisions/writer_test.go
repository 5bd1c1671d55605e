package decisions_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pmilter/internal/decisions"
)

const patience = 2 * time.Minute

// all is every record of the log.
func all(t *testing.T, state string) ([]*decisions.Record, decisions.Found) {
	t.Helper()
	var list []*decisions.Record
	found, err := decisions.Search(t.Context(), decisions.Folder(state), decisions.Query{}, func(r *decisions.Record) error {
		list = append(list, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, found
}

// await waits for what a Writer does in the background.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

// files is the log's files with lines.
func files(state string) []string {
	list, _ := filepath.Glob(filepath.Join(decisions.Folder(state), "*.jsonl"))
	return list
}

func current(state string) string {
	return filepath.Join(decisions.Folder(state), decisions.CurrentName)
}

func options(state string) decisions.Options {
	return decisions.Options{Folder: func() (string, error) { return state, nil }, Log: zap.NewNop()}
}

func limits(size int64) decisions.Limits {
	return decisions.Limits{MaxSize: size, Keep: 24 * time.Hour}
}

// TestProcesses: several processes that append and rotate at once, while somebody else
// renames files, too, lose no line and tear none.
func TestProcesses(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	const processes, lines = 4, 2000
	type running struct {
		*exec.Cmd
		out *strings.Builder
	}
	var started []running
	for p := range processes {
		// Some 2.5 MB of lines: each file has half a megabyte, and nothing is removed.
		cmd, out := startChild(t, state, "p"+strconv.Itoa(p), strconv.Itoa(lines), strconv.Itoa(4<<20))
		started = append(started, running{cmd, out})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, c := range started {
			if err := c.Wait(); err != nil || c.out.String() != "begun\n0\n" {
				t.Errorf("%v, %q", err, c.out)
			}
		}
	}()
	for renamed := 0; ; renamed++ {
		select {
		case <-time.After(20 * time.Millisecond):
			old := fmt.Sprintf("decisions-29990301T000000.%09dZ.jsonl", renamed)
			_ = os.Rename(current(state), filepath.Join(decisions.Folder(state), old)) // there is none, perhaps
			continue
		case <-ended:
		}
		break
	}
	list, found := all(t, state)
	seen := map[string]int{}
	for _, r := range list {
		seen[r.Session+" "+r.QueueID]++
	}
	if len(seen) != processes*lines || len(list) != len(seen) || found.Damaged > 0 {
		t.Errorf("%d lines, %d different ones, of %d; %+v", len(list), len(seen), processes*lines, found)
	}
	if n := len(files(state)); n < 5 {
		t.Errorf("%d files", n)
	}
}

// TestKill: kill -9 loses the end of what a process wrote, and no more; what is torn
// spoils nothing that comes after.
func TestKill(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	cmd, _ := startChild(t, state, "killed", "0", strconv.Itoa(1<<40))
	await(t, "some lines", func() bool { return size(current(state)) > 100_000 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	list, found := all(t, state)
	if found.Damaged > 0 || len(list) < 100 {
		t.Fatalf("%d lines, %+v", len(list), found)
	}
	for i, r := range list {
		if r.QueueID != strconv.Itoa(i) {
			t.Fatalf("line %d is of message %s", i, r.QueueID)
		}
	}
	f, err := os.OpenFile(current(state), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"time":"2026-03-01T14:05:06.000000Z","about":"mess`)
	f.Close()
	w := decisions.NewWriter(limits(1<<40), options(state))
	r := mail("next", 1)
	w.Add(&r)
	w.Close()
	again, found := all(t, state)
	if len(again) != len(list)+1 || again[len(list)].Session != "next" || found.Damaged != 1 {
		t.Errorf("%d lines after %d, %+v", len(again), len(list), found)
	}
}

// TestFullDisk: a file that cannot grow takes what fits; the rest is counted, and mail
// does not wait.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	const lines = 3000
	cmd, out := startChild(t, state, "full", strconv.Itoa(lines), strconv.Itoa(1<<40), "100001")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var dropped int
	if _, err := fmt.Sscanf(out.String(), "begun\n%d\n", &dropped); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	list, found := all(t, state)
	if size(current(state)) != 100_001 || dropped == 0 || len(list)+dropped != lines || found.Damaged > 0 {
		t.Errorf("%d bytes: %d lines and %d dropped, of %d; %+v", size(current(state)), len(list), dropped, lines, found)
	}
	// The disk is well again: what was torn spoils no line.
	w := decisions.NewWriter(limits(1<<40), options(state))
	r := mail("next", 1)
	w.Add(&r)
	w.Close()
	again, _ := all(t, state)
	if len(again) != len(list)+1 || again[len(list)].Session != "next" {
		t.Errorf("%d lines after %d", len(again), len(list))
	}
}

// TestSlowDisk: a disk that does not answer holds nobody up; memory has an end, and
// the log says so once.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	answers := make(chan struct{})
	core, logs := observer.New(zap.InfoLevel)
	w := decisions.NewWriter(limits(1<<40), decisions.Options{
		Folder: func() (string, error) { <-answers; return state, nil }, Log: zap.New(core),
	})
	added := 0
	for w.Dropped() < 1000 {
		r := mail("slow", added)
		w.Add(&r)
		if added++; added*30 > decisions.MaxPending {
			t.Fatalf("%d lines are in memory", added)
		}
	}
	if n := logs.FilterMessageSnippet("cannot be written").Len(); n != 1 {
		t.Errorf("the log said so %d times", n)
	}
	close(answers)
	await(t, "written again", func() bool { return logs.FilterMessage("decision log is written again").Len() == 1 })
	w.Close()
	if list, found := all(t, state); len(list)+int(w.Dropped()) != added || found.Damaged > 0 {
		t.Errorf("%d lines and %d dropped, of %d; %+v", len(list), w.Dropped(), added, found)
	}
}

// TestFolderComesBack: without a folder lines are dropped, until there is one.
func TestFolderComesBack(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	state := filepath.Join(parent, "state")
	core, logs := observer.New(zap.InfoLevel)
	o := options(state)
	o.Log = zap.New(core)
	w := decisions.NewWriter(limits(1<<40), o)
	defer w.Close()
	r := mail("early", 1)
	w.Add(&r)
	await(t, "a dropped line", func() bool { return w.Dropped() == 1 })
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	r = mail("late", 1)
	w.Add(&r)
	await(t, "a line", func() bool { return size(current(state)) > 0 })
	// Gone with all in it, while the file is open.
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	r = mail("again", 1)
	w.Add(&r)
	await(t, "a line in a new file", func() bool { return size(current(state)) > 0 })
	if errs, infos := logs.FilterLevelExact(zap.ErrorLevel).Len(), logs.FilterMessage("decision log is written again").Len(); errs != 1 || infos != 1 {
		t.Errorf("%d errors, %d times well: %v", errs, infos, logs.All())
	}
	info, err := os.Stat(decisions.Folder(state))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder %v %v", info, err)
	}
	if info, err := os.Stat(current(state)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file %v %v", info, err)
	}
}

// TestNoOtherFile: what another user may have put in the place of the file is not written to.
func TestNoOtherFile(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.Mkdir(decisions.Folder(state), 0o700); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(state, "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, current(state)); err != nil {
		t.Fatal(err)
	}
	w := decisions.NewWriter(limits(1<<40), options(state))
	r := mail("x", 1)
	w.Add(&r)
	w.Close()
	if w.Dropped() != 1 || size(other) != 0 {
		t.Errorf("%d dropped, %d bytes", w.Dropped(), size(other))
	}
}

// clock is a time that tests set.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.Load()) }

// TestLimits: files follow each other by size and by day; the oldest go by size and
// by age.
func TestLimits(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c := &clock{}
	c.Store(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	o := options(state)
	o.Now = c.now
	keep := func(lines int, l decisions.Limits, d time.Duration) {
		w := decisions.NewWriter(l, o)
		for i := range lines {
			r := mail("x", i)
			r.Helo = strings.Repeat("x", 1000)
			w.Add(&r)
		}
		w.Close()
		c.Add(int64(d))
	}
	total := func() (n int64) {
		for _, f := range files(state) {
			n += size(f)
		}
		return n
	}
	big := decisions.Limits{MaxSize: 8 << 20, Keep: 14 * 24 * time.Hour}
	keep(10, big, 23*time.Hour)
	keep(10, big, 2*time.Hour)
	if n := len(files(state)); n != 1 {
		t.Errorf("%d files before a day has passed", n)
	}
	keep(10, big, time.Hour)
	if n := len(files(state)); n != 2 {
		t.Errorf("%d files after a day", n)
	}
	keep(2000, big, time.Hour) // 2 MB: more than an eighth
	keep(10, big, time.Hour)
	if n := len(files(state)); n < 4 { // how many more, batches decide
		t.Errorf("%d files after two that are full", n)
	}
	for range 10 {
		keep(1000, big, time.Hour)
		if total() > big.MaxSize+1_200_000 { // a batch more
			t.Fatalf("%d bytes", total())
		}
	}
	if total() < big.MaxSize/2 {
		t.Errorf("%d bytes: too much was removed", total())
	}
	c.Add(int64(big.Keep))
	keep(0, big, 0)
	if n := len(files(state)); n != 2 { // the last one was the current one until now
		t.Errorf("%d files when all are old", n)
	}
	if list, found := all(t, state); found.Damaged > 0 || len(list) == 0 {
		t.Errorf("%d lines %+v", len(list), found)
	}
}

// TestOff: without a size nothing is written and nothing removed, and that can change.
func TestOff(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	w := decisions.NewWriter(decisions.Limits{}, options(state))
	add := func(name string) {
		r := mail(name, 1)
		w.Add(&r)
	}
	add("off")
	if _, err := os.Stat(decisions.Folder(state)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder: %v", err)
	}
	w.Configure(limits(1 << 40))
	add("on")
	await(t, "a line", func() bool { return size(current(state)) > 0 })
	w.Configure(decisions.Limits{})
	add("off again")
	w.Close()
	add("after the end")
	list, _ := all(t, state)
	if len(list) != 1 || list[0].Session != "on" || w.Dropped() != 0 {
		t.Errorf("%d lines, %d dropped", len(list), w.Dropped())
	}
}

// TestSmaller: less that is kept is less on the disk at once.
func TestSmaller(t *testing.T) {
	t.Parallel()
	dir := decisions.Folder(t.TempDir())
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		old := time.Now().Add(time.Duration(-i-1) * time.Hour).UTC().Format("20060102T150405.000000000Z")
		if err := os.WriteFile(filepath.Join(dir, "decisions-"+old+".jsonl"), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Dir(dir)
	has := func(n int) func() bool { return func() bool { return len(files(state)) == n } }
	w := decisions.NewWriter(limits(64<<20), options(state))
	defer w.Close()
	await(t, "a current file", has(10))
	w.Configure(limits(8 << 20)) // seven of the old ones, and one that grows
	await(t, "less by size", has(8))
	w.Configure(decisions.Limits{MaxSize: 8 << 20, Keep: 3*time.Hour + 30*time.Minute})
	await(t, "less by age", has(4))
}

// TestSoon: a line is there soon, without a Close.
func TestSoon(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	w := decisions.NewWriter(limits(1<<40), options(state))
	defer w.Close()
	for i := range 3 {
		r := mail("x", i)
		before := size(current(state))
		w.Add(&r)
		await(t, "a line", func() bool { return size(current(state)) > max(before, 0) })
	}
}

func BenchmarkAdd(b *testing.B) {
	w := decisions.NewWriter(limits(64<<20), options(b.TempDir()))
	r := full()
	r.Notes, r.Queued = nil, nil
	b.ReportAllocs()
	for b.Loop() {
		r := *r
		w.Add(&r)
	}
	b.StopTimer()
	w.Close()
	b.ReportMetric(float64(w.Dropped())/float64(b.N), "dropped/op")
}
