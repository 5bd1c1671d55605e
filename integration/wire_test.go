package integration

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A packet is one of the milter protocol, as it passed the tap.
type packet struct {
	mta     bool // the MTA sent it
	code    byte
	payload string
}

// options are the three words of an OPTNEG packet.
type options struct{ version, actions, protocol uint32 }

func (p packet) options() options {
	words := []byte(p.payload + strings.Repeat("\x00", 12))
	return options{binary.BigEndian.Uint32(words), binary.BigEndian.Uint32(words[4:]), binary.BigEndian.Uint32(words[8:])}
}

func (o options) payload() string {
	words := binary.BigEndian.AppendUint32(nil, o.version)
	words = binary.BigEndian.AppendUint32(words, o.actions)
	return string(binary.BigEndian.AppendUint32(words, o.protocol))
}

// wire stands between an MTA and pmilterd and keeps what each says.
type wire struct {
	behind
	// offer, if not nil, changes what the MTA offers.
	offer func(options) options

	dir   string
	l     net.Listener
	mu    sync.Mutex
	conns [][]packet
	wg    sync.WaitGroup
}

// startWire listens where the MTA expects its milter.
func startWire(t testing.TB, m behind) *wire {
	t.Helper()
	dir, err := os.MkdirTemp("", "pmw") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	_, path := dialAddr(m.socket())
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{behind: m, dir: dir, l: l}
	if _, postfix := m.(*mta); postfix { // its smtpd is not root, and Sendmail takes no such socket
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	w.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			w.wg.Go(func() { w.pass(conn) })
		}
	})
	t.Cleanup(w.close)
	return w
}

// close frees the MTA's socket and waits for the connections' end.
func (w *wire) close() {
	w.l.Close()
	w.wg.Wait()
}

// own is where pmilterd listens.
func (w *wire) own() string { return filepath.Join(w.dir, "own.sock") }

func (w *wire) serve(t testing.TB, scripts, settings map[string]string) *server {
	t.Helper()
	return startServer(t, serverConfig{listen: []string{"unix:" + w.own()}, scripts: scripts, settings: settings})
}

// pass carries one connection.
func (w *wire) pass(mta net.Conn) {
	defer mta.Close()
	own, err := net.Dial("unix", w.own())
	if err != nil {
		return // the MTA finds no milter
	}
	defer own.Close()
	w.mu.Lock()
	n := len(w.conns)
	w.conns = append(w.conns, nil)
	w.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		w.carry(n, own, mta, false)
		mta.Close()
	})
	w.carry(n, mta, own, true)
	own.Close()
	back.Wait()
}

// carry takes packets from one side to the other until one of them is gone.
func (w *wire) carry(n int, from, to net.Conn, mta bool) {
	for {
		p, err := readPacket(from)
		if err != nil {
			return
		}
		p.mta = mta
		if mta && p.code == 'O' && w.offer != nil {
			p.payload = w.offer(p.options()).payload()
		}
		w.mu.Lock()
		w.conns[n] = append(w.conns[n], p)
		w.mu.Unlock()
		if writePacket(to, p.code, p.payload) != nil {
			return
		}
	}
}

func readPacket(r io.Reader) (packet, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return packet{}, err
	}
	data := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(r, data); err != nil || len(data) == 0 {
		return packet{}, io.ErrUnexpectedEOF
	}
	return packet{code: data[0], payload: string(data[1:])}, nil
}

func writePacket(w io.Writer, code byte, payload string) error {
	data := binary.BigEndian.AppendUint32(nil, uint32(len(payload)+1))
	_, err := w.Write(append(append(data, code), payload...))
	return err
}

// last is what passed on the latest connection that got so far as to negotiate.
func (w *wire) last(t testing.TB) []packet {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, packets := range slices.Backward(w.conns) {
		if len(packets) > 1 {
			return slices.Clone(packets)
		}
	}
	t.Fatal("the MTA has not spoken to its milter")
	return nil
}

// awaitQuit returns when the MTA has said Q on the latest connection.
func (w *wire) awaitQuit(t testing.TB) []packet {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		packets := w.last(t)
		if packets[len(packets)-1].code == 'Q' {
			return packets
		}
		if time.Now().After(deadline) {
			t.Fatalf("no Q from the MTA: %s", letters(packets, true))
		}
	}
}

// letters are the commands of the MTA, or the words of pmilterd, in their order.
func letters(packets []packet, mta bool) string {
	var b strings.Builder
	for _, p := range packets {
		if p.mta == mta && p.code != 'D' {
			b.WriteByte(p.code)
		}
	}
	return b.String()
}

// checkWire fails the test unless nothing was asked for that was not offered,
// each command got one final reply or, where that was agreed, none, and edits and
// PROGRESS came at the end of a message alone.
func checkWire(t *testing.T, packets []packet) {
	t.Helper()
	if len(packets) < 2 || packets[0].code != 'O' || packets[1].code != 'O' {
		t.Fatalf("the connection begins %+v", packets[:min(2, len(packets))])
	}
	offer, answer := packets[0].options(), packets[1].options()
	if answer.version != min(offer.version, 6) || answer.actions&^offer.actions != 0 || answer.protocol&^offer.protocol != 0 {
		t.Errorf("offered %x, answered %x", offer, answer)
	}
	silent := "DAQK"
	for code, flag := range map[string]uint32{
		"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000, "N": 0x40000, "B": 0x80000, "L": 0x80,
	} {
		if answer.protocol&flag != 0 {
			silent += code
		}
	}
	var due byte // the command that waits for its reply
	for i, p := range packets[2:] {
		switch {
		case p.mta && due != 0:
			t.Errorf("packet %d: %c without a reply to %c", i, p.code, due)
			due = 0
		case p.mta && !strings.Contains(silent, string(p.code)):
			due = p.code
		case !p.mta && due == 0:
			t.Errorf("packet %d: %c that nobody waits for", i, p.code)
		case !p.mta && strings.ContainsRune("acrtdys", rune(p.code)):
			due = 0
		case !p.mta && due != 'E':
			t.Errorf("packet %d: %c as an answer to %c", i, p.code, due)
		}
	}
}
