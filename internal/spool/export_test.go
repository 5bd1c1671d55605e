package spool

// InFile tells whether a body has grown out of memory.
func InFile(b *Body) bool { return b.file != nil }

// Held is what a body takes of the heap.
func Held(b *Body) int { return cap(b.held()) }

// Budget is what all may take together.
const Budget = budget
