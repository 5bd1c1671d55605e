package script

import (
	"encoding/hex"
	"io"

	"github.com/dop251/goja"
)

// randomUUID is a version 4 UUID (RFC 9562 §5.4).
func randomUUID(rt *goja.Runtime, random io.Reader) string {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		throwError(rt, "Error", "crypto.randomUUID: no randomness")
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
