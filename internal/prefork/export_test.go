package prefork

import (
	"context"
	"net"
	"os"
	"syscall"
)

// Fake is a worker without a process, for tests that steer time.
type Fake struct {
	Conn net.Conn
	ID   int
	End  func() // kills it
	Done <-chan struct{}
	RSS  func() int64
}

func (f *Fake) PID() int                    { return f.ID }
func (f *Fake) Read(b []byte) (int, error)  { return f.Conn.Read(b) }
func (f *Fake) Write(b []byte) (int, error) { return f.Conn.Write(b) }
func (f *Fake) Signal(syscall.Signal)       {}
func (f *Fake) Kill()                       { f.End() }
func (f *Fake) Memory() int64               { return f.RSS() }
func (f *Fake) Reap() (string, string)      { f.End(); <-f.Done; return "exit status 0", "" }

// FakeStarter makes fakes.
type FakeStarter func(o *Options) (*Fake, error)

func (s FakeStarter) start(o *Options, _ []*os.File) (process, error) {
	f, err := s(o)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (FakeStarter) close() {}

// WithStarter is o with another starter.
func WithStarter(o Options, s FakeStarter) Options {
	o.start = s
	return o
}

// ServeOn is Serve on a connection.
func ServeOn(ctx context.Context, conn net.Conn, begin Begin) error {
	return serve(ctx, conn, begin, func() {})
}

// ReadFrame and WriteFrame are the frames, for the fuzzer.
var (
	ReadFrame  = readFrame
	WriteFrame = writeFrame
)

// StayOn is Stay on a connection.
func StayOn(ctx context.Context, conn net.Conn, settle Settle) error {
	return stay(ctx, conn, settle, func() {})
}
