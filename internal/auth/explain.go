package auth

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// explainer is what the macros of an explanation stand for (RFC 7208 §7.2).
type explainer struct {
	ip            netip.Addr
	helo          string
	local, domain string // of the sender
	server        string
	now           time.Time
	current       string // the domain whose record it is
}

// maxRedirects is how many redirect= are followed: as many as look-ups are allowed.
const maxRedirects = 10

// explain is what the domain says of its fail, "" when it says nothing or it
// cannot be had (RFC 7208 §6.2). It is the word of the record that gave the
// result: of the domain, or of where it redirects to.
func (s *Service) explain(ctx context.Context, e explainer, seen *recorder) string {
	e.current = e.domain
	terms := spfTerms(seen.txt[e.current])
	for range maxRedirects {
		target, ok := e.expand(modifier(terms, "redirect"), false)
		target = lower(strings.TrimSuffix(target, "."))
		if _, read := seen.txt[target]; !ok || target == "" || !read {
			break
		}
		e.current, terms = target, spfTerms(seen.txt[target])
	}
	name, ok := e.expand(modifier(terms, "exp"), false)
	if !ok || name == "" {
		return ""
	}
	for name = strings.TrimSuffix(name, "."); len(name) > 253; { // RFC 7208 §7.3
		_, after, found := strings.Cut(name, ".")
		if name = after; !found {
			return ""
		}
	}
	texts, err := s.dns.LookupTXT(ctx, name)
	if err != nil || len(texts) != 1 {
		return ""
	}
	text, ok := e.expand(texts[0], true)
	if !ok {
		return ""
	}
	return text
}

// spfTerms is the terms of the SPF record among some.
func spfTerms(records []string) []string {
	for _, r := range records {
		if terms := strings.Fields(r); len(terms) > 0 && lower(terms[0]) == "v=spf1" {
			return terms[1:]
		}
	}
	return nil
}

// modifier is the value of the first modifier of that name, "" if there is none.
func modifier(terms []string, name string) string {
	for _, t := range terms {
		if key, value, ok := strings.Cut(t, "="); ok && lower(key) == name {
			return value
		}
	}
	return ""
}

// expand replaces macros (RFC 7208 §7). In a text there are more of them, and
// what is no name of DNS. ok is false for a syntax error.
func (e *explainer) expand(s string, text bool) (out string, ok bool) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(s, "%")
		b.WriteString(plain)
		if !found {
			break
		}
		if b.Len() > maxRecord || rest == "" {
			return "", false
		}
		s = rest[1:]
		switch rest[0] {
		case '%':
			b.WriteByte('%')
		case '_':
			b.WriteByte(' ')
		case '-':
			b.WriteString("%20")
		case '{':
			macro, after, closed := strings.Cut(s, "}")
			value, known := e.macro(macro, text)
			if !closed || !known {
				return "", false
			}
			b.WriteString(value)
			s = after
		default:
			return "", false
		}
	}
	return b.String(), true
}

// macro is the value of LETTER, DIGITS, "r" and delimiters.
func (e *explainer) macro(m string, text bool) (value string, ok bool) {
	if m == "" {
		return "", false
	}
	letter := m[:1]
	if value, ok = e.letter(lower(letter), text); !ok {
		return "", false
	}
	rest := m[1:]
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	rest = rest[len(digits):]
	reverse := rest != "" && lower(rest[:1]) == "r"
	if reverse {
		rest = rest[1:]
	}
	if strings.Trim(rest, ".-+,/_=") != "" {
		return "", false
	}
	if rest == "" {
		rest = "."
	}
	if reverse || digits != "" || rest != "." {
		parts := splitAny(value, rest)
		if reverse {
			slices.Reverse(parts)
		}
		if digits != "" {
			n, err := strconv.Atoi(digits)
			if err != nil || n == 0 {
				return "", false
			}
			parts = parts[len(parts)-min(n, len(parts)):]
		}
		value = strings.Join(parts, ".")
	}
	if letter != lower(letter) {
		value = strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	}
	return value, true
}

// splitAny cuts at each of some bytes, and keeps empty parts.
func splitAny(s, at string) []string {
	for i := 1; i < len(at); i++ {
		s = strings.ReplaceAll(s, at[i:i+1], at[:1])
	}
	return strings.Split(s, at[:1])
}

func (e *explainer) letter(l string, text bool) (value string, ok bool) {
	switch l {
	case "s":
		return e.local + "@" + e.domain, true
	case "l":
		return e.local, true
	case "o":
		return e.domain, true
	case "d":
		return e.current, true
	case "i":
		return e.dotted(), true
	case "p": // RFC 7208 §7.3: not to be used
		return "unknown", true
	case "v":
		if e.ip.Is4() {
			return "in-addr", true
		}
		return "ip6", true
	case "h":
		return e.helo, true
	}
	if !text {
		return "", false
	}
	switch l {
	case "c":
		return e.ip.String(), true
	case "r":
		if e.server == "" {
			return "unknown", true
		}
		return e.server, true
	case "t":
		return strconv.FormatInt(e.now.Unix(), 10), true
	}
	return "", false
}

// dotted is an address as %{i} has it: of IPv6 a nibble in each label.
func (e *explainer) dotted() string {
	if e.ip.Is4() {
		return e.ip.String()
	}
	digits := strings.ToUpper(strings.ReplaceAll(e.ip.StringExpanded(), ":", ""))
	return strings.Join(strings.Split(digits, ""), ".")
}
