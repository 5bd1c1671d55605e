package filter

import "io"

// BodyStore keeps a message's body while it arrives. It is used by one goroutine.
type BodyStore interface {
	// Write appends; an error means that the body is lost.
	io.Writer
	// Bytes is all of it, which must not be changed and is valid until the next
	// Write or Close.
	Bytes() ([]byte, error)
	Close() error
}

// memoryBody is a body in memory.
type memoryBody struct{ data []byte }

func newMemoryBody() BodyStore { return new(memoryBody) }

// Write implements BodyStore.
func (b *memoryBody) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	return len(p), nil
}

// Bytes implements BodyStore.
func (b *memoryBody) Bytes() ([]byte, error) { return b.data, nil }

// Close implements BodyStore.
func (b *memoryBody) Close() error {
	b.data = nil
	return nil
}
