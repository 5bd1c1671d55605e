package mailedit

import (
	"bytes"
	"encoding/base32"
	"io"
	"strconv"
	"strings"
)

// newBoundary is a boundary that is not in any of the contents, and if possible
// that no line of theirs that looks like a delimiter is the beginning of: readers
// may compare the beginnings only (RFC 2046 §5.1.1).
func newBoundary(random io.Reader, contents ...[]byte) string {
	const prefer = 20 // a hostile message has lines that all begin with
	for try := 0; ; try++ {
		var seed [15]byte
		_, err := io.ReadFull(random, seed[:])
		b := base32.StdEncoding.EncodeToString(seed[:])
		if try == 0 {
			b = "=_" + b // cannot be in quoted-printable or base64
		}
		if try > 0 || err != nil {
			b += strconv.Itoa(try) // whatever the source gives, they differ
		}
		if free(b, contents, try < prefer) {
			return b
		}
	}
}

func free(b string, contents [][]byte, prefixes bool) bool {
	ok := true
	for _, data := range contents {
		eachDashed(data, func(line []byte) {
			line = bytes.TrimRight(line, " \t")
			short := bytes.TrimSuffix(line, []byte("--"))
			if bytes.HasPrefix(line, []byte(b)) || prefixes && len(short) > 0 && bytes.HasPrefix([]byte(b), short) {
				ok = false
			}
		})
	}
	return ok
}

// declare makes the header of a multipart say its boundary.
func (n *Node) declare() {
	params := append([]param{{"boundary", n.boundary}}, sortedParams(n.part.Params(), "boundary")...)
	edits := []fieldEdit{{name: "Content-Type", value: formatField("Content-Type", n.part.Type(), params)}}
	if n.parent == nil {
		n.e.setFields(edits)
		return
	}
	n.head, n.moved = editLines(n.headLines(), edits), true
}

// declared tells whether the header of a multipart says the boundary that its parts
// are told by.
func (n *Node) declared() bool {
	return n.boundary == "" || strings.TrimRight(n.part.Params()["boundary"], " \t") == n.boundary
}
