package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pmilter/internal/event"
)

// Waiting is an event in new/ or cur/, as its name tells.
type Waiting struct {
	Path     string // for Claim
	ID       string
	Attempts int       // begun so far
	Made     time.Time // zero if the name does not tell
	Next     time.Time // not before; zero for at once
}

// Due tells whether the event may be worked on.
func (w *Waiting) Due(now time.Time) bool { return !w.Next.After(now) }

// since orders events: by when they may be worked on, or were made.
func (w *Waiting) since() time.Time {
	if w.Next.IsZero() {
		return w.Made
	}
	return w.Next
}

func compare(a, b *Waiting) int {
	if c := a.since().Compare(b.since()); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

// waiting is what a file's name tells. A clock that went wrong must not put an
// event behind all others.
func (q *Queue) waiting(folder, file string) Waiting {
	n := event.ParseName(file)
	w := Waiting{Path: filepath.Join(folder, file), ID: n.Unique, Attempts: n.Attempts, Made: n.Time(), Next: n.Next}
	if now := q.o.Now(); w.Made.After(now) {
		w.Made = now
	}
	return w
}

// Scan lists all events in new/ and cur/, the oldest first: those that are worked
// on, too.
func (q *Queue) Scan() ([]Waiting, error) { return q.list("") }

// Failed lists the events in .failed.
func (q *Queue) Failed() ([]Waiting, error) { return q.list(failedFolder) }

func (q *Queue) list(maildir string) ([]Waiting, error) {
	var list []Waiting
	// new before cur: a file that a reader moves meanwhile may be seen twice, but not missed.
	for _, folder := range [...]string{"new", "cur"} {
		err := eachName(q.sub(maildir, folder), func(name string) {
			list = append(list, q.waiting(q.sub(maildir, folder), name))
		})
		if err != nil {
			return nil, fmt.Errorf("queue %s: %w", q.o.Name, err)
		}
	}
	slices.SortFunc(list, func(a, b Waiting) int { return compare(&a, &b) })
	return list, nil
}

// eachName calls f for the names in a folder that can be events'.
func eachName(dir string, f func(name string)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if !strings.HasPrefix(name, ".") { // Maildir's rule; NFS's .nfs* too
				f(name)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func readNames(dir string) (names []string, err error) {
	err = eachName(dir, func(name string) { names = append(names, name) })
	return names, err
}

// staleAge is how old a file in tmp/ is that nobody will finish (maildir(5)).
const staleAge = 36 * time.Hour

// Sweep removes what writers that died have left in tmp/ and is 36 hours old. It
// tells how many files that were. Of what cannot be removed the first is the error.
func (q *Queue) Sweep() (removed int, err error) {
	for _, m := range maildirs() {
		dir := q.sub(m, "tmp")
		names, e := readNames(dir)
		if err == nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			info, e := os.Lstat(path)
			if e != nil || !info.Mode().IsRegular() || q.o.Now().Sub(info.ModTime()) < staleAge {
				continue
			}
			if e := q.disk.Remove(path); e == nil {
				removed++
			} else if err == nil && !errors.Is(e, fs.ErrNotExist) {
				err = e
			}
		}
	}
	if err != nil {
		err = fmt.Errorf("queue %s: sweep: %w", q.o.Name, err)
	}
	return removed, err
}
