package mail_test

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestContent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 1000)
	for _, c := range []struct{ name, encoding, body, want, defects string }{
		{"none", "", "a\n", "a\r\n", ""},
		{"8bit", "8BIT", "\xc3\xa9", "\xc3\xa9", ""},
		{"7-bit", "7-bit", "a", "a", ""},
		{"unknown", "rot13", "a=41", "a=41", "unknown-encoding"},
		{"comment", "base64 (yes)", "aGk=", "hi", ""},
		{"base64", "Base64", "aGVsbG8gd29y\nbGQ=\n", "hello world", ""},
		{"base64, long", "base64", wrap(base64.StdEncoding.EncodeToString([]byte(long))), long, ""},
		{"base64 without padding", "base64", "aGVsbG8", "hello", "bad-base64"},
		{"base64, one digit too many", "base64", "aGVsbG8hA", "hello!", "bad-base64"},
		{"base64 in pieces", "base64", "aGk=\naGk=\naGk=\n", "hihihi", ""},
		{"base64 with junk in it", "base64", "aG!k*=", "hi", "bad-base64"},
		{"base64 with a footer", "base64", "aGVsbG8=\n\n-- \nA list of people\n", "hello", "bad-base64"},
		{"base64 with white space", "base64", "  aGVs bG8=\t\n", "hello", ""},
		{"base64, too much padding", "base64", "aGVsbG8h====", "hello!", "bad-base64"},
		{"quoted-printable", "quoted-printable", "a=20b=\n c=3d=C3=A9  \nd\t\n", "a b c=\xc3\xa9\r\nd\r\n", ""},
		{"quoted-printable, blanks after =", "quoted-printable", "a= \t\nb", "ab", ""},
		{"quoted-printable, bad", "quoted-printable", "a=b =zz 5=3", "a=b =zz 5=3", "bad-quoted-printable"},
		{"quoted-printable, = at the end", "quoted-printable", "a=", "a", ""},
		{"quoted-printable, another name", "QP", "a=3D", "a=", ""},
		{"uuencode", "x-uuencode", "begin 644 x\n#0V%T\n`\nend\n", "Cat", ""},
		{"uuencode, cut", "uuencode", "begin 644 x\n#0V%T\n", "Cat", "bad-uuencode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := parse(complete + "Content-Type: application/x\nContent-Transfer-Encoding: " + c.encoding + "\n\n" + c.body)
			got := string(p.Root().Content())
			if got != c.want {
				t.Errorf("content %q, want %q", got, c.want)
			}
			wantDefects(t, p, c.defects)
			if size := p.Root().Size(); size != int64(len(c.want)) {
				t.Errorf("size %d, want %d", size, len(c.want))
			}
			if again := string(p.Root().Content()); again != got {
				t.Errorf("then %q", again)
			}
		})
	}
}

func wrap(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s + "\r\n"
}

