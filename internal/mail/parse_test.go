package mail_test

import (
	"fmt"
	"strings"
	"testing"

	"pmilter/internal/mail"
)

func TestParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, message, tree, contents, defects string }{
		{"plain", "\nhello\n", "text/plain", "hello\r\n", ""},
		{"no body", "", "text/plain", "", ""},
		{
			"mixed", "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n--b\nContent-Type: image/gif\n\ntwo\n\n--b--\nepilogue\n",
			"multipart/mixed(text/plain image/gif)", "one|two\r\n", "",
		},
		{
			"nested", "Content-Type: multipart/mixed; boundary=\"a\"\n\n--a\nContent-Type: multipart/alternative; boundary=\"ab\"\n\n--ab\n\n1\n--ab\nContent-Type: TEXT/HTML\n\n2\n--ab--\n\n--a\nContent-Type: image/png\n\n3\n--a--\n",
			"multipart/mixed(multipart/alternative(text/plain text/html) image/png)", "1|2|3", "",
		},
		{
			"white space after boundaries", "Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\none\n--b--  \n",
			"multipart/mixed(text/plain)", "one", "",
		},
		{
			"the same boundary inside", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n1\n--b--\n--b\n\n2\n--b--\n",
			"multipart/mixed(multipart/alternative(text/plain) text/plain)", "1|2", "",
		},
		{
			"an end that is another's beginning", "Content-Type: multipart/mixed; boundary=b--\n\n--b\n\nno\n--b--\n\nyes\n--b----\n",
			"multipart/mixed(text/plain)", "yes", "",
		},
		{
			"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: inner\n\ntext\n--b--\n",
			"multipart/digest(message/rfc822(text/plain))", "text", "",
		},
		{
			"message with its own parts", "Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
			"message/rfc822(multipart/mixed(text/plain))", "one", "",
		},
		{
			"message in base64", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKaW5uZXIK\n",
			"message/rfc822(text/plain)", "inner\n", "",
		},
		{
			"multipart in base64", "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\nLS1iCgpvbmUKLS1iLS0K\n",
			"multipart/mixed(text/plain)", "one", "encoded-multipart",
		},
		{
			"multipart that says base64 and is not", "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\none\n--b--\n",
			"multipart/mixed(text/plain)", "one", "encoded-multipart",
		},
		{"no boundary", "Content-Type: multipart/mixed\n\nhello\n", "multipart/mixed", "hello\r\n", "no-boundary"},
		{
			"no boundary, but one that can be told", "Content-Type: multipart/mixed\n\n--x\nContent-Type: text/html\n\none\n--x--\n",
			"multipart/mixed(text/html)", "one", "no-boundary",
		},
		{
			"wrong boundary", "Content-Type: multipart/mixed; boundary=y\n\n--x\nCONTENT-Type: text/html\n\none\n--x\n\ntwo\n--x--\n",
			"multipart/mixed(text/html text/plain)", "one|two", "wrong-boundary",
		},
		{"boundary that is nowhere", "Content-Type: multipart/mixed; boundary=y\n\n-- \nhello\n", "multipart/mixed", "-- \r\nhello\r\n", "wrong-boundary"},
		{
			"no end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n",
			"multipart/mixed(text/plain)", "one\r\n", "missing-end-boundary",
		},
		{
			"inner one has no end", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--\n",
			"multipart/mixed(multipart/mixed(text/plain) text/plain)", "one|two", "missing-end-boundary",
		},
		{
			"part that ends in its header", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n\ntwo\n--b--\n",
			"multipart/mixed(text/html text/plain)", "|two", "",
		},
		{
			"no empty line", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\nhello world\n--b\nhello\n--b--\n",
			"multipart/mixed(text/html text/plain)", "hello world|hello", "missing-blank-line",
		},
		{
			"boundaries side by side", "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\none\n--b\n--b--\n",
			"multipart/mixed(text/plain)", "one", "",
		},
		{
			"a line of an mbox", "Content-Type: multipart/digest; boundary=b\n\n--b\n\n>From jo Fri Jan 2\nSubject: x\n\none\n--b--\n",
			"multipart/digest(message/rfc822(text/plain))", "one", "",
		},
		{
			"space before colons", "Content-Type : multipart/mixed; boundary=b\n\n--b\nContent-Type : text/html\n\none\n--b--\n",
			"multipart/mixed(text/html)", "one", "",
		},
		{
			"folded, with comments", "Content-Type: (a) multipart/mixed;\n\tboundary=\n \"b c\" (really)\n\n--b c\n\none\n--b c--\n",
			"multipart/mixed(text/plain)", "one", "",
		},
		{
			"no semicolons", "Content-Type: multipart/mixed boundary=b charset=x\n\n--b\n\none\n--b--\n",
			"multipart/mixed(text/plain)", "one", "bad-parameter",
		},
		{
			"boundary in pieces", "Content-Type: multipart/mixed; boundary*1=y; boundary*0=\"=_x\"\n\n--=_xy\n\none\n--=_xy--\n",
			"multipart/mixed(text/plain)", "one", "",
		},
		{"no type", "Content-Type: nonsense; charset=utf-8\n\nhello\n", "text/plain", "hello\r\n", "bad-content-type"},
		{"half a type", "Content-Type: text\n\nhello\n", "text/plain", "hello\r\n", "bad-content-type"},
		{"parameter for type", "Content-Type: charset=utf-8\n\nhello\n", "text/plain", "hello\r\n", "bad-content-type bad-parameter"},
		{"twice", "Content-Type: text/html\nContent-Type: text/plain\n\nhello\n", "text/html", "hello\r\n", "duplicate-header"},
		{"TNEF", "Content-Type: application/ms-tnef; name=winmail.dat\n\nhello\n", "application/ms-tnef", "hello\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := parse(complete + c.message)
			if got := tree(m.Root()); got != c.tree {
				t.Errorf("parts %s, want %s", got, c.tree)
			}
			var contents []string
			walk(m.Root(), func(p *mail.Part) {
				if len(p.Parts()) == 0 {
					contents = append(contents, string(p.Content()))
				}
			})
			if got := strings.Join(contents, "|"); got != c.contents {
				t.Errorf("contents %q, want %q", got, c.contents)
			}
			wantDefects(t, m, c.defects)
		})
	}
}

