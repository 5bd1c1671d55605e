package mailedit

import (
	"bytes"
	"encoding/base32"
	"fmt"
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

// isOdd tells of a multipart whose delimiters may be taken for others once
// something changes: its boundary was guessed, or is that of another around it, or
// that and two dashes.
func (n *Node) isOdd() bool {
	if !isMultipart(n.part) {
		return false
	}
	declared := strings.TrimRight(n.part.Params()["boundary"], " \t")
	if n.boundary != "" && declared != n.boundary {
		return true
	}
	for _, b := range n.parent.enclosing() {
		if declared == b || declared == b+"--" || b == declared+"--" {
			return true
		}
	}
	return false
}

// rebound gives all multiparts new boundaries.
func (e *Editor) rebound() {
	base, count := newBoundary(e.random, e.render()), 0
	var enter func(n *Node)
	enter = func(n *Node) {
		if len(n.kids) > 0 && isMultipart(n.part) {
			n.boundary = fmt.Sprintf("%s_%05d", base, count)
			count++
			n.declare()
			n.rebound = true
			for a := n; a != nil; a = a.parent {
				a.dirty = true
			}
		}
		for _, k := range n.kids {
			if !k.gone {
				enter(k)
			}
		}
	}
	enter(e.Root())
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
