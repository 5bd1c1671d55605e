package mailedit

import (
	"bytes"
	"strconv"
	"strings"

	"pmilter/internal/mail"
)

// tail is text to be put into a text part.
type tail struct {
	part *mail.Part
	text string // the part's own, line ends as LF
	at   int    // where in it
	more string // what is put there
	html bool
}

// plainTail is text at the end of a text/plain; last tells that the message ends
// with the part.
func plainTail(p *mail.Part, text string, last bool) tail {
	t := tail{part: p, text: p.Text()}
	t.at = len(t.text)
	ended := t.text == "" || strings.HasSuffix(t.text, "\n")
	if params := p.Params(); lowerASCII(params["format"]) == "flowed" {
		text = flow(text, lowerASCII(params["delsp"]) == "yes")
		if flowsOn(t.text) { // an empty line ends the paragraph, and is not shown (RFC 3676 §4.2)
			text = "\n" + text
		}
	}
	if !ended {
		t.more = "\n"
	}
	t.more += text
	if t.text != "" && ended || last {
		t.more += "\n"
	}
	return t
}

// htmlTail is text before the last </body>, or at the end of a page.
func htmlTail(p *mail.Part, html string) tail {
	t := tail{part: p, text: p.Text(), html: true}
	t.at = len(t.text)
	if i := lastBody([]byte(t.text)); i >= 0 {
		t.at = i
	}
	if t.at > 0 && t.text[t.at-1] != '\n' {
		t.more = "\n"
	}
	t.more += html + "\n"
	return t
}

// lastBody is where the last </body> begins, or -1.
func lastBody(page []byte) int {
	const tag = "</body"
	for end := len(page); ; {
		i := bytes.LastIndex(page[:end], []byte("</"))
		if i < 0 {
			return -1
		}
		if rest := page[i:]; len(rest) >= len(tag) && lowerASCII(string(rest[:len(tag)])) == tag &&
			(len(rest) == len(tag) || bytes.IndexByte([]byte("> \t\r\n/"), rest[len(tag)]) >= 0) {
			return i
		}
		end = i
	}
}

// inPlace is the body with the text in it and all other bytes as they are, or all
// others as they decode if it is base64; nil if the part cannot hold the text.
func (t *tail) inPlace(boundaries []string) (body []byte, edits []fieldEdit) {
	charset := t.part.Charset()
	more, ok := mail.EncodeText(charset, t.more)
	transfer, raw := t.part.Encoding(), t.part.Body()
	if t.html && (!ok || transfer == "7bit" && !isASCII(more) && isASCII(raw)) {
		more, ok = mail.EncodeText(charset, references(t.more))
	}
	if !ok {
		return nil, nil
	}
	more = toCRLF(more)
	switch transfer {
	case "base64":
		content := t.part.Content()
		at := t.place(content)
		if at < 0 {
			return nil, nil
		}
		body = encodeBase64(splice(content, at, more))
		if bytes.HasSuffix(raw, []byte("\n")) {
			body = append(body, "\r\n"...)
		}
		return body, nil
	case "quoted-printable":
		return t.quoted(raw, more), nil
	case "7bit", "8bit", "binary":
	default:
		return nil, nil
	}
	if !isASCII(more) && transfer == "7bit" && isASCII(raw) || !measure(more).short || delimits(more, boundaries) {
		return nil, nil
	}
	at := t.place(raw)
	if at < 0 {
		return nil, nil
	}
	return splice(raw, at, more), nil
}

// place is where in the content the text belongs, or -1 if nobody can tell.
func (t *tail) place(content []byte) int {
	if t.at == len(t.text) {
		return len(content)
	}
	return lastBody(content)
}

func splice(content []byte, at int, more []byte) []byte {
	out := make([]byte, 0, len(content)+len(more))
	return append(append(append(out, content[:at]...), more...), content[at:]...)
}

