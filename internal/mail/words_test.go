package mail_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pmilter/internal/mail"
)

func TestDecodeHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value, want, defects string }{
		{"plain", "hello", "hello", ""},
		{"folded", "hello\n world\r\n\tand", "hello world\tand", ""},
		{"Q", "=?utf-8?Q?J=C3=B6rg_M?=", "Jörg M", ""},
		{"B", "=?UTF-8?b?SsO2cmc=?=", "Jörg", ""},
		{"in text", "a =?iso-8859-1?q?=E9?= b", "a é b", ""},
		{"two, white space between", "=?utf-8?q?a?= \n =?utf-8?q?b?=", "ab", ""},
		{"two character sets", "=?utf-8?q?=C3=A9?= =?koi8-r?q?=F0?=", "éП", ""},
		{"language", "=?iso-8859-1*sv?Q?=E5?=", "å", ""},
		{"no white space", "a=?utf-8?q?=C3=A9?=b=?utf-8?q?=C3=A9?==?utf-8?q?=C3=A9?=", "aébéé", ""},
		{"spaces in Q", "=?utf-8?Q?a b =C3=A9?=", "a b é", "bad-encoded-word"},
		{"character cut between two, Q", "=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "é", ""},
		{"character cut between two, B", "=?utf-8?B?4oI=?=\n =?UTF-8?B?rA==?=", "€", ""},
		{"digits cut between two", "=?utf-8?B?4oK?= =?utf-8?B?s?=", "€", "bad-encoded-word"},
		{"B without padding", "=?utf-8?B?SsO2cm?=", "Jör", "bad-encoded-word"},
		{"in quotes", "\"=?utf-8?q?J=C3=B6rg?=\"", "\"Jörg\"", ""},
		{"no end", "a =?utf-8?Q?J=C3=B6rg", "a Jörg", "bad-encoded-word"},
		{"no end, another after it", "=?utf-8?Q?J=C3=B6 =?utf-8?Q?rg?=", "Jörg", "bad-encoded-word"},
		{"bad hex", "=?utf-8?Q?50%=off?=", "50%=off", "bad-encoded-word"},
		{"unknown character set", "=?klingon?Q?=C3=A9?=", "é", "unknown-charset"},
		{"no character set", "=??Q?=E9?=", "é", ""},
		{"wrong character set", "=?utf-8?Q?caf=E9?=", "café", "bad-encoded-word"},
		{"ASCII", "=?us-ascii?Q?=E9?=", "é", "bad-encoded-word"},
		{"ISO-2022-JP", "=?ISO-2022-JP?B?GyRCJDMbKEI=?= =?iso-2022-jp?B?GyRCJDMbKEI=?=", "ここ", ""},
		{"GB2312", "=?GB2312?B?1tA=?=", "中", ""},
		{"not one", "=?utf-8?X?abc?= a=?b", "=?utf-8?X?abc?= a=?b", ""},
		{"price", "=? is what =?", "=? is what =?", ""},
		{"line break in it", "=?utf-8?Q?a=0D=0AX-Bad:_1=00?=", "a  X-Bad: 1 ", ""},
		{"raw UTF-8", "J\xc3\xb6rg", "Jörg", ""},
		{"raw windows-1252", "J\xf6rg \x80", "Jörg €", "raw-header"},
		{"raw beside a word", "\xf6 =?utf-8?q?=C3=A9?=", "ö é", "raw-header"},
		{"raw ISO-2022-JP", "\x1b$B$3\x1b(B!", "こ!", ""},
		{"empty", "=?utf-8?Q??= a", " a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := mail.DecodeHeader(c.value); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			m := mail.Parse(append(fields(strings.TrimSuffix(crlf(complete), "\r\n")), mail.Field{"Subject", " " + c.value}), nil)
			if got := m.Subject(); got != strings.TrimSpace(c.want) {
				t.Errorf("subject %q", got)
			}
			wantDefects(t, m, c.defects)
		})
	}
}

// TestRawHeaderHasTheTextsCharset: mailers that do not encode their headers write
// them as they write their text.
func TestRawHeaderHasTheTextsCharset(t *testing.T) {
	t.Parallel()
	m := parse("From: \xd6\xd0 <jo@example.org>\nSubject: \xd6\xd0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=gb2312\n\n--b--\n")
	if got := m.Subject(); got != "中" {
		t.Errorf("subject %q", got)
	}
	if got := m.From(); len(got) != 1 || got[0].Name != "中" {
		t.Errorf("from %q", got)
	}
	if got := m.DecodeHeader("\xd6\xd0"); got != "中" {
		t.Errorf("another %q", got)
	}
}

func FuzzDecodeHeader(f *testing.F) {
	for _, s := range []string{"=?utf-8?Q?J=C3=B6rg?= =?utf-8?B?4oI=?=", "=?a?q?=?b?B?", "\xff\n =?", "=?utf-7?q?+AOk-?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text := mail.DecodeHeader(value)
		if !utf8.ValidString(text) {
			t.Errorf("%q is no UTF-8", text)
		}
		if strings.ContainsAny(text, "\r\n") {
			t.Errorf("%q has a line break", text)
		}
		m := mail.Parse([]mail.Field{{"From", value}, {"Date", value}, {"Message-Id", value}, {"Content-Disposition", value}, {"Content-Type", value}}, nil)
		for _, b := range m.From() {
			if !utf8.ValidString(b.Name+b.Address) || strings.ContainsAny(b.Name+b.Address, "\r\n") {
				t.Errorf("mailbox %q", b)
			}
		}
		m.Date()
		m.MessageID()
		m.Defects()
		if name := m.Root().Filename(); !utf8.ValidString(name) || strings.ContainsAny(name, "/\\\r\n\x00") {
			t.Errorf("file name %q", name)
		}
	})
}
