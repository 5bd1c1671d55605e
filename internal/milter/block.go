package milter

import "sync"

// Sizes of read buffers. A small one is enough for the commands of an SMTP
// session, a large one for a body chunk and the macros before it.
const (
	smallBlock  = 4 << 10
	mediumBlock = 16 << 10
	largeBlock  = 68 << 10
)

// nextBlock is the size after n.
func nextBlock(n int) int {
	switch {
	case n < mediumBlock:
		return mediumBlock
	case n < largeBlock:
		return largeBlock
	}
	return 2 * n
}

// block is a read buffer; the pointer to it is what pools can hold without
// allocating.
type block struct{ b []byte }

// blockPool keeps blocks of the three usual sizes. It is safe for concurrent
// use; a nil pool makes new blocks and keeps none.
type blockPool struct {
	small, medium, large sync.Pool
}

func (p *blockPool) of(size int) *sync.Pool {
	if p == nil {
		return nil
	}
	switch size {
	case smallBlock:
		return &p.small
	case mediumBlock:
		return &p.medium
	case largeBlock:
		return &p.large
	}
	return nil
}

// get is a block of that size with anything in it.
func (p *blockPool) get(size int) *block {
	if pool := p.of(size); pool != nil {
		if b, ok := pool.Get().(*block); ok {
			return b
		}
	}
	return &block{b: make([]byte, size)}
}

// put takes a block that nobody looks at any more.
func (p *blockPool) put(b *block) {
	if pool := p.of(len(b.b)); pool != nil {
		pool.Put(b)
	}
}
