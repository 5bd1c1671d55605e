package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The results of RFC 8601 §2.7.
const (
	None      = "none"
	Pass      = "pass"
	Fail      = "fail"
	Policy    = "policy" // signed, but in a way that is not acceptable
	Neutral   = "neutral"
	SoftFail  = "softfail"
	TempError = "temperror"
	PermError = "permerror"
)

// fault is why something did not pass.
type fault struct{ result, text string }

// signature is a DKIM-Signature or an ARC-Message-Signature (RFC 6376 §3.5, RFC
// 8617 §4.1.2). What cannot be read of it is empty and wrong says why.
type signature struct {
	field     Field
	tags      tags
	domain    string // d=, in A-labels
	selector  string
	identity  string // i= of DKIM, "@" and the domain if there is none
	algorithm string // a=
	header    canon
	body      canon
	names     []string // h=
	sum       []byte   // bh=
	value     []byte   // b=
	wrong     *fault
}

// clockSkew is how far in the future a signature may be of, and how long after
// its end it is still taken.
const clockSkew = 5 * time.Minute

func readSignature(f Field, now time.Time) *signature {
	s := &signature{field: f}
	var err error
	if s.tags, err = parseTags(f.Value); err != nil {
		s.wrong = &fault{Neutral, err.Error()}
		return s
	}
	domain, ok := asciiDomain(dropFWS(s.tags["d"]))
	if !ok {
		s.wrong = &fault{Neutral, "d= is no domain"}
		return s
	}
	s.domain, s.selector, s.algorithm = domain, dropFWS(s.tags["s"]), lower(dropFWS(s.tags["a"]))
	s.names = s.tags.list("h")
	s.wrong = s.read(now)
	return s
}

// read fills in what follows from the tags that DKIM and ARC have in common.
func (s *signature) read(now time.Time) *fault {
	for _, name := range []string{"a", "b", "bh", "d", "h", "s"} {
		if s.tags[name] == "" {
			return &fault{Neutral, "the tag " + name + " is missing"}
		}
	}
	header, body, _ := strings.Cut(dropFWS(s.tags["c"]), "/")
	var known, both bool
	s.header, known = canonOf(header)
	s.body, both = canonOf(body)
	if !known || !both {
		return &fault{Neutral, "the canonicalization is not known"}
	}
	if wrong := s.checkAlgorithm(); wrong != nil {
		return wrong
	}
	if !slices.ContainsFunc(s.names, func(n string) bool { return lower(n) == "from" }) {
		return &fault{PermError, "From is not signed"} // RFC 6376 §5.4
	}
	// RFC 6376 §8.2: whoever adds text below it would have it signed.
	if s.tags.has("l") {
		return &fault{Policy, "l= leaves a part of the body unsigned"}
	}
	if q := s.tags["q"]; q != "" && !slices.Contains(s.tags.list("q"), "dns/txt") {
		return &fault{Neutral, "the key cannot be had by q="}
	}
	var err, also error
	s.sum, err = s.tags.base64("bh")
	s.value, also = s.tags.base64("b")
	if err != nil || also != nil {
		return &fault{Neutral, "b= or bh= is no base64"}
	}
	return s.checkTimes(now)
}

func (s *signature) checkAlgorithm() *fault {
	switch s.algorithm {
	case "rsa-sha256", "ed25519-sha256":
		return nil
	case "rsa-sha1": // RFC 8301 §3.1
		return &fault{Policy, "rsa-sha1 is too weak"}
	}
	return &fault{Neutral, "the algorithm is not known"}
}

func (s *signature) checkTimes(now time.Time) *fault {
	made, ok := s.seconds("t")
	if !ok {
		return &fault{Neutral, "t= is no time"}
	}
	end, ok := s.seconds("x")
	switch {
	case !ok || s.tags.has("x") && s.tags.has("t") && end < made:
		return &fault{Neutral, "x= is no time, or before t="}
	case s.tags.has("t") && made > now.Add(clockSkew).Unix():
		return &fault{Policy, "the signature is from the future"}
	case s.tags.has("x") && end < now.Add(-clockSkew).Unix():
		return &fault{Policy, "the signature has expired"}
	}
	return nil
}

// seconds is a time of at most twelve digits (RFC 6376 §3.5), 0 if it is not there.
func (s *signature) seconds(tag string) (int64, bool) {
	if !s.tags.has(tag) {
		return 0, true
	}
	digits := s.tags[tag]
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), err == nil && len(digits) <= 12
}

// checkIdentity reads what only DKIM has: v= and i=.
func (s *signature) checkIdentity() *fault {
	if s.tags["v"] != "1" {
		return &fault{Neutral, "the version is not known"}
	}
	s.identity = "@" + s.domain
	if i := dropFWS(s.tags["i"]); i != "" {
		local, domain, ok := cutLast(i, '@')
		ascii, valid := asciiDomain(domain)
		if !ok || !valid || ascii != s.domain && !strings.HasSuffix(ascii, "."+s.domain) {
			return &fault{PermError, "the domain of i= is not in d="} // RFC 6376 §6.1.1
		}
		s.identity = local + "@" + ascii
	}
	return nil
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// check is the verdict on a signature that was read, with its key (RFC 6376
// §6.1.2, §6.1.3).
func (s *signature) check(m *Message, k *publicKey) *fault {
	algorithm, _, _ := strings.Cut(s.algorithm, "-")
	switch {
	case k.algorithm != algorithm:
		return &fault{PermError, "the key is for another algorithm"}
	case k.hashes != nil && !slices.Contains(k.hashes, "sha256"):
		return &fault{PermError, "the key is for another hash"}
	case k.strict && s.identity != "" && !strings.HasSuffix(s.identity, "@"+s.domain):
		return &fault{PermError, "the key is not for subdomains"}
	case subtle.ConstantTimeCompare(s.sum, m.bodies[s.body]) != 1:
		return &fault{Fail, "the body was changed"}
	case !k.verifies(s.headerSum(m), s.value):
		return &fault{Fail, "the header was changed, or the key is another one"}
	}
	return nil
}

// headerSum is the SHA-256 of the signed fields (RFC 6376 §3.7). Of several
// with a name the lowest are taken first (§5.4.2); each is taken once.
func (s *signature) headerSum(m *Message) []byte {
	h := sha256.New()
	taken := map[string]int{}
	for _, name := range s.names {
		key := lower(name)
		places := m.places[key]
		if n := len(places) - 1 - taken[key]; n >= 0 {
			taken[key]++
			h.Write([]byte(s.header.field(m.fields[places[n]])))
		}
	}
	h.Write([]byte(s.last()))
	return h.Sum(nil)
}

// last is the signature's own field as it is signed: without b and the CRLF.
func (s *signature) last() string {
	own := s.field
	own.Value = withoutSignature(own.Value)
	return strings.TrimSuffix(s.header.field(own), "\r\n")
}
