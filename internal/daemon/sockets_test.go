package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pmilter/internal/milter"
)

func unixAddr(path string) milter.Addr { return milter.Addr{Network: "unix", Address: path} }

// handedOver is sockets that have inherited what others listen on.
func handedOver(t *testing.T, from *sockets) *sockets {
	t.Helper()
	names, files, err := from.files()
	if err != nil {
		t.Fatal(err)
	}
	s := &sockets{inherited: map[string][]*os.File{}}
	for i, name := range names {
		s.inherited[name] = append(s.inherited[name], files[i])
	}
	t.Cleanup(s.closeAll)
	return s
}

func listenOn(t *testing.T, s *sockets, purpose string, addr milter.Addr, o milter.SocketOptions) namedListener {
	t.Helper()
	list, err := s.listen(t.Context(), purpose, addr, o)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s %s: %v %v", purpose, addr, list, err)
	}
	return list[0]
}

func is(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// TestSocketsHandedOver: the new server has those that it asks for, by purpose and address,
// with the rights of its own configuration only from when it serves; the paths of those that
// it did not want go with the old one, the others stay.
func TestSocketsHandedOver(t *testing.T) {
	dir := t.TempDir()
	wanted, other := filepath.Join(dir, "wanted"), filepath.Join(dir, "other")
	before := &sockets{}
	t.Cleanup(before.closeAll)
	listenOn(t, before, "milter", unixAddr(wanted), milter.SocketOptions{Mode: 0o660})
	listenOn(t, before, "milter", unixAddr(other), milter.SocketOptions{Mode: 0o660})
	if _, err := before.own(); err != nil { // as when it began to serve
		t.Fatal(err)
	}

	after := handedOver(t, before)
	got := listenOn(t, after, "milter", unixAddr(wanted), milter.SocketOptions{Mode: 0o600})
	if after.inherited[got.name] != nil || len(after.inherited) != 1 {
		t.Errorf("to be asked for yet: %v", after.inherited)
	}
	if info, err := os.Lstat(wanted); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("before it serves: %v %v", info.Mode(), err)
	}
	taken, err := after.own()
	if err != nil || len(taken) != 1 || taken[0] != got.name {
		t.Errorf("taken: %q %v", taken, err)
	}
	if info, err := os.Lstat(wanted); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("when it serves: %v %v", info.Mode(), err)
	}
	if after.inherited != nil {
		t.Errorf("it still has %v", after.inherited)
	}

	before.leave(taken)
	before.closeAll()
	if !is(t, wanted) || is(t, other) {
		t.Errorf("wanted is there: %v, other is: %v", is(t, wanted), is(t, other))
	}
	nc, err := net.Dial("unix", wanted)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	conn, err := got.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	after.closeAll()
	if is(t, wanted) {
		t.Error("the path of the last server stays")
	}
}

// TestSocketsNotTakenOver: when the new server does not come to serve, the old one goes on
// with all that it has; what was handed over leaves no trace.
func TestSocketsNotTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	before := &sockets{}
	t.Cleanup(before.closeAll)
	ours := listenOn(t, before, "milter", unixAddr(path), milter.SocketOptions{Mode: 0o660})
	if _, err := before.own(); err != nil {
		t.Fatal(err)
	}
	after := handedOver(t, before)
	listenOn(t, after, "milter", unixAddr(path), milter.SocketOptions{Mode: 0o600})
	after.closeAll() // before own
	if !is(t, path) {
		t.Fatal("it took the path with it")
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	conn, err := ours.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	before.closeAll()
	if is(t, path) {
		t.Error("its path stays")
	}
}

// TestSocketsOfAnotherPurpose: the admin's socket is not the milter's, though the address is
// the same, and what was not asked for is closed in the end.
func TestSocketsOfAnotherPurpose(t *testing.T) {
	before := &sockets{}
	t.Cleanup(before.closeAll)
	addr, err := milter.ParseAddr("inet:0@127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	first := listenOn(t, before, "milter", addr, milter.SocketOptions{})
	after := handedOver(t, before)
	second := listenOn(t, after, "admin", addr, milter.SocketOptions{})
	if first.Addr().String() == second.Addr().String() {
		t.Errorf("both are %s", first.Addr())
	}
	if len(after.inherited) != 1 {
		t.Errorf("inherited: %v", after.inherited)
	}
	third := listenOn(t, after, "milter", addr, milter.SocketOptions{})
	if first.Addr().String() != third.Addr().String() {
		t.Errorf("%s is not %s", third.Addr(), first.Addr())
	}
	if taken, err := after.own(); err != nil || strings.Join(taken, ",") != third.name {
		t.Errorf("taken: %q %v", taken, err)
	}
	before.closeAll()
	after.close(third)
	if nc, err := net.Dial("tcp", third.Addr().String()); err == nil {
		_ = nc.Close()
		t.Error("somebody has a copy of a closed socket")
	}
}
