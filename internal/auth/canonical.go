package auth

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"strings"
)

// Field is one header field as it is on the wire.
type Field struct {
	Name  string
	Value string // all between the colon and the CRLF at the end; CRLF at folds
}

// canon is a canonicalization (RFC 6376 §3.4).
type canon uint8

const (
	simple canon = iota
	relaxed
	numCanons
)

func canonOf(name string) (c canon, ok bool) {
	switch name {
	case "", "simple":
		return simple, true
	case "relaxed":
		return relaxed, true
	}
	return simple, false
}

// field is a header field as it is signed, its CRLF included (RFC 6376 §3.4.1, §3.4.2).
func (c canon) field(f Field) string {
	if c == simple {
		return f.Name + ":" + f.Value + "\r\n"
	}
	words := strings.FieldsFunc(f.Value, isFWS)
	return f.key() + ":" + strings.Join(words, " ") + "\r\n"
}

// key is the field's name as names are compared.
func (f Field) key() string { return lower(strings.TrimRight(f.Name, " \t")) }

func isFWS(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }

// body is the SHA-256 of a body (RFC 6376 §3.4.3, §3.4.4). It takes no memory
// to speak of, however long the body is.
func (c canon) body(body []byte) []byte {
	h, crlf := sha256.New(), []byte("\r\n")
	if c == simple {
		for bytes.HasSuffix(body, crlf) {
			body = body[:len(body)-len(crlf)]
		}
		h.Write(body)
		h.Write(crlf)
		return h.Sum(nil)
	}
	w := relaxedBody{to: h, buf: make([]byte, 0, 32<<10)}
	for len(body) > 0 {
		line := body
		if end := bytes.Index(body, crlf); end < 0 {
			body = nil
		} else {
			line, body = body[:end], body[end+len(crlf):]
		}
		w.line(line)
	}
	w.flush()
	return h.Sum(nil)
}

// relaxedBody writes lines with their white space reduced; empty ones only when
// another follows.
type relaxedBody struct {
	to    hash.Hash
	buf   []byte
	empty int
}

func (w *relaxedBody) line(line []byte) {
	end := len(line)
	for end > 0 && (line[end-1] == ' ' || line[end-1] == '\t') {
		end--
	}
	if end == 0 {
		w.empty++
		return
	}
	for ; w.empty > 0; w.empty-- {
		w.room(2)
		w.buf = append(w.buf, '\r', '\n')
	}
	space := false
	for rest := line[:end]; len(rest) > 0; {
		piece := rest[:min(len(rest), cap(w.buf)/2)]
		rest = rest[len(piece):]
		w.room(len(piece) + 1)
		space = w.reduce(piece, space)
	}
	w.room(2)
	w.buf = append(w.buf, '\r', '\n')
}

// reduce writes a piece of a line; space tells whether white space came before
// it, and it returns whether the piece ends with some.
func (w *relaxedBody) reduce(piece []byte, space bool) bool {
	buf := w.buf
	for _, c := range piece {
		if c == ' ' || c == '\t' {
			space = true
			continue
		}
		if space {
			buf = append(buf, ' ')
			space = false
		}
		buf = append(buf, c)
	}
	w.buf = buf
	return space
}

// room makes room for n bytes, which buf can hold.
func (w *relaxedBody) room(n int) {
	if len(w.buf)+n > cap(w.buf) {
		w.flush()
	}
}

func (w *relaxedBody) flush() {
	w.to.Write(w.buf)
	w.buf = w.buf[:0]
}
