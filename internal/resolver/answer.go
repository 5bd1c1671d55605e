package resolver

import (
	"time"

	"github.com/miekg/dns"
)

const (
	maxTTL      = 24 * time.Hour // of what is kept, whatever the zone says
	maxNegative = 3 * time.Hour  // RFC 2308 §5: one to three hours
	// failureTTL keeps a failure of the servers, so that a zone that is down does
	// not cost every mail the whole timeout (RFC 2308 §7, RFC 9520 §3.2).
	failureTTL = 5 * time.Second
	// maxChain is how many CNAMEs lead to an answer; servers give up at 8 to 16.
	maxChain = 16
	// maxRecords of an answer are looked at. Who needs more has other plans.
	maxRecords = 4096
)

// answer is what is known about a question. It is not changed any more.
type answer struct {
	records []dns.RR
	err     *Error // why there are no records
	ttl     time.Duration
	size    int // bytes that it came in
	// more: a chain of CNAMEs ends at this name, about which the answer says nothing.
	more string
}

// belongs tells whether a message answers a question asked with an id. What does
// not is an old answer or a forged one (RFC 5452 §9.1).
func belongs(m *dns.Msg, id uint16, q question) bool {
	return m.Id == id && m.Response && m.Opcode == dns.OpcodeQuery && len(m.Question) == 1 &&
		m.Question[0].Qtype == q.kind && m.Question[0].Qclass == dns.ClassINET && lower(m.Question[0].Name) == q.name
}

// lame tells whether a server answered that others should be asked: it does not
// recur for us, or does not serve the zone that it was said to serve.
func lame(m *dns.Msg) bool {
	return m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0 && !m.Authoritative && !m.RecursionAvailable
}

// read is what a message that belongs to the question says about it.
func (q question) read(m *dns.Msg) *answer {
	a := &answer{ttl: maxTTL}
	code := codeOf(m.Rcode)
	if code != "" && code != NotFound {
		a.err, a.ttl = q.fail(code, ""), failureTTL
		return a
	}
	if len(m.Answer) > maxRecords {
		a.err, a.ttl = q.fail(BadResp, "more records than anyone needs"), failureTTL
		return a
	}
	end, fault := q.follow(m.Answer, a)
	if fault != nil {
		a.err, a.ttl = fault, failureTTL
		return a
	}
	switch {
	case len(a.records) > 0:
	case code == NotFound: // also about the end of the chain, RFC 2308 §2.1
		a.err, a.ttl = q.fail(NotFound, ""), min(a.ttl, negativeTTL(m))
	case end != q.name && !denies(m):
		a.more = end
	default:
		a.err, a.ttl = q.fail(NoData, ""), min(a.ttl, negativeTTL(m))
	}
	return a
}

// follow goes from the question along the CNAMEs to the records of the type,
// whatever else is in the answer, and returns the name at the end.
func (q question) follow(rrs []dns.RR, a *answer) (end string, fault *Error) {
	end = q.name
	for range maxChain {
		next := ""
		for _, rr := range rrs {
			h := rr.Header()
			if h.Class != dns.ClassINET || lower(h.Name) != end {
				continue
			}
			if h.Rrtype == q.kind {
				a.records = append(a.records, rr)
				a.ttl = min(a.ttl, seconds(h.Ttl))
			} else if c, ok := rr.(*dns.CNAME); ok && next == "" {
				next = lower(c.Target)
				a.ttl = min(a.ttl, seconds(h.Ttl))
			}
		}
		if len(a.records) > 0 || next == "" {
			return end, nil
		}
		end = next
	}
	return end, q.fail(BadResp, "the CNAMEs lead nowhere")
}

// denies tells whether a message says that there is nothing: it has the SOA of
// the zone (RFC 2308 §2.2).
func denies(m *dns.Msg) bool {
	for _, rr := range m.Ns {
		if _, ok := rr.(*dns.SOA); ok {
			return true
		}
	}
	return false
}

// negativeTTL is how long the absence of something holds: the lesser of the SOA's
// TTL and its minimum (RFC 2308 §5). Without an SOA it is not kept.
func negativeTTL(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl), maxNegative)
		}
	}
	return 0
}

// seconds is a TTL; those with the highest bit set count as 0 (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
