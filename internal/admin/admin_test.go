package admin_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pmilter/internal/admin"
)

func TestMain(m *testing.M) {
	// net/http closes the connection of a client that it refused half a second later.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func TestAsk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	age := 3.5
	want := &admin.Status{
		Version: "v1", PID: 7, Started: time.Now().UTC().Truncate(time.Second), Verdicts: map[string]int64{"reject": 3},
		Scripts: admin.Scripts{Version: "x", Error: &admin.Fault{Message: "a.js:1:1: no"}},
		Queues:  []admin.Queue{{Name: "q", Waiting: 1, Oldest: &age, Pool: &admin.Pool{Max: 2, Workers: []admin.Worker{{PID: 9, State: "busy"}}}}},
	}
	s := admin.Serve(l, func(context.Context) *admin.Status { return want })
	got, err := admin.Ask(t.Context(), path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	s.Close()
	if _, err := admin.Ask(t.Context(), path); !errors.Is(err, admin.ErrNoServer) {
		t.Errorf("after the end: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := admin.Ask(t.Context(), path); !errors.Is(err, admin.ErrNoServer) {
		t.Errorf("a stale socket: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestForbidden: who may not ask is told who may.
func TestForbidden(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root may")
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Ask(t.Context(), path); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "root alone") {
		t.Errorf("%v", err)
	}
}
