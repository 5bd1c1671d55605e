package permit_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"pmilter/internal/permit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rules(t *testing.T, net ...string) *permit.Rules {
	t.Helper()
	r, err := permit.New(net, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ entry, yes, no string }{
		{"api.example.com:443", "api.example.com:443 API.Example.COM.:443", "api.example.com:80 x.api.example.com:443 example.com:443 xapi.example.com:443 192.0.2.1:443"},
		{"api.example.com", "api.example.com:443 api.example.com:1", "example.com:443"},
		{"*.example.com", "a.example.com:1 a.b.example.com:2", "example.com:1 aexample.com:1 a.example.com.evil.org:1"},
		{"*.example.com:443", "a.example.com:443", "a.example.com:80 example.com:443"},
		{"*:443", "a.example.com:443 b:443", "a.example.com:80 192.0.2.1:443 unix:/x"},
		{"*", "a.example.com:443", "192.0.2.1:443 [::1]:1 unix:/x"},
		{"192.0.2.1", "192.0.2.1:25 [::ffff:192.0.2.1]:25", "192.0.2.2:25 a.example.com:25"},
		{"192.0.2.1:25", "192.0.2.1:25", "192.0.2.1:26"},
		{"10.0.0.0/8", "10.1.2.3:1", "11.0.0.0:1"},
		{"10.0.0.0/8:783", "10.1.2.3:783", "10.1.2.3:784"},
		{"2001:db8::1", "[2001:db8::1]:5", "[2001:db8::2]:5"},
		{"[2001:db8::1]:25", "[2001:db8::1]:25", "[2001:db8::1]:26"},
		{"[2001:db8::/32]:25", "[2001:db8:1::1]:25", "[2001:db9::1]:25"},
		{"2001:db8::/32", "[2001:db8:1::1]:25", "[2001:db9::1]:25"},
		{"unix:/run/x.sock", "unix:/run/x.sock unix:/run/./x.sock", "unix:/run/y.sock unix:/run/x.sock/../y.sock x.sock:1"},
		{"bücher.example:1", "xn--bcher-kva.example:1 BÜCHER.example:1", "bucher.example:1"},
	} {
		r := rules(t, tt.entry)
		for _, s := range strings.Fields(tt.yes) {
			target, err := permit.ParseTarget(s)
			if err == nil {
				err = r.Connect(target)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", tt.entry, s, err)
			}
		}
		for _, s := range strings.Fields(tt.no) {
			target, err := permit.ParseTarget(s)
			if err != nil {
				t.Fatal(err)
			}
			var e *permit.Error
			if err := r.Connect(target); !errors.As(err, &e) {
				t.Errorf("%s allows %s", tt.entry, s)
			}
		}
	}
}

func TestRefusalNamesTheLine(t *testing.T) {
	t.Parallel()
	target, _ := permit.ParseTarget("API.example.com:443")
	want := `scripts may not reach api.example.com:443: to allow it, write in pmilter.toml under [permissions]: net = ["api.example.com:443"]`
	if err := (*permit.Rules)(nil).Connect(target); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	r := rules(t, "a.example", "*.b.example")
	if err := r.Connect(target); err == nil || !strings.HasSuffix(err.Error(), `net = ["a.example", "*.b.example", "api.example.com:443"]`) {
		t.Errorf("%v", err)
	}
	wild, _ := permit.ParseTarget("x.b.example:443")
	err := r.Address(wild, netip.MustParseAddr("10.0.0.1"))
	want = `scripts may reach x.b.example:443, but its address is 10.0.0.1, which is not public: to allow it, write in pmilter.toml under [permissions]: net = ["a.example", "*.b.example", "10.0.0.1:443"]`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	// What it says to write is what is needed.
	if err := rules(t, "10.0.0.1:443", "*.b.example").Address(wild, netip.MustParseAddr("10.0.0.1")); err != nil {
		t.Error(err)
	}
}

