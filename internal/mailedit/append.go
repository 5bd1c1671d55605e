package mailedit

import (
	"strings"
)

// AppendText appends a text, such as a disclaimer, where a reader sees the text of
// the message: to each alternative of a multipart/alternative, to the first of a
// multipart/related, to the first text of any other multipart that is not an
// attachment. text is for text/plain and html for text/html; of what is "" the
// other is made. It begins on a line of its own, in HTML before the last </body>.
//
// A part keeps its character set and transfer encoding if they can hold it, and
// all its bytes unless it is base64; else it becomes quoted-printable, and UTF-8 if
// need be. What is signed or encrypted (multipart/signed, multipart/encrypted,
// S/MIME, PGP in the text) is left alone. A message that has no text gets a part at
// its end, unless it is signed or encrypted as a whole.
//
// changed is how many parts were changed or added.
func (e *Editor) AppendText(text, html string) (changed int, err error) {
	a := appender{e: e, text: plainLines(text), html: plainLines(html)}
	if a.text == "" && a.html == "" {
		return 0, nil
	}
	e.view() // tells which are attachments
	targets := a.find(e.Root())
	for _, n := range targets {
		if protectedText(n) {
			a.protected = true
			continue
		}
		a.append(n)
		changed++
	}
	root := e.Root()
	if changed > 0 || a.protected && (root.live == 0 || root.part.Type() != "multipart/mixed") {
		return changed, nil
	}
	p := NewPart{Content: []byte(a.text), Text: true, Disposition: "inline"}
	if a.text == "" {
		p.Content, p.Type = []byte(a.html), "text/html"
	}
	if _, err := e.Add(p); err != nil {
		return 0, err
	}
	return 1, nil
}

// appender is one call of AppendText.
type appender struct {
	e          *Editor
	text, html string // line ends as LF, none at the end
	protected  bool   // something was left alone
}

// find is the parts in n that have the text which is shown.
func (a *appender) find(n *Node) []*Node {
	kind := n.part.Type()
	switch {
	case isProtected(kind), kind == "application/octet-stream" && isSMIME(n.viewed().Filename()):
		a.protected = true
		return nil
	case n.viewed().IsAttached() || n.part.Sealed():
		return nil
	case !isMultipart(n.part):
		if kind == "text/plain" || kind == "text/html" {
			return []*Node{n}
		}
		return nil
	case kind == "multipart/alternative":
		var list []*Node
		for _, k := range n.Children() {
			list = append(list, a.find(k)...)
		}
		return list
	case kind == "multipart/related":
		if k := n.start(); k != nil {
			return a.find(k)
		}
		return nil
	}
	for _, k := range n.Children() {
		if list := a.find(k); len(list) > 0 {
			return list
		}
	}
	return nil
}

// start is the part of a multipart/related that refers to the others (RFC 2387
// §3.2).
func (n *Node) start() *Node {
	list := n.Children()
	if id := n.part.Params()["start"]; id != "" {
		for _, k := range list {
			for _, f := range k.described().Headers() {
				if sameName(f.Name, "Content-ID") && strings.TrimSpace(f.Value) == id {
					return k
				}
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// isProtected tells of what is signed or encrypted as a whole (RFC 1847, RFC 8551
// §3.2, and PGP before RFC 2015).
func isProtected(kind string) bool {
	switch kind {
	case "multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp":
		return true
	}
	return false
}

// isSMIME tells of the names by which S/MIME is known where a gateway has lost its
// type (RFC 8551 §3.2.1).
func isSMIME(filename string) bool {
	name := lowerASCII(filename)
	return strings.HasSuffix(name, ".p7m") || strings.HasSuffix(name, ".p7z")
}

// protectedText tells of text that is signed or encrypted by PGP (RFC 9580 §6.2
// and §7).
func protectedText(n *Node) bool {
	const begin = "-----BEGIN PGP "
	text := n.part.Text()
	return strings.HasPrefix(text, begin) || strings.Contains(text, "\n"+begin) || strings.Contains(text, ">"+begin)
}

// append changes one part.
func (a *appender) append(n *Node) {
	old := n.described()
	var t tail
	if old.Type() == "text/html" {
		t = htmlTail(old, a.htmlText())
	} else {
		t = plainTail(old, a.plainText(), n.ends())
	}
	body, edits := t.inPlace(n.parent.enclosing())
	if body == nil || !t.reads(editLines(n.headLines(), edits), body) {
		body, edits = t.anew()
	}
	n.become(edits, body)
}

func (a *appender) htmlText() string {
	if a.html != "" {
		return a.html
	}
	return toHTML(a.text)
}

func (a *appender) plainText() string {
	if a.text != "" {
		return a.text
	}
	return stripTags(a.html)
}

// plainLines is text with LF and without the last line's.
func plainLines(text string) string {
	return strings.TrimRight(strings.ReplaceAll(string(cleanText([]byte(text))), "\r\n", "\n"), "\n")
}
