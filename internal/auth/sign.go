package auth

import (
	"crypto"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// SignOptions say who signs, and what.
type SignOptions struct {
	Domain   string   // d=
	Selector string   // s=: the key is at SELECTOR._domainkey.DOMAIN
	Key      string   // PEM text, or the path of a file with it
	Headers  []string // names of the fields to sign, From in any case; the usual ones if nil
}

// signedAlways may not be added to a message without breaking its signature,
// even if it has none (RFC 6376 §8.15, "oversigning"); signedIfThere not beside
// those it has. Neither has what an MTA may add when it is missing, like Date.
func signedAlways() []string { return []string{"From", "Reply-To", "Subject", "To", "Cc"} }

func signedIfThere() []string {
	return []string{
		"Date", "Message-ID", "Sender", "In-Reply-To", "References",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
		"Resent-From", "Resent-To", "Resent-Cc", "Resent-Date", "Resent-Message-ID", "Resent-Sender",
		"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner",
		"Autocrypt",
	}
}

const (
	maxInstances = 4   // of a name that are signed: a mail with more To fields has other worries
	maxSigned    = 900 // bytes of h=, which is written on one line
	maxHeaders   = 100 // names that Headers may have
)

// Signer checks the options, reads the key, and returns what signs a message:
// given its header with the empty line, and its body, both with CRLF, it returns
// the value of a DKIM-Signature that is to go above the message, with CRLF at its
// folds. Canonicalization is relaxed/relaxed, so that what MTAs do to white space does no harm.
func (s *Service) Signer(o SignOptions) (func(header, body []byte) (value string, err error), error) {
	domain, ok := asciiDomain(o.Domain)
	if !ok {
		return nil, fmt.Errorf("%q is no domain", o.Domain)
	}
	selector, ok := asciiDomain(o.Selector)
	if !ok || strings.Trim(selector, asciiLetters) != "" || strings.Trim(domain, asciiLetters) != "" {
		return nil, fmt.Errorf("%q is no selector", o.Selector)
	}
	for _, name := range o.Headers {
		if name == "" || strings.Trim(name, asciiLetters) != "" || len(o.Headers) > maxHeaders {
			return nil, fmt.Errorf("%q is no header name, or there are too many", name)
		}
	}
	key, err := s.keys.get(o.Key)
	if err != nil {
		return nil, err
	}
	return func(header, body []byte) (string, error) { return sign(header, body, domain, selector, key, o.Headers) }, nil
}

func sign(header, body []byte, domain, selector string, key crypto.Signer, names []string) (string, error) {
	h, err := signedNames(header, names)
	if err != nil {
		return "", err
	}
	signer, err := dkim.NewSigner(&dkim.SignOptions{
		Domain: domain, Selector: selector, Signer: key, HeaderKeys: h,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		return "", err
	}
	_, err = signer.Write(header)
	if err == nil {
		_, err = signer.Write(body)
	}
	if err = errors.Join(err, signer.Close()); err != nil {
		return "", err
	}
	_, value, _ := strings.Cut(strings.TrimRight(signer.Signature(), "\r\n"), ":")
	return strings.TrimLeft(value, " "), nil
}

// signedNames is h=: each field of the names, and each name once more.
func signedNames(header []byte, names []string) ([]string, error) {
	count := map[string]int{}
	for line := range strings.SplitSeq(string(header), "\r\n") {
		name, _, ok := strings.Cut(line, ":")
		if ok && line[0] != ' ' && line[0] != '\t' {
			count[Field{Name: name}.key()]++
		}
	}
	if n := count["from"]; n != 1 {
		return nil, fmt.Errorf("the message has %d From fields: it needs one to be signed", n)
	}
	always, ifThere := signedAlways(), signedIfThere()
	if names != nil {
		always, ifThere = []string{"From"}, names
	}
	var h []string
	size := 0
	add := func(name string, n int) {
		for range min(n, maxInstances) {
			h = append(h, name)
			size += len(name) + 1
		}
	}
	done := map[string]bool{}
	for i, name := range append(always, ifThere...) {
		key := lower(name)
		if n := count[key]; !done[key] && (n > 0 || i < len(always)) {
			add(name, n+1)
		}
		done[key] = true
	}
	if size > maxSigned {
		return nil, fmt.Errorf("the names of what is signed have %d bytes: %d are possible", size, maxSigned)
	}
	return h, nil
}