func TestBadEntries(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "a b", "host:", "host:0", "host:65536", "host:x", "unix:x", "unix:", "*.", "**", "a.*", "*a.example", "1.2.3", "0x7f.1:80", "10.0.0.0/33",
		"http://example.com", "example.com/path", ":443", "[::1", "fe80::1%eth0", "a..b", "exa\x00mple",
	} {
		if err := permit.CheckNet(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	for _, s := range []string{"", "spamc", "./spamc", "/usr/bin/", "/a\x00b"} {
		if err := permit.CheckExec(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	for _, s := range []string{"x", "127.1:80", "0177.0.0.1:80", "2130706433:80", "localhost", "a:b:c", "unix:rel", "[fe80::1%25lo]:80", "[fe80::1%lo]:80", "a b:1"} {
		if target, err := permit.ParseTarget(s); err == nil {
			t.Errorf("%q is taken for %v", s, target)
		}
	}
}

// TestAddress: a public name must not be the way into the own network.
func TestAddress(t *testing.T) {
	t.Parallel()
	named, wild := rules(t, "x.example.com"), rules(t, "*.example.com", "*")
	target, _ := permit.ParseTarget("x.example.com:80")
	for _, tt := range []struct {
		ip          string
		named, wild bool
	}{
		{"8.8.8.8", true, true},
		{"2606:4700::1", true, true},
		{"127.0.0.1", true, false},
		{"::1", true, false},
		{"10.0.0.1", true, false},
		{"172.16.5.4", true, false},
		{"192.168.1.1", true, false},
		{"100.64.0.1", true, false},
		{"fd00::1", true, false},
		{"::ffff:127.0.0.1", true, false},
		{"::ffff:10.0.0.1", true, false},
		{"64:ff9b::a00:1", true, false},
		{"64:ff9b::808:808", true, true},
		{"2002:7f00:1::", true, false},
		{"::7f00:1", true, false},
		{"0.1.2.3", true, false},
		{"240.0.0.1", true, false},
		{"192.0.2.1", true, false},
		{"2001:db8::1", true, false},
		{"::ffff:0:7f00:1", true, false}, // SIIT, RFC 2765: translated to 127.0.0.1
		{"200::1", true, false},
		{"4000::1", true, false},
		{"169.254.169.254", false, false},
		{"::ffff:169.254.169.254", false, false},
		{"64:ff9b::a9fe:a9fe", false, false},
		{"fe80::1", false, false},
		{"0.0.0.0", false, false},
		{"::", false, false},
		{"224.0.0.1", false, false},
		{"ff02::1", false, false},
	} {
		ip := netip.MustParseAddr(tt.ip)
		if got := named.Address(target, ip) == nil; got != tt.named {
			t.Errorf("%s by a name spelled out: %v", tt.ip, got)
		}
		if got := wild.Address(target, ip) == nil; got != tt.wild {
			t.Errorf("%s by a wildcard: %v", tt.ip, got)
		}
		both := rules(t, "*.example.com", ip.Unmap().String())
		if err := both.Address(target, ip); err != nil {
			t.Errorf("%s allowed as an address: %v", tt.ip, err)
		}
	}
}

// TestDialer: what is judged is what is connected to, whatever the name leads to
// the next time.
func TestDialer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan struct{}, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	looked := 0
	lookup := func(context.Context, string, string) ([]netip.Addr, error) {
		looked++
		return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}
	target, _ := permit.NewTarget("x.example.com", uint16(port))
	d := permit.NewDialer(nil, lookup)
	var refusal *permit.Error
	if _, err := d.Dial(t.Context(), target); !errors.As(err, &refusal) || looked != 0 {
		t.Errorf("without a rule: %v, looked up %d times", err, looked)
	}
	d.Configure(rules(t, "*.example.com"))
	if _, err := d.Dial(t.Context(), target); !errors.As(err, &refusal) || looked != 1 {
		t.Errorf("rebound: %v, looked up %d times", err, looked)
	}
	for _, entries := range [][]string{{"x.example.com"}, {"*.example.com", "127.0.0.1"}} {
		d.Configure(rules(t, entries...))
		conn, err := d.DialContext(t.Context(), "tcp", target.String())
		if err != nil {
			t.Fatalf("%v: %v", entries, err)
		}
		<-accepted
		conn.Close()
	}
}

// TestDialerUnix: what is judged is what is connected to, where the kernel would
// follow a link before it takes the "..".
func TestDialerUnix(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "permit") //nolint:usetesting // the path must be short: a unix socket goes there
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, folder := range []string{"run", "other", "other/deep"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../other/deep", filepath.Join(dir, "run", "link")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "other", "x.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := permit.NewDialer(rules(t, "unix:"+dir+"/run/x.sock"), nil)
	target, err := permit.ParseTarget("unix:" + dir + "/run/link/../x.sock")
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := d.Dial(t.Context(), target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("connected to %v: %v", conn, err)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"bin": "real", "real/ls": "/bin/busybox", "real/sh": "/bin/busybox"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := permit.New(nil, []string{filepath.Join(dir, "bin/ls")})
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := filepath.EvalSymlinks(real)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"bin/ls", "real/ls", "bin/../real/./ls"} {
		if got, err := r.Exec(dir + "/" + path); err != nil || got != filepath.Join(resolved, "ls") {
			t.Errorf("%s: %q %v", path, got, err)
		}
	}
	for _, path := range []string{dir + "/bin/sh", "ls", "/bin/ls", dir + "/bin/ls x"} {
		if got, err := r.Exec(path); err == nil {
			t.Errorf("%s runs %s", path, got)
		}
	}
	_, err = r.Exec("/usr/bin/spamc")
	if err == nil || !strings.HasSuffix(err.Error(), `/bin/ls", "/usr/bin/spamc"]`) {
		t.Errorf("%v", err)
	}
}

// FuzzEntry: what is taken as an entry allows what its own refusal names, and
// parsing never panics.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{"a.example:1", "*.x", "10.0.0.0/8:5", "[::1]:5", "unix:/x", "*"} {
		f.Add(s, s)
	}
	f.Add("a", "0\x8e:1") // no UTF-8
	f.Fuzz(func(t *testing.T, a, b string) {
		r, err := permit.New([]string{a}, nil)
		if err != nil {
			return
		}
		target, err := permit.ParseTarget(b)
		if err != nil {
			return
		}
		if r.Connect(target) != nil {
			again, err := permit.New([]string{a, target.String()}, nil)
			if err != nil || again.Connect(target) != nil {
				t.Fatalf("%q: the line to write does not help: %v", target, err)
			}
		}
	})
}
