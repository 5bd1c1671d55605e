package milter

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Session that notes its calls and answers as it is told.
type recorder struct {
	conn      *Conn
	negotiate func(offer Options) Options
	on        func(call string) Reply // nil continues
	eom       func(out *Modifications) Reply
	quiet     bool

	mu    sync.Mutex
	calls []string
}

var _ Session = (*recorder)(nil)

func (r *recorder) note(format string, args ...any) Reply {
	call := fmt.Sprintf(format, args...)
	if !r.quiet {
		r.mu.Lock()
		r.calls = append(r.calls, call)
		r.mu.Unlock()
	}
	if r.on == nil {
		return Reply{Action: wire.ActContinue}
	}
	return r.on(call)
}

// take is the calls since the last take.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func (r *recorder) Negotiate(offer Options) Options {
	if r.negotiate != nil {
		return r.negotiate(offer)
	}
	return Options{Actions: AllActions}
}

func (r *recorder) Connect(host string, f wire.ProtoFamily, port uint16, addr string) Reply {
	return r.note("connect %q %c %d %q", host, f, port, addr)
}
func (r *recorder) Helo(name string) Reply { return r.note("helo %q", name) }
func (r *recorder) Mail(path string, params []string) Reply {
	return r.note("mail %q %q", path, params)
}

func (r *recorder) Rcpt(path string, params []string) Reply {
	return r.note("rcpt %q %q", path, params)
}
func (r *recorder) Data() Reply                     { return r.note("data") }
func (r *recorder) Header(name, value []byte) Reply { return r.note("header %q %q", name, value) }
func (r *recorder) EOH() Reply                      { return r.note("eoh") }
func (r *recorder) Body(chunk []byte) Reply         { return r.note("body %d", len(chunk)) }
func (r *recorder) Unknown(command string) Reply    { return r.note("unknown %q", command) }
func (r *recorder) Abort()                          { r.note("abort") }
func (r *recorder) Reset()                          { r.note("reset") }
func (r *recorder) Close()                          { r.note("close") }
func (r *recorder) EOM(out *Modifications) Reply {
	reply := r.note("eom")
	if r.eom != nil {
		return r.eom(out)
	}
	return reply
}

// peer is the MTA's end of a connection that is served.
type peer struct {
	t      testing.TB
	nc     net.Conn
	frames *FrameReader
	srv    *Server
	served chan struct{} // closed when ServeConn returned
	writes *writeCounter
	logs   *observer.ObservedLogs
}

// writeCounter counts the writes of the server's end.
type writeCounter struct {
	net.Conn
	mu sync.Mutex
	n  int
}

func (w *writeCounter) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.n++
	w.mu.Unlock()
	return w.Conn.Write(p)
}

func (w *writeCounter) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// dial serves one end of a pipe with that session and returns the other.
func dial(t testing.TB, s *recorder, configure ...func(*Config)) *peer {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	cfg := Config{Log: zap.New(core), NewSession: func(c *Conn) Session {
		s.conn = c
		return s
	}}
	for _, f := range configure {
		f(&cfg)
	}
	return dialServer(t, NewServer(cfg), logs)
}

func dialServer(t testing.TB, srv *Server, logs *observer.ObservedLogs) *peer {
	t.Helper()
	here, there := net.Pipe()
	p := &peer{
		t: t, nc: here, frames: NewFrameReader(here, 0), srv: srv,
		served: make(chan struct{}), writes: &writeCounter{Conn: there}, logs: logs,
	}
	go func() {
		defer close(p.served)
		srv.ServeConn(p.writes, "test")
	}()
	return p
}

// send sends one frame; the payload's parts are joined.
func (p *peer) send(code wire.Code, parts ...string) {
	p.t.Helper()
	if _, err := p.nc.Write(AppendFrame(nil, byte(code), []byte(strings.Join(parts, "")))); err != nil {
		p.t.Fatalf("send %c: %v", code, err)
	}
}

// write sends bytes as they are.
func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) recv() frame {
	p.t.Helper()
	code, payload, err := p.frames.Next()
	if err != nil {
		p.t.Fatalf("receive: %v", err)
	}
	return frame{code, string(payload)}
}

// expect wants that reply, or PROGRESS, next.
func (p *peer) expect(want wire.ActionCode) {
	p.t.Helper()
	if f := p.recv(); f.code != byte(want) {
		p.t.Fatalf("got %c %q, want %c", f.code, f.payload, want)
	}
}

// ask sends a command and wants that reply.
func (p *peer) ask(code wire.Code, payload string, want wire.ActionCode) {
	p.t.Helper()
	p.send(code, payload)
	if got := p.recv(); got.code != byte(want) {
		p.t.Fatalf("%c was answered with %c %q, want %c", code, got.code, got.payload, want)
	}
}

// offer negotiates and returns the answer.
func (p *peer) offer(o Options) Options {
	p.t.Helper()
	if _, err := p.nc.Write(AppendOptions(nil, o)); err != nil {
		p.t.Fatal(err)
	}
	f := p.recv()
	if f.code != byte(wire.CodeOptNeg) {
		p.t.Fatalf("the offer was answered with %c", f.code)
	}
	answer, err := ParseOptions([]byte(f.payload))
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

var everything = Options{Version: 6, Actions: AllActions, Protocol: AllProtocol}

// ended wants the server to close the connection without another byte.
func (p *peer) ended() {
	p.t.Helper()
	if code, payload, err := p.frames.Next(); !errors.Is(err, io.EOF) {
		p.t.Fatalf("want the end, got %c %q %v", code, payload, err)
	}
	p.wait()
}

// quit ends the connection as an MTA does.
func (p *peer) quit() {
	p.t.Helper()
	p.send(wire.CodeQuit)
	p.ended()
	_ = p.nc.Close()
}

func (p *peer) wait() {
	p.t.Helper()
	select {
	case <-p.served:
	case <-time.After(time.Minute):
		p.t.Fatal("the connection is still served")
	}
}

func wantCalls(t testing.TB, s *recorder, want ...string) {
	t.Helper()
	if got := s.take(); !slices.Equal(got, want) {
		t.Fatalf("calls\n got %s\nwant %s", strings.Join(got, "; "), strings.Join(want, "; "))
	}
}
