package table

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// cidr is a table of networks: the first rule that matches an address counts
// (cidr_table(5)). Plain rules are looked up by the hash of their network, once
// for each length in use; those that are negated or inside an if, one by one.
type cidr struct {
	networks map[netip.Prefix]cidrRule // plain rules: the first of each network
	lengths4 []int                     // prefix lengths in use
	lengths6 []int
	special  []cidrRule
}

type cidrRule struct {
	order int // in the file
	conds []cidrCond
	value string
}

// cidrCond is a network that an address must be in, or with not, outside of.
type cidrCond struct {
	network netip.Prefix
	not     bool
}

func (c cidrCond) holds(ip netip.Addr) bool {
	// An IPv6 address is no match for an IPv4 network, nor the other way: a
	// negated rule, too, is for its own family only (postfix cidr_match_execute).
	return ip.BitLen() == c.network.Addr().BitLen() && c.network.Contains(ip) != c.not
}

// readCIDR reads rules "network result", "!network result", "if network" and "endif".
func readCIDR(f io.Reader, warn func(int, string, ...any)) (content, error) {
	t := &cidr{networks: map[netip.Prefix]cidrRule{}}
	var open []cidrCond
	var opened []int // lines
	order := 0
	err := logicalLines(f, warn, func(number int, line string) {
		word, rest := line, ""
		if i := strings.IndexAny(line, space); i >= 0 {
			word, rest = line[:i], strings.Trim(line[i:], space)
		}
		switch {
		case strings.EqualFold(word, "if"):
			cond, err := parseCond(rest)
			if err != nil {
				warn(number, "%v", err)
				return
			}
			open, opened = append(open[:len(open):len(open)], cond), append(opened, number)
		case strings.EqualFold(word, "endif"):
			if len(open) == 0 {
				warn(number, "endif without if")
				return
			}
			open, opened = open[:len(open)-1], opened[:len(opened)-1]
		default:
			order++
			if err := t.add(order, open, word, line); err != nil {
				warn(number, "%v", err)
			}
		}
	})
	for _, number := range opened {
		warn(number, "if without endif")
	}
	return t, err
}

// add adds a rule; negated means that white space may follow the "!".
func (t *cidr) add(order int, open []cidrCond, word, line string) error {
	pattern, value := word, strings.Trim(strings.TrimPrefix(line, word), space)
	if strings.Trim(word, "!") == "" {
		rest := strings.TrimLeft(line, "!"+space)
		pattern, value = rest, ""
		if i := strings.IndexAny(rest, space); i >= 0 {
			pattern, value = rest[:i], strings.Trim(rest[i:], space)
		}
		pattern = strings.Repeat("!", strings.Count(line[:len(line)-len(rest)], "!")) + pattern
	}
	if value == "" {
		return errors.New("there is no lookup result")
	}
	cond, err := parseCond(pattern)
	if err != nil {
		return err
	}
	if len(open) > 0 || cond.not {
		t.special = append(t.special, cidrRule{order, append(open[:len(open):len(open)], cond), value})
		return nil
	}
	if _, twice := t.networks[cond.network]; twice {
		return nil // the first counts
	}
	t.networks[cond.network] = cidrRule{order: order, value: value}
	lengths := &t.lengths4
	if cond.network.Addr().Is6() {
		lengths = &t.lengths6
	}
	for _, bits := range *lengths {
		if bits == cond.network.Bits() {
			return nil
		}
	}
	*lengths = append(*lengths, cond.network.Bits())
	return nil
}

// parseCond reads "192.0.2.0/24", "!2001:db8::/32", "[2001:db8::]/32" or an address.
func parseCond(pattern string) (cidrCond, error) {
	var c cidrCond
	for strings.HasPrefix(pattern, "!") {
		c.not = !c.not
		pattern = strings.TrimLeft(pattern[1:], space)
	}
	host, bits, masked := strings.Cut(pattern, "/")
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return c, fmt.Errorf("bad address pattern: %q", pattern)
	}
	if !masked {
		c.network = netip.PrefixFrom(ip, ip.BitLen())
		return c, nil
	}
	c.network, err = netip.ParsePrefix(ip.String() + "/" + bits)
	if err != nil {
		return c, fmt.Errorf("bad net/mask pattern: %q", pattern)
	}
	if c.network.Masked() != c.network {
		return c, fmt.Errorf("non-null host address bits in %q, perhaps you should use %q instead", pattern, c.network.Masked())
	}
	return c, nil
}

func (t *cidr) get(key string) (string, bool) {
	ip, err := netip.ParseAddr(key)
	if err != nil || ip.Zone() != "" {
		return "", false
	}
	best, found := cidrRule{}, false
	lengths := t.lengths4
	if ip.Is6() {
		lengths = t.lengths6
	}
	for _, bits := range lengths {
		network, err := ip.Prefix(bits)
		if err != nil {
			continue
		}
		if rule, ok := t.networks[network]; ok && (!found || rule.order < best.order) {
			best, found = rule, true
		}
	}
	for _, rule := range t.special {
		if found && rule.order > best.order {
			break
		}
		if rule.holds(ip) {
			return rule.value, true
		}
	}
	return best.value, found
}

func (r cidrRule) holds(ip netip.Addr) bool {
	for _, c := range r.conds {
		if !c.holds(ip) {
			return false
		}
	}
	return true
}
