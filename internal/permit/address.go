package permit

import (
	"net/netip"
)

// kind is what sort of address one is, as far as it matters here.
type kind int

const (
	public kind = iota
	inner       // of this host or this network, or reserved
	barred      // link-local, multicast, unspecified
)

// innerRanges are the addresses that are not globally reachable (IANA's
// special-purpose registries, RFC 6890), less those that kindOf knows otherwise.
func innerRanges() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

func kindOf(ip netip.Addr) kind {
	ip = ip.Unmap()
	if v4, ok := embedded(ip); ok {
		return kindOf(v4)
	}
	switch {
	case !ip.IsValid(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast():
		return barred
	case ip.IsLoopback(), ip.IsPrivate():
		return inner
	case ip.Is6() && !netip.MustParsePrefix("2000::/3").Contains(ip):
		return inner // IANA has given out no other global unicast addresses
	}
	for _, p := range innerRanges() {
		if p.Contains(ip) {
			return inner
		}
	}
	return public
}

// embedded is the IPv4 address that an IPv6 address leads to: NAT64 (RFC 6052)
// and 6to4 (RFC 3056).
func embedded(ip netip.Addr) (netip.Addr, bool) {
	if !ip.Is6() {
		return netip.Addr{}, false
	}
	b := ip.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
