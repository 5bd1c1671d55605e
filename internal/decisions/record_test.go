package decisions_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"pmilter/internal/decisions"
)

// full has every field.
func full() *decisions.Record {
	return &decisions.Record{
		Time: time.Date(2026, 3, 1, 14, 5, 6, 789000, time.UTC), About: "message", Session: "abc", QueueID: "4XQ1", MessageID: "<1@x>",
		Client: "192.0.2.7", ClientName: "mail.example.org", Helo: "mail", Sender: "Alice@example.org",
		Recipients: []string{"bob@example.net", "grün@example.net"}, MoreRecipients: 3, Recipient: "carol@example.net",
		Verdict: "reject", WouldBe: true, Phase: "eom", Script: "10.js", At: "10.js:3:9", Code: 550, Enhanced: "5.7.1", Text: "one\n\"two\"\\",
		Fault: "Error: x", Edits: []string{"add X-A"}, Quarantine: "odd",
		Queued: []decisions.Queued{{Queue: "archive", ID: "1.M2P3Q4.pmilter.host"}, {Queue: "later"}},
		Notes:  []decisions.Note{{Script: "10.js", Reason: "because", Values: json.RawMessage(`{"a":[1,2.5,"x"]}`)}, {Script: "10.js", Reason: "and"}}, MoreNotes: 2,
		Size: 1234, ScriptMS: 1.25,
	}
}

// TestLineIsTheRecord: what is written by hand is what encoding/json reads, field by
// field, so that a new field cannot be forgotten.
func TestLineIsTheRecord(t *testing.T) {
	t.Parallel()
	r := full()
	v := reflect.ValueOf(*r)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test's record has no %s", v.Type().Field(i).Name)
		}
	}
	for _, r := range []*decisions.Record{r, {Time: r.Time, About: "message", Phase: "mail"}, {Time: r.Time, About: "connection", Phase: "connect"}} {
		got, err := decisions.Parse(decisions.Append(nil, r))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got  %+v %v\nwant %+v", got, err, r)
		}
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var keys, wantKeys map[string]any
		_ = json.Unmarshal(decisions.Append(nil, r), &keys)
		_ = json.Unmarshal(want, &wantKeys)
		if !r.HasEnvelope() {
			delete(wantKeys, "sender")
		}
		wantKeys["time"] = keys["time"] // of fixed length
		if !reflect.DeepEqual(keys, wantKeys) {
			t.Errorf("got  %v\nwant %v", keys, wantKeys)
		}
	}
}

// TestLineIsBounded: whatever a mail and scripts bring.
func TestLineIsBounded(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"\x01", "\x9b", "\u009b", "\"", "a", "\U000e0001", "€"} {
		r := full()
		long := strings.Repeat(s, 100_000)
		v := reflect.ValueOf(r).Elem()
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.String && v.Type().Field(i).Name != "About" {
				v.Field(i).SetString(long)
			}
		}
		values, err := json.Marshal(strings.Repeat(s, 1200))
		if err != nil {
			t.Fatal(err)
		}
		for range 10_000 {
			r.Recipients = append(r.Recipients, long)
			r.Edits = append(r.Edits, long)
		}
		for range 100 {
			r.Queued = append(r.Queued, decisions.Queued{Queue: long, ID: long})
			r.Notes = append(r.Notes, decisions.Note{Script: long, Reason: long, Values: values}, decisions.Note{Values: json.RawMessage(long)})
		}
		line := decisions.Append(nil, r)
		if len(line) > decisions.MaxLine {
			t.Errorf("%q: a line of %d bytes", s, len(line))
		}
		got, err := decisions.Parse(line)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if n := len(got.Recipients) + got.MoreRecipients; n != 10_005 {
			t.Errorf("%q: %d recipients", s, n)
		}
		if n := len(got.Notes) + got.MoreNotes; n != 204 {
			t.Errorf("%q: %d notes", s, n)
		}
		if last := got.Edits[len(got.Edits)-1]; !strings.HasPrefix(last, "and ") || !strings.HasSuffix(last, " more") {
			t.Errorf("%q: the last edit is %.40q", s, last)
		}
		checkHarmless(t, line)
	}
}

// checkHarmless fails when a line would do more on a terminal than be printed.
func checkHarmless(t *testing.T, line []byte) {
	t.Helper()
	body, ok := bytes.CutSuffix(line, []byte{'\n'})
	if !ok || bytes.ContainsFunc(body, func(r rune) bool { return !unicode.IsPrint(r) }) || !json.Valid(body) {
		t.Errorf("not harmless: %q", line)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "\n", "null\n", "{}\n", "[]", `{"time":"2026-03-01T14:05:06.000000Z"}`, `{"about":"message"}`, `{"time":"yesterday","about":"message"}`,
		`{"time":"2026-03-01T14:05:06.000000Z","about":"message","code":"x"}`, `{"time":"2026-03-01T14:05:06.000000Z","about":"mess`,
		`{"time":"2026-03-01T14:05:06.000000Z","about":"message"}{}`,
	} {
		if r, err := decisions.Parse([]byte(line)); err == nil {
			t.Errorf("%q is %+v", line, r)
		}
	}
	if _, err := decisions.Parse([]byte(`{"time":"2026-03-01T14:05:06.000000Z","about":"message","later":[1]}`)); err != nil {
		t.Errorf("a line of a later version: %v", err)
	}
}

// FuzzParse: no panic, and what is read is written and read again as the same.
func FuzzParse(f *testing.F) {
	f.Add(decisions.Append(nil, full()))
	f.Add([]byte(`{"time":"2026-03-01T14:05:06.000000Z","about":"message","notes":[{"values":"\u001b"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decisions.Parse(line)
		if err != nil {
			return
		}
		if year := r.Time.UTC().Year(); year < 0 || year > 9999 {
			return // RFC 3339 has none of these
		}
		again := decisions.Append(nil, r)
		checkHarmless(t, again)
		if len(again) > decisions.MaxLine {
			t.Errorf("a line of %d bytes", len(again))
		}
		if _, err := decisions.Parse(again); err != nil {
			t.Errorf("%q: %v", again, err)
		}
	})
}

// FuzzAppend: any text becomes one harmless line, and what matches has what the
// search looks for first.
func FuzzAppend(f *testing.F) {
	f.Add("a@example.org", "x\x1b[31m\xff\u202e", []byte(`{"a":"\u001b"}`))
	f.Add("<>", "", []byte("nonsense"))
	f.Add("192.0.2.0/24", "192.0.2.7", []byte(nil))
	f.Fuzz(func(t *testing.T, what, text string, values []byte) {
		r := &decisions.Record{
			Time: time.Unix(1e9, 0), About: "recipient", Session: what, QueueID: text, Client: text, Helo: text, Sender: what, Recipients: []string{text, what},
			Text: text, Notes: []decisions.Note{{Reason: text, Values: values}}, Edits: []string{"+rcpt " + what},
		}
		line := decisions.Append(nil, r)
		checkHarmless(t, line)
		read, err := decisions.Parse(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, s := range []string{what, text, "@" + what} {
			m, err := decisions.ParseMatch(s)
			if err == nil && m.Is(read) && !strings.Contains(strings.ToLower(string(line)), m.Needle()) {
				t.Errorf("%q matches, but %q is not in %q", s, m.Needle(), line)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r := full()
	r.Notes, r.Queued = nil, nil
	buffer := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buffer = decisions.Append(buffer[:0], r)
	}
	b.SetBytes(int64(len(buffer)))
}
