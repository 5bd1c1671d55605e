package event

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Read reads the file of that name. message is what follows our lines, with
// CRLF line ends; of a file that an MTA wrote it is the whole file. It reads on
// from r, so r must stay open. A file with one of our names and our first line
// that is not as we write gives ErrDamaged; otherwise an error is r's.
func Read(r io.ReadSeeker, file string) (e *Event, message io.Reader, err error) {
	name := ParseName(file)
	b := bufio.NewReaderSize(r, 32<<10)
	if name.Ours() && startsWith(b, eventField) {
		e, err := readOurs(b)
		if err != nil {
			return nil, nil, err
		}
		if e.ID == name.Unique {
			return e, &crlf{r: b, strict: true}, nil
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return nil, nil, fmt.Errorf("event: %w", err)
		}
		b.Reset(r)
	}
	return readForeign(b, name)
}

func startsWith(b *bufio.Reader, field string) bool {
	start, _ := b.Peek(len(field)) // an error comes again when it is read
	return string(start) == field
}

// readOurs reads the lines above the message.
func readOurs(b *bufio.Reader) (*Event, error) {
	lines := &lineReader{b: b, left: MaxHeader}
	line, err := lines.field(true)
	if err != nil {
		return nil, err
	}
	e, err := decode(line[len(eventField):])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if startsWith(b, failedField) {
		reason, err := lines.field(false)
		if err != nil {
			return nil, err
		}
		e.Failed = string(reason[len(failedField):])
	}
	// Return-Path and as many Delivered-To as there are recipients: the JSON has them.
	for range 1 + len(e.Recipients) {
		line, err := lines.line()
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(line, []byte("Return-Path: ")) && !bytes.HasPrefix(line, []byte("Delivered-To: ")) {
			return nil, fmt.Errorf("%w: %.40q is not the envelope", ErrDamaged, line)
		}
	}
	return e, nil
}

// lineReader reads lines, left bytes at most.
type lineReader struct {
	b    *bufio.Reader
	left int
}

// line is the next line without its end.
func (l *lineReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := l.b.ReadSlice('\n')
		if l.left -= len(part); l.left < 0 {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, ErrTooLong)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: it ends in the lines above the message", ErrDamaged)
		default:
			return nil, fmt.Errorf("event: %w", err)
		}
	}
}

// field is the next line with those that go on with it; exact: as fold made
// them, else each line end as one space.
func (l *lineReader) field(exact bool) ([]byte, error) {
	field, err := l.line()
	if err != nil {
		return nil, err
	}
	for {
		if next, _ := l.b.Peek(1); len(next) == 0 || next[0] != ' ' {
			return field, nil
		}
		line, err := l.line()
		if err != nil {
			return nil, err
		}
		if exact {
			line = line[1:]
		}
		field = append(field, line...)
	}
}

// envelopeSize is how far an MTA's lines above a message are looked for.
const envelopeSize = 16 << 10

// readForeign makes an event of a mail. Its envelope is in the lines that the
// MTA put above it: Postfix's local and virtual write Return-Path,
// X-Original-To and Delivered-To, Dovecot's LDA the first and the last, Exim's
// appendfile Return-path and Envelope-to. What follows the first other field is
// the sender's.
func readForeign(b *bufio.Reader, name Name) (*Event, io.Reader, error) {
	e := &Event{ID: name.Unique, Time: name.Time(), Verdict: "accept", Complete: true, Foreign: true}
	top, err := b.Peek(envelopeSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, nil, fmt.Errorf("event: %w", err)
	}
	if startsWith(b, failedField) {
		reason, err := (&lineReader{b: b, left: envelopeSize}).field(false)
		if err != nil {
			return nil, nil, err
		}
		e.Failed = string(bytes.TrimSuffix(reason[len(failedField):], []byte("\r")))
		top, _ = b.Peek(envelopeSize)
	}
	end := bytes.IndexByte(top, '\n')
	message := &crlf{r: b, strict: end <= 0 || top[end-1] != '\r'}
	e.envelope(top)
	return e, message, nil
}

// envelope takes sender and recipients from the lines above a mail.
func (e *Event) envelope(top []byte) {
	var deliveredTo, originalTo, envelopeTo string
	from := false
	for line := range bytes.Lines(top) {
		text := strings.TrimRight(string(line), "\r\n")
		name, value, ok := strings.Cut(text, ":")
		value = strings.TrimSpace(value)
		switch name = strings.ToLower(name); {
		case strings.HasPrefix(text, "From "): // mbox's, for a pipe
			continue
		case !ok, len(line) == len(text): // the end of what was looked at
		case name == "return-path":
			if !from {
				from, e.Sender = true, bare(value)
			}
			continue
		case name == "delivered-to":
			deliveredTo = first(deliveredTo, value)
			continue
		case name == "x-original-to":
			originalTo = first(originalTo, value)
			continue
		case name == "envelope-to":
			envelopeTo = first(envelopeTo, value)
			continue
		case name == "delivery-date":
			continue
		}
		break
	}
	switch {
	case deliveredTo != "":
		e.Recipients = []string{bare(deliveredTo)}
	case originalTo != "":
		e.Recipients = []string{bare(originalTo)}
	case envelopeTo != "":
		for a := range strings.SplitSeq(envelopeTo, ",") {
			e.Recipients = append(e.Recipients, bare(strings.TrimSpace(a)))
		}
	}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// bare is an address without brackets.
func bare(address string) string {
	if inside, ok := strings.CutPrefix(address, "<"); ok {
		return strings.TrimSuffix(inside, ">")
	}
	return address
}

// crlf reads a file with CRLF for LF. strict: every LF, so that what Write made
// of CRLF is as it was; else not those after a CR, of a file that has CRLF itself.
type crlf struct {
	r      *bufio.Reader
	strict bool
	cr     bool // the last byte was a CR
	lf     bool // its LF is still to be given
}

// Read implements io.Reader.
func (c *crlf) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if c.lf {
			p[n], c.lf, c.cr = '\n', false, false
			n++
			continue
		}
		if n > 0 && c.r.Buffered() == 0 {
			return n, nil
		}
		if _, err := c.r.Peek(1); err != nil {
			return n, err
		}
		run, _ := c.r.Peek(min(c.r.Buffered(), len(p)-n)) // it is there
		i := bytes.IndexByte(run, '\n')
		if i >= 0 {
			run = run[:max(i, 1)]
		}
		if i == 0 && (c.strict || !c.cr) {
			p[n], c.lf = '\r', true
			n++
		} else {
			n += copy(p[n:], run)
			c.cr = run[len(run)-1] == '\r'
		}
		_, _ = c.r.Discard(len(run)) // it is there
	}
	return n, nil
}
