package decisions

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Query is what Search looks for.
type Query struct {
	Match *Match    // nil: everything
	Since time.Time // of records; zero: as far back as there are any
	Limit int       // the newest so many are shown; 0: all, in the order of the files
	// Follow goes on with what is written, until ctx is done.
	Follow bool
}

// Found is what Search saw, shown or not.
type Found struct {
	Lines   int       // records looked at
	Matched int       // those that match, more than the limit perhaps
	Damaged int       // lines that are no records
	Oldest  time.Time // of the records; zero without one
}

// Search reads the log in dir from its oldest record to the newest and calls show with
// those that match, the newest last. An error is show's, ctx's, or one of dir or a
// file; fs.ErrNotExist when there is no log.
func Search(ctx context.Context, dir string, q Query, show func(*Record) error) (Found, error) {
	s := &search{ctx: ctx, dir: dir, q: q, show: show, buffer: bufio.NewReaderSize(nil, maxLine)}
	if q.Match != nil {
		s.needle = []byte(q.Match.needle())
	}
	err := s.run()
	s.found.Matched = s.matched
	return s.found, err
}

type search struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call
	dir     string
	q       Query
	show    func(*Record) error
	needle  []byte
	buffer  *bufio.Reader
	lower   []byte
	last    [][]byte // lines that match, when there is a limit: a ring
	matched int
	live    bool // following: what is found is shown at once
	found   Found
}

func (s *search) run() error {
	// The current file first: what it is renamed to meanwhile is the same file.
	current, err := openRegular(filepath.Join(s.dir, currentName), os.O_RDONLY)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if current != nil {
		defer func() { current.Close() }()
	}
	old, err := segments(s.dir)
	if err != nil {
		return err
	}
	if current == nil && len(old) == 0 && !s.q.Follow {
		return &fs.PathError{Op: "open", Path: s.dir, Err: fs.ErrNotExist}
	}
	for _, segment := range old {
		if current != nil && same(current, segment.path) {
			continue
		}
		// A writer that was late may have added lines after the end.
		if !s.q.Since.IsZero() && segment.ended.Add(time.Minute).Before(s.q.Since) {
			continue
		}
		if err := s.file(segment.path); err != nil {
			return err
		}
	}
	var read int64
	if current != nil {
		if read, err = s.lines(current, 0); err != nil {
			return err
		}
	}
	if err := s.showLast(); err != nil {
		return err
	}
	if !s.q.Follow {
		return nil
	}
	current, err = s.follow(current, read)
	return err
}

// file reads an old file. One that is removed meanwhile has no lines.
func (s *search) file(path string) error {
	f, err := openRegular(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	read, err := s.lines(f, 0)
	if info, statErr := f.Stat(); err == nil && statErr == nil && info.Size() > read {
		s.found.Damaged++ // a line without an end, and nobody will write that
	}
	return err
}

// lines reads the whole lines of a file from an offset, and tells where they end.
func (s *search) lines(f *os.File, offset int64) (end int64, err error) {
	s.buffer.Reset(io.NewSectionReader(f, offset, 1<<62))
	for n := 0; ; n++ {
		if n%1024 == 0 && s.ctx.Err() != nil {
			return offset, s.ctx.Err()
		}
		line, err := s.buffer.ReadSlice('\n')
		size := int64(len(line))
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = s.buffer.ReadSlice('\n')
			size += int64(len(line))
		}
		if err == io.EOF {
			return offset, nil
		}
		if err != nil {
			return offset, err
		}
		offset += size
		if tooLong {
			s.found.Damaged++
			continue
		}
		// A writer that saw a line of another half written began with an LF.
		if len(line) == 1 {
			continue
		}
		if err := s.line(line); err != nil {
			return offset, err
		}
	}
}

// line looks at one line.
func (s *search) line(line []byte) error {
	at, ok := timeOf(line)
	if !ok {
		s.found.Damaged++
		return nil
	}
	s.found.Lines++
	if s.found.Oldest.IsZero() || at.Before(s.found.Oldest) {
		s.found.Oldest = at
	}
	if at.Before(s.q.Since) || !s.mayMatch(line) {
		return nil
	}
	r, err := Parse(line)
	if err != nil {
		s.found.Lines--
		s.found.Damaged++
		return nil //nolint:nilerr // it is counted
	}
	if s.q.Match != nil && !s.q.Match.Is(r) {
		return nil
	}
	s.matched++
	switch {
	case s.q.Limit == 0 || s.live:
		return s.show(r)
	case len(s.last) < s.q.Limit:
		s.last = append(s.last, bytes.Clone(line))
	default:
		at := (s.matched - 1) % s.q.Limit
		s.last[at] = append(s.last[at][:0], line...)
	}
	return nil
}

// mayMatch tells without parsing it that a line cannot match.
func (s *search) mayMatch(line []byte) bool {
	if len(s.needle) == 0 {
		return true
	}
	s.lower = append(s.lower[:0], line...)
	for i, c := range s.lower {
		if 'A' <= c && c <= 'Z' {
			s.lower[i] = c + 'a' - 'A'
		}
	}
	return bytes.Contains(s.lower, s.needle)
}

// showLast shows what was kept, by time: several processes write one file.
func (s *search) showLast() error {
	slices.SortStableFunc(s.last, func(a, b []byte) int { return bytes.Compare(head(a), head(b)) })
	for _, line := range s.last {
		r, err := Parse(line)
		if err == nil {
			err = s.show(r)
		}
		if err != nil {
			return err
		}
	}
	s.last = nil
	return nil
}

// head is the start of a line, which has its time.
func head(line []byte) []byte { return line[:len(`{"time":"`)+len(timeFormat)] }

// followEvery is how often a log that is followed is looked at.
const followEvery = 200 * time.Millisecond

// follow shows what is written from now on. It gives the file that is to be closed.
func (s *search) follow(f *os.File, read int64) (*os.File, error) {
	s.live = true
	path := filepath.Join(s.dir, currentName)
	clock := time.NewTicker(followEvery)
	defer clock.Stop()
	for {
		var err error
		gone := f == nil || !same(f, path)
		if f != nil {
			if read, err = s.lines(f, read); err != nil {
				return f, err
			}
		}
		if gone {
			next, err := openRegular(path, os.O_RDONLY)
			if err == nil {
				if f != nil {
					f.Close()
				}
				f, read = next, 0
				continue
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return f, err
			}
		}
		select {
		case <-s.ctx.Done():
			return f, s.ctx.Err()
		case <-clock.C:
		}
	}
}
