package auth

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"pmilter/internal/mail"
)

// maxAuthors is how many domains of one From are looked at.
const maxAuthors = 5

// authors is the domains of the From field, each once (RFC 7489 §6.6.1). wrong
// says why there is none that means anything: several From fields show a reader
// whichever his program likes.
func authors(m *Message) (domains []string, wrong string) {
	places := m.places["from"]
	switch len(places) {
	case 0:
		return nil, "there is no From"
	case 1:
	default:
		return nil, "there are several From fields"
	}
	from := mail.Parse([]mail.Field{{Name: "From", Value: m.fields[places[0]].Value}}, nil).From()
	for _, box := range from {
		domain, ok := asciiDomain(box.Domain)
		if !ok || !strings.Contains(domain, ".") {
			return nil, "an address in From has no domain"
		}
		if !has(domains, domain) {
			domains = append(domains, domain)
		}
	}
	switch {
	case len(domains) == 0:
		return nil, "From has no address"
	case len(domains) > maxAuthors:
		return nil, "From has too many domains"
	}
	return domains, ""
}

func has(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

// organization is a domain's organizational domain (RFC 7489 §3.2): one label
// below the public suffix. A public suffix is its own.
func organization(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}

// aligned tells whether two domains are the same, or relaxed, of the same
// organization (RFC 7489 §3.1).
func aligned(domain, author string, strict bool) bool {
	if domain == author {
		return domain != ""
	}
	return !strict && domain != "" && organization(domain) == organization(author)
}
