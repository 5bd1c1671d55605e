package mail_test

import (
	"strings"
	"testing"
)

func TestBodyAndAttachments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, message, text, html, attachments string }{
		{"plain", "\nhello\n", "hello\n", "", ""},
		{"HTML alone", "Content-Type: text/html\n\n<p>\n", "", "<p>\n", ""},
		{
			"alternative", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\nContent-Type: text/html\n\nhtml\n--b--\n",
			"plain", "html", "",
		},
		{"named text alone", "Content-Type: text/plain; name=a.txt\n\nhello", "hello", "", ""},
		{"attached text alone", "Content-Disposition: attachment; filename=a.txt\n\nhello", "", "", "a.txt"},
		{"a file alone", "Content-Type: application/pdf; name=a.pdf\n\nhello", "", "", "a.pdf"},
		{
			"attachment before the text", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\n\nnot this\n--b\n\nthis\n--b--\n",
			"this", "", "?",
		},
		{
			"inline with a name", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nthis\n--b\nContent-Disposition: inline; filename=a.txt\n\nx\n--b\nContent-Type: image/png\n\nx\n--b--\n",
			"this", "", "a.txt ?",
		},
		{
			"only named text", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; name=a.txt\n\nthis\n--b--\n",
			"this", "", "a.txt",
		},
		{
			"an unknown disposition", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: strange\n\nx\n--b--\n",
			"", "", "?",
		},
		{
			"an attached multipart", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nthis\n--b\nContent-Type: multipart/mixed; boundary=c\nContent-Disposition: attachment\n\n--c\n\nx\n--c--\n--b--\n",
			"this", "", "?",
		},
		{
			"pictures in the text", "Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\nhtml\n" +
				"--b\nContent-Type: image/png; name=logo.png\nContent-ID: <x>\n\n\n" +
				"--b\nContent-Type: image/png; name=other.png\n\n\n" +
				"--b\nContent-Type: image/png; name=attached.png\nContent-ID: <y>\nContent-Disposition: attachment\n\n\n" +
				"--b\nContent-Type: application/zip; name=evil.zip\nContent-ID: <z>\n\n\n--b--\n",
			"", "html", "other.png attached.png evil.zip",
		},
		{
			"a message in it", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\ninner\n--c\nContent-Type: application/pdf\n\n\n--c--\n--b\n\nouter\n--b--\n",
			"outer", "", "?",
		},
		{"nothing but a message", "Content-Type: message/rfc822\n\nContent-Type: text/html\n\ninner", "", "inner", "?"},
		{"parts that cannot be told", "Content-Type: multipart/mixed; boundary=b\n\nhello\n", "hello\n", "", ""},
		{"another kind of text", "Content-Type: text/enriched\n\nhello", "hello", "", ""},
		{"TNEF", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: application/ms-tnef; name=winmail.dat\n\nx\n--b--\n", "x", "", "winmail.dat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := parse(complete + c.message)
			for range 2 { // the second time from memory
				if got := strings.ReplaceAll(m.Text(), "\r", "CR"); got != c.text {
					t.Errorf("text %q, want %q", got, c.text)
				}
				if got := m.HTML(); got != c.html {
					t.Errorf("HTML %q, want %q", got, c.html)
				}
			}
			var names []string
			for _, p := range m.Attachments() {
				name := p.Filename()
				if name == "" {
					name = "?"
				}
				names = append(names, name)
			}
			if got := strings.Join(names, " "); got != c.attachments {
				t.Errorf("attachments %q, want %q", got, c.attachments)
			}
		})
	}
}

