package mailedit_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pmilter/internal/mail"
	"pmilter/internal/mailedit"
)

// FuzzEdits makes any edits of any bytes: nothing panics, the result reads as the
// editor says it does, and what was not edited has its bytes.
func FuzzEdits(f *testing.F) {
	for _, body := range []string{
		"--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two</body>\r\n--b--\r\n",
		"pre\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\nepi",
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n--b\r\n",
		"--b\r\nContent-Type: multipart/mixed; boundary=\"b--\"\r\n\r\n--b--\r\n\r\ninner\r\n--b--\r\n",
		"--q\r\nContent-Type: text/plain\r\n\r\nguessed\r\n--q--",
		"--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKaGk=\n--b--",
		"--b\r\nContent-Type: text/plain; format=flowed\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nab =\r\n--b--",
		"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n--c\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n--b\r\n\r\nx\r\n",
	} {
		f.Add("multipart/mixed; boundary=b", body, []byte{0, 1, 1, 2, 2, 3, 3, 1, 4, 0})
		f.Add("multipart/alternative; boundary=b", body, []byte{3, 0, 2, 2, 5, 1, 1, 0, 1, 3})
		f.Add("text/plain; charset=utf-16", body, []byte{3, 0, 1, 0})
	}
	f.Fuzz(func(t *testing.T, kind, body string, ops []byte) {
		if len(ops) > 40 {
			ops = ops[:40]
		}
		fields := []mail.Field{{Name: "Subject", Value: "x"}, {Name: "Content-Type", Value: kind}}
		one, edited := edit(t, fields, body, ops)
		two, _ := edit(t, fields, body, ops)
		if !slices.Equal(ids(one.Root()), ids(two.Root())) {
			t.Fatal("the same edits gave other numbers")
		}
		compare(t, fields, body, one, edited)
	})
}

func ids(n *mailedit.Node) (list []int) {
	list = append(list, n.ID())
	for _, k := range n.Children() {
		list = append(list, ids(k)...)
	}
	return list
}

// edit makes edits, and tells the parts whose content was changed.
func edit(t *testing.T, fields []mail.Field, body string, ops []byte) (*mailedit.Editor, map[*mailedit.Node]bool) {
	t.Helper()
	e := mailedit.NewWith(mail.Parse(fields, []byte(body)), zeroes{})
	edited := map[*mailedit.Node]bool{}
	for len(ops) >= 2 {
		all := ids(e.Root())
		n := e.Node(all[int(ops[1])%len(all)])
		if n == nil {
			t.Fatal("a part without a number")
		}
		arg := ops[1]
		p := mailedit.NewPart{Content: []byte(body[:len(body)*int(arg)/255]), Text: arg%2 == 0}
		if arg%3 == 0 {
			p.Filename = "ä b\".txt"
		}
		if arg%5 == 0 {
			p.Type = "message/rfc822"
		}
		switch ops[0] % 6 {
		case 0:
			_ = e.Remove(n) // may be refused
		case 1:
			if e.Replace(n, p) == nil {
				edited[n] = true
			}
		case 2:
			if made, err := e.Add(p); err == nil {
				edited[made] = true
			}
		case 3:
			was := map[*mailedit.Node]string{}
			for _, id := range all {
				was[e.Node(id)] = string(e.Node(id).Part().Body())
			}
			changed, err := e.AppendText("disclaimer "+kindOf(arg), "")
			if err != nil {
				break
			}
			for n, before := range was {
				if len(n.Children()) == 0 && string(n.Part().Body()) != before {
					edited[n] = true
					changed--
				}
			}
			if changed > 1 || changed < 0 { // 1: a part was made
				t.Fatalf("other parts changed than were counted: %d", changed)
			}
		case 4:
			if arg%4 == 0 {
				e.Wrap([]byte(body), "wrapped")
			}
		case 5:
			e.Body()
		}
		ops = ops[2:]
	}
	return e, edited
}

func kindOf(b byte) string {
	return []string{"", "ä", "--b\nx", strings.Repeat("long ", 300), "\u4e00"}[int(b)%5]
}

func compare(t *testing.T, fields []mail.Field, body string, e *mailedit.Editor, edited map[*mailedit.Node]bool) {
	t.Helper()
	original := mail.Parse(fields, []byte(body))
	before := map[int]snapshot{}
	var number func(p *mail.Part)
	number = func(p *mail.Part) {
		before[len(before)] = snap(p)
		if !p.Sealed() {
			for _, k := range p.Parts() {
				number(k)
			}
		}
	}
	number(original.Root())
	changes := e.Header()
	for _, c := range changes {
		if strings.ContainsAny(c.Name, "\r\n: ") || strings.Contains(strings.ReplaceAll(c.Value, "\n ", ""), "\n") || strings.ContainsAny(c.Value, "\r\x00") {
			t.Fatalf("header %+v", c)
		}
	}
	now := mail.Parse(apply(fields, changes), e.Body())
	deep := false
	var walk func(n *mailedit.Node, p *mail.Part)
	walk = func(n *mailedit.Node, p *mail.Part) {
		if p.TooDeep() {
			deep = true
			return
		}
		if got, want := snap(p), snap(n.Part()); got.kind != want.kind || n.Parent() != nil && got.head != want.head {
			t.Fatalf("part %d reads %q %q, should %q %q\n%q", n.ID(), got.kind, got.head, want.kind, want.head, e.Body())
		}
		kids, parts := n.Children(), p.Parts()
		if len(kids) != len(parts) {
			t.Fatalf("part %d has %d parts, should have %d\n%q\n%q", n.ID(), len(parts), len(kids), body, e.Body())
		}
		if was, ok := before[n.ID()]; ok && !edited[n] && len(kids) == 0 {
			if !bytes.Equal(was.body, p.Body()) || was.kind != p.Type() || n.Parent() != nil && was.head != "" && was.head != snap(p).head {
				t.Fatalf("part %d was not edited and is\n%q not\n%q\n%q\n%q", n.ID(), p.Body(), was.body, body, e.Body())
			}
		}
		for i := range kids {
			walk(kids[i], parts[i])
		}
	}
	walk(e.Root(), now.Root())
	if !e.Changed() && string(e.Body()) != body {
		t.Fatal("changed without an edit")
	}
	if deep {
		return
	}
	if e.Text() != now.Text() || e.HTML() != now.HTML() {
		t.Fatalf("text is %q, HTML %q, not %q, %q", now.Text(), now.HTML(), e.Text(), e.HTML())
	}
	var got, want []string
	for _, n := range e.Attachments() {
		got = append(got, n.Part().Type()+n.Part().Filename()+string(n.Part().Content()))
	}
	for _, p := range now.Attachments() {
		want = append(want, p.Type()+p.Filename()+string(p.Content()))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("attachments are %q, not %q", want, got)
	}
}
