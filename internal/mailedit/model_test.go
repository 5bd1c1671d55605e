package mailedit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pmilter/internal/mail"
	"pmilter/internal/mailedit"
)

// tree is what a message is meant to be: of text the content is UTF-8 with LF.
type tree struct {
	Kind, Filename string
	Content        []byte
	Kids           []*tree
	Defects        []string // what Python finds
	up             *tree
	attached       bool // says so itself
}

func (m *tree) text() bool { return strings.HasPrefix(m.Kind, "text/") }

func (m *tree) adopt(kids ...*tree) *tree {
	m.Kids = append(m.Kids, kids...)
	for _, k := range kids {
		k.up = m
	}
	return m
}

// TestModel makes random edits of random messages, and asks package mail and
// Python's email package what came of them.
func TestModel(t *testing.T) {
	t.Parallel()
	const messages = 400
	var wire bytes.Buffer
	var want []*tree
	for seed := range uint64(messages) {
		g := &generator{rand.New(rand.NewPCG(seed, 3))}
		message, model := g.message()
		fields, body := split(message)
		e := mailedit.New(mail.Parse(fields, body))
		for range g.IntN(12) {
			model = g.edit(t, e, fields, model)
			if err := agree(nodeTree(e.Root()), model); err != "" {
				t.Fatalf("seed %d: node %s", seed, err)
			}
		}
		fields = apply(fields, e.Header())
		if err := agree(partTree(mail.Parse(fields, e.Body()).Root()), model); err != "" {
			t.Fatalf("seed %d: %s\n%s", seed, err, join(fields, e.Body()))
		}
		fmt.Fprintln(&wire, base64.StdEncoding.EncodeToString([]byte(join(fields, e.Body()))))
		want = append(want, model)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("PMILTER_REQUIRE_MTA") == "1" {
			t.Fatal("python3 is missing: .ci/deps.sh installs it")
		}
		t.Skip("no python3: what Python reads was left out")
	}
	sent := slices.Collect(bytes.Lines(wire.Bytes()))
	cmd := exec.CommandContext(t.Context(), python, "testdata/tree.py")
	cmd.Stdin = &wire
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python: %v", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for i, model := range want {
		var got tree
		if err := decoder.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if err := agree(&got, model); err != "" {
			message, _ := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(sent[i])))
			t.Errorf("seed %d: Python reads %s\n%s", i, err, message)
		}
	}
}

// agree tells what of got is not as wanted, "" for nothing.
func agree(got, want *tree) string {
	switch {
	case got.Kind != want.Kind || got.Filename != want.Filename:
		return fmt.Sprintf("%q %q, not %q %q", got.Kind, got.Filename, want.Kind, want.Filename)
	case len(got.Kids) != len(want.Kids):
		return fmt.Sprintf("%d parts in %s, not %d", len(got.Kids), got.Kind, len(want.Kids))
	case len(got.Kids) == 0 && spelled(got) != spelled(want):
		return fmt.Sprintf("%s %q, not %q", got.Kind, got.Content, want.Content)
	case len(got.Defects) > 0:
		return fmt.Sprint(got.Defects)
	}
	for i := range got.Kids {
		if err := agree(got.Kids[i], want.Kids[i]); err != "" {
			return err
		}
	}
	return ""
}

// spelled is the content, of a page with its characters rather than their numbers.
func spelled(m *tree) string {
	if m.Kind != "text/html" {
		return string(m.Content)
	}
	return strings.NewReplacer("&#246;", "ö", "&#223;", "ß", "&#8364;", "€").Replace(string(m.Content))
}

func partTree(p *mail.Part) *tree {
	m := leaf(p)
	for _, k := range p.Parts() {
		m.Kids = append(m.Kids, partTree(k))
	}
	return m
}

func nodeTree(n *mailedit.Node) *tree {
	m := leaf(n.Part())
	for _, k := range n.Children() {
		m.Kids = append(m.Kids, nodeTree(k))
	}
	return m
}

func leaf(p *mail.Part) *tree {
	m := &tree{Kind: p.Type(), Filename: p.Filename(), Content: p.Content()}
	if m.text() {
		m.Content = []byte(p.Text())
	}
	return m
}

