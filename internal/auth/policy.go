package auth

import (
	"context"
	"strconv"
	"strings"
)

// The policies of RFC 7489 §6.3.
const (
	policyNone       = "none"
	policyQuarantine = "quarantine"
	policyReject     = "reject"
)

// policy is a DMARC record (RFC 7489 §6.3), as far as it says what to do.
type policy struct {
	p, sp       string
	spf, dkim   bool // strict alignment
	percent     int
	ofSubdomain bool // it is the organizational domain's and asked for one below
}

// requested is what the domain wants done with a message that fails.
func (p *policy) requested() string {
	if p.ofSubdomain {
		return p.sp
	}
	return p.p
}

// parsePolicy reads a record. ok is false for what is no DMARC record. Unknown
// tags are ignored, a bad value means the default (RFC 7489 §6.3); with a bad p
// the record counts as p=none if it says where reports go, else as none (§6.6.3).
func parsePolicy(record string) (p *policy, ok bool) {
	if len(record) > maxRecord {
		return nil, false
	}
	version, rest, _ := strings.Cut(record, ";")
	name, value, _ := strings.Cut(version, "=")
	if trimFWS(name) != "v" || trimFWS(value) != "DMARC1" {
		return nil, false
	}
	t := tags{}
	for i, spec := range strings.Split(rest, ";") {
		name, value, ok := strings.Cut(spec, "=")
		if name = lower(trimFWS(name)); !ok || i >= maxTags || t.has(name) {
			continue
		}
		t[name] = trimFWS(value)
	}
	p = &policy{percent: 100, spf: lower(t["aspf"]) == "s", dkim: lower(t["adkim"]) == "s"}
	known := func(s string) (string, bool) {
		s = lower(s)
		return s, s == policyNone || s == policyQuarantine || s == policyReject
	}
	if p.p, ok = known(t["p"]); !ok {
		if !strings.Contains(lower(t["rua"]), "mailto:") {
			return nil, false
		}
		p.p, p.sp = policyNone, policyNone
		return p, true
	}
	if p.sp, ok = known(t["sp"]); !ok {
		p.sp = p.p
	}
	if n, err := strconv.Atoi(t["pct"]); err == nil && n >= 0 && n <= 100 {
		p.percent = n
	}
	return p, true
}

// policyOf finds a domain's policy: its own, or its organization's (RFC 7489
// §6.6.3). nil without a fault means that there is none.
func (s *Service) policyOf(ctx context.Context, domain string) (*policy, *fault) {
	p, wrong := s.policyAt(ctx, domain)
	org := organization(domain)
	if p != nil || wrong != nil || org == domain {
		return p, wrong
	}
	if p, wrong = s.policyAt(ctx, org); p != nil {
		p.ofSubdomain = true
	}
	return p, wrong
}

func (s *Service) policyAt(ctx context.Context, domain string) (*policy, *fault) {
	records, err := s.dns.LookupTXT(ctx, "_dmarc."+domain)
	if err != nil && !notFound(err) {
		return nil, &fault{TempError, "the policy cannot be looked up: " + err.Error()}
	}
	var found []*policy
	said := 0
	for _, r := range records {
		if strings.HasPrefix(trimFWS(r), "v=DMARC1") {
			said++
		}
		if p, ok := parsePolicy(r); ok {
			found = append(found, p)
		}
	}
	if len(found) == 1 && said <= 1 {
		return found[0], nil
	}
	return nil, nil // no policy is an answer, and no fault
}