func TestFilename(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ disposition, kind, want string }{
		{"attachment; filename=a.txt", "", "a.txt"},
		{`attachment; filename="a b.txt"`, "", "a b.txt"},
		{`attachment; filename="a;b=c.txt"; size=1`, "", "a;b=c.txt"},
		{"attachment", "text/x; name=b.txt", "b.txt"},
		{"attachment; filename=a.txt", "text/x; name=b.txt", "a.txt"},
		{"", `text/x; NAME="b.txt"`, "b.txt"},
		{"filename=a.txt", "", "a.txt"},
		{"attachment; filename=a b (1).txt", "", "a b (1).txt"},
		{`attachment; filename="a.txt`, "", "a.txt"},
		{`attachment; filename="a.txt; size=3`, "", "a.txt"},
		{`attachment; filename=a.txt size=3`, "", "a.txt"},
		{`attachment; filename = "a.txt" ; x=y`, "", "a.txt"},
		{`attachment; filename="a \"b\".txt"`, "", `a "b".txt`},
		{"attachment; filename*=utf-8''J%C3%B6.txt", "", "Jö.txt"},
		{"attachment; filename*=iso-8859-1'de'J%F6.txt; filename=J.txt", "", "Jö.txt"},
		{"attachment; filename*0=a; filename*1=b; filename*2=.txt", "", "ab.txt"},
		{"attachment; filename*1=b.txt; filename*0=a", "", "ab.txt"},
		{"attachment; filename*0*=utf-8''%C3; filename*1*=%B6; filename*2=%20.txt", "", "ö%20.txt"},
		{"attachment; filename*0=a; filename*0=b; filename*2=c", "", "ac"},
		{"attachment; filename*=J%C3%B6.txt", "", "Jö.txt"},
		{"attachment; filename=utf-8''J%C3%B6.txt", "", "Jö.txt"},
		{"attachment; filename=100%25''.txt", "", "100%25''.txt"},
		{`attachment; filename="=?utf-8?Q?J=C3=B6.txt?="`, "", "Jö.txt"},
		{`attachment; filename="=?utf-8?B?SsO2?= =?utf-8?B?LnR4dA==?="`, "", "Jö.txt"},
		{"attachment; filename==?utf-8?Q?J=C3=B6.txt?=", "", "Jö.txt"},
		{"attachment; filename*0==?utf-8?Q?J=C3=B6; filename*1=.txt?=", "", "Jö.txt"},
		{"attachment; filename=\"J\xc3\xb6.txt\"", "", "Jö.txt"},
		{"attachment; filename=\"J\xf6.txt\"", "", "Jö.txt"},
		{`attachment; filename="../../etc/passwd"`, "", ".._.._etc_passwd"},
		{`attachment; filename="C:\Temp\a.exe"`, "", "a.exe"},
		{`attachment; filename="\\server\share\a.exe"`, "", "a.exe"},
		{`attachment; filename="a\b.exe"`, "", "a_b.exe"},
		{`attachment; filename=".."`, "", "__"},
		{"attachment; filename*=utf-8''a%00b%0D%0A.exe", "", "a b  .exe"},
		{"attachment; filename=", "", ""},
		{"attachment; filename", "", ""},
	} {
		m := parse("Content-Disposition: " + c.disposition + "\nContent-Type: " + c.kind + "\n\n")
		if c.disposition == "" {
			m = parse("Content-Type: " + c.kind + "\n\n")
		}
		if got := m.Root().Filename(); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.disposition, c.kind, got, c.want)
		}
	}
}

func TestPartFields(t *testing.T) {
	t.Parallel()
	p := parse("Content-Type: Text/HTML; Charset=\"utf-8\" (x); Format=flowed; x*=utf-8'en'%C3%A9; format=fixed\nContent-Disposition: INLINE; a=b\n\n").Root()
	if p.Type() != "text/html" || p.Disposition() != "inline" {
		t.Errorf("%s %s", p.Type(), p.Disposition())
	}
	params := p.Params()
	if len(params) != 3 || params["charset"] != "utf-8" || params["format"] != "flowed" || params["x"] != "é" {
		t.Errorf("%q", params)
	}
	if p := parse("\n").Root(); p.Params() != nil || p.Disposition() != "" || p.Filename() != "" {
		t.Error("a message without fields has something")
	}
}
