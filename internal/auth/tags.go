package auth

import (
	"encoding/base64"
	"errors"
	"strings"
)

// maxTags bounds what a list of tags costs: real ones have a dozen.
const maxTags = 100

// tags is a list of tags (RFC 6376 §3.2): values without the white space around them.
type tags map[string]string

var (
	errTagSyntax = errors.New("the list of tags has a syntax error")
	errTagTwice  = errors.New("a tag is there twice")
)

func parseTags(list string) (tags, error) {
	found := tags{}
	for spec := range strings.SplitSeq(list, ";") {
		name, value, ok := strings.Cut(spec, "=")
		if name = trimFWS(name); name == "" && !ok {
			continue // the last one may end with a semicolon
		}
		if !ok || !isTagName(name) || len(found) >= maxTags {
			return nil, errTagSyntax
		}
		if _, twice := found[name]; twice {
			return nil, errTagTwice
		}
		found[name] = trimFWS(value)
	}
	return found, nil
}

// isTagName: a letter, then letters, digits and underscores.
func isTagName(s string) bool {
	for i := range len(s) {
		letter := 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z'
		if !letter && (i == 0 || s[i] != '_' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return s != ""
}

func trimFWS(s string) string { return strings.TrimFunc(s, isFWS) }

func dropFWS(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(s)
}

// has tells whether there is a tag of that name, empty or not.
func (t tags) has(name string) bool {
	_, ok := t[name]
	return ok
}

// list is a tag's value as a list of names with colons between them.
func (t tags) list(name string) []string {
	return strings.Split(dropFWS(t[name]), ":")
}

// base64 is a tag's value decoded: white space may be anywhere in it (RFC 6376 §3.2).
func (t tags) base64(name string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(dropFWS(t[name]))
}

// withoutSignature is a field's value with the value of its tag b taken out, as
// it is signed (RFC 6376 §3.5, §3.7): that tag alone, whatever others end in a b.
func withoutSignature(value string) string {
	specs := strings.Split(value, ";")
	for i, spec := range specs {
		if name, _, ok := strings.Cut(spec, "="); ok && trimFWS(name) == "b" {
			specs[i] = name + "="
		}
	}
	return strings.Join(specs, ";")
}
