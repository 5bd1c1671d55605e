package mta

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// Recipient is one recipient of the envelope.
type Recipient struct {
	Address string   // without angle brackets
	Params  []string // ESMTP, as sent
}

// Field is one header field.
type Field struct {
	// Text is the whole field, "Name: value", folds as LF, no line end.
	Text string
	// hidden is the MTA's own Received: the milter is not shown it and cannot
	// change it, but inserts count it (cleanup_milter.c, "Sendmail compatibility").
	hidden bool
}

// Name is what precedes the colon and white space before it.
func (f Field) Name() string { return f.Text[:fieldNameLen(f.Text)] }

// Value is all that follows the colon, its first white space too.
func (f Field) Value() string {
	_, value, _ := strings.Cut(f.Text, ":")
	return value
}

// Message is a mail in the MTA's queue: what a milter is shown of it and what
// becomes of it. The zero value is an empty mail. It is for one goroutine.
type Message struct {
	Sender       string // without angle brackets, "" for bounces
	SenderParams []string
	Recipients   []Recipient
	Fields       []Field
	Body         []byte // CRLF line ends; empty or ends with one
	Quarantined  bool
	Reason       string // of the quarantine

	bodyEdit bool // within a replacement of the body
}

// ParseMessage reads a mail, with LF or CRLF line ends, as an MTA does: the
// header ends at the first line that cannot belong to it; a last line without
// a line end gets one. A leading mbox "From " line is dropped. The message does
// not share memory with data, and there is no text it refuses.
func ParseMessage(data []byte) *Message {
	m := &Message{}
	if bytes.HasPrefix(data, []byte("From ")) {
		_, data = cutLine(data)
	}
	for len(data) > 0 {
		line, rest := cutLine(data)
		if len(line) == 0 {
			data = rest
			break
		}
		last := len(m.Fields) - 1
		if last >= 0 && (line[0] == ' ' || line[0] == '\t') {
			m.Fields[last].Text += "\n" + string(line)
		} else if fieldNameLen(string(line)) > 0 {
			m.Fields = append(m.Fields, Field{Text: string(line)})
		} else {
			break // the body begins without an empty line before it
		}
		data = rest
	}
	m.Body = toCRLF(data)
	return m
}

// AddReceived puts the MTA's own Received field on top. The milter does not
// see it.
func (m *Message) AddReceived(value string) {
	m.Fields = slices.Insert(m.Fields, 0, Field{Text: "Received: " + value, hidden: true})
}

// Visible is the fields that a milter is shown.
func (m *Message) Visible() []Field {
	return slices.DeleteFunc(slices.Clone(m.Fields), func(f Field) bool { return f.hidden })
}

// WriteTo writes the mail with CRLF line ends.
func (m *Message) WriteTo(w io.Writer) (int64, error) { return m.write(w, "\r\n") }

// WriteLF writes the mail with LF line ends, as it lies in a mailbox.
func (m *Message) WriteLF(w io.Writer) (int64, error) { return m.write(w, "\n") }

func (m *Message) write(w io.Writer, eol string) (int64, error) {
	var b bytes.Buffer
	for _, f := range m.Fields {
		b.WriteString(strings.ReplaceAll(f.Text, "\n", eol))
		b.WriteString(eol)
	}
	b.WriteString(eol)
	if eol == "\n" {
		b.Write(bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n")))
	} else {
		b.Write(m.Body)
	}
	return b.WriteTo(w)
}

// cutLine cuts the first line off, without its LF or CRLF.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

// toCRLF gives each line its CRLF; a CR alone stays, as Postfix leaves it.
func toCRLF(b []byte) []byte {
	out := make([]byte, 0, len(b)+bytes.Count(b, []byte("\n"))+2)
	for len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		out = append(append(out, line...), "\r\n"...)
	}
	return out
}

// fieldNameLen is the length of the field name that line begins with, or 0 if
// it begins no field (Postfix is_header.c: white space may precede the colon).
func fieldNameLen(line string) int {
	n := 0
	for n < len(line) && line[n] > ' ' && line[n] < 0x7f && line[n] != ':' {
		n++
	}
	rest := strings.TrimLeft(line[n:], " \t")
	if n == 0 || rest == "" || rest[0] != ':' {
		return 0
	}
	return n
}

var errUnknownEdit = errors.New("mta: unknown modification")
