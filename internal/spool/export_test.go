package spool

// InFile tells whether a body has grown out of memory.
func InFile(b *Body) bool { return b.file != nil }
