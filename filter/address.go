package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Address is a reverse path or forward path as the SMTP client gave it
// (RFC 5321 §4.1.2). Immutable. Strings are mail's bytes, UTF-8 or not.
type Address struct {
	Address string            // as sent, without angle brackets; "" for the null sender
	Local   string            // as sent, unquoted
	Domain  string            // lower case; "" when there is none
	Params  map[string]string // ESMTP, keys in upper case, a flag's value is ""; nil for none

	path   string   // as sent, brackets included
	params []string // as sent
}

// ParseAddress reads a path as it stands in MAIL or RCPT, with or without
// angle brackets, and its ESMTP parameters. It accepts anything: what is no
// address stays as it came, with an empty domain.
func ParseAddress(path string, params []string) *Address {
	a := &Address{path: path, params: params}
	a.Address = path
	if n := len(path); n >= 2 && path[0] == '<' && path[n-1] == '>' {
		a.Address = path[1 : n-1]
	}
	a.Local, a.Domain = splitAddress(a.Address)
	if len(params) > 0 {
		a.Params = make(map[string]string, len(params))
		for _, p := range params {
			key, value, _ := strings.Cut(p, "=")
			a.Params[upperASCII(key)] = value
		}
	}
	return a
}

// splitAddress cuts at the last @ outside quotes (RFC 5321 §4.1.2: Mailbox),
// after dropping a source route (§4.1.1.3).
func splitAddress(address string) (local, domain string) {
	if strings.HasPrefix(address, "@") {
		if _, mailbox, ok := strings.Cut(address, ":"); ok {
			address = mailbox
		}
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 || strings.HasSuffix(address, `"`) && strings.HasPrefix(address, `"`) {
		return unquote(address), ""
	}
	return unquote(address[:at]), lowerDomain(address[at+1:])
}

// lowerDomain lowers letters and leaves bytes that are no UTF-8 as they are, and
// letters whose lower case is ASCII, so that no other domain looks like one of that.
func lowerDomain(domain string) string {
	if utf8.ValidString(domain) {
		return strings.Map(func(r rune) rune {
			if lower := unicode.ToLower(r); r < utf8.RuneSelf || lower >= utf8.RuneSelf {
				return lower
			}
			return r
		}, domain)
	}
	b := []byte(domain)
	for i, c := range b {
		b[i] = lowerASCII(c)
	}
	return string(b)
}

// upperASCII is for ESMTP keywords, which are ASCII (RFC 5321 §4.1.2: esmtp-keyword).
func upperASCII(key string) string {
	b := []byte(key)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

// unquote undoes a Quoted-string (RFC 5321 §4.1.2).
func unquote(local string) string {
	n := len(local)
	if n < 2 || local[0] != '"' || local[n-1] != '"' {
		return local
	}
	var b strings.Builder
	for i := 1; i < n-1; i++ {
		if local[i] == '\\' && i+1 < n-1 {
			i++
		}
		b.WriteByte(local[i])
	}
	return b.String()
}

// sameAddress compares as a mail server does: the domain without case, the
// local part to the letter.
func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	localA, domainA := splitAddress(a)
	localB, domainB := splitAddress(b)
	return localA == localB && domainA == domainB
}
