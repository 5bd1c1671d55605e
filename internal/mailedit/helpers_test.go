package mailedit_test

import (
	"bytes"
	"strings"
	"testing"

	"pmilter/internal/mail"
	"pmilter/internal/mailedit"
)

// split is a message written with LF as its fields and its body, both as the MTA
// gives them.
func split(message string) ([]mail.Field, []byte) {
	head, body, _ := strings.Cut(message, "\n\n")
	if rest, ok := strings.CutPrefix(message, "\n"); ok {
		head, body = "", rest
	}
	var fields []mail.Field
	for _, line := range strings.Split(head, "\n") {
		if n := len(fields); n > 0 && strings.HasPrefix(line, " ") {
			fields[n-1].Value += "\n" + line
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields = append(fields, mail.Field{Name: name, Value: strings.TrimPrefix(value, " ")})
		}
	}
	return fields, []byte(strings.ReplaceAll(body, "\n", "\r\n"))
}

// apply is the fields with the changes made, as [mailedit.HeaderChange] says.
func apply(fields []mail.Field, changes []mailedit.HeaderChange) (out []mail.Field) {
	for _, c := range changes {
		out, done := out[:0:0], false
		for _, f := range fields {
			switch {
			case !strings.EqualFold(strings.TrimSpace(f.Name), strings.TrimSpace(c.Name)):
				out = append(out, f)
			case !c.Remove && !done:
				out, done = append(out, mail.Field{Name: f.Name, Value: c.Value}), true
			}
		}
		if !c.Remove && !done {
			out = append(out, mail.Field{Name: c.Name, Value: c.Value})
		}
		fields = out
	}
	return fields
}

// join is the reverse of split, with CR LF.
func join(fields []mail.Field, body []byte) string {
	var out strings.Builder
	for _, f := range fields {
		value := strings.ReplaceAll(f.Value, "\n", "\r\n")
		if !strings.HasPrefix(value, " ") && !strings.HasPrefix(value, "\r") {
			value = " " + value
		}
		out.WriteString(f.Name + ":" + value + "\r\n")
	}
	return out.String() + "\r\n" + string(body)
}

// open is an editor of a message written with LF, whose boundaries are always the
// same.
func open(message string) *mailedit.Editor {
	fields, body := split(message)
	return mailedit.NewWith(mail.Parse(fields, body), zeroes{})
}

// result is the edited message with LF; line ends that are no CR LF are shown.
func result(t *testing.T, message string, e *mailedit.Editor) string {
	t.Helper()
	fields, _ := split(message)
	text := strings.ReplaceAll(join(apply(fields, e.Header()), e.Body()), "\r\n", "\x00")
	text = strings.NewReplacer("\n", "<LF>", "\r", "<CR>").Replace(text)
	return strings.ReplaceAll(text, "\x00", "\n")
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// snapshot is what a part is.
type snapshot struct {
	kind string
	head string
	body []byte
}

func snap(p *mail.Part) snapshot {
	return snapshot{p.Type(), string(bytes.TrimRight(p.Head(), "\r\n")), p.Body()}
}
