package mail_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pmilter/internal/mail"
)

// readAll asks for everything there is to ask for.
func readAll(t *testing.T, m *mail.Message) {
	t.Helper()
	m.Subject()
	m.From()
	m.To()
	m.Cc()
	m.Date()
	m.MessageID()
	for _, text := range []string{m.Text(), m.HTML()} {
		if !utf8.ValidString(text) {
			t.Error("the text is no UTF-8")
		}
		if strings.ContainsRune(text, '\r') {
			t.Error("the text has a CR")
		}
	}
	m.Attachments()
	m.Defects()
	n := 0
	for _, top := range m.Parts() {
		walk(top, func(p *mail.Part) {
			n++
			if !utf8.ValidString(p.Filename()) || strings.ContainsAny(p.Filename(), "/\\\x00\r\n") {
				t.Errorf("file name %q", p.Filename())
			}
			p.Params()
			p.Disposition()
			p.Headers()
			if len(p.Parts()) > 0 {
				return // its content is the content of its parts once more
			}
			if size, content := p.Size(), p.Content(); size != int64(len(content)) {
				t.Errorf("size %d of %d bytes", size, len(content))
			}
			if _, err := p.Hash("md5"); err != nil {
				t.Error(err)
			}
			if !utf8.ValidString(p.Text()) {
				t.Error("a part's text is no UTF-8")
			}
		})
	}
	if n > mail.MaxParts {
		t.Errorf("%d parts", n)
	}
}

