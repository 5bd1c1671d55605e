package decisions

import (
	"errors"
	"net/netip"
	"strings"
)

// Match is what is looked for.
type Match struct {
	text   string       // an id, an address or a name; "" for another kind
	domain string       // of addresses
	net    netip.Prefix // of clients
	null   bool         // the null sender
}

var errNothing = errors.New("nothing is looked for")

// ParseMatch reads what an administrator types: a client's IP address or network, a
// mail address, with or without angle brackets (<> is the null sender), @domain, or any
// other word: a queue, session or event id, a Message-ID, a client's name or HELO.
// Addresses and names match without case, ids with it.
func ParseMatch(s string) (*Match, error) {
	s = strings.TrimSpace(s)
	if s == "<>" {
		return &Match{null: true}, nil
	}
	if inner, ok := strings.CutPrefix(s, "<"); ok {
		s = strings.TrimSuffix(inner, ">")
	}
	if s == "" {
		return nil, errNothing
	}
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		if domain == "" {
			return nil, errNothing
		}
		return &Match{domain: domain}, nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if len(bare) > 5 && strings.EqualFold(bare[:5], "IPv6:") {
		bare = bare[5:]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		ip = ip.Unmap().WithZone("")
		return &Match{net: netip.PrefixFrom(ip, ip.BitLen())}, nil
	}
	if net, err := netip.ParsePrefix(bare); err == nil {
		return &Match{net: net.Masked()}, nil
	}
	return &Match{text: s}, nil
}

// Is tells whether a record is about it.
func (m *Match) Is(r *Record) bool {
	switch {
	case m.null:
		return r.HasEnvelope() && r.Sender == ""
	case m.net.IsValid():
		ip, err := netip.ParseAddr(r.Client)
		return err == nil && m.net.Contains(ip.Unmap().WithZone(""))
	case m.domain != "":
		return m.anyAddress(r, func(a string) bool {
			at := strings.LastIndexByte(a, '@')
			return at >= 0 && strings.EqualFold(a[at+1:], m.domain)
		})
	}
	if m.text == r.QueueID || m.text == r.Session {
		return true
	}
	for _, q := range r.Queued {
		if m.text == q.ID {
			return true
		}
	}
	is := func(s string) bool { return strings.EqualFold(s, m.text) }
	return m.anyAddress(r, is) || is(r.ClientName) || is(r.Helo) || is(strings.Trim(r.MessageID, "<>"))
}

// anyAddress tells whether an address of the envelope is it, one that a script put
// there included.
func (m *Match) anyAddress(r *Record, is func(string) bool) bool {
	if r.HasEnvelope() && is(r.Sender) || is(r.Recipient) {
		return true
	}
	for _, a := range r.Recipients {
		if is(a) {
			return true
		}
	}
	for _, e := range r.Edits { // "sender A", "+rcpt A", "-rcpt A"
		for word := range strings.FieldsSeq(e) {
			if strings.Contains(word, "@") && is(word) {
				return true
			}
		}
	}
	return false
}

// needle is what the line of a record that matches has in it, in lower case; "" when
// that cannot be said.
func (m *Match) needle() string {
	s := m.text
	switch {
	case m.null:
		return `"sender":""`
	case m.domain != "":
		s = "@" + m.domain
	case m.net.IsValid() && m.net.IsSingleIP():
		s = m.net.Addr().String()
	case m.net.IsValid():
		return ""
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' { // written otherwise, perhaps
			return ""
		}
	}
	return strings.ToLower(s)
}
