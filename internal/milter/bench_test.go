package milter

import (
	"io"
	"net"
	"strings"
	"testing"

	wire "github.com/emersion/go-milter"
)

// null is a session that lets everything pass.
type null struct{ protocol wire.OptProtocol }

func (n null) Negotiate(Options) Options                            { return Options{Actions: AllActions, Protocol: n.protocol} }
func (null) Connect(string, wire.ProtoFamily, uint16, string) Reply { return Reply{} }
func (null) Helo(string) Reply                                      { return Reply{} }
func (null) Mail(string, []string) Reply                            { return Reply{} }
func (null) Rcpt(string, []string) Reply                            { return Reply{} }
func (null) Data() Reply                                            { return Reply{} }
func (null) Header(_, _ []byte) Reply                               { return Reply{} }
func (null) EOH() Reply                                             { return Reply{} }
func (null) Body([]byte) Reply                                      { return Reply{} }
func (null) EOM(*Modifications) Reply                               { return Reply{} }
func (null) Unknown(string) Reply                                   { return Reply{} }
func (null) Abort()                                                 {}
func (null) Reset()                                                 {}
func (null) Close()                                                 {}

// exchange is what the MTA writes at once, and how many replies it then awaits.
type exchange struct {
	out     []byte
	replies int
}

// postfixMessage is a message as Postfix sends it: macros before each command;
// what is not answered goes out with what follows it.
func postfixMessage(protocol wire.OptProtocol) (all []exchange) {
	var out []byte
	add := func(code wire.Code, payload string, macros ...string) {
		if len(macros) > 0 {
			out = AppendFrame(out, 'D', []byte{byte(code)}, []byte(strings.Join(macros, "\x00")+"\x00"))
		}
		out = AppendFrame(out, byte(code), []byte(payload))
		if ReplyDue(byte(code), protocol) {
			all, out = append(all, exchange{out, 1}), nil
		}
	}
	add(wire.CodeMail, "<sender@example.org>\x00SIZE=10000\x00", "{mail_addr}", "sender@example.org", "{mail_host}", "example.org", "{mail_mailer}", "smtp")
	add(wire.CodeRcpt, "<recipient@example.net>\x00", "i", "4XyZ12345Q", "{rcpt_addr}", "recipient@example.net", "{rcpt_host}", "example.net", "{rcpt_mailer}", "local")
	add(wire.CodeData, "", "i", "4XyZ12345Q")
	for i := range 12 {
		add(wire.CodeHeader, "X-Header-"+string(rune('A'+i))+"\x00"+strings.Repeat("some words ", 4)+"\x00", "i", "4XyZ12345Q")
	}
	add(wire.CodeEOH, "", "i", "4XyZ12345Q")
	add(wire.CodeBody, strings.Repeat("0123456789abcd\r\n", 512), "i", "4XyZ12345Q")
	add(wire.CodeEOB, "", "i", "4XyZ12345Q")
	out = AppendFrame(out, byte(wire.CodeAbort))
	return append(all, exchange{out, 0})
}

func BenchmarkMessage(b *testing.B) {
	for _, bm := range []struct {
		name     string
		protocol wire.OptProtocol
	}{
		{"Answered", 0},
		{"ContentUnanswered", wire.OptNoHeaderReply | wire.OptNoEOHReply | wire.OptNoBodyReply},
	} {
		b.Run(bm.name, func(b *testing.B) {
			srv := NewServer(Config{NewSession: func(*Conn) Session { return null{bm.protocol} }})
			here, there := socketPair(b)
			go srv.ServeConn(there, "bench")
			p := &peer{t: b, nc: here, frames: NewFrameReader(here, 0), served: closedChan()}
			p.offer(everything)
			p.ask(wire.CodeConn, "client.example.org\x004\x00\x19192.0.2.7\x00", wire.ActContinue)
			message, in := postfixMessage(bm.protocol), make([]byte, 5)
			b.ReportAllocs()
			for b.Loop() {
				playMessage(b, here, message, in)
			}
			p.quit()
			if err := srv.Shutdown(b.Context()); err != nil {
				b.Error(err)
			}
		})
	}
}

func playMessage(b *testing.B, nc net.Conn, message []exchange, in []byte) {
	b.Helper()
	for _, x := range message {
		if _, err := nc.Write(x.out); err != nil {
			b.Fatal(err)
		}
		if x.replies == 0 {
			continue
		}
		if _, err := io.ReadFull(nc, in); err != nil || in[4] != byte(wire.ActContinue) {
			b.Fatalf("%q, %v", in, err)
		}
	}
}

func BenchmarkFrameReader(b *testing.B) {
	frame := AppendFrame(nil, 'L', []byte("Subject\x00"+strings.Repeat("word ", 10)+"\x00"))
	text := strings.Repeat(string(frame), 1000)
	stream := strings.NewReader(text)
	r := NewFrameReader(stream, 0)
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if _, _, err := r.Next(); err != nil {
			stream.Reset(text)
		}
	}
}

func BenchmarkMacrosGet(b *testing.B) {
	m := new(Macros)
	for _, payload := range []string{
		"Cj\x00mx.example.org\x00{daemon_name}\x00mx.example.org\x00{daemon_addr}\x00192.0.2.1\x00v\x00Postfix 3.7\x00_\x00client [192.0.2.7]\x00",
		"M{mail_addr}\x00a@example.org\x00{mail_host}\x00\x00{mail_mailer}\x00\x00", "Ei\x004XyZ12345Q\x00",
	} {
		if err := m.set([]byte(payload)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.Get("{daemon_addr}"); !ok {
			b.Fatal("not there")
		}
	}
}

// BenchmarkParse is what a payload costs beyond its frame.
func BenchmarkParse(b *testing.B) {
	path := []byte("<sender@example.org>\x00SIZE=10000\x00BODY=8BITMIME\x00")
	header := []byte("Subject\x00A plain mail of the usual size\x00")
	connect := []byte("client.example.org\x004\x9c\x40192.0.2.7\x00")
	macros := []byte("Mi\x004XyZ12345Q\x00{mail_addr}\x00a@example.org\x00{mail_host}\x00example.org\x00{mail_mailer}\x00smtp\x00")
	for name, parse := range map[string]func() error{
		"path":    func() error { _, _, err := parsePath(path); return err },
		"header":  func() error { _, _, err := parseHeader(header); return err },
		"connect": func() error { _, err := parseConnect(connect); return err },
		"macros":  func() error { return new(Macros).set(macros) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
