package filter

import "strings"

// settle sets the white space around the commas of address lists as Sendmail
// will anyway (headers.c, commaize): what is signed must not change on the way out.
// More of it, or a fold, is all the same to a signature in relaxed form.
func (v *model) settle() {
	v.needEntries()
	for i := range v.entries {
		if e := &v.entries[i]; e.visible() && hasAddresses(e.key()) {
			e.Value = settledList(e.Value)
		}
	}
}

// hasAddresses tells of the fields that Sendmail takes apart (conf.c, HdrInfo:
// H_FROM and H_RCPT).
func hasAddresses(key string) bool {
	switch strings.TrimPrefix(key, "resent-") {
	case "from", "sender", "reply-to", "to", "cc", "bcc",
		"apparently-to", "errors-to", "disposition-notification-to", "return-receipt-to":
		return true
	}
	return false
}

// settledList is a list with no white space before its commas and some after
// them. Commas in quotes, comments and angle brackets are no one's concern; a
// list without such a comma stays as it is.
func settledList(value string) string {
	const fws = " \t\r\n"
	var out strings.Builder
	depth, quoted, angle, from := 0, false, false, 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\':
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '<', c == '>':
			angle = c == '<'
		case c == ',' && !angle:
			out.WriteString(strings.TrimRight(value[from:i], fws))
			out.WriteByte(',')
			from = i + 1
			if rest := value[from:]; rest != "" && !strings.ContainsRune(fws+",", rune(rest[0])) {
				out.WriteByte(' ')
			}
		}
	}
	out.WriteString(value[from:])
	return out.String()
}