func TestHash(t *testing.T) {
	t.Parallel()
	p := parse("Content-Transfer-Encoding: base64\n\naGVsbG8=\n").Root()
	for algorithm, want := range map[string]string{
		"md5":    "5d41402abc4b2a76b9719d911017c592",
		"sha1":   "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
		"sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
		"sha512": "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
	} {
		if got, err := p.Hash(algorithm); got != want || err != nil {
			t.Errorf("%s: %s %v", algorithm, got, err)
		}
	}
	if _, err := p.Hash("crc32"); err == nil {
		t.Error("crc32 is a hash")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, header, body, want, defects string }{
		{"nothing said, UTF-8", "", "\xc3\xa9", "é", ""},
		{"nothing said, windows-1252", "", "\xe9\x80", "é€", ""},
		{"nothing said, ISO-2022-JP", "", "\x1b$B$3\x1b(B", "こ", ""},
		{"ASCII with more", "charset=us-ascii", "\xe9", "é", "bad-charset"},
		{"ASCII", "charset=ANSI_X3.4-1968", "e", "e", ""},
		{"UTF-8", "charset=\"utf-8\"", "\xc3\xa9", "é", ""},
		{"utf8 with a mark", "charset=utf8", "\xef\xbb\xbfa", "a", ""},
		{"UTF-8, cut", "charset=utf-8", "\xc3\xa9\xc3", "é\ufffd", "bad-charset"},
		{"UTF-8 that is windows-1252", "charset=utf-8", "caf\xe9", "café", "bad-charset"},
		{"ISO-8859-1 is windows-1252", "charset=ISO-8859-1", "\x80", "€", ""},
		{"ISO-8859-15", "charset=iso8859-15", "\xa4", "€", ""},
		{"latin2", "charset=latin2", "\xb1", "ą", ""},
		{"windows-1250", "charset=windows-1250", "\x9a", "š", ""},
		{"cp1251", "charset=cp1251", "\xcf", "П", ""},
		{"win-1253", "charset=win-1253", "\xe1", "α", ""},
		{"windows-1254", "charset=WINDOWS-1254", "\xf0", "ğ", ""},
		{"windows-1255", "charset=windows-1255", "\xe0", "א", ""},
		{"windows-1256", "charset=windows-1256", "\xc7", "ا", ""},
		{"windows-1257", "charset=windows-1257", "\xe0", "ą", ""},
		{"windows-1258", "charset=windows-1258", "\xd0", "Đ", ""},
		{"windows-874", "charset=tis-620", "\xa1", "ก", ""},
		{"KOI8-R", "charset=koi8r", "\xf0", "П", ""},
		{"KOI8-U", "charset=KOI8-U", "\xa7", "ї", ""},
		{"cp437", "charset=cp437", "\x82", "é", ""},
		{"ibm850", "charset=ibm-850", "\x82", "é", ""},
		{"cp866", "charset=cp866", "\x8f", "П", ""},
		{"macintosh", "charset=x-mac-roman", "\x8e", "é", ""},
		{"EBCDIC", "charset=ibm037", "\xc1", "A", ""},
		{"ISO-2022-JP", "charset=ISO-2022-JP", "\x1b$B$3\x1b(B", "こ", ""},
		{"Shift_JIS", "charset=x-sjis", "\x82\xb1", "こ", ""},
		{"cp932", "charset=cp932", "\x87\x40", "①", ""},
		{"EUC-JP", "charset=euc-jp", "\xa4\xb3", "こ", ""},
		{"GB2312", "charset=gb2312", "\xd6\xd0\x81\x40", "中丂", ""},
		{"GB18030", "charset=gb18030", "\x81\x30\x81\x30", "\u0080", ""},
		{"HZ", "charset=hz-gb-2312", "~{VP~}", "中", ""},
		{"Big5", "charset=CN-Big5", "\xa4\xa4", "中", ""},
		{"EUC-KR", "charset=ks_c_5601-1987", "\xc7\xd1", "한", ""},
		{"ISO-2022-KR", "charset=iso-2022-kr", "\x1b$)C\x0eGQ\x0f!", "한!", ""},
		{"UTF-7", "charset=unicode-1-1-utf-7", "Hi +AOk-+-", "Hi é+", ""},
		{"UTF-7, bad", "charset=utf-7", "+AO\xe9", "\ufffd", "bad-charset"},
		{"UTF-16", "charset=utf-16", "\xff\xfeh\x00i\x00", "hi", ""},
		{"UTF-16 without a mark", "charset=utf-16", "\x00h\x00i", "hi", ""},
		{"UTF-16 of Windows", "charset=utf-16", "h\x00i\x00", "hi", ""},
		{"UTF-32", "charset=utf-32be", "\x00\x00\x00h", "h", ""},
		{"by go-message", "charset=iso-8859-10", "\xa2", "Ē", ""},
		{"unknown", "charset=klingon", "\xc3\xa9", "é", "unknown-charset"},
		{"unknown 8bit", "charset=unknown-8bit", "\xe9", "é", "unknown-charset"},
		{"not to be had", "charset=iso-2022-cn", "a", "a", "unknown-charset"},
		{"line ends", "", "a\r\r\nb\rc\r\n", "a\nb\nc\n", "bare-cr"},
		{"NUL", "", "a\x00", "a\x00", "nul"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			head := complete + "Content-Type: text/plain; " + c.header
			if c.header == "" {
				head = complete + "Content-Type: text/plain"
			}
			m := parse(head + "\n\n")
			m = parseBytes(m.Root().Headers(), c.body)
			if got := m.Text(); got != c.want {
				t.Errorf("text %q, want %q", got, c.want)
			}
			if got := m.Root().Text(); got != c.want {
				t.Errorf("the part's text %q, want %q", got, c.want)
			}
			wantDefects(t, m, c.defects)
		})
	}
}

func TestTextOfOddParts(t *testing.T) {
	t.Parallel()
	if got := parse("Content-Type: text/html\n\n<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>\xf0").HTML(); !strings.HasSuffix(got, "П") {
		t.Errorf("a page that says its character set itself: %q", got)
	}
	if got := parse("Content-Transfer-Encoding: base64\n\nThis is only said to be base64, but is text.\n").Text(); !strings.HasPrefix(got, "This is only") {
		t.Errorf("text that is not base64: %q", got)
	}
	// Nobody hides a text by putting control characters and junk into it.
	hidden := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("buy\x01pills ", 20)))
	for _, body := range []string{wrap(hidden), strings.ReplaceAll(wrap(hidden), "w", "!w")} {
		if got := parse("Content-Transfer-Encoding: base64\n\n" + body).Text(); !strings.HasPrefix(got, "buy\x01pills buy") {
			t.Errorf("base64 with control characters: %q", got)
		}
	}
	if got := parse("Content-Transfer-Encoding: base64\n\naGVs!!bG8!!gd2!!9ybGQ=\n").Text(); got != "hello world" {
		t.Errorf("base64 with junk: %q", got)
	}
	if got := parse("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n").Root().Text(); got != "" {
		t.Errorf("a multipart's text: %q", got)
	}
}
