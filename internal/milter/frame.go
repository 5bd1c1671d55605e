package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What is wrong with a frame. After any of them the stream cannot be read on.
var (
	ErrFrameEmpty   = errors.New("milter: packet of length 0")
	ErrFrameTooLong = errors.New("milter: packet too long")
)

// FrameReader reads the packets of the milter protocol: four bytes of length in
// network order, one byte of command, and the payload. Both sides of the
// protocol use the same framing.
//
// It reads as much as the peer has sent into one buffer, which grows as bytes
// arrive and never because of a length that is merely claimed: it is at most
// five times what the peer did send, and not more than the limit. Not safe for
// concurrent use.
type FrameReader struct {
	src        source
	max        int
	pool       *blockPool
	block      *block
	start, end int  // the unread part of the block
	full       bool // the last read left no room: there may be more
}

// source is what a FrameReader reads from. The position tells how far the
// frame is that the bytes are for.
type source interface {
	read(p []byte, at position) (int, error)
}

type position uint8

const (
	betweenFrames position = iota // not a byte of the frame is there
	frameBegun                    // some are; this is the first read for the rest
	frameGoesOn
)

// readerSource is a source without a sense of time.
type readerSource struct{ r io.Reader }

func (s readerSource) read(p []byte, _ position) (int, error) { return s.r.Read(p) }

// NewFrameReader reads frames whose length field is at most limit from r;
// limit 0 is MaxFrame. Reads block as r does.
func NewFrameReader(r io.Reader, limit int) *FrameReader {
	return newFrameReader(readerSource{r}, limit, nil)
}

func newFrameReader(src source, limit int, pool *blockPool) *FrameReader {
	if limit <= 0 {
		limit = MaxFrame
	}
	return &FrameReader{src: src, max: limit, pool: pool, block: pool.get(smallBlock)}
}

// Next is the next frame. The payload is a part of the reader's buffer and
// valid until the following call. The error is io.EOF when the stream ended
// between two frames, io.ErrUnexpectedEOF when it ended within one,
// ErrFrameEmpty or ErrFrameTooLong (wrapped), or the underlying reader's.
func (f *FrameReader) Next() (code byte, payload []byte, err error) {
	at := betweenFrames
	if err := f.need(4, &at); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(f.block.b[f.start:])
	if length == 0 {
		return 0, nil, ErrFrameEmpty
	}
	if uint64(length) > uint64(f.max) {
		return 0, nil, fmt.Errorf("%w: %d bytes of at most %d", ErrFrameTooLong, length, f.max)
	}
	total := 4 + int(length)
	if err := f.need(total, &at); err != nil {
		return 0, nil, err
	}
	frame := f.block.b[f.start : f.start+total : f.start+total]
	f.start += total
	return frame[4], frame[5:], nil
}

// Buffered is the number of bytes that were read but not yet returned.
func (f *FrameReader) Buffered() int { return f.end - f.start }

// need reads until n bytes of the frame are there.
func (f *FrameReader) need(n int, at *position) error {
	for idle := 0; f.Buffered() < n; {
		if f.Buffered() > 0 && *at == betweenFrames {
			*at = frameBegun
		}
		f.makeRoom(n)
		room := f.block.b[f.end:]
		got, err := f.src.read(room, *at)
		if *at == frameBegun {
			*at = frameGoesOn
		}
		f.full = got == len(room)
		f.end += got
		switch {
		case got > 0: // an error beside it comes again with the next read
			idle = 0
		case errors.Is(err, io.EOF) && f.Buffered() > 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		default:
			if idle++; idle == 100 {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// makeRoom leaves at least one free byte at the end of the block, and n bytes
// in all where the block is as large as that.
func (f *FrameReader) makeRoom(n int) {
	if f.start == f.end {
		f.start, f.end = 0, 0
	}
	b := f.block.b
	// A peer that fills the block has more to say: fewer, larger reads.
	grow := f.full && len(b) < largeBlock
	if len(b)-f.start < n {
		f.end = copy(b, b[f.start:f.end])
		f.start = 0
		grow = grow || f.end == len(b)
	}
	if grow {
		f.move(min(nextBlock(len(b)), max(f.max+4, smallBlock)))
	}
}

// shrink takes a block of that size instead of a larger one, if what is unread
// fits into it. A connection that waits should hold little memory.
func (f *FrameReader) shrink(size int) {
	if len(f.block.b) > size && f.Buffered() <= size {
		f.move(size)
		f.full = false
	}
}

// move takes the unread bytes to a block of another size.
func (f *FrameReader) move(size int) {
	next := f.pool.get(size)
	f.end = copy(next.b, f.block.b[f.start:f.end])
	f.start = 0
	f.pool.put(f.block)
	f.block = next
}

// release gives the block back. The reader is of no use after it.
func (f *FrameReader) release() {
	f.pool.put(f.block)
	f.block = nil
}

// heir is a reader that goes on where f is, with a block of its own: whoever
// still looks at f's last payload is not disturbed. f must not be used again.
func (f *FrameReader) heir() *FrameReader {
	h := &FrameReader{src: f.src, max: f.max, pool: f.pool}
	h.block = f.pool.get(max(smallBlock, f.Buffered()))
	h.end = copy(h.block.b, f.block.b[f.start:f.end])
	return h
}

// AppendFrame appends a frame whose payload is the parts, one after the other.
func AppendFrame(dst []byte, code byte, parts ...[]byte) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	dst = appendFrameHead(dst, code, n-1)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// appendFrameHead begins a frame whose payload of n bytes the caller appends.
func appendFrameHead(dst []byte, code byte, n int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(n)+1)
	return append(dst, code)
}

// AppendString appends s and its NUL. A NUL within s would end it early: it is
// left out.
func AppendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] != 0 {
			dst = append(dst, s[i])
		}
	}
	return append(dst, 0)
}
