package mailedit_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pmilter/internal/mail"
	"pmilter/internal/mailedit"
)

const mixed = `Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

preamble
--b
Content-Type: text/plain

one
--b  
Content-Type: application/pdf; name=a.pdf
Content-Disposition: attachment; filename=a.pdf; size=3
Content-ID: <1@example.org>
Content-Transfer-Encoding: base64

AAAA
--b
X-Odd : yes

three

--b--
epilogue
`

// TestEdits shows what each edit does to small messages, byte for byte.
func TestEdits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		edit     func(e *mailedit.Editor) error
		want     string // "" for what in is
	}{
		{
			"nothing", mixed, func(*mailedit.Editor) error { return nil }, "",
		},
		{
			"the first is removed", mixed,
			func(e *mailedit.Editor) error { return e.Remove(e.Node(1)) },
			strings.Replace(mixed, "--b\nContent-Type: text/plain\n\none\n", "", 1),
		},
		{
			"one between others is removed, with the delimiter before it", mixed,
			func(e *mailedit.Editor) error { return e.Remove(e.Node(2)) },
			cut(mixed, "--b  \n", "--b\nX-Odd"),
		},
		{
			"a header without its empty line gets one when what follows it changes",
			"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n--b\n\none\n--b\n\ntwo\n--b--\n--a--\n",
			func(e *mailedit.Editor) error { return e.Remove(e.Node(2)) },
			"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntwo\n--b--\n--a--\n",
		},
		{
			"a delimiter at the very end gets a line when its part is replaced",
			"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b",
			func(e *mailedit.Editor) error {
				return e.Replace(e.Node(2), mailedit.NewPart{Content: []byte("two"), Text: true})
			},
			"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\ntwo\n--b--\n",
		},
		{
			"the last is removed, and the epilogue stays", mixed,
			func(e *mailedit.Editor) error { return e.Remove(e.Node(3)) },
			cut(mixed, "--b\nX-Odd", "--b--"),
		},
		{
			"content is replaced, and the rest of the header stays", mixed,
			func(e *mailedit.Editor) error {
				return e.Replace(e.Node(2), mailedit.NewPart{Content: []byte("gone\n"), Text: true, Type: "text/plain", Filename: "note.txt"})
			},
			strings.Replace(mixed, `Content-Type: application/pdf; name=a.pdf
Content-Disposition: attachment; filename=a.pdf; size=3
Content-ID: <1@example.org>
Content-Transfer-Encoding: base64

AAAA
`, `Content-Type: text/plain; charset=utf-8; name=note.txt
Content-Disposition: attachment; filename=note.txt
Content-ID: <1@example.org>
Content-Transfer-Encoding: 7bit

gone

`, 1),
		},
		{
			"bytes are replaced, and keep type and name", mixed,
			func(e *mailedit.Editor) error {
				return e.Replace(e.Node(2), mailedit.NewPart{Content: []byte("\x00\x01")})
			},
			strings.NewReplacer("; size=3", "", "AAAA", "AAE=").Replace(mixed),
		},
		{
			"a part is added", mixed,
			func(e *mailedit.Editor) error {
				_, err := e.Add(mailedit.NewPart{Content: []byte("ä"), Text: true})
				return err
			},
			strings.Replace(mixed, "--b--", `--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

=C3=A4
--b--`, 1),
		},
		{
			"a part is added to a message that is not closed", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n",
			func(e *mailedit.Editor) error {
				_, err := e.Add(mailedit.NewPart{Content: []byte("two"), Text: true})
				return err
			},
			"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n\n--b\nContent-Type: text/plain; charset=utf-8\n" +
				"Content-Transfer-Encoding: 7bit\n\ntwo\n--b--\n",
		},
		{
			"a message that is no multipart gets a part", "content-type: text/html; charset=iso-8859-1\nSubject: x\nContent-ID:\n <2@example.org>\nContent-Transfer-Encoding: 8bit\n\n<p>\xe4\n",
			func(e *mailedit.Editor) error {
				_, err := e.Add(mailedit.NewPart{Content: []byte("%PDF\x00"), Type: "application/pdf", Filename: "b.pdf"})
				return err
			},
			"Subject: x\nContent-Type: multipart/mixed; boundary=\"=_AAAAAAAAAAAAAAAAAAAAAAAA\"\nContent-Transfer-Encoding: 8bit\nMIME-Version: 1.0\n\n" +
				"--=_AAAAAAAAAAAAAAAAAAAAAAAA\ncontent-type: text/html; charset=iso-8859-1\nContent-ID:\n <2@example.org>\nContent-Transfer-Encoding: 8bit\n\n<p>\xe4\n\n" +
				"--=_AAAAAAAAAAAAAAAAAAAAAAAA\nContent-Type: application/pdf; name=b.pdf\nContent-Transfer-Encoding: base64\n" +
				"Content-Disposition: attachment; filename=b.pdf\n\nJVBERgA=\n--=_AAAAAAAAAAAAAAAAAAAAAAAA--\n",
		},
		{
			"the message itself is replaced", "Subject: x\nContent-Type: text/html; charset=iso-8859-1\nContent-MD5: x\n\n<p>old\n",
			func(e *mailedit.Editor) error {
				return e.Replace(e.Root(), mailedit.NewPart{Content: []byte("new"), Text: true})
			},
			"Subject: x\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 7bit\nMIME-Version: 1.0\n\nnew\n",
		},
		{
			"a part with lines like a delimiter is encoded", mixed,
			func(e *mailedit.Editor) error {
				_, err := e.Add(mailedit.NewPart{Content: []byte("--b--\n.\nFrom me\n- -\n"), Text: true, Disposition: "Inline"})
				return err
			},
			strings.Replace(mixed, "--b--", `--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable
Content-Disposition: inline

=2D-b--
=2E
=46rom me
- -

--b--`, 1),
		},
		{
			"next to a header that is all of a part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nA\n--c\nX: y\n--b\n\nz\n--b--\n",
			func(e *mailedit.Editor) error {
				return e.Replace(e.Node(2), mailedit.NewPart{Content: []byte("B"), Text: true})
			},
			"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\nB\n" +
				"--c\nX: y\n\n--c--\n--b\n\nz\n--b--\n",
		},
		{
			"fields that are there twice", "Content-Type: multipart/mixed; boundary=b\n\n--b\ncontent-type: text/plain\nX: y\nContent-Type: text/html;\n charset=x\n\nA\n--b--\n",
			func(e *mailedit.Editor) error {
				return e.Replace(e.Node(1), mailedit.NewPart{Content: []byte("B"), Text: true})
			},
			"Content-Type: multipart/mixed; boundary=b\n\n--b\ncontent-type: text/plain; charset=utf-8\nX: y\nContent-Transfer-Encoding: 7bit\n\nB\n--b--\n",
		},
		{
			"a message is added that has a header only", mixed,
			func(e *mailedit.Editor) error {
				n, err := e.Add(mailedit.NewPart{Content: []byte("Content-Type: message/rfc822"), Type: "message/rfc822"})
				if err == nil && (len(n.Children()) != 1 || len(n.Children()[0].Children()) != 1) {
					return errors.New("no message in the message in the message")
				}
				return err
			},
			strings.Replace(mixed, "--b--", "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\nContent-Disposition: attachment\n\nContent-Type: message/rfc822\n\n--b--", 1),
		},
		{
			"the message is wrapped", "Content-Type: text/html\nSubject: x\n\n<p>\n",
			func(e *mailedit.Editor) error {
				e.Wrap([]byte("Subject: \xc3\xa4\r\n\r\nold\r\n"), "see\nbelow")
				return nil
			},
			"Subject: x\nContent-Type: multipart/mixed; boundary=\"=_AAAAAAAAAAAAAAAAAAAAAAAA\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n" +
				"--=_AAAAAAAAAAAAAAAAAAAAAAAA\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\nsee\nbelow\n" +
				"--=_AAAAAAAAAAAAAAAAAAAAAAAA\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\nContent-Disposition: attachment\n\n" +
				"Subject: \xc3\xa4\n\nold\n\n--=_AAAAAAAAAAAAAAAAAAAAAAAA--\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := open(tt.in)
			if err := tt.edit(e); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = tt.in
			}
			// A field that is set anew stands elsewhere, which is the caller's to say.
			if got := result(t, tt.in, e); sorted(got) != sorted(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if e.Changed() != (tt.want != "") {
				t.Errorf("Changed is %v", e.Changed())
			}
		})
	}
}

