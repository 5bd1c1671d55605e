package filter_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"pmilter/filter"
)

// signs asks for a signature that tells what it was given.
func signs(name string) func(*play) (filter.Verdict, error) {
	return with(func(p *play) error {
		return p.s.Message.Sign(name, "by "+name, func(header, body []byte) (string, error) {
			if name == "X-Bad" {
				return "", errors.New("no key")
			}
			return strings.ReplaceAll(string(header)+string(body), "\r\n", "|"), nil
		})
	})
}

// whole asks for headers and body whatever the handlers are.
func whole(s *filter.Script) { s.Headers, s.Body = true, true }

// Signatures are made of what all scripts have left, and each of the same.
func TestSignatures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCast(script("a", on{filter.Mail: signs("X-One")}, whole), script("b", on{filter.EOM: signs("X-Two")}),
			script("c", on{filter.EOM: addHeader("X-New", "n")}))
		r := newRig(t, c)
		r.envelope()
		r.content("continue")
		r.did("insert header at 0 X-One:  Subject: hello|X-New: n||text", "insert header at 0 X-Two:  Subject: hello|X-New: n||text", "add header X-New:  n")
	})
}

// A message is put off when one of its signatures cannot be made.
func TestSignatureFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCast(script("a", on{filter.EOM: signs("X-Bad")}), script("b", on{filter.EOM: signs("X-One")})))
		r.envelope()
		r.content("tempfail 451 4.3.0 Message filter error, try again later")
		r.did()
	})
}

// Whoever takes over from a stuck handler has not the body, and signs nothing.
func TestSignatureIsLostWithAStuckHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStuck()
		set := func(sc *filter.Script) { sc.OnError = filter.Accept }
		r := newRig(t, newCast(script("a", on{filter.Mail: signs("X-One")}, whole), script("b", on{filter.EOM: s.call}, set)))
		r.say("mail <a@example.org>", "header Subject: x", "eoh", "body x", "eom -> tempfail 451 4.3.0 Message filter error, try again later")
		s.let()
	})
}
