package auth

import "slices"

// What one message may make us do.
const (
	maxSignatures = 10 // that are verified; the others are not looked at (RFC 6376 §8.4)
	maxSets       = 50 // of ARC (RFC 8617 §4.2.1)
)

// Message is a message as it arrived. It does not keep the body, and may be used
// from several goroutines at once.
type Message struct {
	fields     []Field
	places     map[string][]int // of the fields of a name
	signatures []*signature     // the first of them
	more       int              // signatures that are left alone
	chain      chain
	bodies     [numCanons][]byte // sums, as far as a signature needs them
}

// Read takes what is needed of a message. It hashes the body at once, for each
// way in which a signature has it, and so takes time in proportion to its size: a
// few milliseconds for a megabyte.
func (s *Service) Read(fields []Field, body []byte) *Message {
	now := s.o.Now()
	m := &Message{fields: fields, places: map[string][]int{}}
	for i, f := range fields {
		key := f.key()
		m.places[key] = append(m.places[key], i)
	}
	signed := m.places["dkim-signature"]
	m.more = max(len(signed)-maxSignatures, 0)
	for _, i := range signed[:len(signed)-m.more] {
		sig := readSignature(fields[i], now)
		if sig.wrong == nil {
			sig.wrong = sig.checkIdentity()
		}
		m.signatures = append(m.signatures, sig)
	}
	m.chain = readChain(m, now)
	for _, sig := range append(slices.Clone(m.signatures), m.chain.newest) {
		if sig != nil && sig.wrong == nil && m.bodies[sig.body] == nil {
			m.bodies[sig.body] = sig.body.body(body)
		}
	}
	return m
}
