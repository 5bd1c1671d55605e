// Package table looks keys up in Postfix's text tables: texthash, cidr and
// regexp (DATABASE_README, cidr_table(5), regexp_table(5)), as `postmap -q` does.
//
// One copy of a table serves the whole process. When its file changes it is read
// anew and swapped in whole; while the new file cannot be read the last good
// content stays. Lines that Postfix would skip are skipped and logged.
package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	// maxFile bounds the size of a table's file, in bytes.
	maxFile = 1 << 30
	// interval is how often files are looked at. A changed file is read when it
	// has been the same for that long: Postfix, too, waits until it "cools down".
	interval = time.Second
	// forgetAfter is how long a table is kept that nobody opens any more.
	forgetAfter = 24 * time.Hour
	// maxWarnings is how many bad lines of one file are logged.
	maxWarnings = 20
)

// Tables are the tables in use, by specification. Safe for concurrent use.
type Tables struct {
	base string
	log  *zap.Logger

	mu  sync.Mutex
	all map[string]*Table
}

// Table is one table. Safe for concurrent use.
type Table struct {
	spec, kind, path string
	content          atomic.Pointer[content]

	// guarded by Tables.mu
	opened time.Time // last
	of     stamp     // the file that content was read from, or that failed
	seen   stamp     // the file when it was last looked at
}

// content is what was read from a file: immutable.
type content interface {
	// get looks a key up; it does not block.
	get(key string) (value string, found bool)
}

// stamp tells whether a file is still the same one.
type stamp struct {
	modified time.Time
	size     int64
	file     any // device and inode
}

// New makes an empty Tables. Names of files that are not absolute are relative
// to base.
func New(base string, log *zap.Logger) *Tables {
	return &Tables{base: base, log: log, all: map[string]*Table{}}
}

// Open is the table of a specification such as "cidr:clients.cidr". The first
// time it reads the file, and fails when it cannot; later it does not block.
func (t *Tables) Open(spec string) (*Table, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.all[spec]; known != nil {
		known.opened = time.Now()
		return known, nil
	}
	kind, name, ok := strings.Cut(spec, ":")
	if !ok || name == "" || readers(kind) == nil {
		return nil, fmt.Errorf("table: %q is none of texthash:FILE, cidr:FILE and regexp:FILE", spec)
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.base, name)
	}
	n := &Table{spec: spec, kind: kind, path: name, opened: time.Now()}
	read, of, err := t.read(n)
	if err != nil {
		return nil, fmt.Errorf("table: %s: %w", spec, err)
	}
	n.content.Store(&read)
	n.of, n.seen = of, of
	t.all[spec] = n
	return n, nil
}

// Get looks a key up. It does not block.
func (n *Table) Get(key string) (value string, found bool) { return (*n.content.Load()).get(key) }

// Paths are the files of the tables that are open.
func (t *Tables) Paths() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for _, n := range t.all {
		list = append(list, n.path)
	}
	return list
}

// Watch reads tables anew when their files change, until ctx is done.
func (t *Tables) Watch(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, n := range t.changed(now) {
				t.reload(n)
			}
		}
	}
}

// changed is the tables whose file is another one, and has been for an interval.
func (t *Tables) changed(now time.Time) (list []*Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for spec, n := range t.all {
		if now.Sub(n.opened) > forgetAfter {
			delete(t.all, spec)
			continue
		}
		info, err := os.Stat(n.path)
		if err != nil {
			info = nil
		}
		before := n.seen
		n.seen = stampOf(info)
		if n.seen == before && n.seen != n.of {
			list = append(list, n)
		}
	}
	return list
}

// reload reads a table anew; when it cannot be read the last good content stays.
func (t *Tables) reload(n *Table) {
	read, of, err := t.read(n)
	t.mu.Lock()
	if err != nil {
		of = n.seen // complain once about this file
	}
	n.of = of
	t.mu.Unlock()
	if err != nil {
		t.log.Error("table not reloaded: the old content stays", zap.String("table", n.spec), zap.Error(err))
		return
	}
	n.content.Store(&read)
	t.log.Info("table reloaded", zap.String("table", n.spec))
}

// reader makes content of a file. warn is told of lines that are skipped.
type reader func(f io.Reader, warn func(line int, format string, args ...any)) (content, error)

func readers(kind string) reader {
	switch kind {
	case "texthash":
		return readTexthash
	case "cidr":
		return readCIDR
	case "regexp":
		return readRegexp
	}
	return nil
}

func (t *Tables) read(n *Table) (content, stamp, error) {
	// O_NONBLOCK: a pipe without a writer must not hold everyone who opens a table.
	file, err := os.OpenFile(n.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, stamp{}, plain(err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, stamp{}, plain(err)
	case !info.Mode().IsRegular():
		return nil, stamp{}, errors.New("not a regular file")
	case info.Size() > maxFile:
		return nil, stamp{}, fmt.Errorf("over %d bytes", maxFile)
	}
	warnings := 0
	warn := func(line int, format string, args ...any) {
		if warnings++; warnings <= maxWarnings {
			t.log.Warn("table: line skipped", zap.String("table", n.spec), zap.Int("line", line),
				zap.String("reason", fmt.Sprintf(format, args...)), zap.Bool("last_shown", warnings == maxWarnings))
		}
	}
	read, err := readers(n.kind)(io.LimitReader(file, maxFile), warn)
	if err != nil {
		return nil, stamp{}, err
	}
	return read, stampOf(info), nil
}

// plain is a system error with the path and without "open".
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}
