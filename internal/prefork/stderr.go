package prefork

import (
	"bytes"
	"io"
	"os"
	"strings"
	"time"
)

// beginning keeps the first of what a process writes to a pipe, and reads on. The zero
// value has no pipe, and is empty.
type beginning struct {
	kept bytes.Buffer
	done chan struct{} // closed when no more comes; nil: there is no pipe
}

// maxStderr is how much is kept: the fault, and the goroutine that had it.
const maxStderr = 4 << 10

// open makes the pipe; the caller closes its end when the process has it.
func (b *beginning) open() (theirs *os.File, err error) {
	from, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	b.done = make(chan struct{})
	go func() {
		defer close(b.done)
		defer from.Close()
		_, _ = io.CopyN(&b.kept, from, maxStderr) // the end is no fault
		_, _ = io.Copy(io.Discard, from)
	}()
	return theirs, nil
}

// text is what was kept. The process is gone, with its group; one that left the group may
// hold the pipe open, and nothing is told of it then.
func (b *beginning) text() string {
	if b.done == nil {
		return ""
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-b.done:
		return strings.ToValidUTF8(strings.TrimSpace(b.kept.String()), "?")
	case <-timer.C:
		return ""
	}
}