// sorted is a message with its header's lines in another order.
func sorted(message string) string {
	head, body, _ := strings.Cut(message, "\n\n")
	fields := strings.Split(strings.ReplaceAll(strings.ToLower(head), "\n ", "\x00"), "\n")
	for i := range fields {
		for j := range i {
			if fields[i] < fields[j] {
				fields[i], fields[j] = fields[j], fields[i]
			}
		}
	}
	return strings.Join(fields, "\n") + "\n\n" + body
}

// cut is s without what is from one string up to another.
func cut(s, from, to string) string {
	i := strings.Index(s, from)
	return s[:i] + s[i+strings.Index(s[i:], to):]
}

func TestNested(t *testing.T) {
	t.Parallel()
	const inner = "--c\nContent-Type: text/plain\n\nin\n--c--"
	const message = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: message/rfc822\n\n" +
		"Subject: y\nContent-Type: multipart/mixed; boundary=c\n\n" + inner + "\n--b--\n"
	t.Run("inside a message", func(t *testing.T) {
		t.Parallel()
		e := open(message)
		leaf := e.Node(4)
		if err := e.Replace(leaf, mailedit.NewPart{Content: []byte("out"), Text: true}); err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(message, "text/plain\n\nin", "text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\nout", 1)
		if got := result(t, message, e); got != want {
			t.Errorf("got %q\nwant %q", got, want)
		}
		if leaf.ID() != 4 || leaf.Part().Text() != "out" || leaf.Removed() || e.Node(4) != leaf {
			t.Error("the node is another")
		}
	})
	t.Run("the last takes all with it", func(t *testing.T) {
		t.Parallel()
		e := open(message)
		if err := e.Remove(e.Node(4)); err != nil {
			t.Fatal(err)
		}
		if got := result(t, message, e); got != "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n" {
			t.Errorf("got %q", got)
		}
		for id, removed := range []bool{false, false, true, true, true} {
			if e.Node(id).Removed() != removed {
				t.Errorf("part %d: removed is %v", id, !removed)
			}
		}
		if err := e.Remove(e.Node(1)); !errors.Is(err, mailedit.ErrRoot) {
			t.Errorf("the last of all: %v", err)
		}
		if err := e.Replace(e.Node(4), mailedit.NewPart{}); !errors.Is(err, mailedit.ErrRemoved) {
			t.Errorf("a removed part: %v", err)
		}
	})
	t.Run("the message inside is replaced", func(t *testing.T) {
		t.Parallel()
		e := open(message)
		if err := e.Replace(e.Node(3), mailedit.NewPart{Content: []byte("z"), Text: true, Type: "text/plain"}); err != nil {
			t.Fatal(err)
		}
		want := "Subject: y\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\nMIME-Version: 1.0\n\nz\n--b--\n"
		if got := result(t, message, e); !strings.HasSuffix(got, "message/rfc822\n\n"+want) {
			t.Errorf("got %q", got)
		}
		if !e.Node(4).Removed() {
			t.Error("what it had is still there")
		}
	})
}

