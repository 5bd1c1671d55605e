package permit

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Target is a host and a port to connect to, or a unix socket.
type Target struct {
	Path string     // of a unix socket; else ""
	Host string     // a name in lower case and ASCII; "" when IP is valid
	IP   netip.Addr // when the host is an address
	Port uint16
}

// ParseTarget reads "host:port", "[v6]:port" or "unix:/path".
func ParseTarget(s string) (Target, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
			return Target{}, fmt.Errorf("%q: the socket's path must begin with a slash", s)
		}
		return Target{Path: filepath.Clean(path)}, nil // as entries are: the rules' ".." is the kernel's
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return Target{}, fmt.Errorf("%q is no address: write host:port, [IPv6]:port or unix:/path", s)
	}
	n, err := parsePort(port)
	if err != nil {
		return Target{}, fmt.Errorf("%q: %w", s, err)
	}
	return NewTarget(host, n)
}

// NewTarget is a host, a name or an address, with a port.
func NewTarget(host string, port uint16) (Target, error) {
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		if ip.Zone() != "" {
			return Target{}, fmt.Errorf("%q: an address with a zone cannot be reached", host)
		}
		return Target{IP: ip.Unmap(), Port: port}, nil
	}
	name, err := hostName(host)
	if err != nil {
		return Target{}, err
	}
	return Target{Host: name, Port: port}, nil
}

// String is how the target is written in an entry.
func (t Target) String() string {
	switch {
	case t.Path != "":
		return "unix:" + t.Path
	case t.IP.IsValid():
		return netip.AddrPortFrom(t.IP, t.Port).String()
	default:
		return t.Host + ":" + strconv.Itoa(int(t.Port))
	}
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port", s)
	}
	return uint16(n), nil
}

// hostName is a name as it is compared: ASCII, lower case, without a last dot. A
// name that looks like a number is none: some systems would take 0x7f.1 for an
// address.
func hostName(s string) (string, error) {
	bad := fmt.Errorf("%q is no host name", s)
	profile := idna.New(idna.MapForLookup(), idna.StrictDomainName(false))
	ascii, err := profile.ToASCII(s)
	if err != nil {
		return "", bad
	}
	// Not all that it makes it would take: what is no UTF-8 becomes a label that
	// stands for no name (RFC 5891 §4.4).
	if again, err := profile.ToASCII(ascii); err != nil || again != ascii {
		return "", bad
	}
	name := strings.TrimSuffix(strings.ToLower(ascii), ".")
	if name == "" || len(name) > 253 {
		return "", bad
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return "", bad
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return "", bad // WHATWG URL §3.5: it ends in a number, so it is an IPv4 address
	}
	return name, nil
}

var errNoEntry = errors.New(`write "host:port", "*.host", an address or a range like "192.0.2.0/24", or "unix:/path"`)
