package queue

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pmilter/internal/event"
)

// newQueue makes a queue in a folder of the test's own.
func newQueue(t testing.TB, change ...func(*Options)) *Queue {
	t.Helper()
	o := Options{Name: "archive", Path: filepath.Join(t.TempDir(), "archive")}
	for _, f := range change {
		f(&o)
	}
	q := New(o)
	if err := q.Create(); err != nil {
		t.Fatal(err)
	}
	return q
}

// drop delivers an event of ours as Put would, or under a name of its own.
func drop(t testing.TB, q *Queue, folder, suffix string) (path string) {
	t.Helper()
	id := q.unique()
	var b bytes.Buffer
	err := event.Write(&b, &event.Event{
		ID: id, Queue: q.Name(), Time: time.Now(), Sender: "a@example.org",
		Recipients: []string{"b@example.net"}, Verdict: "accept", Complete: true,
	}, []byte("Subject: hi\r\n\r\nbody\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(q.sub("", folder), id+suffix)
	tmp := filepath.Join(q.sub("", "tmp"), id)
	if err := os.WriteFile(tmp, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// files is all files of a queue, as "new/NAME", in order.
func files(t testing.TB, q *Queue) (list []string) {
	t.Helper()
	err := filepath.WalkDir(q.Path(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(q.Path(), path)
			list = append(list, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func wantFiles(t testing.TB, q *Queue, want ...string) {
	t.Helper()
	if got := files(t, q); !slices.Equal(got, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func claim(t testing.TB, q *Queue, path string) *Claim {
	t.Helper()
	c, err := q.Claim(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// watched runs Watch and gives its channel.
func watched(t *testing.T, q *Queue) <-chan Waiting {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	due, ended := make(chan Waiting), make(chan struct{})
	go func() { defer close(ended); q.Watch(ctx, due) }()
	t.Cleanup(func() { cancel(); <-ended })
	return due
}

func receive(t *testing.T, due <-chan Waiting) Waiting {
	t.Helper()
	select {
	case w := <-due:
		return w
	case <-time.After(20 * time.Second):
		t.Fatal("no event comes")
		return Waiting{}
	}
}
