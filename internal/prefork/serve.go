package prefork

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// socketFD is where a worker finds its socket to the pool.
const socketFD = 3

// ErrNoPool says that no pool has started this process.
var ErrNoPool = errors.New("prefork: this command is started by the server itself, not by hand")

// Begin sets a worker up: with what the pool's Setup says, and a function that tells
// the pool something out of turn (Hooks.Note), which may be called at any time from any
// goroutine. It returns what does a job. An error goes to the pool, in its words.
type Begin func(ctx context.Context, setup []byte, notify func([]byte) error) (Do, error)

// Do does a job and gives the answer. With leave the worker ends after it: its state
// is not to be trusted with another.
type Do func(ctx context.Context, job []byte) (answer []byte, leave bool)

// Serve is the life of a worker process: it sets up, does jobs, and returns when the
// pool asks it to end or ctx is done, after the job at hand. When the pool's process is
// gone it does not return: it kills its whole process group, itself included.
func Serve(ctx context.Context, begin Begin) error {
	conn, err := poolSocket()
	if err != nil {
		return err
	}
	// Not closed: its end tells the pool that the process has ended, so it must not come sooner.
	return serve(ctx, conn, begin, func() { _ = syscall.Kill(0, syscall.SIGKILL) })
}

func poolSocket() (net.Conn, error) {
	file := os.NewFile(socketFD, "pool")
	conn, err := net.FileConn(file) // a duplicate that programs do not inherit
	if err != nil {
		return nil, ErrNoPool
	}
	file.Close()
	return conn, nil
}

// serve is Serve on any connection. orphaned is called when that ends.
func serve(ctx context.Context, conn net.Conn, begin Begin, orphaned func()) error {
	s := newServer(conn, orphaned)
	jobs, end := make(chan []byte), make(chan struct{})
	setup := make(chan []byte, 1)
	go func() {
		defer orphaned()
		s.read(setup, jobs, end)
	}()
	var do Do
	var err error
	select {
	case data := <-setup:
		do, err = begin(ctx, data, func(note []byte) error { return s.write(frameNote, note) })
	case <-ctx.Done():
		return nil
	case <-end:
		return nil
	}
	if err != nil {
		return s.write(frameFault, []byte(err.Error())) // there it is told
	}
	if err := s.write(frameReady, nil); err != nil {
		return err
	}
	return s.work(ctx, do, jobs, end)
}

// work does jobs until the pool says that it is the end. When ctx is done it asks the
// pool for that: a job may be under way to it.
func (s *server) work(ctx context.Context, do Do, jobs <-chan []byte, end <-chan struct{}) error {
	quit := ctx.Done()
	ask := func() error {
		quit = nil
		return s.write(frameQuit, []byte(askedBySignal))
	}
	for {
		select {
		case <-quit:
			if err := ask(); err != nil {
				return err
			}
		case <-end:
			return nil
		case job := <-jobs:
			answer, leave := do(context.WithoutCancel(ctx), job)
			if quit != nil && ctx.Err() != nil {
				if err := ask(); err != nil { // before the answer, which brings the next job
					return err
				}
			}
			kind := frameDone
			if leave {
				kind = frameLeave
			}
			if err := s.write(kind, answer); err != nil || leave {
				return err
			}
		}
	}
}

// askedBySignal is why a worker asks to end whose context is done.
const askedBySignal = "signal"

// server is a worker's end of the socket.
type server struct {
	conn     net.Conn
	orphaned func()
	mu       sync.Mutex // one writes at a time

	tells sync.Mutex
	told  [][]byte      // and not heard yet
	news  chan struct{} // has an element when there may be any
}

func newServer(conn net.Conn, orphaned func()) *server {
	return &server{conn: conn, orphaned: orphaned, news: make(chan struct{}, 1)}
}

func (s *server) write(k kind, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := writeFrame(s.conn, k, data)
	if err != nil && !errors.Is(err, errLong) {
		s.orphaned() // here it may be seen before the reader sees it: do not end without our programs
	}
	return err
}

// read hands on what the pool says until there is nothing more to come.
func (s *server) read(setup, jobs chan<- []byte, end chan struct{}) {
	r := bufio.NewReader(s.conn)
	for {
		k, data, err := readFrame(r)
		if err != nil {
			return
		}
		switch k {
		case frameSetup:
			setup <- data
		case frameJob:
			jobs <- data
		case frameEnd:
			close(end)
		case frameTell: // the reader must see the socket's end, whatever the worker is at
			s.tells.Lock()
			s.told = append(s.told, data)
			s.tells.Unlock()
			select {
			case s.news <- struct{}{}:
			default:
			}
		default: // no pool says it
		}
	}
}
