// Package spool keeps message bodies while they arrive: small ones in memory,
// larger ones in temporary files that have no name.
//
// It promises that many large messages at once take little of the heap, and
// that nothing of a message is left on the disk, even after a crash: a file is
// unlinked as soon as it is made. It knows nothing of mail.
package spool

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// budget is what all bodies together may hold in memory, room that they have
// not used yet included: past it a body goes into a file before it has reached
// the threshold.
const budget = 16 << 20

// Spool makes bodies. Safe for concurrent use.
type Spool struct {
	threshold int64
	dir       string
	held      atomic.Int64 // the capacity of all bodies in memory
	rooms     rooms
}

// New makes a Spool whose bodies go into files in dir (the system's folder for
// temporary files if "") when they grow over threshold bytes.
func New(threshold int64, dir string) *Spool { return &Spool{threshold: threshold, dir: dir} }

// NewBody makes an empty body.
func (s *Spool) NewBody() *Body { return &Body{spool: s} }

// Body is one message's body. It is for one goroutine.
type Body struct {
	spool  *Spool
	memory *room    // nil before the first Write
	file   *os.File // when it has grown out of memory
	size   int64
	mapped []byte // file in memory, once somebody has looked
}

// Write appends to the body. It may block on the disk; an error means that the
// body is not whole and stays so.
func (b *Body) Write(p []byte) (int, error) {
	if b.file == nil {
		if b.fits(len(p)) {
			b.memory.b = append(b.memory.b, p...)
			b.size += int64(len(p))
			return len(p), nil
		}
		if err := b.spill(); err != nil {
			return 0, fmt.Errorf("spool: %w", err)
		}
	}
	if err := b.unmap(); err != nil {
		return 0, fmt.Errorf("spool: %w", err)
	}
	n, err := b.file.Write(p)
	b.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("spool: %w", err)
	}
	return n, nil
}

// held is what is in memory.
func (b *Body) held() []byte {
	if b.memory == nil {
		return nil
	}
	return b.memory.b
}

// fits makes room in memory for n more bytes; false if that is too much.
func (b *Body) fits(n int) bool {
	held := b.held()
	size := len(held) + n
	switch {
	case int64(size) > b.spool.threshold:
		return false
	case b.memory != nil && size <= cap(held):
		return true
	}
	if more := int64(sizeOf(size) - cap(held)); b.spool.held.Add(more) > budget {
		b.spool.held.Add(-more)
		return false
	}
	larger := b.spool.rooms.get(size)
	larger.b = append(larger.b, held...)
	b.spool.rooms.put(b.memory)
	b.memory = larger
	return true
}

// leave gives the memory back.
func (b *Body) leave() {
	b.spool.held.Add(-int64(cap(b.held())))
	b.spool.rooms.put(b.memory)
	b.memory = nil
}

// spill moves what is in memory into a file without a name.
func (b *Body) spill() error {
	f, err := os.CreateTemp(b.spool.dir, "pmilter-body-") // 0600
	if err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := f.Write(b.held()); err != nil {
		return errors.Join(err, f.Close())
	}
	b.leave()
	b.file = f
	return nil
}

// Size is the number of bytes written.
func (b *Body) Size() int64 { return b.size }

// Bytes is the whole body. A body in a file is mapped into memory, which costs
// address space and pages of the file, not heap. The slice must not be changed;
// it is gone with the next Write or Close.
func (b *Body) Bytes() ([]byte, error) {
	if b.file == nil {
		return b.held(), nil
	}
	if b.mapped != nil || b.size == 0 {
		return b.mapped, nil
	}
	m, err := unix.Mmap(int(b.file.Fd()), 0, int(b.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("spool: map %d bytes: %w", b.size, err)
	}
	b.mapped = m
	return m, nil
}

func (b *Body) unmap() error {
	if b.mapped == nil {
		return nil
	}
	m := b.mapped
	b.mapped = nil
	return unix.Munmap(m)
}

// Close frees the body. Twice is once.
func (b *Body) Close() error {
	b.leave()
	if b.file == nil {
		return nil
	}
	err := errors.Join(b.unmap(), b.file.Close())
	if b.file = nil; err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}