type generator struct{ *rand.Rand }

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

// message is one written with LF, and what it is.
func (g generator) message() (string, *tree) {
	m, head, body := g.part(0)
	return "From: a@example.org\nMIME-Version: 1.0\nSubject: x\n" + head + "\n" + body + "\n", m.whole()
}

// whole is m as the message itself, whose last line has an end.
func (m *tree) whole() *tree {
	if m.text() {
		m.Content = append(m.Content, '\n')
	}
	if m.Kind == "message/rfc822" {
		m.Kids[0].whole()
	}
	return m
}

func (g generator) part(depth int) (m *tree, head, body string) {
	kind := g.IntN(10)
	switch {
	case kind < 4 && depth < 4:
		m = &tree{Kind: "multipart/" + g.pick("mixed", "alternative", "related", "parallel")}
		boundary := fmt.Sprintf("%s%d%d", g.pick("b", "=_x", "a b'()+_,-./:=?"), depth, g.IntN(10))
		lines := []string{g.pick("preamble\n", "")}
		for range 1 + g.IntN(3) {
			k, head, body := g.part(depth + 1)
			m.adopt(k)
			lines = append(lines, "--"+boundary+g.pick("", "", "  ")+"\n"+head+"\n"+body+"\n")
		}
		lines = append(lines, "--"+boundary+"--"+g.pick("", "\nepilogue", "\n\n--epilogue--\n"))
		return m, fmt.Sprintf("Content-Type: %s;\n boundary=%q\n", m.Kind, boundary), strings.Join(lines, "")
	case kind == 4 && depth < 4:
		k, head, body := g.part(depth + 1)
		m = (&tree{Kind: "message/rfc822"}).adopt(k)
		return m, "Content-Type: message/rfc822\n", "Subject: inner\n" + head + "\n" + body
	case kind == 5 && depth > 0:
		content := []byte{0, byte(g.IntN(256)), byte(g.IntN(256))}
		m = &tree{Kind: "application/pdf", Filename: g.pick("", "a.pdf"), Content: content}
		head = "Content-Transfer-Encoding: base64\nContent-Type: application/pdf\n"
		if m.Filename != "" {
			head += "Content-Disposition: attachment; filename=" + m.Filename + "\n"
		}
		return m, head, base64.StdEncoding.EncodeToString(content)
	case kind == 6:
		m = &tree{Kind: "text/plain", Content: []byte("tschüß =\nx")}
		return m, "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n", "tsch=FC=DF =3D\nx"
	case kind == 7:
		m = &tree{Kind: "text/html", Content: []byte("<body>hällo</body>")}
		return m, "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n", string(m.Content)
	}
	m = &tree{Kind: "text/plain", Content: []byte(g.pick("", "hi", "a\n\nb", "-- \nx"))}
	return m, g.pick("", "Content-Type: text/plain\n", "Content-type: TEXT/plain; charset=us-ascii\n"), string(m.Content)
}

// all is m and all that is in it, each before those in it.
func (m *tree) all() (list []*tree) {
	list = append(list, m)
	for _, k := range m.Kids {
		list = append(list, k.all()...)
	}
	return list
}

// ends tells whether nothing of the message follows m.
func (m *tree) ends() bool {
	for m = m.up; m != nil; m = m.up {
		if m.Kind != "message/rfc822" {
			return false
		}
	}
	return true
}

