// Package miltertest is a milter that does what a test tells it, right or
// wrong: it answers each packet by a function and keeps a record of all it got.
package miltertest

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	imilter "pmilter/internal/milter"
)

// Milter is a scripted milter. Set the fields before it serves.
type Milter struct {
	// Version, Actions and Protocol are its answer to OPTNEG; 6, all actions
	// and no protocol bits if all are 0. Extra follows them.
	Version, Actions, Protocol uint32
	Extra                      []byte
	// Reply gives the packets that answer a command, one string each, letter
	// first; nil is one "c" where a reply is due. It is not called for OPTNEG,
	// macros, ABORT and QUIT. It may be called from several connections.
	Reply func(code byte, payload string) []string
	// Garbage, if set, is written in place of the OPTNEG answer.
	Garbage []byte

	mu  sync.Mutex
	log []string
}

// Log is every command so far but OPTNEG: its letter and payload, NULs as "|".
func (m *Milter) Log() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.log...)
}

// Commands is Log without macros, letters alone, in one string.
func (m *Milter) Commands() string {
	var b strings.Builder
	for _, line := range m.Log() {
		if line[0] != 'D' {
			b.WriteByte(line[0])
		}
	}
	return b.String()
}

// Pipe serves one connection and gives the MTA's end of it. The test ends only
// after the milter has.
func (m *Milter) Pipe(t testing.TB) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); m.Serve(ours) }()
	t.Cleanup(func() { theirs.Close(); <-done })
	return theirs
}

// Listen serves a listener on the loopback until the test ends.
func (m *Milter) Listen(t testing.TB) net.Addr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() { m.Serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr()
}

// Serve answers one connection until it closes or QUIT comes, and closes it.
func (m *Milter) Serve(conn net.Conn) {
	defer conn.Close()
	r := imilter.NewFrameReader(conn, 0)
	for {
		code, payload, err := r.Next()
		if err != nil {
			return
		}
		if code != 'O' {
			m.mu.Lock()
			m.log = append(m.log, string(code)+strings.ReplaceAll(string(payload), "\x00", "|"))
			m.mu.Unlock()
		}
		out, quit := m.answer(code, string(payload))
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
		if quit {
			return
		}
	}
}

func (m *Milter) answer(code byte, payload string) (out []byte, quit bool) {
	switch code {
	case 'O':
		return m.optneg(), false
	case 'D', 'A', 'K':
		return nil, false
	case 'Q':
		return nil, true
	}
	var packets []string
	if m.Reply != nil {
		packets = m.Reply(code, payload)
	}
	if packets == nil && !m.silent(code) {
		packets = []string{"c"}
	}
	for _, p := range packets {
		out = imilter.AppendFrame(out, p[0], []byte(p[1:]))
	}
	return out, false
}

func (m *Milter) optneg() []byte {
	if m.Garbage != nil {
		return m.Garbage
	}
	words := []uint32{m.Version, m.Actions, m.Protocol}
	if m.Version == 0 && m.Actions == 0 {
		words[0], words[1] = 6, uint32(imilter.AllActions)
	}
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return imilter.AppendFrame(nil, 'O', b, m.Extra)
}

// silent tells whether no reply was negotiated for a command.
func (m *Milter) silent(code byte) bool {
	bit := map[byte]uint32{
		'L': 1 << 7, 'C': 1 << 12, 'H': 1 << 13, 'M': 1 << 14, 'R': 1 << 15, 'T': 1 << 16, 'U': 1 << 17, 'N': 1 << 18, 'B': 1 << 19,
	}[code]
	return m.Protocol&bit != 0
}

// Header is the packet of an edit of a header with an index: 'm' or 'i'.
func Header(letter byte, index uint32, name, value string) string {
	return fmt.Sprintf("%c%s%s\x00%s\x00", letter, binary.BigEndian.AppendUint32(nil, index), name, value)
}