func TestSealed(t *testing.T) {
	t.Parallel()
	const message = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: message/rfc822\n" +
		"Content-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKaGk=\n--b--\n"
	e := open(message)
	list := e.Node(2).Children()
	if len(list) != 1 || list[0].Part().Text() != "hi" || e.Node(list[0].ID()) != list[0] {
		t.Fatalf("got %v", list)
	}
	if err := e.Remove(list[0]); !errors.Is(err, mailedit.ErrSealed) {
		t.Errorf("Remove: %v", err)
	}
	if err := e.Replace(list[0], mailedit.NewPart{}); !errors.Is(err, mailedit.ErrSealed) {
		t.Errorf("Replace: %v", err)
	}
	if err := e.Remove(e.Node(2)); err != nil || !list[0].Removed() {
		t.Errorf("what it is in: %v, removed %v", err, list[0].Removed())
	}
	for _, id := range []int{-1, 3, 1 << 32, 1<<33 + 5, 9 << 32} {
		if e.Node(id) != nil {
			t.Errorf("part %d exists", id)
		}
	}
}

// TestSealedMoved is for a multipart that is encoded, which it must not be, and
// becomes a part.
func TestSealedMoved(t *testing.T) {
	t.Parallel()
	inner := "--b\r\nContent-Type: application/pdf\r\n\r\nx\r\n--b--\r\n"
	in := "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(inner)) + "\n"
	e := open(in)
	if _, err := e.Add(mailedit.NewPart{Content: []byte("y")}); err != nil {
		t.Fatal(err)
	}
	list := e.Attachments()
	if len(list) != 2 || string(list[0].Part().Content()) != "x" || string(list[1].Part().Content()) != "y" {
		t.Fatalf("got %v in %q", list, e.Body())
	}
	if err := e.Remove(list[0]); !errors.Is(err, mailedit.ErrSealed) {
		t.Errorf("Remove: %v", err)
	}
}