// edit makes one edit of the message and of what it is meant to be.
func (g generator) edit(t *testing.T, e *mailedit.Editor, fields []mail.Field, root *tree) *tree {
	t.Helper()
	models, numbers := root.all(), ids(e.Root())
	i := g.IntN(len(models))
	m, n := models[i], e.Node(numbers[i])
	switch g.IntN(5) {
	case 0:
		for m.up != nil && len(m.up.Kids) == 1 {
			m = m.up
		}
		if err := e.Remove(n); (err != nil) != (m.up == nil) {
			t.Fatalf("Remove: %v", err)
		}
		if m.up != nil {
			m.up.Kids = slices.DeleteFunc(m.up.Kids, func(k *tree) bool { return k == m })
		}
	case 1:
		p, made := g.newPart()
		made.attached = m.attached || made.Filename != ""
		if made.Filename == "" {
			made.Filename = m.Filename
		}
		if err := e.Replace(n, p); err != nil {
			t.Fatalf("Replace: %v", err)
		}
		up := m.up
		*m = *made
		if m.up = up; m.ends() && m.text() && len(m.Content) > 0 && !bytes.HasSuffix(m.Content, []byte("\n")) {
			m.Content = append(m.Content, '\n')
		}
	case 2:
		p, made := g.newPart()
		if _, err := e.Add(p); err != nil {
			t.Fatalf("Add: %v", err)
		}
		if root.Kind != "multipart/mixed" {
			root = (&tree{Kind: "multipart/mixed"}).adopt(root)
		}
		made.attached = made.Filename != "" || !made.text()
		root.adopt(made)
	case 3:
		text := g.pick("dis", "größer", "-- \n€uro <b>")
		if _, err := e.AppendText(text, ""); err != nil {
			t.Fatalf("AppendText: %v", err)
		}
		if list := root.shown(); len(list) > 0 {
			for _, m := range list {
				m.appendText(text)
			}
			break
		}
		if root.Kind != "multipart/mixed" {
			root = (&tree{Kind: "multipart/mixed"}).adopt(root)
		}
		root.adopt(&tree{Kind: "text/plain", Content: []byte(text)})
	case 4:
		if g.IntN(4) > 0 {
			break
		}
		e.Wrap([]byte(join(apply(fields, e.Header()), e.Body())), "see below")
		root = (&tree{Kind: "multipart/mixed"}).adopt(
			&tree{Kind: "text/plain", Content: []byte("see below")},
			(&tree{Kind: "message/rfc822", attached: true}).adopt(root))
	}
	return root
}

// newPart is a part to be made, and what it is.
func (g generator) newPart() (mailedit.NewPart, *tree) {
	name := g.pick("", "b.bin", "größe.txt", "a \"b\".x", "長い名前長い名前長い名前長い名前長い名前長い名前長い名前長い名前")
	if g.IntN(2) == 0 {
		m := &tree{Kind: "application/x-y", Filename: name, Content: []byte(g.pick("\x00\xff", "ascii\r\n", "bare\nlf", ""))}
		return mailedit.NewPart{Content: m.Content, Type: m.Kind, Filename: name}, m
	}
	m := &tree{Kind: g.pick("text/plain", "text/html"), Filename: name}
	m.Content = []byte(g.pick("", "x", "größe\n", "--b0\n--\n.\n", strings.Repeat("wide ", 300), "tail \n\t\nFrom x\n", "a\u2028b=3D"))
	return mailedit.NewPart{Content: m.Content, Text: true, Type: m.Kind, Filename: name}, m
}

// shown is the parts that a disclaimer goes into.
func (m *tree) shown() (list []*tree) {
	switch {
	case m.Kind == "multipart/alternative":
		for _, k := range m.Kids {
			list = append(list, k.shown()...)
		}
	case m.Kind == "multipart/related":
		return m.Kids[0].shown()
	case strings.HasPrefix(m.Kind, "multipart/"):
		for _, k := range m.Kids {
			if list := k.shown(); len(list) > 0 {
				return list
			}
		}
	case (m.Kind == "text/plain" || m.Kind == "text/html") && m.Filename == "" && !m.attached:
		return []*tree{m}
	}
	return list
}

func (m *tree) appendText(text string) {
	old := string(m.Content)
	if m.Kind == "text/plain" {
		ended := old == "" || strings.HasSuffix(old, "\n")
		if !ended {
			old += "\n"
		}
		if m.Content = []byte(old + text); old != "" && ended || m.up == nil {
			m.Content = append(m.Content, '\n')
		}
		return
	}
	text = "<p>" + strings.NewReplacer("<", "&lt;", ">", "&gt;", "\n", "<br>\n").Replace(text) + "</p>\n"
	at := strings.LastIndex(old, "</body>")
	if at < 0 {
		at = len(old)
	}
	if at > 0 && old[at-1] != '\n' {
		text = "\n" + text
	}
	m.Content = []byte(old[:at] + text + old[at:])
}
