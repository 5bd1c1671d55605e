package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestScanBounds: what is due to the moment, and what clock that went wrong means.
func TestScanBounds(t *testing.T) {
	t.Parallel()
	now := time.Unix(1767225600, 0)
	q := newQueue(t, func(o *Options) { o.Now = func() time.Time { return now } })
	put := func(name string) {
		if err := os.WriteFile(filepath.Join(q.Path(), "new", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(fmt.Sprintf("%d.M1P1.h", now.Unix()+1_000_000)) // of a host that lives in the future
	put(fmt.Sprintf("%d.M2P1.h", now.Unix()-10))
	put(fmt.Sprintf("%d.M3P1.h,A=1,N=%d", now.Unix()-100, now.Unix()))
	put(fmt.Sprintf("%d.M4P1.h,A=1,N=%d", now.Unix()-100, now.Unix()+1))
	list, err := q.Scan()
	if err != nil || len(list) != 4 {
		t.Fatalf("%+v %v", list, err)
	}
	for i, want := range []struct {
		id  string
		due bool
	}{{"1767225590.M2P1.h", true}, {"1767225500.M3P1.h", true}, {"1768225600.M1P1.h", true}, {"1767225500.M4P1.h", false}} {
		if w := list[i]; w.ID != want.id || w.Due(now) != want.due || w.Made.After(now) {
			t.Errorf("%d: %+v, want %+v", i, w, want)
		}
	}
}

// TestSweepBounds: what is 36 hours old goes, what is younger may still be written.
func TestSweepBounds(t *testing.T) {
	t.Parallel()
	now := time.Unix(1767225600, 0)
	q := newQueue(t, func(o *Options) { o.Now = func() time.Time { return now } })
	for name, age := range map[string]time.Duration{"old": 36 * time.Hour, "young": 36*time.Hour - time.Second} {
		path := filepath.Join(q.Path(), "tmp", name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := q.Sweep(); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	wantFiles(t, q, "tmp/young")
}
