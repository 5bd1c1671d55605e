package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
	"pmilter/internal/postfixtest"
)

// packets are all that Postfix sends for one mail, a packet each.
func packets() [][]byte {
	packet := func(code milter.Code, payload string) []byte {
		return imilter.AppendFrame(nil, byte(code), []byte(payload))
	}
	return [][]byte{
		packet(milter.CodeOptNeg, offerAll),
		packet(milter.CodeMacro, "Cj\x00mx.example.org\x00{daemon_name}\x00mx\x00"),
		packet(milter.CodeConn, "odd.example.org\x004\x00\x19192.0.2.1\x00"),
		packet(milter.CodeHelo, "odd.example.org\x00"),
		packet(milter.CodeMacro, "M{mail_addr}\x00a@example.org\x00"),
		packet(milter.CodeMail, "<a@example.org>\x00SIZE=10\x00"),
		packet(milter.CodeRcpt, "<b@example.org>\x00"),
		packet(milter.CodeData, ""),
		packet(milter.CodeHeader, "Subject\x00broken\x00"),
		packet(milter.CodeEOH, ""),
		packet(milter.CodeBody, "body\r\n"),
		packet(milter.CodeEOB, ""),
		packet(milter.CodeAbort, ""),
		packet(milter.CodeQuitNewConn, ""),
		packet(milter.CodeConn, "odd.example.org\x004\x00\x19192.0.2.1\x00"),
		packet(milter.CodeQuit, ""),
	}
}

// A breach is a way to break the protocol at one packet of the dialogue.
type breach struct {
	name string
	// send sends what stands for packet i and all after it.
	send func(conn *net.TCPConn, all [][]byte, i int)
}

func breaches() []breach {
	write := func(conn *net.TCPConn, packets ...[]byte) {
		for _, p := range packets {
			_, _ = conn.Write(p) // the server may have hung up, as it should
		}
	}
	changed := func(change func(p []byte) []byte) func(*net.TCPConn, [][]byte, int) {
		return func(conn *net.TCPConn, all [][]byte, i int) {
			write(conn, change(bytes.Clone(all[i])))
			write(conn, all[i+1:]...)
		}
	}
	return []breach{
		{"hangs up", func(conn *net.TCPConn, _ [][]byte, _ int) { conn.Close() }},
		{"resets", func(conn *net.TCPConn, _ [][]byte, _ int) { _ = conn.SetLinger(0); conn.Close() }},
		{"closes its half", func(conn *net.TCPConn, _ [][]byte, _ int) { _ = conn.CloseWrite() }},
		{"cuts a packet", func(conn *net.TCPConn, all [][]byte, i int) { write(conn, all[i][:len(all[i])/2]); conn.Close() }},
		{"waits in a packet", func(conn *net.TCPConn, all [][]byte, i int) { write(conn, all[i][:len(all[i])-1]) }},
		{"says nothing more", func(*net.TCPConn, [][]byte, int) {}},
		{"length 0", changed(func(p []byte) []byte { copy(p, "\x00\x00\x00\x00"); return p })},
		{"length too small", changed(func(p []byte) []byte { p[3]--; return p })},
		{"length too large", changed(func(p []byte) []byte { p[2]++; return p })},
		{"length of 4 GB", changed(func(p []byte) []byte { copy(p, "\xff\xff\xff\xff"); return p })},
		{"no command's letter", changed(func(p []byte) []byte { p[4] = '!'; return p })},
		{"a reply's letter", changed(func(p []byte) []byte { p[4] = 'a'; return p })},
		{"no NUL", changed(func(p []byte) []byte { return append(p[:5], bytes.ReplaceAll(p[5:], []byte{0}, []byte("x"))...) })},
		{"all NUL", changed(func(p []byte) []byte { clear(p[5:]); return p })},
		{"random bytes", changed(func(p []byte) []byte {
			for j := range p[5:] {
				p[5+j] = byte(rand.Uint32())
			}
			return p
		})},
		{"left out", func(conn *net.TCPConn, all [][]byte, i int) { write(conn, all[i+1:]...) }},
		{"twice", func(conn *net.TCPConn, all [][]byte, i int) { write(conn, all[i]); write(conn, all[i:]...) }},
		{"a hundred times", func(conn *net.TCPConn, all [][]byte, i int) {
			write(conn, bytes.Repeat(all[i], 100))
			write(conn, all[i+1:]...)
		}},
		{"the next one first", func(conn *net.TCPConn, all [][]byte, i int) {
			if i+1 < len(all) {
				write(conn, all[i+1], all[i])
				write(conn, all[min(i+2, len(all)):]...)
			}
		}},
		{"from the end backwards", func(conn *net.TCPConn, all [][]byte, i int) {
			for _, p := range slices.Backward(all[i:]) {
				write(conn, p)
			}
		}},
		{"all in one write", func(conn *net.TCPConn, all [][]byte, i int) { write(conn, bytes.Join(all[i:], nil)) }},
		{"byte by byte", func(conn *net.TCPConn, all [][]byte, i int) {
			for _, b := range bytes.Join(all[i:], nil) {
				write(conn, []byte{b})
			}
		}},
		{"never reads", func(conn *net.TCPConn, all [][]byte, i int) {
			_ = conn.SetReadBuffer(1)
			write(conn, all[i:]...)
			write(conn, bytes.Repeat(all[len(all)-4], 1000)) // ABORT
		}},
	}
}

