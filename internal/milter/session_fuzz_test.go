package milter

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	wire "github.com/emersion/go-milter"
)

// scripted is a connection on which everything was sent already.
type scripted struct {
	in   *bytes.Reader
	out  bytes.Buffer
	shut bool
}

func (c *scripted) Read(p []byte) (int, error) {
	if c.shut {
		return 0, net.ErrClosed
	}
	return c.in.Read(p)
}

func (c *scripted) Write(p []byte) (int, error) {
	if c.shut {
		return 0, net.ErrClosed
	}
	return c.out.Write(p)
}
func (c *scripted) Close() error                     { c.shut = true; return nil }
func (*scripted) LocalAddr() net.Addr                { return &net.UnixAddr{} }
func (*scripted) RemoteAddr() net.Addr               { return &net.UnixAddr{} }
func (*scripted) SetDeadline(time.Time) error        { return nil }
func (*scripted) SetReadDeadline(time.Time) error    { return nil }
func (*scripted) SetWriteDeadline(_ time.Time) error { return nil }

// everyReply is what the fuzzed session answers in turn, nonsense included.
func everyReply(n int) Reply {
	all := [...]Reply{
		{},
		{Action: wire.ActContinue},
		{Action: wire.ActAccept},
		{Action: wire.ActSkip},
		{Action: wire.ActReject},
		{Action: wire.ActReplyCode, Code: 550, Enhanced: "5.7.1", Text: "100%\nno"},
		{Action: wire.ActReplyCode, Code: 250, Text: "no"},
		{Action: wire.ActDiscard},
		{Action: ActProgress},
		{Action: wire.ActTempFail},
		{Action: 'X'},
	}
	return all[n%len(all)]
}

// commandOf is the command that a recorded call is about.
func commandOf(call string) byte {
	name, _, _ := strings.Cut(call, " ")
	return map[string]byte{
		"connect": 'C', "helo": 'H', "mail": 'M', "rcpt": 'R', "data": 'T', "header": 'L',
		"eoh": 'N', "body": 'B', "eom": 'E', "unknown": 'U', "abort": 'A', "reset": 'K', "close": 0,
	}[name]
}

// FuzzSession is whole conversations. Whatever the MTA sends, each command that
// is answered is answered once, with what may answer it, and the session is
// closed once and last.
func FuzzSession(f *testing.F) {
	offer := AppendOptions(nil, everything)
	mail := bytes.Join([][]byte{
		offer,
		AppendFrame(nil, 'D', []byte("Cj\x00mx\x00")), AppendFrame(nil, 'C', []byte("h\x004\x00\x19192.0.2.1\x00")),
		AppendFrame(nil, 'D', []byte("H")), AppendFrame(nil, 'H', []byte("h\x00")),
		AppendFrame(nil, 'U', []byte("X\x00")),
		AppendFrame(nil, 'M', []byte("<a>\x00SIZE=1\x00")), AppendFrame(nil, 'R', []byte("<b>\x00")), AppendFrame(nil, 'T'),
		AppendFrame(nil, 'L', []byte("a\x00b\x00")), AppendFrame(nil, 'N'), AppendFrame(nil, 'B', []byte("x")), AppendFrame(nil, 'E', []byte("y")),
		AppendFrame(nil, 'A'), AppendFrame(nil, 'K'), AppendFrame(nil, 'C', []byte("h\x00U")), AppendFrame(nil, 'Q'),
	}, nil)
	f.Add(mail, uint32(0), 0)
	f.Add(mail, uint32(AllProtocol), 3)
	f.Add(mail, uint32(wire.OptSkip|wire.OptNoHeaderReply), 5)
	f.Add(append(offer, "\x00\x00\x00\x00"...), uint32(0), 0)
	f.Add([]byte("\xff\xff\xff\xffO"), uint32(0), 0)
	f.Fuzz(func(t *testing.T, stream []byte, protocol uint32, turn int) {
		s := &recorder{negotiate: func(Options) Options {
			return Options{Version: 99, Actions: 0xffffffff, Protocol: wire.OptProtocol(protocol)}
		}}
		var given []Reply // for each call
		s.on = func(string) Reply {
			given = append(given, everyReply(max(turn, 0)%1000+len(given)))
			return given[len(given)-1]
		}
		s.eom = func(out *Modifications) Reply {
			_ = out.AddHeader("X", string(stream[:min(len(stream), 50)]))
			_ = out.ReplaceBody(stream)
			return given[len(given)-1]
		}
		srv := NewServer(Config{NewSession: func(c *Conn) Session { s.conn = c; return s }})
		nc := &scripted{in: bytes.NewReader(stream)}
		srv.ServeConn(nc, "fuzz")
		if srv.Connections() != 0 || !nc.shut {
			t.Fatal("the connection did not end")
		}
		calls := s.take()
		if s.conn == nil {
			if nc.out.Len() > 0 || len(calls) > 0 {
				t.Fatalf("without a negotiation: %q, calls %q", nc.out.Bytes(), calls)
			}
			return
		}
		if len(calls) == 0 || calls[len(calls)-1] != "close" {
			t.Fatalf("calls %q", calls)
		}
		checkReplies(t, stream, nc.out.Bytes(), calls[:len(calls)-1], given, s.conn.Negotiated().Protocol)
	})
}

// checkReplies walks through the commands, the calls they made and what was sent.
func checkReplies(t *testing.T, stream, sent []byte, calls []string, given []Reply, protocol wire.OptProtocol) {
	t.Helper()
	commands, _ := readAll(NewFrameReader(bytes.NewReader(stream), 0))
	frames, err := readAll(NewFrameReader(bytes.NewReader(sent), 0))
	if !errors.Is(err, io.EOF) || len(frames) == 0 || frames[0].code != 'O' {
		t.Fatalf("sent %q, %v", sent, err)
	}
	frames = frames[1:]
	for _, command := range commands[1:] {
		if command.code == 'D' {
			continue
		}
		if len(calls) == 0 {
			break // the connection ended here
		}
		code := command.code
		edits := code == 'E'
		if code == 'E' && len(command.payload) > 0 && protocol&wire.OptNoBody == 0 {
			code = 'B'
			edits = goesOn(given[0].Action) || !ReplyDue(code, protocol)
		}
		if commandOf(calls[0]) != code {
			t.Fatalf("%c called %s", command.code, calls[0])
		}
		if calls, given = calls[1:], given[1:]; command.code == 'E' && code == 'B' && edits {
			if calls[0] != "eom" {
				t.Fatalf("after its chunk E called %s", calls[0])
			}
			calls, given = calls[1:], given[1:]
		}
		for edits && len(frames) > 0 && strings.ContainsRune("hb", rune(frames[0].code)) {
			frames = frames[1:]
		}
		if ReplyDue(command.code, protocol) {
			frames = checkReply(t, command.code, frames, protocol)
		}
	}
	if len(frames) > 0 || len(calls) > 0 {
		t.Fatalf("without a cause: sent %q, called %q", frames, calls)
	}
}

func checkReply(t *testing.T, command byte, frames []frame, protocol wire.OptProtocol) []frame {
	t.Helper()
	if len(frames) == 0 {
		t.Fatalf("%c is not answered", command)
	}
	got := frames[0]
	if got.code == 'y' != (len(got.payload) > 0) || !strings.ContainsRune("catrdys", rune(got.code)) ||
		got.code == 's' && !skippable(command, protocol) {
		t.Fatalf("%c is answered with %c %q", command, got.code, got.payload)
	}
	return frames[1:]
}
