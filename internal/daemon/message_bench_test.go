package daemon

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/zap"

	"pmilter/internal/config"
	"pmilter/internal/milter"
)

// tape is a connection that plays the same message again and again.
type tape struct {
	net.Conn
	head    []byte // first, once
	message []byte
	left    int // messages
	at      int
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.head) > 0 {
		n := copy(p, t.head)
		t.head = t.head[n:]
		return n, nil
	}
	if t.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, t.message[t.at:])
	if t.at += n; t.at == len(t.message) {
		t.at, t.left = 0, t.left-1
	}
	return n, nil
}

func (*tape) Write(p []byte) (int, error)      { return len(p), nil }
func (*tape) Close() error                     { return nil }
func (*tape) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (*tape) SetReadDeadline(time.Time) error  { return nil }
func (*tape) SetWriteDeadline(time.Time) error { return nil }

// mailFrames is a message of 12 fields and 8 KiB as Postfix sends it.
func mailFrames(eomAlone bool) []byte {
	text := func(list ...string) []byte { return []byte(strings.Join(list, "\x00") + "\x00") }
	frames := func(code byte, payload []byte) []byte {
		id := append([]byte{code}, text("i", "4fXyZ01234zABC")...)
		return milter.AppendFrame(milter.AppendFrame(nil, byte(wire.CodeMacro), id), code, payload)
	}
	if eomAlone {
		return frames('E', nil)
	}
	message := [][]byte{frames('M', text("<a@example.org>", "SIZE=10000")), frames('R', text("<b@example.org>")), frames('T', nil)}
	for _, f := range [][]byte{
		text("Received", " from client.example.org (client.example.org [192.0.2.7])\n\tby mx.example.org with ESMTP id 4fXyZ01234zABC"),
		text("From", " Alice <a@example.org>"), text("To", " Bob <b@example.org>"), text("Subject", " A plain mail of the usual size"),
	} {
		message = append(message, frames('L', f))
	}
	for range 8 {
		message = append(message, frames('L', text("X-Header-7", " value 7 of a field that nobody reads")))
	}
	message = append(message, frames('N', nil), frames('B', bytes.Repeat([]byte("0123456789abcd\r\n"), 512)), frames('E', nil))
	return bytes.Join(message, nil)
}

// BenchmarkMessage is a message through the whole server with the scripts of make
// bench, decision log and metrics included, from packets that are there to replies
// that go nowhere: without system calls, and in a world that there is.
func BenchmarkMessage(b *testing.B) {
	for _, name := range []string{"eom", "all", "realistic", "large"} {
		b.Run(name, func(b *testing.B) {
			scripts, err := filepath.Abs(filepath.Join("..", "..", "bench", "scripts"))
			if err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			for _, file := range []string{name + ".js", "access.cidr", "senders"} {
				text, err := os.ReadFile(filepath.Join(scripts, file))
				if err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			cfg := config.Default()
			cfg.File = filepath.Join(dir, "pmilter.toml")
			cfg.Scripts, cfg.Server.State = []string{filepath.Join(dir, name+".js")}, dir
			e, err := newEngine(b.Context(), cfg, zap.NewNop(), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer e.close()
			e.keepDecisions(cfg)
			offer := milter.Options{Version: milter.MaxVersion, Actions: milter.AllActions, Protocol: milter.AllProtocol}
			greeting := milter.AppendFrame(milter.AppendOptions(nil, offer), 'C', []byte("client.example.org\x004\x9c\x40192.0.2.7\x00"))
			greeting = milter.AppendFrame(greeting, 'H', []byte("client.example.org\x00"))
			b.ReportAllocs()
			b.ResetTimer()
			e.server.ServeConn(&tape{head: greeting, message: mailFrames(name == "eom"), left: b.N}, "bench")
		})
	}
}
