package mail_test

import (
	"strings"
	"testing"

	"pmilter/internal/mail"
)

// parse reads a message as it is in a file, with LF or CR LF.
func parse(message string) *mail.Message {
	message = crlf(message)
	head, body, ok := strings.Cut(message, "\r\n\r\n")
	if !ok {
		head, body = strings.TrimSuffix(message, "\r\n"), ""
	}
	return mail.Parse(fields(head), []byte(body))
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// fields splits a header into fields as a milter gets them.
func fields(head string) (list []mail.Field) {
	for _, line := range strings.Split(head, "\r\n") {
		if n := len(list); n > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			list[n-1].Value += "\n" + line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		list = append(list, mail.Field{Name: name, Value: value})
	}
	return list
}

// complete is the fields without which a message has a defect.
const complete = "From: jo@example.org\nDate: Fri, 2 Jan 2026 03:04:05 +0100\n"

// tree is the types of a part and those in it: a(b c(d)).
func tree(p *mail.Part) string {
	if len(p.Parts()) == 0 {
		return p.Type()
	}
	var inner []string
	for _, child := range p.Parts() {
		inner = append(inner, tree(child))
	}
	return p.Type() + "(" + strings.Join(inner, " ") + ")"
}

// walk calls visit with p and all parts in it.
func walk(p *mail.Part, visit func(*mail.Part)) {
	visit(p)
	for _, child := range p.Parts() {
		walk(child, visit)
	}
}

func wantDefects(t *testing.T, m *mail.Message, want string) {
	t.Helper()
	if got := strings.Join(m.Defects(), " "); got != want {
		t.Errorf("defects %q, want %q", got, want)
	}
}

func parseBytes(fields []mail.Field, body string) *mail.Message {
	return mail.Parse(fields, []byte(body))
}
