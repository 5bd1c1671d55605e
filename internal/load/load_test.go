package load

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/emersion/go-milter"
	"go.uber.org/goleak"

	"pmilter/internal/milter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is a milter that counts what it is asked.
type counter struct {
	wire.NoOpMilter
	mails, headers, bodies atomic.Int64
	protocol               wire.OptProtocol
	answer                 wire.Response                 // to MAIL; nil is continue
	end                    func() (wire.Response, error) // of the message; nil is accept
}

func (c *counter) MailFrom(string, *wire.Modifier) (wire.Response, error) {
	c.mails.Add(1)
	if c.answer != nil {
		return c.answer, nil
	}
	return wire.RespContinue, nil
}

func (c *counter) Header(string, string, *wire.Modifier) (wire.Response, error) {
	c.headers.Add(1)
	return wire.RespContinue, nil
}

func (c *counter) BodyChunk([]byte, *wire.Modifier) (wire.Response, error) {
	c.bodies.Add(1)
	return wire.RespContinue, nil
}

func (c *counter) Body(m *wire.Modifier) (wire.Response, error) {
	if c.end != nil {
		return c.end()
	}
	if err := m.AddHeader("X-Seen", "1"); err != nil {
		return nil, err
	}
	return wire.RespAccept, nil
}

// serve is the path of a socket at which the milter answers until the test ends.
func (c *counter) serve(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	server := &wire.Server{NewMilter: func() wire.Milter { return c }, Protocol: c.protocol, Actions: wire.OptAddHeader}
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with the listener
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return path
}

