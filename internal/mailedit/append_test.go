package mailedit_test

import (
	"strings"
	"testing"

	"pmilter/internal/mail"
)

// TestAppendText shows where a disclaimer lands, byte for byte.
func TestAppendText(t *testing.T) {
	t.Parallel()
	const plain, page = "-- \nwe disclaim", "<p>we disclaim"
	for _, tt := range []struct {
		name, in   string
		text, html string
		changed    int
		want       string // "" for what in is
	}{
		{"no header at all", "Subject: x\n\nhi\n", plain, page, 1, "Subject: x\n\nhi\n-- \nwe disclaim\n"},
		{"no text", "Subject: x\n\n", plain, page, 1, "Subject: x\n\n-- \nwe disclaim\n"},
		{"nothing to say", "Subject: x\n\nhi\n", "\n", "", 0, ""},
		{
			"8bit in its character set", "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n\xe4\n", "ö", "", 1,
			"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n\xe4\n\xf6\n",
		},
		{
			"7bit that cannot hold it", "Content-Type: text/plain; charset=iso-8859-1\n\na=b\n", "ö", "", 1,
			"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\na=3Db\n=F6\n",
		},
		{
			"a character set that cannot hold it", "Content-Type: text/plain; charset=iso-8859-1; format=fixed\nContent-Transfer-Encoding: 8bit\n\n\xe4\n", "€", "", 1,
			"Content-Type: text/plain; charset=utf-8; format=fixed\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\n=C3=A4\n=E2=82=AC\n",
		},
		{
			"ISO-2022-JP", "Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$BF|K\\\x1b(B\n", "本", "", 1,
			"Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$BF|K\\\x1b(B\n\x1b$BK\\\x1b(B\n",
		},
		{
			"HZ, which would not be closed", "Content-Type: text/plain; charset=hz-gb-2312\n\n~{HU1>~}\n", "日本", "", 1,
			"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\n=E6=97=A5=E6=9C=AC\n=E6=97=A5=E6=9C=AC\n",
		},
		{
			"UTF-16", "Content-Type: text/plain; charset=utf-16be\nContent-Transfer-Encoding: base64\n\nAGgAaQ==\n", "ö", "", 1,
			"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\nhi\n=C3=B6\n",
		},
		{
			"quoted-printable, its bytes as they were", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=c3=a4=61\n", "ö=", "", 1,
			"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=c3=a4=61\n=C3=B6=3D\n",
		},
		{
			"quoted-printable that goes on", "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nab=\n", "c", "", 1,
			"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nab=\n\nc\n",
		},
		{
			"quoted-printable that goes on, in a part",
			"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\na=62=\n--b--\n", "c", "", 1,
			"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\na=62=\n\nc\n--b--\n",
		},
		{
			"base64", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\naGkNCg==\n", "ö", "", 1,
			"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\naGkNCsO2DQo=\n",
		},
		{
			"flowed", "Content-Type: text/plain; format=flowed\n\nhi \nho \n", "From us\n> x \n-- \n" + strings.Repeat("wordword ", 10), "", 1,
			"Content-Type: text/plain; format=flowed\n\nhi \nho \n\n From us\n > x\n-- \n" + strings.Repeat("wordword ", 8) + "\nwordword wordword\n",
		},
		{
			"a long line", "Content-Type: text/plain\n\nhi\n", strings.Repeat("x", 1000), "", 1,
			"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\nhi\n" +
				strings.Repeat(strings.Repeat("x", 75)+"=\n", 13) + strings.Repeat("x", 25) + "\n",
		},
		{
			"alternatives", alternative("hi", "<body>hi</BODY></html>"), plain, page, 2,
			alternative("hi\n-- \nwe disclaim", "<body>hi\n<p>we disclaim\n</BODY></html>"),
		},
		{
			"alternatives, text alone", alternative("hi", "hi"), "a<b\nc", "", 2,
			alternative("hi\na<b\nc", "hi\n<p>a&lt;b<br>\nc</p>\n"),
		},
		{
			"alternatives, HTML alone", alternative("hi", "hi\n"), "", "<style>x</style><div>a&amp;b <b>c</b></div>d", 2,
			alternative("hi\na&b c\nd", "hi\n<style>x</style><div>a&amp;b <b>c</b></div>d\n"),
		},
		{
			"HTML that cannot hold it", "Content-Type: text/html; charset=us-ascii\n\n</body>\n", "", "ö€", 1,
			"Content-Type: text/html; charset=us-ascii\n\n&#246;&#8364;\n</body>\n",
		},
		{
			"HTML, quoted-printable", "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n</body> =\n=c3=a4 </bo=\ndy>=\n </html>\n",
			"", "ö", 1,
			"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n</body> =\n=c3=a4 =\n\n=C3=B6\n</bo=\ndy>=\n </html>\n",
		},
		{
			"the first of a multipart/related, in a multipart/mixed",
			"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\nhi\n--b\nContent-Type: image/png\n\n\n--b--\n--a\n\nfooter\n--a--\n",
			"x", "", 1,
			"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\nhi\n<p>x</p>\n\n--b\nContent-Type: image/png\n\n\n--b--\n--a\n\nfooter\n--a--\n",
		},
		{
			"an attachment first",
			"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Disposition: attachment\n\nno\n--a\n\nyes\n--a--\n", "x", "", 1,
			"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Disposition: attachment\n\nno\n--a\n\nyes\nx\n--a--\n",
		},
		{
			"not in an attached message",
			"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nSubject: y\n\nno\n--a--\n", "x", "", 1,
			"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nSubject: y\n\nno\n--a\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\nContent-Disposition: inline\n\nx\n--a--\n",
		},
		{
			"a PDF", "Content-Type: application/pdf\nMIME-Version: 1.0\n\n%PDF\n", "x", "", 1,
			"Content-Type: multipart/mixed; boundary=\"=_AAAAAAAAAAAAAAAAAAAAAAAA\"\nMIME-Version: 1.0\n\n--=_AAAAAAAAAAAAAAAAAAAAAAAA\nContent-Type: application/pdf\n\n%PDF\n\n" +
				"--=_AAAAAAAAAAAAAAAAAAAAAAAA\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\nContent-Disposition: inline\n\nx\n--=_AAAAAAAAAAAAAAAAAAAAAAAA--\n",
		},
		{
			"flowed, with spaces that go", "Content-Type: text/plain; format=flowed; delsp=yes\n\nhi\n", strings.Repeat("wordword ", 10), "", 1,
			"Content-Type: text/plain; format=flowed; delsp=yes\n\nhi\n" + strings.Repeat("wordword ", 8) + " \nwordword wordword\n",
		},
		{
			"uuencode", "Content-Type: text/plain\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n\":&D*\n \nend\n", "x", "", 1,
			"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\nhi\nx\n",
		},
		{
			"base64 that is none", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nDear all, this is no base64!\n", "x", "", 1,
			"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\nDear all, this is no base64!\nx\n",
		},
		{
			"text that says less than it is", "Subject: x\n\nh\xc3\xa4\n", "ö", "", 1,
			"Subject: x\nContent-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=utf-8\nMIME-Version: 1.0\n\nh=C3=A4\n=C3=B6\n",
		},
		{
			"lines like the delimiter", strings.Replace(mixed, "Content-Type: text/plain\n", "", 1), "--b--", "", 1,
			strings.Replace(mixed, "Content-Type: text/plain\n\none\n", "Content-Transfer-Encoding: quoted-printable\n\none\n=2D-b--\n", 1),
		},
		{
			"the start of a multipart/related",
			"Content-Type: multipart/related; boundary=b; start=\"<2@x>\"\n\n--b\nContent-Type: text/html\n\nno\n--b\nContent-ID: <2@x>\n\nyes\n--b--\n", "x", "", 1,
			"Content-Type: multipart/related; boundary=b; start=\"<2@x>\"\n\n--b\nContent-Type: text/html\n\nno\n--b\nContent-ID: <2@x>\n\nyes\nx\n--b--\n",
		},
		{"signed", "Content-Type: multipart/signed; boundary=a\n\n--a\n\nhi\n--a\nContent-Type: application/pgp-signature\n\n\n--a--\n", "x", "", 0, ""},
		{"encrypted", "Content-Type: multipart/encrypted; boundary=a\n\n--a\n\nhi\n--a--\n", "x", "", 0, ""},
		{"S/MIME", "Content-Type: application/pkcs7-mime; smime-type=signed-data\nContent-Transfer-Encoding: base64\n\nAAAA\n", "x", "", 0, ""},
		{"S/MIME by its name", "Content-Type: application/octet-stream; name=Smime.P7M\nContent-Transfer-Encoding: base64\n\nAAAA\n", "x", "", 0, ""},
		{"PGP in the text", "Subject: x\n\nhi\n-----BEGIN PGP SIGNED MESSAGE-----\n", "x", "", 0, ""},
		{
			"signed, with a list's footer",
			"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/signed; boundary=a\n\n--a\n\nhi\n--a--\n--b\n\nfooter\n--b--\n", "x", "", 1,
			"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/signed; boundary=a\n\n--a\n\nhi\n--a--\n--b\n\nfooter\nx\n--b--\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := open(tt.in)
			changed, err := e.AppendText(tt.text, tt.html)
			if err != nil || changed != tt.changed {
				t.Errorf("changed %d, %v; want %d", changed, err, tt.changed)
			}
			want := tt.want
			if want == "" {
				want = tt.in
			}
			if got := result(t, tt.in, e); sorted(got) != sorted(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			fields, _ := split(tt.in)
			if now := mail.Parse(apply(fields, e.Header()), e.Body()); now.Text() != e.Text() || now.HTML() != e.HTML() {
				t.Errorf("reads %q and %q, not %q and %q", now.Text(), now.HTML(), e.Text(), e.HTML())
			}
		})
	}
}

func alternative(plain, html string) string {
	return "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n" + plain +
		"\n--b\nContent-Type: text/html\n\n" + html + "\n--b--\n"
}
