package store

import (
	"encoding/binary"
	"errors"
	"io"
)

// The protocol of Serve and Client: frames in both directions, each four bytes of
// length (big endian) and what follows, a request or a response. A response has the
// id of its request; they come in any order. A Release has no response.

// op is what a request asks for.
type op byte

const (
	opGet op = 1 + iota
	opSet
	opAdd
	opDelete
	opIncr
	opLimit
	opHold
	opRelease
)

// maxFrame bounds what follows a length.
const maxFrame = MaxValue + MaxKey + MaxHolder + 64

// request is one operation, with as many fields as it has.
type request struct {
	id     uint32
	op     op
	wait   int64 // milliseconds that the caller waits; 0: for ever
	key    string
	holder string
	value  []byte
	n      int64 // by, most
	ttl    int64 // milliseconds; also per
}

// response is what came of it.
type response struct {
	id    uint32
	ok    bool // found, added, existed, or not over the limit
	n     int64
	wait  int64 // milliseconds
	value []byte
	// Of an error: code is an Error's, or codeTimeout, or codeOther. "": none.
	code, message string
}

const (
	codeTimeout = "timeout" // context.DeadlineExceeded
	codeOther   = "other"
)

var (
	errFrame = errors.New("store: damaged frame")
	errLarge = errors.New("store: frame too large")
)

// append adds the request as a frame to b.
func (r *request) append(b []byte) []byte {
	b, start := beginFrame(b)
	b = binary.BigEndian.AppendUint32(b, r.id)
	b = append(b, byte(r.op))
	b = binary.AppendVarint(b, r.wait)
	b = appendText(b, r.key)
	b = appendText(b, r.holder)
	b = appendText(b, r.value)
	b = binary.AppendVarint(b, r.n)
	b = binary.AppendVarint(b, r.ttl)
	return endFrame(b, start)
}

// append adds the response as a frame to b.
func (r *response) append(b []byte) []byte {
	b, start := beginFrame(b)
	b = binary.BigEndian.AppendUint32(b, r.id)
	if r.ok {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendVarint(b, r.n)
	b = binary.AppendVarint(b, r.wait)
	b = appendText(b, r.value)
	b = appendText(b, r.code)
	b = appendText(b, r.message)
	return endFrame(b, start)
}

func beginFrame(b []byte) (begun []byte, start int) { return append(b, 0, 0, 0, 0), len(b) }

func endFrame(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

func appendText[T ~string | ~[]byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// readFrame reads one frame. io.EOF is the end between two.
func readFrame(from io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxFrame {
		return nil, errLarge
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(from, frame); err != nil {
		return nil, errors.Join(errFrame, err)
	}
	return frame, nil
}

// decoder takes a frame apart. After a fault all it gives is empty.
type decoder struct {
	rest   []byte
	broken bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.rest, d.broken = nil, true
		return make([]byte, min(max(n, 0), 8))
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint32() uint32 { return binary.BigEndian.Uint32(d.take(4)) }

func (d *decoder) byte() byte { return d.take(1)[0] }

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.rest, d.broken = nil, true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// text is bytes of the frame, at most that many.
func (d *decoder) text(most uint64) []byte {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > most || n > uint64(len(d.rest)-size) {
		d.rest, d.broken = nil, true
		return nil
	}
	d.rest = d.rest[size:]
	return d.take(int(n))
}

func (d *decoder) err() error {
	if d.broken || len(d.rest) > 0 {
		return errFrame
	}
	return nil
}

func readRequest(frame []byte) (r request, err error) {
	d := &decoder{rest: frame}
	r.id, r.op, r.wait = d.uint32(), op(d.byte()), d.varint()
	r.key, r.holder, r.value = string(d.text(MaxKey)), string(d.text(MaxHolder)), d.text(MaxValue)
	r.n, r.ttl = d.varint(), d.varint()
	if r.op < opGet || r.op > opRelease || r.wait < 0 || r.ttl < 0 {
		d.broken = true
	}
	return r, d.err()
}

// maxMessage bounds an error's text.
const maxMessage = 1 << 10

func readResponse(frame []byte) (r response, err error) {
	d := &decoder{rest: frame}
	r.id, r.ok, r.n, r.wait = d.uint32(), d.byte() == 1, d.varint(), d.varint()
	r.value = d.text(MaxValue)
	r.code, r.message = string(d.text(MaxHolder)), string(d.text(maxMessage))
	return r, d.err()
}
