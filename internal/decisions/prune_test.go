package decisions_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"pmilter/internal/decisions"
)

// noon is the time of the tests below.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// oldName is the name of a file that ceased to be the current one then.
func oldName(ended time.Time) string {
	return "decisions-" + ended.UTC().Format("20060102T150405.000000000Z") + ".jsonl"
}

// line is a record of that time and of so many bytes in all, an LF included.
func line(t *testing.T, at time.Time, size int) []byte {
	t.Helper()
	r := decisions.Record{Time: at, About: "message", Phase: "eom", Verdict: "accept", QueueID: "x"}
	least := len(decisions.Append(nil, &r))
	r.Helo = "x"
	for extra := 0; ; extra++ {
		b := decisions.Append(nil, &r)
		switch {
		case len(b) == size:
			return b
		case len(b) > size || extra > size:
			t.Fatalf("%d bytes are no record: at least %d", size, least)
		}
		r.Helo += "x"
	}
}

// at is the clock of a Writer that stands still.
func at(state string, now time.Time) decisions.Options {
	o := options(state)
	o.Now = func() time.Time { return now }
	return o
}

// put makes a file of the log.
func put(t *testing.T, state, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(decisions.Folder(state), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(decisions.Folder(state), name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// names is the log's files with lines, in order.
func names(state string) (list []string) {
	for _, path := range files(state) {
		list = append(list, filepath.Base(path))
	}
	slices.Sort(list)
	return list
}

// TestPruneBounds: what goes by size and by age, to the byte and to the nanosecond. Of
// 8000 bytes a new file may get 1000: the others may have 7000.
func TestPruneBounds(t *testing.T) {
	t.Parallel()
	const keep, current = 24 * time.Hour, 300
	type old struct {
		age  time.Duration
		size int
	}
	for name, tt := range map[string]struct {
		old  []old // the oldest first
		gone int   // of them, the oldest
	}{
		"as much as may be":                   {[]old{{3 * time.Hour, 2000}, {2 * time.Hour, 2000}, {time.Hour, 2700}}, 0},
		"a byte more":                         {[]old{{3 * time.Hour, 2000}, {2 * time.Hour, 2000}, {time.Hour, 2701}}, 1},
		"a byte more, and the oldest has one": {[]old{{3 * time.Hour, 1}, {2 * time.Hour, 4000}, {time.Hour, 2700}}, 1},
		"two bytes more":                      {[]old{{3 * time.Hour, 1}, {2 * time.Hour, 4000}, {time.Hour, 2701}}, 2},
		"the newest alone is too large":       {[]old{{3 * time.Hour, 10}, {2 * time.Hour, 10}, {time.Hour, 6701}}, 3},
		"as old as may be":                    {[]old{{keep, 10}, {keep - 1, 10}}, 0},
		"older":                               {[]old{{keep + 2, 10}, {keep + 1, 10}, {keep, 10}}, 2},
		"some are old, others too many":       {[]old{{keep + 1, 10}, {3 * time.Hour, 10}, {time.Hour, 6700}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			put(t, state, decisions.CurrentName, line(t, noon(), current))
			var want []string
			for i, o := range tt.old {
				name := oldName(noon().Add(-o.age))
				put(t, state, name, make([]byte, o.size))
				if i >= tt.gone {
					want = append(want, name)
				}
			}
			decisions.NewWriter(decisions.Limits{MaxSize: 8000, Keep: keep}, at(state, noon())).Close()
			if got := names(state); !slices.Equal(got, append(want, decisions.CurrentName)) {
				t.Errorf("left: %q, want %q", got, want)
			}
			if n := size(filepath.Join(decisions.Folder(state), decisions.CurrentName)); n != current {
				t.Errorf("the current file has %d bytes", n)
			}
		})
	}
}

// TestPruneLeavesOthers: what has such a name and is no file of the log's stays.
func TestPruneLeavesOthers(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	put(t, state, decisions.CurrentName, nil)
	folder := filepath.Join(decisions.Folder(state), oldName(noon().Add(-100*time.Hour)))
	link := filepath.Join(decisions.Folder(state), oldName(noon().Add(-99*time.Hour)))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", link); err != nil {
		t.Fatal(err)
	}
	put(t, state, "decisions-notes.jsonl", []byte("mine"))
	decisions.NewWriter(decisions.Limits{MaxSize: 8000, Keep: time.Hour}, at(state, noon())).Close()
	if got := names(state); len(got) != 4 {
		t.Errorf("left: %q", got)
	}
}

// TestRotationPrunes: with a new file there are fewer old ones at once.
func TestRotationPrunes(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	oldest, older := oldName(noon().Add(-2*time.Hour)), oldName(noon().Add(-time.Hour))
	put(t, state, oldest, make([]byte, 100))
	put(t, state, older, make([]byte, 6001))
	put(t, state, decisions.CurrentName, line(t, noon(), 900)) // 7001 with those: at the start it is not much more
	w := decisions.NewWriter(decisions.Limits{MaxSize: 8000, Keep: 24 * time.Hour}, at(state, noon()))
	await(t, "the start", func() bool { return len(names(state)) == 2 })
	put(t, state, oldest, make([]byte, 100))
	r := decisions.Record{Time: noon(), About: "message", QueueID: "next", Helo: strings.Repeat("x", 100)}
	w.Add(&r)
	w.Close()
	if got := names(state); !slices.Equal(got, []string{older, oldName(noon()), decisions.CurrentName}) {
		t.Errorf("left: %q", got)
	}
	if size(filepath.Join(decisions.Folder(state), oldName(noon()))) != 900 {
		t.Error("what was the current file is another now")
	}
	if text, err := os.ReadFile(current(state)); err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"next"`) {
		t.Errorf("the current file: %q %v", text, err)
	}
}

// TestRotationAtOneMoment: two files that end at once have two names.
func TestRotationAtOneMoment(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	for range 5 {
		put(t, state, decisions.CurrentName, line(t, noon(), 1001)) // due at once
		decisions.NewWriter(decisions.Limits{MaxSize: 8000, Keep: 24 * time.Hour}, at(state, noon())).Close()
	}
	if list, found := all(t, state); len(list) != 5 || found.Damaged > 0 || len(names(state)) != 6 {
		t.Errorf("%d records in %q", len(list), names(state))
	}
}

// TestWhileAnotherRotates: who finds the lock taken waits for nobody and writes on, up
// to the size that all may have; then lines are dropped.
func TestWhileAnotherRotates(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	put(t, state, decisions.CurrentName, line(t, noon(), 1000))
	put(t, state, oldName(noon().Add(-time.Hour)), make([]byte, 7000)) // too many
	other, err := os.OpenFile(filepath.Join(decisions.Folder(state), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_SH); err != nil { // keeps out who takes it for itself alone
		t.Fatal(err)
	}
	w := decisions.NewWriter(decisions.Limits{MaxSize: 8000, Keep: 24 * time.Hour}, at(state, noon()))
	one := func() {
		r := decisions.Record{Time: noon(), About: "message", QueueID: "x", Helo: strings.Repeat("x", 900)}
		before, dropped := size(current(state)), w.Dropped()
		w.Add(&r)
		await(t, "a line, or none", func() bool { return size(current(state)) != before || w.Dropped() != dropped })
	}
	for w.Dropped() == 0 && size(current(state)) < 20_000 {
		one()
	}
	if n := size(current(state)); n > 8000 || n < 7000 || len(names(state)) != 2 {
		t.Errorf("%d bytes, %q", n, names(state))
	}
	if err := unix.Flock(int(other.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	one()
	if n := size(current(state)); n > 1100 || w.Dropped() != 1 {
		t.Errorf("without the lock: %d bytes, %d dropped", n, w.Dropped())
	}
	w.Close()
}

// TestAnotherHasRotated: between a look at the file and the lock another process has
// done it; its new file stays the current one.
func TestAnotherHasRotated(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	put(t, state, decisions.CurrentName, line(t, noon(), 900))
	o := at(state, noon())
	steps := make(chan func(), 1)
	o.Now = func() time.Time {
		select {
		case step := <-steps:
			step()
		default:
		}
		return noon()
	}
	w := decisions.NewWriter(decisions.Limits{MaxSize: 8000, Keep: 24 * time.Hour}, o)
	started := filepath.Join(decisions.Folder(state), "lock") // made by the first look
	await(t, "the start", func() bool { return size(started) == 0 })
	steps <- func() { // the next look is at this batch
		_ = os.Rename(current(state), filepath.Join(decisions.Folder(state), oldName(noon().Add(-time.Second))))
		put(t, state, decisions.CurrentName, line(t, noon(), 300))
	}
	r := decisions.Record{Time: noon(), About: "message", QueueID: "x", Helo: strings.Repeat("x", 300)}
	w.Add(&r)
	w.Close()
	if got := names(state); len(got) != 2 || size(current(state)) < 600 || w.Dropped() != 0 {
		t.Errorf("%q, %d bytes, %d dropped", got, size(current(state)), w.Dropped())
	}
}

// TestTheClockTidies: a server without mail keeps nothing longer than it says.
func TestTheClockTidies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		state := t.TempDir()
		w := decisions.NewWriter(decisions.Limits{MaxSize: 8 << 20, Keep: 48 * time.Hour}, options(state))
		defer w.Close()
		r := decisions.Record{About: "message", QueueID: "x"}
		w.Add(&r)
		for _, step := range []struct {
			wait time.Duration
			want int // files
		}{
			{5*time.Hour + 30*time.Minute, 1}, // an eighth of 48 h is 6 h
			{2 * time.Hour, 2},
			{46 * time.Hour, 2},
			{3 * time.Hour, 1},
		} {
			time.Sleep(step.wait)
			synctest.Wait()
			if got := names(state); len(got) != step.want {
				t.Errorf("%v later: %q", step.wait, got)
			}
		}
	})
}
