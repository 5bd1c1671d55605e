package milter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Addr is where to listen, or to connect to.
type Addr struct {
	Network string // "tcp", "tcp4", "tcp6", "unix", or "systemd"
	Address string // host:port, a path, or "" for systemd
}

// ErrAddress is wrapped by the errors of ParseAddr.
var ErrAddress = errors.New("not an address")

// maxUnixPath is the length of sun_path without its NUL.
const maxUnixPath = 107

// ParseAddr reads the notations of Postfix (smtpd_milters) and libmilter
// (smfi_setconn) alike:
//
//	inet:host:port    inet:port@host    inet:[::1]:port    inet:port
//	inet6:host:port   inet6:port@host   inet6:[::1]:port   inet6:port
//	unix:/path        local:/path       /path              fd:systemd
//
// A host of "" or "*" is all addresses; port 0 one that is free.
func ParseAddr(s string) (Addr, error) {
	kind, rest, found := strings.Cut(s, ":")
	switch {
	case strings.HasPrefix(s, "/"):
		return unixAddr(s, s)
	case !found:
	case kind == "unix" || kind == "local":
		return unixAddr(s, rest)
	case kind == "inet":
		return inetAddr(s, "tcp", rest)
	case kind == "inet6":
		return inetAddr(s, "tcp6", rest)
	case s == "fd:systemd":
		return Addr{Network: "systemd"}, nil
	}
	return Addr{}, fmt.Errorf("%q is %w: it begins with inet:, inet6:, unix:, local: or /, or is fd:systemd", s, ErrAddress)
}

// String is the address in a notation that ParseAddr reads.
func (a Addr) String() string {
	switch a.Network {
	case "tcp6":
		return "inet6:" + a.Address
	case "unix":
		return "unix:" + a.Address
	case "systemd":
		return "fd:systemd"
	}
	return "inet:" + a.Address
}

func unixAddr(s, path string) (Addr, error) {
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return Addr{}, fmt.Errorf("%q is %w: the path of a socket is missing", s, ErrAddress)
	case strings.ContainsRune(path, 0):
		return Addr{}, fmt.Errorf("%q is %w: a path has no NUL", s, ErrAddress)
	case len(path) > maxUnixPath:
		return Addr{}, fmt.Errorf("%q is %w: a socket's path has at most %d bytes", s, ErrAddress, maxUnixPath)
	}
	return Addr{Network: "unix", Address: path}, nil
}

func inetAddr(s, network, rest string) (Addr, error) {
	host, port, err := splitInet(rest)
	if err != nil {
		return Addr{}, fmt.Errorf("%q is %w: %w", s, ErrAddress, err)
	}
	// A look into /etc/services at most: nothing to wait for.
	if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err != nil || port == "" {
		return Addr{}, fmt.Errorf("%q is %w: port %q is not known", s, ErrAddress, port)
	}
	if host == "*" {
		host = ""
	}
	if ip := net.ParseIP(host); network == "tcp6" && ip != nil && ip.To4() != nil {
		return Addr{}, fmt.Errorf("%q is %w: inet6 with an IPv4 address", s, ErrAddress)
	}
	if host == "" && network == "tcp" {
		network, host = "tcp4", "0.0.0.0" // as libmilter does; inet6:port listens on both
	}
	return Addr{Network: network, Address: net.JoinHostPort(host, port)}, nil
}

// splitInet takes port@host, host:port, [host]:port and port.
func splitInet(s string) (host, port string, err error) {
	if port, host, ok := strings.Cut(s, "@"); ok {
		if inner, ok := strings.CutPrefix(host, "["); ok {
			if host, ok = strings.CutSuffix(inner, "]"); !ok {
				return "", "", errors.New("a bracket is missing")
			}
		}
		if strings.ContainsAny(host, "[]@") {
			return "", "", errors.New("the host is not one")
		}
		return host, port, nil
	}
	if !strings.Contains(s, ":") {
		return "", s, nil
	}
	host, port, err = net.SplitHostPort(s)
	var bad *net.AddrError
	if errors.As(err, &bad) {
		return "", "", errors.New(bad.Err)
	}
	return host, port, err
}
