package mail_test

import (
	"fmt"
	"strings"
	"testing"

	"pmilter/internal/mail"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, want, defects string }{
		{"jo@example.org", "|jo@example.org", ""},
		{"<jo@example.org>", "|jo@example.org", ""},
		{"Jo <jo@Example.ORG>, Al Ice <al@example.org>", "Jo|jo@Example.ORG Al Ice|al@example.org", ""},
		{`"Doe, Jo" <jo@example.org>`, "Doe, Jo|jo@example.org", ""},
		{`"Jo \"x\" Doe" <jo@example.org>`, `Jo "x" Doe|jo@example.org`, ""},
		{"jo@example.org (Jo Doe)", "Jo Doe|jo@example.org", ""},
		{"Jo (at (her) work) <jo@example.org>", "Jo (at (her) work)|jo@example.org", ""},
		{"=?utf-8?Q?J=C3=B6?= <jo@example.org>", "Jö|jo@example.org", ""},
		{`"=?utf-8?Q?J=C3=B6?=" <jo@example.org>`, "Jö|jo@example.org", ""},
		{"=?utf-8?Q?Doe,_J=C3=B6?= <jo@example.org>, al@example.org", "Doe, Jö|jo@example.org |al@example.org", ""},
		{"=?utf-8?Q?Doe, J=C3=B6?= <jo@example.org>", "Doe, Jö|jo@example.org", "bad-encoded-word"},
		{"=?utf-8?Q?J=C3=B6?=<jo@example.org>", "Jö|jo@example.org", ""},
		{"Friends: jo@example.org, Al <al@example.org>;, x@example.org", "|jo@example.org Al|al@example.org |x@example.org", ""},
		{"undisclosed-recipients:;", "", ""},
		{"undisclosed-recipients:; (none)", "", ""},
		{"Doe, Jo <jo@example.org>", "Doe, Jo|jo@example.org", "bad-address"},
		{"Jo Doe", "Jo Doe|", "bad-address"},
		{"root", "|root", "bad-address"},
		{"root, jo@example.org", "|root |jo@example.org", "bad-address"},
		{"Jo Doe jo@example.org", "Jo Doe|jo@example.org", "bad-address"},
		{"jo@example.org al@example.org", "|jo@example.org |al@example.org", "bad-address"},
		{"jo@example.org; al@example.org", "|jo@example.org |al@example.org", ""},
		{"Jo <jo@example.org> Al <al@example.org>", "Jo|jo@example.org Al|al@example.org", "bad-address"},
		{"Jo <jo@example.org", "Jo|jo@example.org", "bad-address"},
		{"Jo <<jo@example.org>>", "Jo|jo@example.org", "bad-address"},
		{"<@relay.example,@b.example:jo@example.org>", "|jo@example.org", ""},
		{"<mailto:jo@example.org>", "|jo@example.org", ""},
		{"jo . x @ example . org", "|jo.x@example.org", ""},
		{"Jo < jo @ example.org >", "Jo|jo@example.org", ""},
		{`"Jo Doe"@example.org`, `|"Jo Doe"@example.org`, ""},
		{`Jo <"a>b"@example.org>`, `Jo|"a>b"@example.org`, ""},
		{"jo@[IPv6:2001:db8::1]", "|jo@[IPv6:2001:db8::1]", ""},
		{"al@example.org <jo@example.org>", "al@example.org|jo@example.org", ""},
		{`"al@example.org" <jo@example.org>`, "al@example.org|jo@example.org", ""},
		{`"jo@example.org"`, "|jo@example.org", "bad-address"},
		{`"Jo <jo@example.org>`, "Jo|jo@example.org", "bad-address"},
		{"Jo (x <jo@example.org>", "Jo (x|jo@example.org", "bad-address"},
		{"J\xf6 <jo@example.org>", "Jö|jo@example.org", "raw-header"},
		{"Jö <jö@exämple.org>", "Jö|jö@exämple.org", ""},
		{"Mailer <>", "Mailer|", "bad-address"},
		{"", "", "bad-address"},
		{",,jo@example.org,", "|jo@example.org", ""},
		{"Jo\n <jo@example.org>", "Jo|jo@example.org", ""},
	} {
		m := mail.Parse([]mail.Field{{"From", " " + c.value}, {"Date", "Fri, 2 Jan 2026 03:04:05 +0100"}}, nil)
		var got []string
		for _, b := range m.From() {
			got = append(got, b.Name+"|"+b.Address)
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.value, got, c.want)
		}
		if got := strings.Join(m.Defects(), " "); got != c.defects {
			t.Errorf("%q: defects %q, want %q", c.value, got, c.defects)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ address, local, domain string }{
		{"jo@Example.ORG", "jo", "example.org"},
		{`"Jo \"x\""@example.org`, `Jo "x"`, "example.org"},
		{`"a@b"@example.org`, "a@b", "example.org"},
		{"@relay.example:jo@example.org", "jo", "example.org"},
		{"root", "root", ""},
		{"jo@EXÄMPLE.org", "jo", "exämple.org"},
		{"jo@\u212aelvin.example", "jo", "\u212aelvin.example"}, // not an ASCII k
		{"", "", ""},
	} {
		if local, domain := mail.SplitAddress(c.address); local != c.local || domain != c.domain {
			t.Errorf("%q: %q %q", c.address, local, domain)
		}
	}
}

// TestAllFieldsOfAName: a second To counts, and so does a second From.
func TestAllFieldsOfAName(t *testing.T) {
	t.Parallel()
	m := parse("From: a@example.org\nFROM : b@example.org\nTo: c@example.org\nTo: d@example.org\nCc: e@example.org\n")
	if got := fmt.Sprint(len(m.From()), len(m.To()), len(m.Cc())); got != "2 2 1" {
		t.Error(got)
	}
	if b := m.From()[1]; b.Local != "b" || b.Domain != "example.org" {
		t.Errorf("%q", b)
	}
	wantDefects(t, m, "duplicate-header missing-header")
}
