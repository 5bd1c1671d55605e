// Package queue is a Maildir as a durable queue of events: Put writes them so
// that none is lost and none is half read; Watch, Claim and what a Claim can do
// give each to one worker at a time, in whatever process and on whatever host.
//
// It promises at least once: what Put has said yes to is there until a claim's
// Done or Fail, and may be worked on again after a crash. Order is oldest
// first, as far as workers that run beside each other and retries let it be;
// nothing depends on it.
//
// An event's file waits in new/ or cur/ (a mail reader moves it) under the name
// UNIQUE,A=2,N=1767225600: attempts begun, and not before when. Who works on it
// holds an exclusive flock; the lock ends with the process. .failed and .done are
// Maildirs within. The package knows nothing of SMTP or of scripts.
package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Options is what a queue is made of. Path is needed; the rest has defaults.
type Options struct {
	Name string // in events and in the log
	Path string // the Maildir
	Keep bool   // a finished event moves to .done

	// Interval is how often Watch looks through the whole Maildir besides being
	// told of changes, 30 s if zero: what other hosts do on NFS is only seen so.
	Interval time.Duration
	Log      *zap.Logger      // none if nil
	Now      func() time.Time // time.Now if nil

	// disk is what a test makes fail.
	disk disk
}

// Queue is one Maildir. Its methods may be called concurrently, from several
// processes too. They block on the disk.
type Queue struct {
	o     Options
	disk  disk
	host  string
	count atomic.Uint64          // of names made
	syncs map[string]*sharedSync // by folder; not changed after New

	rescan chan struct{} // to Watch
}

// Folders of a queue's Maildir that are Maildirs themselves.
const (
	failedFolder = ".failed"
	doneFolder   = ".done"
)

// maildirs are the Maildirs of a queue, relative to its path.
func maildirs() []string { return []string{"", failedFolder, doneFolder} }

// New makes a Queue of a Maildir that need not be there. See Create.
func New(o Options) *Queue {
	if o.Interval <= 0 {
		o.Interval = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = realDisk{}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	q := &Queue{o: o, disk: o.disk, host: host, syncs: map[string]*sharedSync{}, rescan: make(chan struct{}, 1)}
	q.count.Store(uint64(rand.Uint32())) // a Queue for the same Maildir, made at a reload, counts elsewhere
	for _, dir := range []string{q.sub("", "new"), q.sub(failedFolder, "new"), q.sub(doneFolder, "new")} {
		q.syncs[dir] = newSharedSync(dir, q.disk)
	}
	return q
}

// Name is the queue's, as scripts call it.
func (q *Queue) Name() string { return q.o.Name }

// Path is the Maildir's folder.
func (q *Queue) Path() string { return q.o.Path }

// sub is a folder of the queue's Maildir or of one within: sub(".failed", "new").
func (q *Queue) sub(maildir, folder string) string {
	return filepath.Join(q.o.Path, maildir, folder)
}

// Create makes what is missing of the Maildir, private to the user (0700). The
// folder above it must be there: a mount that is missing must not be made up for
// by a folder under it.
func (q *Queue) Create() error {
	for _, m := range maildirs() {
		if err := q.mkdir(filepath.Join(q.o.Path, m)); err != nil {
			return fmt.Errorf("queue %s: %w", q.o.Name, err)
		}
		for _, f := range []string{"tmp", "new", "cur"} {
			if err := q.mkdir(q.sub(m, f)); err != nil {
				return fmt.Errorf("queue %s: %w", q.o.Name, err)
			}
		}
	}
	return nil
}

func (q *Queue) mkdir(dir string) error {
	err := q.disk.Mkdir(dir)
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a folder", dir)
		}
		return err
	}
	if err != nil {
		return err
	}
	return q.disk.SyncDir(filepath.Dir(dir))
}

// Check tells what would keep the queue from working, without changing
// anything: an error if a folder is missing (fs.ErrNotExist), is none, or this
// user may not write to it.
func (q *Queue) Check() error {
	var missing error
	for _, m := range maildirs() {
		for _, f := range []string{"tmp", "new", "cur"} {
			err := checkFolder(q.sub(m, f))
			if errors.Is(err, fs.ErrNotExist) {
				if parent := checkFolder(filepath.Dir(q.o.Path)); parent != nil {
					return fmt.Errorf("queue %s: %w", q.o.Name, parent)
				}
				missing = err
				continue
			}
			if err != nil {
				return fmt.Errorf("queue %s: %w", q.o.Name, err)
			}
		}
	}
	if missing != nil {
		return fmt.Errorf("queue %s: %w", q.o.Name, missing)
	}
	return nil
}