// TestLineEnds: CR, LF and their mixtures end lines for all readers.
func TestLineEnds(t *testing.T) {
	t.Parallel()
	const body = "--b\nContent-Type: text/html\n\none\ntwo\n--b--\n"
	for _, c := range []struct{ end, defects string }{
		{"\r\n", ""}, {"\n", "bare-lf"}, {"\r", "bare-cr"}, {"\r\r\n", "bare-cr"},
	} {
		m := mail.Parse(fields("From: jo@example.org\r\nDate: Fri, 2 Jan 2026 03:04:05 +0100\r\nContent-Type: multipart/mixed; boundary=b"),
			[]byte(strings.ReplaceAll(body, "\n", c.end)))
		if got := tree(m.Root()); got != "multipart/mixed(text/html)" {
			t.Errorf("%q: parts %s", c.end, got)
		}
		if got := m.HTML(); got != "one\ntwo" && got != "one\ntwo\n" {
			t.Errorf("%q: text %q", c.end, got)
		}
		wantDefects(t, m, c.defects)
	}
}

func TestDepthIsLimited(t *testing.T) {
	t.Parallel()
	for _, levels := range []int{99, 100, 101, 10_000} {
		m := parse(complete + nested(levels))
		deepest, leaf := 0, (*mail.Part)(nil)
		for p := m.Root(); ; p = p.Parts()[0] {
			if leaf = p; len(p.Parts()) == 0 {
				break
			}
			deepest++
		}
		if want := min(levels, mail.MaxDepth); deepest != want {
			t.Errorf("%d levels: read %d, want %d", levels, deepest, want)
		}
		want := ""
		if levels > mail.MaxDepth {
			want = "too-deep"
			if leaf.Size() == 0 {
				t.Errorf("%d levels: what is too deep has no content", levels)
			}
		}
		wantDefects(t, m, want)
	}
}

// nested is a message with so many multiparts inside each other.
func nested(levels int) string {
	var b strings.Builder
	for i := range levels {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	b.WriteString("\nhello\n")
	for i := levels - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\n", i)
	}
	return b.String()
}

func TestPartsAreLimited(t *testing.T) {
	t.Parallel()
	message := complete + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 20_000) + "--b--\n"
	m := parse(message)
	if got := len(m.Parts()); got != mail.MaxParts-1 { // the root is one
		t.Errorf("%d parts", got)
	}
	wantDefects(t, m, "too-many-parts")
}

// TestPartsOfEncodedMessagesAreLimited: the limits hold for what is found when
// encoded content is read, too.
func TestPartsOfEncodedMessagesAreLimited(t *testing.T) {
	t.Parallel()
	inner := "Content-Type: multipart/mixed; boundary=c\n\n" + strings.Repeat("--c\n\nx\n", 6000) + "--c--\n"
	part := "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.ReplaceAll(inner, "=", "=3D")
	m := parse(complete + "Content-Type: multipart/mixed; boundary=b\n\n" + part + part + part + "--b--\n")
	n := 0
	walk(m.Root(), func(*mail.Part) { n++ })
	if n > mail.MaxParts {
		t.Errorf("%d parts", n)
	}
	wantDefects(t, m, "too-many-parts")
}

func TestHeadersOfAPart(t *testing.T) {
	t.Parallel()
	m := parse(complete + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html;\n\tcharset=utf-8\nX-A: 1\nX-A : 2\n\none\n--b--\n")
	got := m.Parts()[0].Headers()
	want := []mail.Field{{"Content-Type", " text/html;\n\tcharset=utf-8"}, {"X-A", " 1"}, {"X-A", " 2"}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || strings.TrimRight(got[2].Name, " ") != "X-A" || got[2].Value != " 2" {
		t.Errorf("%q", got)
	}
	if root := m.Root().Headers(); len(root) != 3 || root[0].Name != "From" {
		t.Errorf("the message's own: %q", root)
	}
}

// TestBodyIsNotCopied: content without an encoding is the body's own bytes.
func TestBodyIsNotCopied(t *testing.T) {
	t.Parallel()
	body := []byte("--b\r\n\r\none\r\n--b--\r\n")
	m := mail.Parse([]mail.Field{{"Content-Type", "multipart/mixed; boundary=b"}}, body)
	content := m.Parts()[0].Content()
	body[strings.Index(string(body), "one")] = 'O'
	if string(content) != "One" {
		t.Errorf("content %q", content)
	}
}
