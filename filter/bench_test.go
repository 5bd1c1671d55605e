package filter_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"pmilter/filter"
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

// still is a handler that does nothing.
type still struct{}

func (still) Call(*filter.Call) (filter.Verdict, error) { return filter.Verdict{}, nil }
func (still) Close()                                    {}

// stills is a cast of such: nothing is noted.
type stills struct{ list []filter.Script }

func (stills) Version() string         { return "1" }
func (s stills) List() []filter.Script { return s.list }
func (stills) Open(*filter.Session, *filter.Call) (filter.Handler, error) {
	return still{}, nil
}

// BenchmarkMessage is a message through engine and filter, from packets that are
// there to replies that go nowhere: 12 fields, 8 KiB, without JavaScript and
// without system calls.
func BenchmarkMessage(b *testing.B) {
	all := filter.Script{Name: "all.js", Headers: true, Body: true}
	for p := range filter.Phase(filter.NumPhases) {
		all.Phases = all.Phases.With(p)
	}
	envelope := filter.Script{Name: "envelope.js"}
	envelope.Phases = envelope.Phases.With(filter.Mail).With(filter.Rcpt)
	for _, s := range []filter.Script{all, envelope} {
		b.Run(strings.TrimSuffix(s.Name, ".js"), func(b *testing.B) {
			f := filter.New(filter.Options{
				Scripts: func() filter.Scripts { return stills{[]filter.Script{s}} }, Timeout: time.Minute, EOMTimeout: time.Minute,
				OnError: filter.Tempfail, MaxMessage: 1 << 20, Oversize: filter.Reject, Log: zap.NewNop(), Report: func(*filter.Outcome) {},
			})
			srv := milter.NewServer(milter.Config{NewSession: func(c *milter.Conn) milter.Session { return f.NewSession(c) }})
			offer := milter.Options{Version: milter.MaxVersion, Actions: milter.AllActions, Protocol: milter.AllProtocol}
			message := [][]byte{
				milter.AppendFrame(nil, 'M', []byte("<a@example.org>\x00SIZE=10000\x00")), milter.AppendFrame(nil, 'R', []byte("<b@example.org>\x00")),
			}
			if s.Headers {
				message = append(message, milter.AppendFrame(nil, 'T'))
				for range 12 {
					message = append(message, milter.AppendFrame(nil, 'L', []byte("X-Header\x00 value of a field that nobody reads\x00")))
				}
				message = append(message, milter.AppendFrame(nil, 'N'), milter.AppendFrame(nil, 'B', bytes.Repeat([]byte("0123456789abcd\r\n"), 512)))
			}
			message = append(message, milter.AppendFrame(nil, 'E'))
			b.ReportAllocs()
			b.ResetTimer()
			srv.ServeConn(&tape{head: milter.AppendOptions(nil, offer), message: bytes.Join(message, nil), left: b.N}, "bench")
		})
	}
}
