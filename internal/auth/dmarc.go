package auth

import (
	"context"
	"strings"
)

// DMARC is whether a message is from the domain that a reader sees.
type DMARC struct {
	Result      string // pass fail none temperror permerror
	Policy      string // what the domain publishes for what fails: none quarantine reject; "" without a record
	Percent     int    // of the failing messages that the policy is for
	Disposition string // what is to be done with this one: none quarantine reject
	Domain      string // the author's
	SPF, DKIM   bool   // what passed and is of the author's domain
	Reason      string // why it is neither pass nor none
}

// DMARC judges a message by the results of the other two (RFC 7489 §6.6.2). The
// error is the context's alone.
func (s *Service) DMARC(ctx context.Context, m *Message, spf SPF, dkim []DKIM) (DMARC, error) {
	domains, wrong := authors(m)
	if wrong != "" {
		return DMARC{Result: PermError, Disposition: policyNone, Reason: wrong}, nil
	}
	var worst DMARC
	for i, domain := range domains {
		r := s.judge(ctx, domain, spf, dkim)
		if i == 0 || worse(r, worst) {
			worst = r
		}
	}
	return worst, ctx.Err()
}

// worse: of several authors the strictest policy that was failed counts (RFC 7489
// §6.6.1).
func worse(a, b DMARC) bool {
	rank := func(r DMARC) int {
		switch {
		case r.Result == Pass:
			return 0
		case r.Result == None:
			return 1
		case r.Result == TempError:
			return 3
		case r.Disposition == policyReject:
			return 5
		case r.Disposition == policyQuarantine:
			return 4
		}
		return 2
	}
	return rank(a) > rank(b)
}

// judge is the result for one author.
func (s *Service) judge(ctx context.Context, domain string, spf SPF, dkim []DKIM) DMARC {
	r := DMARC{Domain: domain, Disposition: policyNone}
	p, wrong := s.policyOf(ctx, domain)
	switch {
	case wrong != nil:
		r.Result, r.Reason = wrong.result, wrong.text
		return r
	case p == nil:
		r.Result = None
		return r
	}
	r.Policy, r.Percent = p.requested(), p.percent
	unsure := false
	if aligned(spf.Domain, domain, p.spf) {
		r.SPF = spf.Result == Pass
		unsure = spf.Result == TempError
	}
	for _, d := range dkim {
		if aligned(d.Domain, domain, p.dkim) {
			r.DKIM = r.DKIM || d.Result == Pass
			unsure = unsure || d.Result == TempError
		}
	}
	switch {
	case r.SPF || r.DKIM:
		r.Result = Pass
	case unsure: // it might pass later
		r.Result, r.Reason = TempError, "what might have passed could not be looked up"
	default:
		r.Result, r.Reason = Fail, s.because(p, domain, spf, dkim)
		r.Disposition = s.sampled(r.Policy, p.percent)
	}
	return r
}

// sampled is the policy for one message: those that pct leaves out get the next
// milder one (RFC 7489 §6.6.4).
func (s *Service) sampled(policy string, percent int) string {
	if percent >= 100 || s.o.Random()*100 < float64(percent) {
		return policy
	}
	if policy == policyReject {
		return policyQuarantine
	}
	return policyNone
}

// because says in one line why nothing aligned passed.
func (s *Service) because(p *policy, author string, spf SPF, dkim []DKIM) string {
	mode := func(strict bool) string {
		if strict {
			return " (strict)"
		}
		return ""
	}
	word := func(method, result, domain string, strict bool) string {
		if result != Pass {
			return method + " is " + result
		}
		return method + " passed for " + domain + ", which is not aligned" + mode(strict)
	}
	list := []string{word("SPF", spf.Result, spf.Domain, p.spf)}
	if spf.Result == "" {
		list[0] = "no SPF"
	}
	if len(dkim) == 0 {
		list = append(list, "no signature")
	}
	for _, d := range dkim {
		if d.Result == Pass || aligned(d.Domain, author, p.dkim) {
			list = append(list, word("DKIM", d.Result, d.Domain, p.dkim))
		}
	}
	return strings.Join(list, "; ")
}
