package milter_test

import (
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"pmilter/internal/milter"
)

// TestListenHasOneName: Sendmail refuses a socket with two names, so there must
// be no moment at which it has them.
func TestListenHasOneName(t *testing.T) {
	dir, err := os.MkdirTemp("", "pm") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	var stop atomic.Bool
	twice := make(chan bool, 1)
	go func() {
		seen := false
		for !stop.Load() {
			var st syscall.Stat_t
			seen = seen || syscall.Stat(path, &st) == nil && st.Nlink > 1
		}
		twice <- seen
	}()
	for range 200 {
		lns, err := milter.Listen(t.Context(), milter.Addr{Network: "unix", Address: path}, milter.SocketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		closeAll(lns)
	}
	stop.Store(true)
	if <-twice {
		t.Error("the socket had two names for a while")
	}
}

func closeAll(lns []net.Listener) {
	for _, ln := range lns {
		_ = ln.Close()
	}
}
