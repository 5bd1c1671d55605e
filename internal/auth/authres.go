package auth

import (
	"fmt"
	"strings"

	"github.com/emersion/go-msgauth/authres"
)

// Results are what an Authentication-Results field tells; nil is not told of.
type Results struct {
	SPF   *SPF
	DKIM  []DKIM // empty but not nil: there was no signature
	DMARC *DMARC
	ARC   *ARC
}

// maxTold is how many signatures a field tells of.
const maxTold = 20

// Format is the value of an Authentication-Results (RFC 8601 §2.2) in the name
// of id, CRLF at its folds. What others wrote cannot end a word in it. An error means that id is none.
func Format(id string, r Results) (string, error) {
	if strings.Trim(id, asciiLetters) != "" || id == "" || len(id) > 253 {
		return "", fmt.Errorf("%q is no authserv-id: it must be like a host's name", id)
	}
	var list []string
	tell := func(method, result string, params map[string]string) {
		if !known(result) {
			result = PermError
		}
		one := authres.GenericResult{Method: method, Value: authres.ResultValue(result), Params: params}
		list = append(list, strings.TrimSpace(strings.TrimPrefix(authres.Format("", []authres.Result{&one}), "; ")))
	}
	if s := r.SPF; s != nil {
		params := map[string]string{"smtp.mailfrom": addressWord(s.Sender), "reason": ""}
		if s.Identity == "helo" {
			params = map[string]string{"smtp.helo": word(s.Domain)}
		}
		if s.Result == PermError || s.Result == TempError {
			params["reason"] = reason(s.Explanation)
		}
		tell("spf", s.Result, params)
	}
	if r.DKIM != nil && len(r.DKIM) == 0 {
		tell("dkim", None, nil)
	}
	for _, d := range r.DKIM[:min(len(r.DKIM), maxTold)] {
		tell("dkim", d.Result, map[string]string{
			"header.d": word(d.Domain), "header.s": word(d.Selector), "header.a": word(d.Algorithm), "header.b": word(d.Signature),
			"reason": reason(d.Error),
		})
	}
	if d := r.DMARC; d != nil {
		tell("dmarc", d.Result, map[string]string{"header.from": word(d.Domain), "policy.dmarc": word(d.Policy), "reason": reason(d.Reason)})
	}
	if a := r.ARC; a != nil {
		tell("arc", a.Result, map[string]string{"reason": reason(a.Error)})
	}
	if len(list) == 0 {
		return id + "; none", nil
	}
	return id + ";\r\n\t" + strings.Join(list, ";\r\n\t"), nil
}

func known(result string) bool {
	return has([]string{None, Pass, Fail, Policy, Neutral, SoftFail, TempError, PermError}, result)
}

// word is s if it can stand in the field without quotes, else "", which is left out.
func word(s string) string {
	if len(s) > 253 || strings.Trim(s, asciiLetters+"+/") != "" {
		return ""
	}
	return s
}

// addressWord is an address, or its domain alone when the local part would need
// quotes (RFC 8601 §2.2, pvalue).
func addressWord(address string) string {
	local, domain, ok := cutLast(address, '@')
	if domain = word(domain); !ok || domain == "" {
		return domain
	}
	if len(local) > 256 || strings.Trim(local, asciiLetters+"+/#$&'*^`{|}~") != "" {
		return "@" + domain
	}
	return local + "@" + domain
}

// reason is a text that quotes can hold.
func reason(s string) string {
	return strings.NewReplacer(`"`, "'", `\`, "/").Replace(printable(s))
}

// Claims tells whether the value of an Authentication-Results is in the name of
// id (RFC 8601 §5): then it is forged if it came from outside. What cannot be read
// counts as such if the name is in it anywhere.
func Claims(id, value string) bool {
	id = strings.TrimSuffix(lower(id), ".")
	found, ok := authservID(value)
	if !ok {
		return strings.Contains(lower(value), id)
	}
	return strings.TrimSuffix(lower(found), ".") == id
}

// authservID reads the first word of a field: [CFWS] value (RFC 8601 §2.2),
// which is a token or a quoted string (RFC 2045 §5.1).
func authservID(value string) (id string, ok bool) {
	rest, ok := skipCFWS(value)
	if !ok || rest == "" {
		return "", false
	}
	var b strings.Builder
	if rest[0] != '"' {
		end := strings.IndexAny(rest, " \t\r\n;(\"=")
		if end < 0 {
			return rest, true
		}
		return rest[:end], rest[end] != '"' && rest[end] != '='
	}
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			return strings.TrimSpace(b.String()), true
		case c == '\\' && i+1 < len(rest):
			i++
			b.WriteByte(rest[i])
		case c != '\r' && c != '\n':
			b.WriteByte(c)
		}
	}
	return "", false
}

// skipCFWS drops white space and comments, which may be in each other (RFC 5322
// §3.2.2). ok is false when one does not end.
func skipCFWS(s string) (rest string, ok bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case depth > 0 && c == '\\':
			i++
		case c == '(':
			depth++
		case depth > 0 && c == ')':
			depth--
		case depth > 0 || isFWS(rune(c)):
		default:
			return s[i:], true
		}
	}
	return "", depth == 0
}
