package mail

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mailbox is one of the people that From, To and Cc name (RFC 5322 §3.4).
type Mailbox struct {
	Name    string // as people see it, decoded; "" for none
	Address string // as it stands, without angle brackets; "" if there is none
	Local   string // before the last @, unquoted; all of it if there is no @
	Domain  string // after it, in lower case
}

// SplitAddress cuts an address without angle brackets at its last @ (RFC 5321
// §4.1.2) after dropping a source route (§4.1.1.3): the local part is unquoted,
// the domain in lower case. Without @ there is no domain.
func SplitAddress(address string) (local, domain string) {
	if strings.HasPrefix(address, "@") {
		if _, mailbox, ok := strings.Cut(address, ":"); ok {
			address = mailbox
		}
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 || strings.HasPrefix(address, `"`) && strings.HasSuffix(address, `"`) {
		return unquote(address), ""
	}
	return unquote(address[:at]), lowerDomain(address[at+1:])
}

// unquote undoes a quoted string (RFC 5322 §3.2.4).
func unquote(s string) string {
	n := len(s)
	if n < 2 || s[0] != '"' || s[n-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < n-1; i++ {
		if s[i] == '\\' && i+1 < n-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// lowerDomain leaves letters whose lower case is ASCII but who are not, so that
// no other domain looks like one of ASCII.
func lowerDomain(domain string) string {
	if !utf8.ValidString(domain) {
		return lowerASCII(domain)
	}
	return strings.Map(func(r rune) rune {
		if l := unicode.ToLower(r); r < utf8.RuneSelf || l >= utf8.RuneSelf {
			return l
		}
		return r
	}, domain)
}

// addressReader reads a list of addresses. What is before the comma that comes
// next is item, its quotes and escapes undone, and raw, as it stands.
type addressReader struct {
	charset string
	list    []Mailbox
	wrong   defect
	item    strings.Builder
	raw     strings.Builder
	comment string
	angle   *string
	name    string // what was before it
	at      bool   // an @ was in it
	family  string // an item before a comma that seems to belong to a name: "Doe, John <...>"
	words   wordScanner
	unended map[byte]bool // what opened and did not close: no other is searched for
}

// readAddresses reads a field's value. Groups (RFC 5322 §3.4) give their members.
// Bytes above 127 that are not UTF-8 are of that character set.
func readAddresses(value, charset string) ([]Mailbox, defect) {
	value = unfold(value)
	r := addressReader{charset: charset, words: wordScanner{value: value, end: -1}, unended: map[byte]bool{}}
	for i := 0; i < len(value) && len(r.list) < maxAddresses; {
		i = r.next(value, i)
	}
	r.finish()
	r.flushFamily()
	if blank(value) {
		r.wrong |= badAddress
	}
	return r.list, r.wrong
}

// next reads what is at i and tells what is after it.
func (r *addressReader) next(s string, i int) int {
	switch c := s[i]; c {
	case '"':
		if end := r.closes(s, i, quoteEnd); end > 0 {
			quoted := s[i:end]
			r.raw.WriteString(quoted)
			r.item.WriteString(unquote(quoted))
			return end
		}
		return i + 1
	case '(':
		if end := r.closes(s, i, commentEnd); end > 0 {
			if r.comment == "" {
				r.comment = strings.Trim(unquote(`"`+s[i+1:end-1]+`"`), " \t")
			}
			r.write(" ")
			return end
		}
	case '<':
		return r.bracket(s, i)
	case '[': // of a domain: it may have colons
		if end := strings.IndexByte(s[i:min(len(s), i+256)], ']'); end > 0 && strings.HasSuffix(r.raw.String()[max(0, r.raw.Len()-1):], "@") {
			r.write(s[i : i+end+1])
			return i + end + 1
		}
	case ',', ';':
		r.finish()
		return i + 1
	case ':':
		if r.angle == nil && !r.at { // the name of a group
			r.item.Reset()
			r.raw.Reset()
			r.comment = ""
			return i + 1
		}
	case '\\':
		if i+1 < len(s) {
			r.raw.WriteString(s[i : i+2])
			r.item.WriteByte(s[i+1])
			return i + 2
		}
	case '=':
		if strings.HasPrefix(s[i:], "=?") {
			if _, end, ok := r.words.word(i); ok {
				r.write(s[i:end])
				return end
			}
		}
	case '>':
		r.wrong |= badAddress
		return i + 1
	}
	r.write(s[i : i+1])
	return i + 1
}

func (r *addressReader) write(s string) {
	r.at = r.at || s == "@"
	r.item.WriteString(s)
	r.raw.WriteString(s)
}

// closes is where what opens at i ends, or 0.
func (r *addressReader) closes(s string, i int, end func(string) int) int {
	if !r.unended[s[i]] {
		if n := end(s[i:]); n > 0 {
			return i + n
		}
		r.unended[s[i]] = true
	}
	r.wrong |= badAddress
	return 0
}

// bracket reads an address in angle brackets.
func (r *addressReader) bracket(s string, i int) int {
	if r.angle != nil { // a second one without a comma: what is between is its name
		r.wrong |= badAddress
		between := r.item.String()
		r.item.Reset()
		r.finish()
		r.item.WriteString(between)
	}
	r.name = strings.TrimSpace(r.item.String())
	r.item.Reset()
	end := r.closes(s, i, bracketEnd)
	if end == 0 { // it ends where the item does
		if end = strings.IndexAny(s[i:], ",; \t"); end < 0 {
			end = len(s)
		} else {
			end += i
		}
		address := s[i+1 : end]
		r.angle = &address
		return end
	}
	address := s[i+1 : end-1]
	r.angle = &address
	return end
}

// bracketEnd is after the > that ends what s begins with, or -1.
func bracketEnd(s string) int {
	last := strings.LastIndexByte(s, '>')
	for i := 1; i <= last; i++ {
		switch s[i] {
		case '"':
			if end := quoteEnd(s[i:]); end > 0 && i+end <= last {
				i += end - 1
			}
		case '>':
			return i + 1
		}
	}
	return -1
}

// finish makes a mailbox of what has been read since the last comma.
func (r *addressReader) finish() {
	item, raw, comment, angle := strings.TrimSpace(r.item.String()), r.raw.String(), r.comment, r.angle
	r.item.Reset()
	r.raw.Reset()
	r.comment, r.angle, r.at = "", nil, false
	if angle != nil {
		if item != "" {
			r.wrong |= badAddress
			item = " " + item
		}
		item = r.name + item
		switch {
		case comment == "":
		case item == "" && r.family == "":
			item = comment
		default:
			item += " (" + comment + ")"
		}
		if r.family != "" {
			item, r.family = strings.TrimSpace(r.family+", "+item), ""
			r.wrong |= badAddress
		}
		address := bareAddress(*angle)
		if _, domain := SplitAddress(address); domain == "" {
			r.wrong |= badAddress
		}
		r.add(item, address)
		return
	}
	if item == "" {
		return
	}
	if strings.IndexByte(raw, '@') < 0 {
		r.wrong |= badAddress
		r.flushFamily()
		if comment != "" {
			r.add(comment, item)
			return
		}
		r.family = item
		return
	}
	r.flushFamily()
	if raw = strings.TrimSpace(raw); raw[0] == '"' && quoteEnd(raw) == len(raw) {
		raw = unquote(raw) // "jo@example.org"
		r.wrong |= badAddress
	}
	if words := strings.Fields(raw); len(words) > 1 && !slices.ContainsFunc(words, func(w string) bool { return strings.IndexByte(w, '@') < 1 }) {
		r.wrong |= badAddress // commas are missing
		for _, w := range words {
			r.add("", w)
		}
		return
	}
	address, name := bareItem(raw)
	if name != "" {
		r.wrong |= badAddress
	}
	if comment != "" {
		name = comment
	}
	r.add(name, address)
}

// flushFamily adds an item without an address that belongs to no other: one word
// is an address without a domain, more are a name.
func (r *addressReader) flushFamily() {
	item := r.family
	r.family = ""
	switch {
	case item == "":
	case strings.ContainsAny(item, " \t") || strings.Contains(item, "=?") || !is7bit(item):
		r.add(item, "")
	default:
		r.add("", item)
	}
}

func (r *addressReader) add(name, address string) {
	if len(r.list) >= maxAddresses {
		return
	}
	name, wrong := decodeHeader(name, r.charset)
	r.wrong |= wrong
	address, wrong = rawText(address, r.charset)
	r.wrong |= wrong
	local, domain := SplitAddress(address)
	r.list = append(r.list, Mailbox{Name: oneLine(strings.TrimSpace(name)), Address: address, Local: local, Domain: domain})
}