// Every message is sent whole, whatever the milter negotiates away, and counted once.
func TestCounts(t *testing.T) {
	for _, c := range []struct {
		name            string
		protocol        wire.OptProtocol
		mail            Mail
		headers, bodies int64 // a mail
	}{
		{"all", 0, Mail{Headers: 12, Size: 8192}, 12, 1},
		{"in small writes", 0, Mail{Headers: 3, Size: 70000, Write: 4096}, 3, 2},
		{"no body", wire.OptNoBody | wire.OptNoHelo, Mail{Headers: 12, Size: 10}, 12, 0},
		{"nothing", wire.OptNoConnect | wire.OptNoHelo | wire.OptNoHeaders | wire.OptNoEOH | wire.OptNoBody, Mail{Headers: 12, Size: 10}, 0, 0},
		{"the envelope", 0, Mail{Headers: 12, Size: 10, Phases: []string{"mail", "rcpt"}}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &counter{protocol: c.protocol}
			r, err := Run(t.Context(), Plan{
				Network: "unix", Address: m.serve(t), Mail: c.mail,
				Connections: 2, Messages: 3, Duration: 150 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			mails := m.mails.Load()
			if r.Messages == 0 || int64(r.Messages) != mails || r.Failed() > 0 || r.Protocol != c.protocol {
				t.Errorf("%+v, but %d mails came", r, mails)
			}
			if int(r.Latency.Count()) != r.Messages || r.Latency.Max() <= 0 || r.Rate() <= 0 {
				t.Errorf("%d latencies, at most %v; %v a second", r.Latency.Count(), r.Latency.Max(), r.Rate())
			}
			want := "accept"
			if c.mail.Phases != nil {
				want = "continue"
			}
			if r.Answers[want] != r.Messages {
				t.Error(r.Answers)
			}
			if h, b := m.headers.Load(), m.bodies.Load(); h != mails*c.headers || b != mails*c.bodies {
				t.Errorf("%d mails with %d headers and %d body chunks", mails, h, b)
			}
		})
	}
}

// A refusal is an answer, no error; each message counts by its own.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		answer wire.Response
		want   string
	}{{wire.RespReject, "reject"}, {wire.RespTempFail, "tempfail"}, {wire.RespDiscard, "discard"}, {wire.NewResponseStr(byte(wire.ActReplyCode), "550 5.7.1 no"), "reply"}} {
		m := &counter{answer: c.answer}
		r, err := Run(t.Context(), Plan{Network: "unix", Address: m.serve(t), Connections: 2, Messages: 2, Duration: 30 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if r.Messages == 0 || r.Answers[c.want] != r.Messages || r.Failed() > 0 || m.headers.Load() > 0 {
			t.Errorf("%s: %+v", c.want, r)
		}
	}
}

// A milter that breaks off is counted by its cause, and tried again.
func TestBroken(t *testing.T) {
	m := &counter{end: func() (wire.Response, error) { return nil, errors.New("no more") }}
	r, err := Run(t.Context(), Plan{Network: "unix", Address: m.serve(t), Duration: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Messages > 0 || r.Failed() < 2 || r.Errors["the milter closed the connection"] != r.Failed() {
		t.Errorf("%+v", r)
	}
}

func TestNoMilter(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, address := range [][2]string{{"unix", filepath.Join(t.TempDir(), "none")}, {"tcp", silent.Addr().String()}} {
		_, err := Run(t.Context(), Plan{Network: address[0], Address: address[1], Patience: 50 * time.Millisecond})
		if !errors.Is(err, ErrNoMilter) {
			t.Errorf("%v: %v", address, err)
		}
	}
	if _, err := Hold(t.Context(), "unix", filepath.Join(t.TempDir(), "none"), 1); err == nil {
		t.Error("held a connection to nothing")
	}
}

// A milter that no longer answers does not hold the run.
func TestPatience(t *testing.T) {
	release := make(chan struct{})
	m := &counter{end: func() (wire.Response, error) { <-release; return wire.RespAccept, nil }}
	path := m.serve(t)
	defer close(release)
	for _, duration := range []time.Duration{10 * time.Millisecond, 0} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		r, err := Run(ctx, Plan{Network: "unix", Address: path, Duration: duration, Patience: 60 * time.Millisecond})
		cancel()
		if err != nil || r.Errors["no answer in time"] == 0 || r.Messages > 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// What is under way when ctx ends is not awaited.
func TestInterrupted(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	m := &counter{end: func() (wire.Response, error) {
		if n++; n == 3 {
			cancel()
			<-release
		}
		return wire.RespAccept, nil
	}}
	path := m.serve(t)
	defer close(release)
	r, err := Run(ctx, Plan{Network: "unix", Address: path, Patience: time.Minute})
	if err != nil || r.Messages != 2 || r.Failed() > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// At a rate no more is sent than that, however fast the answers are.
func TestRate(t *testing.T) {
	m := &counter{}
	r, err := Run(t.Context(), Plan{Network: "unix", Address: m.serve(t), Connections: 3, Rate: 100, Duration: 200 * time.Millisecond})
	if err != nil || r.Messages == 0 || r.Messages > 20 || r.Rate() > 100 {
		t.Errorf("%+v, %v", r, err)
	}
}

// No more are sent than were asked for.
func TestTotal(t *testing.T) {
	m := &counter{}
	r, err := Run(t.Context(), Plan{Network: "unix", Address: m.serve(t), Connections: 3, Messages: 2, Total: 7})
	if err != nil || r.Messages != 7 || m.mails.Load() != 7 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestHold(t *testing.T) {
	m := &counter{}
	release, err := Hold(t.Context(), "unix", m.serve(t), 5)
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestAsk(t *testing.T) {
	for answer, want := range map[wire.Response]bool{nil: false, wire.RespReject: true, wire.RespTempFail: true} {
		m := &counter{answer: answer}
		if refused, err := Ask(t.Context(), "unix", m.serve(t)); err != nil || refused != want {
			t.Errorf("%v, %v", refused, err)
		}
	}
	m := &counter{end: func() (wire.Response, error) { return nil, errors.New("no more") }}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, "unix", m.serve(t)); err == nil {
		t.Error("an answer of a broken milter")
	}
}

// Commands without a reply travel with the next one that has one, once each.
func TestNoReply(t *testing.T) {
	const noReply = wire.OptNoConnReply | wire.OptNoHeloReply | wire.OptNoHeaderReply | wire.OptNoEOHReply | wire.OptNoBodyReply
	d := newDialogue(Mail{Headers: 3, Size: 70000}, noReply)
	for _, c := range []struct {
		name      string
		exchanges []exchange
		want      []string // the commands of each, macros as D
	}{
		{"greeting", d.greeting, nil},
		{"first", d.first, []string{"DCDHDM", "DR", "DT", "DLDLDLDNDBDBDE"}},
		{"next", d.next, []string{"ADM", "DR", "DT", "DLDLDLDNDBDBDE"}},
	} {
		var got []string
		for _, e := range c.exchanges {
			codes := ""
			frames := milter.NewFrameReader(bytes.NewReader(e.bytes), 0)
			for {
				code, _, err := frames.Next()
				if err != nil {
					break
				}
				codes += string(code)
			}
			got = append(got, codes)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// After SKIP no chunk follows; an answer that is none breaks the connection.
func TestSkip(t *testing.T) {
	var replies []byte
	for _, code := range "cccsca" {
		replies = milter.AppendFrame(replies, byte(code))
	}
	d := newDialogue(Mail{Size: 3 * maxChunk, Phases: []string{"mail", "rcpt", "data", "body", "eom"}}, 0)
	out := &strings.Builder{}
	c := &conn{Conn: pipe{out: out}, frames: milter.NewFrameReader(bytes.NewReader(replies), 0)}
	if action, err := c.run(d.first); err != nil || action != wire.ActContinue {
		t.Errorf("%c, %v", action, err)
	}
	if n := strings.Count(out.String(), "\x00\x01\x00\x00B"); n != 1 {
		t.Errorf("%d chunks after SKIP", n)
	}
	c.frames = milter.NewFrameReader(bytes.NewReader(milter.AppendFrame(nil, 'Z')), 0)
	if _, err := c.run(d.first); err == nil {
		t.Error("Z is an answer")
	}
}

// pipe is a connection that is only written to.
type pipe struct {
	net.Conn
	out *strings.Builder
}

func (p pipe) Write(b []byte) (int, error) { return p.out.Write(b) }

func TestHistogram(t *testing.T) {
	var a, b Histogram
	for i := range 1000 {
		h := &a
		if i%2 == 1 {
			h = &b
		}
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	a.Add(&b)
	a.Record(-1)
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0, 0}, {0.5, 500 * time.Microsecond}, {0.99, 990 * time.Microsecond}, {1, 1000 * time.Microsecond}} {
		if got := a.Quantile(c.q); got < c.want || got > c.want+c.want/40 {
			t.Errorf("%v: %v, want %v", c.q, got, c.want)
		}
	}
	if a.Max() != time.Millisecond || a.Count() != 1001 || new(Histogram).Quantile(0.5) != 0 {
		t.Error(a.Max(), a.Count())
	}
	for d := time.Duration(1); d > 0; d = d*3 + 1 {
		if up := upper(class(d)); up < d || up > d+d/64 {
			t.Fatalf("%d is counted as %d", d, up)
		}
	}
	a.Record(1<<63 - 1)
}

// A message costs no allocation: the load must not be what is measured.
func TestNoAllocations(t *testing.T) {
	d := newDialogue(Mail{Headers: 12, Size: 8192}, 0)
	var replies []byte
	for range 18 {
		replies = milter.AppendFrame(replies, 'c')
	}
	in := bytes.NewReader(replies)
	c := &conn{Conn: sink{}, frames: milter.NewFrameReader(in, 0)}
	var h Histogram
	if n := testing.AllocsPerRun(100, func() {
		in.Reset(replies)
		if _, err := c.run(d.next); err != nil {
			t.Fatal(err)
		}
		h.Record(time.Millisecond)
	}); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}

type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error) { return len(b), nil }
