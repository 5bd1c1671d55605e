package resolver

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// question is what is asked: a name in its canonical form, and a type.
type question struct {
	name string // absolute, in lower case, escaped as dns unpacks it
	kind uint16
}

// newQuestion is the question for a name as people or mail write it. Names that
// are not ASCII are written in Punycode (IDNA 2008, as browsers do). The name is
// absolute whether it ends with a dot or not: search lists are not for mail.
func newQuestion(name string, kind uint16) (question, *Error) {
	bad := question{name, kind}.fail(BadName, "")
	ascii := name
	if !utf8.ValidString(name) {
		return question{}, bad
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			profile := idna.New(idna.MapForLookup(), idna.StrictDomainName(false))
			var err error
			if ascii, err = profile.ToASCII(name); err != nil {
				return question{}, bad
			}
			break
		}
	}
	for i := range len(ascii) {
		// A backslash would be an escape. What else can be printed may be in a name:
		// SPF's macros ask for names with a + or an = in them (RFC 7208 §7).
		if c := ascii[i]; c <= ' ' || c > '~' || c == '\\' {
			return question{}, bad
		}
	}
	canonical, ok := canonicalName(ascii)
	if !ok || canonical == "." {
		return question{}, bad
	}
	return question{canonical, kind}, nil
}

// canonicalName is a name in the form that unpacked names have.
func canonicalName(name string) (string, bool) {
	var wire [256]byte // RFC 1035 §3.1: at most 255
	if name == "" {
		return "", false
	}
	n, err := dns.PackDomainName(dns.Fqdn(name), wire[:], 0, nil, false)
	if err != nil || n > 255 {
		return "", false
	}
	out, _, err := dns.UnpackDomainName(wire[:n], 0)
	if err != nil {
		return "", false
	}
	return lower(out), true
}

// lower is dns names' own: ASCII letters alone (RFC 4343 §3).
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// bare is a name of an answer as people write it: without the dot at its end, in
// lower case; "" for the root.
func bare(name string) string { return strings.TrimSuffix(lower(name), ".") }

// reverseName is where an address's names are (RFC 1035 §3.5, RFC 3596 §2.5),
// less the in-addr.arpa: the labels that a DNS list has before its zone, too
// (RFC 5782 §2.1 and §2.4).
func reverseName(ip netip.Addr) string {
	ip = ip.Unmap()
	var b strings.Builder
	bytes := ip.AsSlice()
	for i := len(bytes) - 1; i >= 0; i-- {
		if ip.Is4() {
			fmt.Fprintf(&b, "%d.", bytes[i])
		} else {
			fmt.Fprintf(&b, "%x.%x.", bytes[i]&0xf, bytes[i]>>4)
		}
	}
	return b.String()
}

// arpa is the zone of reverseName for the names of an address.
func arpa(ip netip.Addr) string {
	if ip.Unmap().Is4() {
		return "in-addr.arpa."
	}
	return "ip6.arpa."
}

// unescaped is the bytes of a string of a TXT record, which dns writes as a zone
// file has it: \" and \\ and \DDD.
func unescaped(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	digit := func(i int) int {
		if i < len(s) && s[i] >= '0' && s[i] <= '9' {
			return int(s[i] - '0')
		}
		return -1
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		a, b, c := digit(i+1), digit(i+2), digit(i+3)
		if a >= 0 && b >= 0 && c >= 0 && a*100+b*10+c <= 255 {
			out = append(out, byte(a*100+b*10+c))
			i += 3
			continue
		}
		i++
		out = append(out, s[i])
	}
	return string(out)
}