// An MTA breaks the protocol at each of its packets in every way we know. Honest mail
// that comes meanwhile does not notice, and in the end nothing is left behind.
func TestProtocolBrokenAtEachStep(t *testing.T) {
	addr := freeListen(t)
	s := startServer(t, serverConfig{listen: []string{addr}, scripts: one(stamp)})
	before := descriptors(t, s)
	honest := startHonest(t, addr, 2, 5*time.Millisecond)
	honest.await(t, 10)

	steps := make(chan func())
	var peers sync.WaitGroup
	for range 16 {
		peers.Go(func() {
			for step := range steps {
				step()
			}
		})
	}
	_, address := dialAddr(addr)
	var open sync.WaitGroup // those that wait keep their connection to the end
	over := make(chan struct{})
	for i := range packets() {
		for _, b := range breaches() {
			steps <- func() {
				conn := breakAt(t, address, b, i)
				open.Go(func() { <-over; conn.Close() })
			}
		}
	}
	close(steps)
	peers.Wait()
	honest.await(t, 20)
	close(over)
	open.Wait()
	honest.end(t)
	if n := honest.putOff.Load(); n > 0 {
		t.Errorf("honest messages were put off %d times", n)
	}
	if s.ended() {
		t.Fatal("pmilterd is gone")
	}
	if strings.Contains(s.log(), `"panic"`) {
		t.Errorf("a panic in the log")
	}
	awaitDescriptors(t, s, before)
}

// breakAt plays the dialogue up to packet i, reads what replies come, and goes on as b says.
func breakAt(t *testing.T, address string, b breach, i int) net.Conn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Errorf("%s at %d: %v", b.name, i, err)
		return nil
	}
	conn := nc.(*net.TCPConn)
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = conn.Write(bytes.Join(packets()[:i], nil))
	read := func(wait time.Duration) {
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		buffer := make([]byte, 4096)
		for {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
		}
	}
	if b.name != "never reads" {
		read(10 * time.Millisecond)
	}
	b.send(conn, packets(), i)
	if b.name != "never reads" {
		read(30 * time.Millisecond)
	}
	return conn
}

// descriptors is how many files the server's processes have open.
func descriptors(t *testing.T, s *server) (n int) {
	t.Helper()
	for _, pid := range processes(s.cmd.Process.Pid) {
		list, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(pid), "fd"))
		if err != nil {
			t.Fatal(err)
		}
		n += len(list)
	}
	return n
}

// awaitDescriptors waits until what connections had open is closed again.
func awaitDescriptors(t *testing.T, s *server, want int) {
	t.Helper()
	for deadline := time.Now().Add(patience); descriptors(t, s) > want; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d files are open, %d were before", descriptors(t, s), want)
		}
	}
}

// freeListen is a listen address with a free port.
func freeListen(t *testing.T) string {
	t.Helper()
	host, port, err := net.SplitHostPort(postfixtest.FreeAddr(t, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	return "inet:" + port + "@" + host
}
