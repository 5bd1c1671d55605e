package queue

import (
	"bufio"
	"errors"
	"io"
	"os"

	"pmilter/internal/event"
)

// unique is a name that no other event has.
func (q *Queue) unique() string {
	return event.Unique(q.o.Now(), os.Getpid(), q.count.Add(1), q.host)
}

// write makes a file that is synced. With an error it may be there in part.
func (q *Queue) write(path string, content func(io.Writer) error) error {
	f, err := q.disk.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if err = content(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
