package prefork

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// kind is what a frame says.
type kind byte

const (
	frameSetup kind = 's' // to the worker, first: Options.Setup
	frameJob   kind = 'j' // to the worker: a job
	frameEnd   kind = 'e' // to the worker: end after the job at hand
	frameTell  kind = 't' // to the worker: Pool.Tell
	frameReady kind = 'r' // to the pool: set up
	frameFault kind = 'f' // to the pool: could not be set up, and why
	frameDone  kind = 'd' // to the pool: the answer to the job
	frameLeave kind = 'l' // to the pool: the answer to the job, after which the worker ends
	frameQuit  kind = 'q' // to the pool: wants to end, and why
	frameNote  kind = 'n' // to the pool: anything else
)

// maxFrame bounds what one side makes the other keep in memory.
const maxFrame = 64 << 20

var (
	errFrame = errors.New("prefork: no frame of ours")
	errLong  = errors.New("at once are too many")
)

// writeFrame writes a frame in one call: a kind, the length in four bytes, the data.
func writeFrame(w io.Writer, k kind, data []byte) error {
	if len(data) > maxFrame {
		return fmt.Errorf("prefork: %d bytes %w", len(data), errLong)
	}
	b := make([]byte, 5, 5+len(data))
	b[0] = byte(k)
	binary.BigEndian.PutUint32(b[1:], uint32(len(data))) //nolint:gosec // bounded above
	_, err := w.Write(append(b, data...))
	return err
}

// readFrame reads one. The error is io.EOF at the end between two frames.
func readFrame(r io.Reader) (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, errFrame
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return 0, nil, err
	}
	return kind(head[0]), data, nil
}
