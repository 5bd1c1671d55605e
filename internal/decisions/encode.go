package decisions

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// What one line can take. A mail may have thousands of recipients and a megabyte of notes.
const (
	maxText   = 1 << 10 // bytes of one text, before it is escaped, which makes it six times as long at worst
	maxReply  = 4 << 10 // the same of a reply
	maxValues = 8 << 10 // bytes of a note's values: what note() takes
	// A part of a line ends with the entry that passes its share.
	shareOfList  = 10 << 10 // of recipients, of edits and of queued each
	shareOfNotes = 16 << 10
	// maxLine is above what these add up to at worst.
	maxLine = 256 << 10
)

// timeFormat is RFC 3339 with all digits of microseconds, so that lines sort.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Append appends r's line, with LF, to b. It does by hand what encoding/json would do:
// it runs for each message.
func Append(b []byte, r *Record) []byte {
	e := encoder{b}
	e.b = append(e.b, `{"time":"`...)
	e.time(r.Time)
	e.text("about", r.About)
	e.text("session", r.Session)
	e.optional("qid", r.QueueID)
	e.optional("message_id", r.MessageID)
	e.optional("client", r.Client)
	e.optional("client_name", r.ClientName)
	e.optional("helo", r.Helo)
	if r.HasEnvelope() {
		e.text("sender", r.Sender)
	}
	e.number("recipients_more", int64(r.MoreRecipients+e.list("recipients", r.Recipients)))
	e.optional("recipient", r.Recipient)
	e.optional("verdict", r.Verdict)
	if r.WouldBe {
		e.b = append(e.b, `,"would_be":true`...)
	}
	e.text("phase", r.Phase)
	e.optional("script", r.Script)
	e.optional("at", r.At)
	e.number("code", int64(r.Code))
	e.optional("enhanced", r.Enhanced)
	if r.Text != "" {
		e.key("text")
		e.string(r.Text, maxReply)
	}
	e.optional("fault", r.Fault)
	if more := e.list("edits", r.Edits); more > 0 {
		e.b = append(e.b[:len(e.b)-1], `,"and `...)
		e.b = strconv.AppendInt(e.b, int64(more), 10)
		e.b = append(e.b, ` more"]`...)
	}
	e.optional("quarantine", r.Quarantine)
	e.queued(r.Queued)
	e.notes(r.Notes, r.MoreNotes)
	e.number("size", r.Size)
	if r.ScriptMS > 0 {
		e.key("script_ms")
		e.b = strconv.AppendFloat(e.b, r.ScriptMS, 'f', -1, 64)
	}
	return append(e.b, '}', '\n')
}

type encoder struct{ b []byte }

// time writes timeFormat, by way of a layout that package time is quick at.
func (e *encoder) time(t time.Time) {
	e.b = t.UTC().AppendFormat(e.b, time.RFC3339)
	e.b[len(e.b)-1] = '.' // it was Z
	for us, unit := t.Nanosecond()/1000, 100_000; unit > 0; unit /= 10 {
		e.b = append(e.b, '0'+byte(us/unit%10))
	}
	e.b = append(e.b, 'Z', '"')
}

func (e *encoder) key(name string) {
	e.b = append(append(append(e.b, ',', '"'), name...), '"', ':')
}

func (e *encoder) text(name, s string) {
	e.key(name)
	e.string(s, maxText)
}

func (e *encoder) optional(name, s string) {
	if s != "" {
		e.text(name, s)
	}
}

func (e *encoder) number(name string, n int64) {
	if n != 0 {
		e.key(name)
		e.b = strconv.AppendInt(e.b, n, 10)
	}
}

// list writes as much of a list as its share of the line takes, and tells how many
// are left out.
func (e *encoder) list(name string, list []string) (more int) {
	if len(list) == 0 {
		return 0
	}
	e.key(name)
	e.b = append(e.b, '[')
	start := len(e.b)
	for i, s := range list {
		if len(e.b)-start > shareOfList {
			more = len(list) - i
			break
		}
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.string(s, maxText)
	}
	e.b = append(e.b, ']')
	return more
}

func (e *encoder) queued(list []Queued) {
	if len(list) == 0 {
		return
	}
	e.key("queued")
	e.b = append(e.b, '[')
	start := len(e.b)
	for i, q := range list {
		if len(e.b)-start > shareOfList {
			break // a hundred events of queues with ordinary names fit
		}
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = append(e.b, `{"queue":`...)
		e.string(q.Queue, maxText)
		e.optional("id", q.ID)
		e.b = append(e.b, '}')
	}
	e.b = append(e.b, ']')
}

func (e *encoder) notes(list []Note, more int) {
	if len(list) > 0 {
		e.key("notes")
		e.b = append(e.b, '[')
		start := len(e.b)
		for i, n := range list {
			if len(e.b)-start > shareOfNotes {
				more += len(list) - i
				break
			}
			if i > 0 {
				e.b = append(e.b, ',')
			}
			e.b = append(e.b, `{"script":`...)
			e.string(n.Script, maxText)
			e.text("reason", n.Reason)
			e.values(n.Values)
			e.b = append(e.b, '}')
		}
		e.b = append(e.b, ']')
	}
	e.number("notes_more", int64(more))
}

// values writes JSON that a script made: as a string when it is not what it should be.
func (e *encoder) values(data json.RawMessage) {
	if len(data) == 0 {
		return
	}
	e.key("values")
	if len(data) > maxValues || !json.Valid(data) {
		e.string(string(data), maxText)
		return
	}
	// In valid JSON only strings have these, and there an escape means the same.
	for i := 0; i < len(data); {
		c := data[i]
		switch {
		case c == '\n' || c == '\r' || c == '\t': // white space between values
			i++
		case c < utf8.RuneSelf && c != 0x7f:
			e.b = append(e.b, c)
			i++
		default:
			r, size := utf8.DecodeRune(data[i:])
			e.rune(r)
			i += size
		}
	}
}

// string writes s as JSON. What a terminal would not print is escaped, so that the
// files themselves can be looked at; what is not UTF-8 becomes U+FFFD.
func (e *encoder) string(s string, limit int) {
	cut := ""
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s, cut = s[:limit], "..."
	}
	e.b = append(e.b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		e.b = append(e.b, s[start:i]...)
		size := 1
		switch c {
		case '"', '\\':
			e.b = append(e.b, '\\', c)
		case '\n':
			e.b = append(e.b, '\\', 'n')
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			e.rune(r)
		}
		i += size
		start = i
	}
	e.b = append(e.b, s[start:]...)
	e.b = append(append(e.b, cut...), '"')
}

// rune writes a character of a string that is not plain ASCII.
func (e *encoder) rune(r rune) {
	const hex = "0123456789abcdef"
	switch {
	case unicode.IsPrint(r):
		e.b = utf8.AppendRune(e.b, r)
	case r > 0xffff:
		high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
		e.rune(high)
		e.rune(low)
	default:
		e.b = append(e.b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
	}
}

// timeOf is the time of a line, without reading the rest of it.
func timeOf(line []byte) (time.Time, bool) {
	const start = len(`{"time":"`)
	if len(line) < start+len(timeFormat) {
		return time.Time{}, false
	}
	t, err := time.Parse(timeFormat, string(line[start:start+len(timeFormat)]))
	return t, err == nil
}
