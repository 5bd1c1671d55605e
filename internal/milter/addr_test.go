package milter

import (
	"errors"
	"strings"
	"testing"
)

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]Addr{
		"inet:8890@127.0.0.1":  {"tcp", "127.0.0.1:8890"},
		"inet:127.0.0.1:8890":  {"tcp", "127.0.0.1:8890"},
		"inet:8890@localhost":  {"tcp", "localhost:8890"},
		"inet:0@127.0.0.1":     {"tcp", "127.0.0.1:0"},
		"inet:8890":            {"tcp4", "0.0.0.0:8890"},
		"inet:*:8890":          {"tcp4", "0.0.0.0:8890"},
		"inet:8890@":           {"tcp4", "0.0.0.0:8890"},
		"inet:[::1]:8890":      {"tcp", "[::1]:8890"},
		"inet:8890@[::1]":      {"tcp", "[::1]:8890"},
		"inet6:8890@::1":       {"tcp6", "[::1]:8890"},
		"inet6:8890@[::1]":     {"tcp6", "[::1]:8890"},
		"inet6:[::1]:8890":     {"tcp6", "[::1]:8890"},
		"inet6:8890":           {"tcp6", ":8890"},
		"unix:/run/m.sock":     {"unix", "/run/m.sock"},
		"local:/run/m.sock":    {"unix", "/run/m.sock"},
		"/run/m.sock":          {"unix", "/run/m.sock"},
		"unix:run/a:b@c":       {"unix", "run/a:b@c"},
		"fd:systemd":           {"systemd", ""},
		"inet:65535@127.0.0.1": {"tcp", "127.0.0.1:65535"},
	} {
		got, err := ParseAddr(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", in, got, err, want)
			continue
		}
		if again, err := ParseAddr(got.String()); err != nil || again.String() != got.String() {
			t.Errorf("%s is written %s, which is %+v, %v", in, got, again, err)
		}
	}
	for _, in := range []string{
		"", "8890", "127.0.0.1:8890", "inet:", "inet:@", "inet:127.0.0.1", "inet:x@127.0.0.1", "inet:65536",
		"inet:-1", "inet:8890@[::1", "inet:8890@a@b", "inet:::1:8890", "inet6:8890@127.0.0.1", "tcp:127.0.0.1:8890",
		"unix:", "unix:/run/", "unix:/a\x00b", "unix:/" + strings.Repeat("x", 107), "fd:3", "fd:",
	} {
		if got, err := ParseAddr(in); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}
