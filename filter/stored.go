package filter

import (
	"bytes"
	"errors"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// Stored is a message that has been received and lies in a queue, whole, with
// CRLF line ends: a session that is over but for its message, which can be read
// like any other and not edited. raw is kept, and must not be changed. What is no
// header field ends the header, as it does for every reader of mail.
func Stored(id, sender string, recipients []string, raw []byte) *Session {
	s := &Session{ID: id, notes: &notes{}, mta: milter.Options{Protocol: wire.OptHeaderLeadingSpace}}
	s.ofConnection = s.notes
	m := &Message{
		Sender: ParseAddress("<"+sender+">", nil), session: s, stored: true,
		received: int64(len(raw)), wanted: needs{headers: true, body: true},
	}
	for _, r := range recipients {
		m.recipients = append(m.recipients, ParseAddress("<"+r+">", nil))
	}
	body := m.storedHeader(raw)
	m.body, m.bodySize = &memoryBody{data: body[:len(body):len(body)]}, int64(len(body))
	s.Message = m
	return s
}

// Notes is what scripts have noted so far.
func (s *Session) Notes() []Note { return s.notes.list }

var errStored = errors.New("a job's message has been delivered already: it cannot be edited")

// storedHeader keeps the fields and returns the body.
func (m *Message) storedHeader(raw []byte) (body []byte) {
	for len(raw) > 0 {
		if rest, empty := bytes.CutPrefix(raw, []byte("\r\n")); empty {
			return rest
		}
		colon := bytes.IndexByte(raw, ':')
		if colon <= 0 || bytes.ContainsAny(bytes.TrimRight(raw[:colon], " \t"), " \t\r\n") || m.arena.count() >= maxFields {
			return raw
		}
		end := fieldEnd(raw)
		value := bytes.TrimSuffix(raw[colon+1:end], []byte("\r\n"))
		m.arena.add(raw[:colon], bytes.ReplaceAll(value, []byte("\r\n"), []byte("\n")))
		raw = raw[end:]
	}
	return nil
}

// fieldEnd is where the field at the beginning of raw ends, folds included.
func fieldEnd(raw []byte) int {
	end := 0
	for {
		i := bytes.Index(raw[end:], []byte("\r\n"))
		if i < 0 {
			return len(raw)
		}
		end += i + 2
		if end == len(raw) || raw[end] != ' ' && raw[end] != '\t' {
			return end
		}
	}
}
