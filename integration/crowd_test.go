package integration

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	milterclient "pmilter/internal/mta"
)

// The figure of an idle connection that ran connect and helo, and what a busy machine may add.
const (
	idleMemory = 80 << 10
	idleMargin = 2
)

// Ten thousand connections idle, a hundred of them in the middle of a packet, and
// floods of others come and go: honest mail flows, and memory is what is stated.
func TestCrowd(t *testing.T) {
	const crowd = 10000
	raiseFileLimit(t, crowd+1000)
	addr := "unix:" + filepath.Join(shortDir(t), "m.sock")
	s := startServer(t, serverConfig{
		binary: os.Getenv(plainBinaryEnv), listen: []string{addr},
		scripts:  one(stamp + "\nexport function connect(session) {}\nexport function helo(session) {}"),
		settings: map[string]string{"milter.max_connections": "12000", "milter.drain_timeout": `"1s"`},
	})
	honest := startHonest(t, addr, 2, 5*time.Millisecond)
	honest.await(t, 20)
	before := anonymous(s.cmd.Process.Pid)

	idle := make([]*milterclient.Session, crowd)
	each(crowd, func(i int) {
		var err error
		if idle[i], err = dialAs(t.Context(), addr, "idle.example.org"); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	})
	t.Cleanup(func() {
		for _, session := range idle {
			if session != nil {
				session.Close(context.Background())
			}
		}
	})
	honest.await(t, 50)
	per := (anonymous(s.cmd.Process.Pid) - before) / crowd
	t.Logf("%d idle connections: %d KiB each; idle server %d MiB; honest: worst %v", crowd, per>>10, before>>20, honest.worst())
	if per > idleMemory*idleMargin {
		t.Errorf("an idle connection takes %d KiB", per>>10)
	}
	flood(t, addr)
	honest.await(t, 50)
	honest.end(t)
	if n := honest.putOff.Load(); n > 0 {
		t.Errorf("honest messages were put off %d times", n)
	}
	if worst := honest.worst(); worst > 5*time.Second*busy {
		t.Errorf("an honest message took %v", worst)
	}
}

// flood connects many times and hangs up, or says half of an offer first.
func flood(t *testing.T, addr string) {
	t.Helper()
	network, address := dialAddr(addr)
	each(3000, func(i int) {
		conn, err := net.DialTimeout(network, address, patience)
		if err != nil {
			t.Errorf("flood: %v", err)
			return
		}
		if i%2 == 0 {
			_, _ = conn.Write([]byte("\x00\x00\x00\x0dO\x00\x00")) // half
		}
		conn.Close()
	})
}

// each calls do for 0 to n-1 from a few goroutines.
func each(n int, do func(i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}

// raiseFileLimit lets this process, and those that it starts, open n files.
func raiseFileLimit(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= n {
		return
	}
	limit.Cur, limit.Max = n, max(limit.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("this test needs %d files: %v", n, err)
	}
}