// TestHostile reads what was made to take long. What is linear takes less than a
// thirtieth of the limit, with the race detector as well; the rest is for a busy machine.
func TestHostile(t *testing.T) {
	const limit = time.Minute
	multipart := []mail.Field{{"Content-Type", "multipart/mixed; boundary=b"}}
	header := func(name, value string) []mail.Field { return []mail.Field{{name, value}} }
	repeat := func(s string, size int) []byte { return bytes.Repeat([]byte(s), size/len(s)) }
	const k100, m1, m10 = 100_000, 1_000_000, 10_000_000
	prefixes, message := "", ""
	for range 70 {
		prefixes += "a"
		message += "Content-Type: multipart/mixed; boundary=" + prefixes + "\r\n\r\n--" + prefixes + "\r\n"
	}
	boundary70 := strings.Repeat("b", 70)
	for _, c := range []struct {
		name   string
		fields []mail.Field
		body   []byte
	}{
		{"1,000 parts", multipart, repeat("--b\r\n\r\nhello\r\n", 13_000)},
		{"a million parts", multipart, repeat("--b\r\n\r\n", m10)},
		{"a million boundaries", multipart, repeat("--b\n", m10)},
		{"100 levels", fields("Content-Type: multipart/mixed; boundary=b0"), []byte(crlf(nested(100)[len("Content-Type: multipart/mixed; boundary=b0\n\n"):]))},
		{"10,000 levels", fields("Content-Type: multipart/mixed; boundary=b0"), []byte(crlf(nested(10_000)[len("Content-Type: multipart/mixed; boundary=b0\n\n"):]))},
		{"levels with wrong boundaries", header("Content-Type", "multipart/mixed; boundary=x"), repeat("--y\nContent-Type: multipart/mixed; boundary=x\n\n", m1)},
		{"messages in messages", header("Content-Type", "message/rfc822"), repeat("Content-Type: message/rfc822\r\n\r\n", m1)},
		{"boundaries that begin each other", header("Content-Type", "multipart/mixed; boundary=c"), append([]byte("--c\r\n"+message), repeat("--"+prefixes+"a\r\n--"+prefixes[1:]+"-\r\n", m10)...)},
		{"10 MB of dashes", multipart, repeat("--\r\n", m10)},
		{"10 MB of dashes inside 70 multiparts", header("Content-Type", "multipart/mixed; boundary=c"), append([]byte("--c\r\n"+message), repeat("--\n", m10)...)},
		{"one line of dashes", multipart, repeat("-", m10)},
		{"a long boundary, over and over", header("Content-Type", "multipart/mixed; boundary="+boundary70), repeat("--"+boundary70+"x\r\n", m10)},
		{"a long boundary without its line's end", header("Content-Type", "multipart/mixed; boundary="+boundary70), repeat("--"+boundary70+" ", m10)},
		{"10 MB of CR", multipart, repeat("\r", m10)},
		{"CR in a part's header", multipart, append([]byte("--b\r\nA: b"), repeat("\r ", m1)...)},
		{"a part's header of 10 MB", multipart, append([]byte("--b\r\n"), repeat("Content-Type: text/plain\n", m10)...)},
		{"a part's field of 10 MB", multipart, append([]byte("--b\r\nContent-Type: text/plain"), repeat(";\n a=b", m10)...)},
		{"base64, all padding", header("Content-Transfer-Encoding", "base64"), repeat("A=", m1)},
		{"base64 and white space", header("Content-Transfer-Encoding", "base64"), repeat("A= \r\n", m1)},
		{"quoted-printable, all =", header("Content-Transfer-Encoding", "quoted-printable"), repeat("=", m1)},
		{"quoted-printable, all white space", header("Content-Transfer-Encoding", "quoted-printable"), repeat(" \t", m1)},
		{"uuencode", header("Content-Transfer-Encoding", "uuencode"), append([]byte("begin 644 x\n"), repeat("M\n", m1)...)},
		{"UTF-7", header("Content-Type", "text/plain; charset=utf-7"), repeat("+A", m1)},
		{"ISO-2022-KR", header("Content-Type", "text/plain; charset=iso-2022-kr"), repeat("\x1b$)C", m1)},
		{"words without end", header("Subject", strings.Repeat("=?a?Q?", k100)), nil},
		{"words with one end", header("Subject", strings.Repeat("=?a?Q?", k100)+"?="), nil},
		{"many words", header("Subject", strings.Repeat("=?utf-8?b?YQ?= ", k100)), nil},
		{"beginnings of words", header("Subject", strings.Repeat("=?", k100)), nil},
		{"folds", header("Subject", strings.Repeat("\n a", k100)), nil},
		{"quotes", header("From", strings.Repeat("\"", k100+1)), nil},
		{"parentheses", header("From", strings.Repeat("(", k100)), nil},
		{"brackets", header("From", strings.Repeat("<", k100)), nil},
		{"brackets and quotes", header("From", "<"+strings.Repeat(`"a"`, k100)), nil},
		{"square brackets", header("From", strings.Repeat("@[", k100)), nil},
		{"colons", header("From", "a@b"+strings.Repeat(":", k100)), nil},
		{"commas", header("From", strings.Repeat("a@b,", k100)), nil},
		{"at", header("From", strings.Repeat("@ ", k100)), nil},
		{"words in addresses", header("From", strings.Repeat("=?a?Q?b ", k100)), nil},
		{"white space in an address", header("From", strings.Repeat(" \t", k100)+"a@b"+strings.Repeat(" ", k100)), nil},
		{"comments in a date", header("Date", strings.Repeat("(", k100)+strings.Repeat("()", k100)), nil},
		{"parameters", header("Content-Type", "text/plain"+strings.Repeat(";a=b", k100)), nil},
		{"parameters in pieces", header("Content-Type", "text/plain"+pieces(k100/10)), nil},
		{"parameters without =", header("Content-Type", "text/plain"+strings.Repeat("; a", k100)), nil},
		{"parameters without end", header("Content-Disposition", "a"+strings.Repeat(`;a="\`, k100)), nil},
		{"parameters in a row", header("Content-Type", "text/plain; x="+strings.Repeat(" y=", k100)), nil},
		{"comments before parameters", header("Content-Type", "text/plain; "+strings.Repeat("(", k100)), nil},
		{"comments before the type", header("Content-Type", strings.Repeat("()", k100)), nil},
		{"types cut by slashes", header("Content-Type", strings.Repeat("a/ ", k100)), nil},
		{"percent signs", header("Content-Disposition", "a; filename*=utf-8''"+strings.Repeat("%", k100)), nil},
		{"fields", bytesFields(mail.MaxFields), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			readAll(t, mail.Parse(c.fields, c.body))
			if took := time.Since(start); took > limit {
				t.Errorf("took %v", took)
			} else {
				t.Logf("%v", took)
			}
		})
	}
}

func pieces(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(";filename*" + strconv.Itoa(n-i) + "*=%41")
	}
	return b.String()
}

func bytesFields(n int) (list []mail.Field) {
	for range n {
		list = append(list, mail.Field{Name: "To", Value: strings.Repeat("a@b,", 25)})
	}
	return list
}

// FuzzParse: whatever comes, everything can be asked for, and nothing is found
// that was not there: all parts' bytes together are no more than the message's.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\n--b--\n",
		"Content-Type: multipart/mixed\nContent-Transfer-Encoding: base64\n\nLS1iCgpvbmUKLS1iLS0K\n",
		"Content-Type: text/html; charset=utf-16\nContent-Transfer-Encoding: quoted-printable\n\n=FF=FEa=00\n",
		"Content-Disposition: attachment; filename*0*=utf-8''a%; filename*1=\"b\n\n",
		"From: \"a\" <b@c>, (d) e: <f;\nDate: 1 Jan 2\n\n\xff\r\n",
		"Content-Transfer-Encoding: x-uue\n\nbegin 1 x\n#0V%T\n`\nend",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		head, body, _ := bytes.Cut(message, []byte("\n\n"))
		m := mail.Parse(fields(strings.ReplaceAll(string(head), "\n", "\r\n")), body)
		readAll(t, m)
		total := 0
		walk(m.Root(), func(p *mail.Part) {
			if len(p.Parts()) == 0 {
				total += len(p.Content())
			}
		})
		if total > len(body) {
			t.Errorf("%d bytes of parts in a body of %d", total, len(body))
		}
	})
}

func BenchmarkParts(b *testing.B) {
	message := complete + "Content-Type: multipart/mixed; boundary=b\n\n" +
		strings.Repeat("--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nhello =C3=A9\n", 100) + "--b--\n"
	parsed := parse(message)
	head, body := parsed.Root().Headers(), parsed.Root().Content()
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if m := mail.Parse(head, body); len(m.Parts()) != 100 || m.Text() == "" {
			b.Fatal("not read")
		}
	}
}

func BenchmarkBase64(b *testing.B) {
	benchmarkContent(b, "base64", "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZy4gQSB0ZXN0IDEu\r\n")
}

func BenchmarkQuotedPrintable(b *testing.B) {
	benchmarkContent(b, "quoted-printable", "The quick br=C3=B6wn fox jumps over the lazy dog, and over the =\r\n")
}

func benchmarkContent(b *testing.B, encoding, line string) {
	b.Helper()
	body := bytes.Repeat([]byte(line), 10_000)
	p := mail.Parse([]mail.Field{{"Content-Transfer-Encoding", encoding}}, body).Root()
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if len(p.Content()) == 0 {
			b.Fatal("not decoded")
		}
	}
}

func BenchmarkDecodeHeader(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if mail.DecodeHeader("Re: =?utf-8?Q?J=C3=B6rg?= =?utf-8?B?4oKs?= and more") == "" {
			b.Fatal("not decoded")
		}
	}
}

// Messages inside messages, each with a transfer encoding, cost a copy a level:
// only so many are read.
func TestEncodedMessagesInsideEachOther(t *testing.T) {
	inner := "Subject: inner\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 1000)
	for range 50 {
		inner = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.ReplaceAll(inner, "=", "=3D")
	}
	head, body, _ := strings.Cut(inner, "\r\n\r\n")
	var fields []mail.Field
	for _, line := range strings.Split(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, mail.Field{Name: name, Value: value})
	}
	m := mail.Parse(fields, []byte(body))
	levels := 0
	for p := m.Root(); len(p.Parts()) > 0; p = p.Parts()[0] {
		levels++
	}
	if levels < 2 || levels > 4 || !slices.Contains(m.Defects(), "too-deep") {
		t.Errorf("%d levels, defects %v", levels, m.Defects())
	}
}
