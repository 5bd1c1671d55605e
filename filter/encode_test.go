package filter_test

import (
	"bytes"
	"mime"
	"net/mail"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pmilter/filter"
)

func TestEncodeValue(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 500)
	tests := []struct {
		name, text string
		utf8       bool
		want       string // "" for an error
	}{
		{"ascii", "hello world", false, "hello world"},
		{"fold", "a\n b\n\tc", false, "a\n b\n\tc"},
		{"CRLF fold", "a\r\n b", false, "a\n b"},
		{"fold at once", "\n a", false, "\n a"},
		{"blank fold", "a\n \n\t \n b\n ", false, "a\n b"},
		{"LF", "a\nBcc: x@example.org", false, ""},
		{"CRLF", "a\r\nBcc: x@example.org", false, ""},
		{"LF at the end", "a\n", false, ""},
		{"two LF", "a\n\n b", false, ""},
		{"bare CR", "a\rBcc: x@example.org", false, ""},
		{"CR before CRLF", "a\r\r\n b", false, ""},
		{"NUL", "a\x00b", false, ""},
		{"word", "hellö", false, "=?utf-8?q?hell=C3=B6?="},
		{"words", "a hellö wörld b", false, "a =?utf-8?q?hell=C3=B6_w=C3=B6rld?= b"},
		{"words apart", "ä b ö", false, "=?utf-8?q?=C3=A4?= b =?utf-8?q?=C3=B6?="},
		{"name and address", "Jörg Öst <j@example.org>", false, "=?utf-8?q?J=C3=B6rg_=C3=96st?= <j@example.org>"},
		{"quoted name", `"Öst, Jörg" <j@example.org>`, false, "=?utf-8?b?w5ZzdCwgSsO2cmc=?= <j@example.org>"},
		{"quoted and escaped", `"J \"ö\" x" <j@example.org>`, false, "=?utf-8?b?SiAiw7YiIHg=?= <j@example.org>"},
		{"open quote", `"Jörg x`, false, "=?utf-8?b?IkrDtnJn?= x"},
		{"across a fold", "ä\n ö", false, "=?utf-8?q?=C3=A4?=\n =?utf-8?q?_=C3=B6?="},
		{"SMTPUTF8", "Jörg", true, "Jörg"},
		{"no UTF-8", "J\xf6rg", false, "J\xf6rg"},
		{"long", long + " " + long, false, long + "\n " + long},
		{"too long a word", strings.Repeat("a", 999), false, ""},
		{"too long a word in a fold", "a\n " + strings.Repeat("a", 999), false, ""},
		{"long and blank at the end", strings.Repeat("a", 989) + strings.Repeat(" ", 20), false, strings.Repeat("a", 989)},
		{"too long", strings.Repeat(long+" ", 140), false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := filter.EncodeValue("Subject", tt.text, tt.utf8)
			if tt.want == "" {
				if err == nil {
					t.Errorf("%q was accepted as %q", tt.text, got)
				}
				return
			}
			if err != nil || strings.TrimRight(got, " ") != tt.want {
				t.Errorf("got  %q, %v\nwant %q", got, err, tt.want)
			}
		})
	}
}

// TestEncodedNameIsOneAddress: a comma or @ in a display name is no address.
func TestEncodedNameIsOneAddress(t *testing.T) {
	t.Parallel()
	value, err := filter.EncodeValue("From", `"ä, <evil@example.net>, x" <good@example.org>`, false)
	if err != nil {
		t.Fatal(err)
	}
	list, err := mail.ParseAddressList(value)
	if err != nil || len(list) != 1 || list[0].Address != "good@example.org" || list[0].Name != "ä, <evil@example.net>, x" {
		t.Errorf("%q is %v, %v", value, list, err)
	}
}

func FuzzEncodeValue(f *testing.F) {
	for _, s := range []string{"", "hellö", `"Öst, J" <j@example.org>`, "a\n b", "ä \"ö\" ü", "a\r\nb", "\xff", "ä\n ö", strings.Repeat("ä ", 600), "\" ä\" \\", "a\n \n b"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, utf8ok bool) {
		value, err := filter.EncodeValue("Subject", text, utf8ok)
		if err != nil {
			return
		}
		if strings.ContainsAny(value, "\r\x00") {
			t.Fatalf("CR or NUL in %q", value)
		}
		lines := strings.Split("Subject: "+value, "\n")
		for i, line := range lines {
			if i > 0 && (strings.Trim(line, " \t") == "" || line[0] != ' ' && line[0] != '\t') {
				t.Fatalf("line %d of %q is no fold", i, value)
			}
			if len(line) > 998 {
				t.Fatalf("line %d has %d bytes", i, len(line))
			}
		}
		if !utf8ok && utf8.ValidString(text) && strings.ContainsFunc(value, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Fatalf("%q is not ASCII", value)
		}
		if strings.Contains(text, "=?") || strings.ContainsAny(text, "\n\"") || !utf8.ValidString(text) || len(lines) > 1 {
			return // was encoded before, or white space and quotes go
		}
		decoded, err := new(mime.WordDecoder).DecodeHeader(value)
		if err != nil || decoded != text {
			t.Fatalf("%q came back as %q, %v", text, decoded, err)
		}
		if strings.ContainsFunc(text, unicode.IsControl) {
			return // shown harmlessly
		}
		bare := func(s string) string { return strings.Join(strings.Fields(s), "") } // white space is shown as readers do
		if got := (filter.Field{Value: " " + value}).Decoded(); bare(got) != bare(text) {
			t.Fatalf("%q is shown as %q", text, got)
		}
	})
}

func TestToCRLF(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "a": "a", "a\r\nb\r\n": "a\r\nb\r\n", "a\nb\n": "a\r\nb\r\n", "a\rb": "a\r\nb", "\r": "\r\n", "\n\n": "\r\n\r\n",
		"a\r\r\nb": "a\r\n\r\nb", "\r\n\n\r": "\r\n\r\n\r\n",
	} {
		if got := filter.ToCRLF([]byte(in)); !bytes.Equal(got, []byte(want)) {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestFieldIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		have, name string
		want       bool
	}{
		{"Subject", "SUBJECT", true},
		{"Subject \t", "subject", true},
		{"Subject", "Subjec", false},
		{"X-\u212aey", "X-Key", false},
		{"X-\u017fpam", "X-Spam", false},
		{"", "x", false},
	} {
		if got := (filter.Field{Name: tt.have}).Is(tt.name); got != tt.want {
			t.Errorf("%q is %q: %t", tt.have, tt.name, got)
		}
	}
}

func TestFieldText(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		" hello": "hello", "hello": "hello", " \t x ": "x ", " a\n\tb": "a\tb", " =?utf-8?q?=C3=A4?= =?utf-8?q?=C3=B6?=": "äö",
		" =?x-none?q?=C3=A4?=": "ä", // of an unknown charset: what it most likely is " =?iso-8859-1?q?=E4?=": "ä", " \xff": "\xff",
	} {
		if got := (filter.Field{Value: value}).Decoded(); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}