// quoted is inPlace for quoted-printable.
func (t *tail) quoted(raw, more []byte) []byte {
	at := len(raw)
	if t.at < len(t.text) {
		page, places := unquote(raw)
		i := lastBody(page)
		if i < 0 {
			return nil
		}
		at = places(i)
	}
	var lead []byte
	if at == len(raw) && bytes.HasSuffix(bytes.TrimRight(raw[max(0, at-maxOctets):], " \t"), []byte("=")) {
		lead = []byte("\r\n") // the end of a line that went on
	}
	more, begins := bytes.CutPrefix(more, []byte("\r\n"))
	if begins {
		if at < len(raw) && (raw[at-1] == ' ' || raw[at-1] == '\t') {
			lead = []byte("=\r\n") // or else the space would be dropped
		}
		lead = append(lead, "\r\n"...)
	}
	text := append(lead, encodeQuoted(nil, more)...)
	return splice(raw, at, text)
}

// unquote is what raw decodes to, and where in raw a byte of that begins.
func unquote(raw []byte) (content []byte, place func(int) int) {
	var starts []int // of the lines in content, and in raw
	for pos := 0; pos < len(raw); {
		end, next := mail.LineEnd(raw, pos)
		line := bytes.TrimRight(raw[pos:end], " \t")
		starts = append(starts, len(content), pos)
		soft := bytes.HasSuffix(line, []byte("="))
		content = append(content, unquoteLine(bytes.TrimSuffix(line, []byte("=")))...)
		if !soft {
			content = append(content, raw[end:next]...)
		}
		pos = next
	}
	return content, func(i int) int {
		line := 0
		for line+2 < len(starts) && starts[line+2] <= i {
			line += 2
		}
		at := starts[line+1]
		for n := starts[line]; n < i; n++ {
			at += quotedWidth(raw[at:])
		}
		return at
	}
}

func unquoteLine(line []byte) []byte {
	out := make([]byte, 0, len(line))
	for len(line) > 0 {
		n := quotedWidth(line)
		if n == 3 {
			c, _ := strconv.ParseUint(string(line[1:3]), 16, 8)
			out = append(out, byte(c))
		} else {
			out = append(out, line[0])
		}
		line = line[n:]
	}
	return out
}

// quotedWidth is 3 for what begins with = and two hexadecimal digits.
func quotedWidth(s []byte) int {
	if len(s) < 3 || s[0] != '=' {
		return 1
	}
	if _, err := strconv.ParseUint(string(s[1:3]), 16, 8); err != nil {
		return 1
	}
	return 3
}

// reads tells whether the part with that header and body has the text as it should.
func (t *tail) reads(head, body []byte) bool {
	got := mail.ParsePart(head, body).Text()
	want := t.text[:t.at] + t.more + t.text[t.at:]
	return got == want || t.html && got == t.text[:t.at]+references(t.more)+t.text[t.at:]
}

// anew is the whole text as quoted-printable, in the part's own character set if it
// is known to hold all, else in UTF-8.
func (t *tail) anew() (body []byte, edits []fieldEdit) {
	text := t.text[:t.at] + t.more + t.text[t.at:]
	edits = []fieldEdit{{name: "Content-Transfer-Encoding", value: "quoted-printable"}}
	charset := t.part.Params()["charset"]
	data, ok := mail.EncodeText(charset, text)
	if !ok || strings.Contains(text, "\ufffd") {
		data = []byte(text)
		edits = append(edits, t.inUTF8())
	}
	return encodeQuoted(nil, toCRLF(data)), edits
}

func (t *tail) inUTF8() fieldEdit {
	params := append([]param{{"charset", "utf-8"}}, sortedParams(t.part.Params(), "charset")...)
	return fieldEdit{name: "Content-Type", value: formatField("Content-Type", t.part.Type(), params)}
}

// references is a page without characters beyond ASCII.
func references(html string) string {
	if isASCII(html) {
		return html
	}
	var out strings.Builder
	for _, r := range html {
		if r < 0x80 {
			out.WriteRune(r)
		} else {
			out.WriteString("&#" + strconv.Itoa(int(r)) + ";")
		}
	}
	return out.String()
}
