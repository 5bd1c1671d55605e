package event

import (
	"bytes"
	"fmt"
	"io"
)

// The lines that are ours.
const (
	eventField  = "X-Pmilter-Event: "
	failedField = "X-Pmilter-Failed: "
)

// Write writes a file: the event, and the message that the parts are one after
// the other, with CRLF line ends, which become LF. It gives ErrTooLong, or w's error.
func Write(w io.Writer, e *Event, parts ...[]byte) error {
	head, err := e.header()
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	if err := writeLF(w, parts); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	return nil
}

// header is all lines above the message.
func (e *Event) header() ([]byte, error) {
	line, err := e.encode()
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	var b bytes.Buffer
	fold(&b, line)
	fmt.Fprintf(&b, "Return-Path: <%s>\n", printable(e.Sender))
	for _, a := range e.Recipients {
		fmt.Fprintf(&b, "Delivered-To: %s\n", printable(a))
	}
	if b.Len() > MaxHeader {
		return nil, ErrTooLong
	}
	return b.Bytes(), nil
}

// Line lengths: RFC 5322 §2.1.1 wants 78 and allows 998.
const (
	wantedLine = 78
	longLine   = 990
)

// fold writes the field with line breaks after commas between values, where a
// space more changes nothing; within a string, which may have none, after 990
// bytes. Who unfolds takes away the line break and the one space after it.
func fold(b *bytes.Buffer, line []byte) {
	b.WriteString(eventField)
	room, comma := len(eventField), 0 // comma: where a line may end, 0 for nowhere
	quoted, escaped := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			if comma > 0 && room+i >= wantedLine {
				b.Write(line[:comma])
				b.WriteString("\n ")
				line, i, room = line[comma:], i-comma, 1
			}
			comma = i + 1
		}
		if room+i >= longLine {
			end := i
			if comma > 0 {
				end = comma
			}
			b.Write(line[:end])
			b.WriteString("\n ")
			line, i, comma, room = line[end:], i-end, 0, 1
		}
	}
	b.Write(line)
	b.WriteByte('\n')
}

// printable is an address that can do no harm in a line of its own. The JSON has it as it is.
func printable(address string) string {
	const most = 900
	b := []byte(address)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = '?'
		}
	}
	return string(b[:min(len(b), most)])
}

// writeLF writes the parts with LF for CRLF. A CR alone stays.
func writeLF(w io.Writer, parts [][]byte) error {
	held := false // a CR at the end of a part
	for _, p := range parts {
		if held && len(p) > 0 {
			if p[0] != '\n' {
				if _, err := w.Write([]byte{'\r'}); err != nil {
					return err
				}
			}
			held = false
		}
		for len(p) > 0 {
			at := bytes.IndexByte(p, '\r')
			if at < 0 {
				at = len(p)
			}
			if _, err := w.Write(p[:at]); err != nil {
				return err
			}
			p = p[at:]
			if len(p) == 1 {
				held, p = true, nil
			} else if len(p) > 1 {
				if p[1] != '\n' {
					if _, err := w.Write(p[:1]); err != nil {
						return err
					}
				}
				p = p[1:]
			}
		}
	}
	if held {
		if _, err := w.Write([]byte{'\r'}); err != nil {
			return err
		}
	}
	return nil
}