// TestOdd is for messages whose delimiters say too little: they are written anew.
func TestOdd(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"no boundary":          "Content-Type: multipart/mixed\n\n--b\nContent-Type: text/plain\n\none\n--b\n\ntwo\n--b--\n",
		"the same at 2 levels": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntwo\n--b\n\nthree\n",
		"another's end":        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: multipart/mixed; boundary=\"b--\"\n\n--b--\n\ntwo\n--b--\n\nthree\n",
	} {
		for _, also := range []string{"", "end"} {
			t.Run(name+also, func(t *testing.T) {
				t.Parallel()
				e := open(in)
				if err := e.Remove(e.Node(1)); err != nil {
					t.Fatal(err)
				}
				fields, body := split(in)
				want := mail.Parse(fields, body).Root().Parts()[1:]
				if also != "" {
					n, err := e.Add(mailedit.NewPart{Content: []byte(also), Text: true})
					if err != nil {
						t.Fatal(err)
					}
					want = append(want[:1:1], n.Part())
				}
				sameParts(t, mail.Parse(apply(fields, e.Header()), e.Body()).Root().Parts(), want)
			})
		}
	}
}

func sameParts(t *testing.T, got, want []*mail.Part) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d parts, not %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Type() != want[i].Type() || got[i].Text() != want[i].Text() {
			t.Errorf("%s %q, not %s %q", got[i].Type(), got[i].Text(), want[i].Type(), want[i].Text())
		}
		sameParts(t, got[i].Parts(), want[i].Parts())
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		part mailedit.NewPart
		want error
	}{
		{mailedit.NewPart{Type: "text/plain\r\nX: y"}, mailedit.ErrType},
		{mailedit.NewPart{Type: "text/plain; charset=\"a\r\nX: y\""}, mailedit.ErrType},
		{mailedit.NewPart{Type: "text/plain; charset*=utf-8''a%0D%0AX:%20y"}, mailedit.ErrType},
		{mailedit.NewPart{Type: "text"}, mailedit.ErrType},
		{mailedit.NewPart{Type: "multipart/mixed; boundary=x"}, mailedit.ErrType},
		{mailedit.NewPart{Filename: "a\r\nX: y"}, mailedit.ErrFilename},
		{mailedit.NewPart{Filename: "a\x00"}, mailedit.ErrFilename},
		{mailedit.NewPart{Filename: "../a"}, mailedit.ErrFilename},
		{mailedit.NewPart{Filename: ".."}, mailedit.ErrFilename},
		{mailedit.NewPart{Filename: "\xff"}, mailedit.ErrFilename},
		{mailedit.NewPart{Filename: strings.Repeat("x", 1001)}, mailedit.ErrFilename},
		{mailedit.NewPart{Disposition: "inline\r\nX: y"}, mailedit.ErrDisposition},
		{mailedit.NewPart{Disposition: "a b"}, mailedit.ErrDisposition},
	} {
		e := open(mixed)
		if _, err := e.Add(tt.part); !errors.Is(err, tt.want) {
			t.Errorf("Add of %+v: %v", tt.part, err)
		}
		if err := e.Replace(e.Node(1), tt.part); !errors.Is(err, tt.want) {
			t.Errorf("Replace with %+v: %v", tt.part, err)
		}
		if e.Changed() || e.Header() != nil {
			t.Errorf("%+v changed something", tt.part)
		}
	}
	e := open(mixed)
	if err := e.Remove(open(mixed).Node(1)); !errors.Is(err, mailedit.ErrForeign) {
		t.Errorf("another's part: %v", err)
	}
	if err := e.Remove(nil); !errors.Is(err, mailedit.ErrForeign) {
		t.Errorf("no part: %v", err)
	}
	if err := e.Remove(e.Root()); !errors.Is(err, mailedit.ErrRoot) {
		t.Errorf("the message: %v", err)
	}
}

// TestFilenames is for names that are hard to say: they read as they were given.
func TestFilenames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"a.txt", "a b.txt", "Bob's.pdf", `say "hi".txt`, "=?utf-8?q?a?=", "utf-8''%41", "'a'", "50%.txt", "a;b=c.txt", "(a).txt",
		"ä.pdf", "日本語のとても長いファイルの名前です、本当に長いですよ。.docx", "a\u202etxt.exe", "👩‍👩‍👧.png",
		strings.Repeat("x", 199) + ".txt", strings.Repeat("y", 400) + ".txt", strings.Repeat("ü", 400), "a*b", "a,b", "*0*", "~1",
	} {
		e := open(mixed)
		n, err := e.Add(mailedit.NewPart{Content: []byte{0}, Filename: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := n.Part().Filename(); got != name {
			t.Errorf("%q reads %q", name, got)
		}
		if got := n.Part().Params()["name"]; got != name {
			t.Errorf("%q reads %q as the type's", name, got)
		}
		for _, line := range strings.Split(string(n.Part().Head()), "\r\n") {
			if len(line) > 230 {
				t.Errorf("%q: line of %d characters", name, len(line))
			}
		}
	}
}
