package mta_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-milter"

	"pmilter/internal/mta"
)

func text(t *testing.T, m *mta.Message) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := m.WriteLF(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestParseMessage(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"LF", "A: 1\nB: 2\n\nbody\n", "A: 1\nB: 2\n\nbody\n"},
		{"CRLF", "A: 1\r\nB: 2\r\n\r\nbody\r\n", "A: 1\nB: 2\n\nbody\n"},
		{"folded", "A: 1\n\t2\n 3\n\nb\n", "A: 1\n\t2\n 3\n\nb\n"},
		{"no body", "A: 1\n", "A: 1\n\n"},
		{"no end of line", "A: 1\n\nbody", "A: 1\n\nbody\n"},
		{"no header", "body: is here?\n", "body: is here?\n\n"},
		{"body at once", "not a header\nmore\n", "\nnot a header\nmore\n"},
		{"header ends early", "A: 1\nnot a header\n", "A: 1\n\nnot a header\n"},
		{"space before colon", "A : 1\n\n", "A : 1\n\n"},
		{"mbox", "From a@example.org Mon\nA: 1\n\nb\n", "A: 1\n\nb\n"},
		{"continuation first", " x\nA: 1\n\n", "\n x\nA: 1\n\n"},
		{"empty", "", "\n"},
		{"bytes that are no UTF-8", "A: \xff\xfe\n\n\x80\n", "A: \xff\xfe\n\n\x80\n"},
		{"carriage return alone", "A: 1\n\nx\ry\n", "A: 1\n\nx\ry\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := mta.ParseMessage([]byte(tt.in))
			if got := text(t, m); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if len(m.Body) > 0 && !bytes.HasSuffix(m.Body, []byte("\r\n")) {
				t.Errorf("body %q", m.Body)
			}
		})
	}
	m := mta.ParseMessage([]byte("A \t:\t1\n  2\n\n"))
	if f := m.Fields[0]; f.Name() != "A" || f.Value() != "\t1\n  2" {
		t.Errorf("name %q, value %q", f.Name(), f.Value())
	}
}

// TestApply: each case is what Postfix's cleanup_milter.c makes of the edits.
// The message has the MTA's own Received (hidden) on top of A B A Received.
func TestApply(t *testing.T) {
	t.Parallel()
	edit := func(action byte, index uint32, name, value string) mta.Modification {
		return mta.Modification{Action: milter.ModifyActCode(action), Index: index, Name: name, Value: value}
	}
	tests := []struct {
		name  string
		edits []mta.Modification
		want  string // field lines, own Received as "own", joined by a space
	}{
		{"nothing", nil, "own A:1 B:2 A:3 Received:4"},
		{"insert at 0", []mta.Modification{edit('i', 0, "X", "x")}, "X:x own A:1 B:2 A:3 Received:4"},
		{"insert at 1", []mta.Modification{edit('i', 1, "X", "x")}, "own X:x A:1 B:2 A:3 Received:4"},
		{"insert at 4", []mta.Modification{edit('i', 4, "X", "x")}, "own A:1 B:2 A:3 X:x Received:4"},
		{"insert past the end", []mta.Modification{edit('i', 99, "X", "x")}, "own A:1 B:2 A:3 Received:4 X:x"},
		{"inserts count inserts", []mta.Modification{edit('i', 0, "X", "x"), edit('i', 1, "Y", "y")}, "X:x Y:y own A:1 B:2 A:3 Received:4"},
		{"inserts count added ones", []mta.Modification{edit('h', 0, "X", "x"), edit('i', 6, "Y", "y")}, "own A:1 B:2 A:3 Received:4 X:x Y:y"},
		{"add", []mta.Modification{edit('h', 0, "A", "x"), edit('h', 0, "B", "y")}, "own A:1 B:2 A:3 Received:4 A:x B:y"},
		{"change 1", []mta.Modification{edit('m', 1, "a", "x")}, "own a:x B:2 A:3 Received:4"},
		{"change 0 is 1", []mta.Modification{edit('m', 0, "A", "x")}, "own A:x B:2 A:3 Received:4"},
		{"change 2", []mta.Modification{edit('m', 2, "A", "x")}, "own A:1 B:2 A:x Received:4"},
		{"change what is not there", []mta.Modification{edit('m', 3, "A", "x")}, "own A:1 B:2 A:3 Received:4 A:x"},
		{"change does not see our Received", []mta.Modification{edit('m', 1, "Received", "x")}, "own A:1 B:2 A:3 Received:x"},
		{"nor after an insert above it", []mta.Modification{edit('i', 0, "Received", "x"), edit('m', 1, "Received", "y")}, "Received:y own A:1 B:2 A:3 Received:4"},
		{"delete", []mta.Modification{edit('m', 1, "B", "")}, "own A:1 A:3 Received:4"},
		{"delete shifts", []mta.Modification{edit('m', 1, "A", ""), edit('m', 1, "A", "x")}, "own B:2 A:x Received:4"},
		{"delete what is not there", []mta.Modification{edit('m', 3, "A", "")}, "own A:1 B:2 A:3 Received:4"},
		{"names match as a whole", []mta.Modification{edit('m', 1, "AB", "")}, "own A:1 B:2 A:3 Received:4"},
		{"an injected line stays in the field", []mta.Modification{edit('h', 0, "X", "x\nEvil: 1")}, "own A:1 B:2 A:3 Received:4 X:x\n\tEvil: 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := mta.ParseMessage([]byte("A:1\nB:2\nA:3\nReceived:4\n\n"))
			m.AddReceived("own")
			for _, e := range tt.edits {
				if err := m.Apply(e, true); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, f := range m.Fields {
				got = append(got, strings.Replace(f.Text, "Received: own", "own", 1))
			}
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("got\n%q, want\n%q", g, tt.want)
			}
		})
	}
}

func TestApplyLeadingSpace(t *testing.T) {
	t.Parallel()
	for leading, want := range map[bool]string{false: "X:  v", true: "X: v"} {
		m := mta.ParseMessage(nil)
		if err := m.Apply(mta.Modification{Action: milter.ActAddHeader, Name: "X", Value: " v"}, leading); err != nil || m.Fields[0].Text != want {
			t.Errorf("%v: %q %v", leading, m.Fields[0].Text, err)
		}
	}
}

func TestApplyBody(t *testing.T) {
	t.Parallel()
	body := func(chunks ...string) (edits []mta.Modification) {
		for _, c := range chunks {
			edits = append(edits, mta.Modification{Action: milter.ActReplBody, Body: []byte(c)})
		}
		return edits
	}
	for name, tt := range map[string]struct {
		edits []mta.Modification
		want  string
	}{
		"one":             {body("new\r\n"), "new\r\n"},
		"split line end":  {body("a\r", "\nb\r\n"), "a\r\nb\r\n"},
		"no line end":     {body("a"), "a\r\n"},
		"LF":              {body("a\nb\n"), "a\r\nb\r\n"},
		"empty":           {body(""), ""},
		"then a header":   {append(body("a"), mta.Modification{Action: milter.ActAddHeader, Name: "X", Value: "y"}), "a\r\n"},
		"many empty ones": {body("", "a\r\n", ""), "a\r\n"},
	} {
		m := mta.ParseMessage([]byte("A: 1\n\nold\n"))
		for _, e := range tt.edits {
			if err := m.Apply(e, false); err != nil {
				t.Fatal(err)
			}
		}
		m.Finish()
		if string(m.Body) != tt.want {
			t.Errorf("%s: %q, want %q", name, m.Body, tt.want)
		}
	}
}

func TestApplyEnvelope(t *testing.T) {
	t.Parallel()
	m := mta.ParseMessage(nil)
	m.Sender, m.SenderParams = "s@example.org", []string{"RET=FULL", "SIZE=1"}
	m.Recipients = []mta.Recipient{{Address: "a@example.org"}, {Address: "b@example.org"}}
	for _, e := range []mta.Modification{
		{Action: milter.ActAddRcpt, Addr: "<c@example.org>"},
		{Action: milter.ActAddRcpt, Addr: "A@example.org"}, // there already
		{Action: '2', Addr: "<d@example.org>", Params: "NOTIFY=NEVER SIZE=1"},
		{Action: milter.ActDelRcpt, Addr: "<b@example.org>"},
		{Action: milter.ActDelRcpt, Addr: "<C@example.org>"}, // another one
		{Action: milter.ActChangeFrom, Addr: "<n@example.org>", Params: "ret=HDRS SIZE=3"},
		{Action: milter.ActQuarantine, Reason: "why"},
	} {
		if err := m.Apply(e, false); err != nil {
			t.Fatal(err)
		}
	}
	var rcpts []string
	for _, r := range m.Recipients {
		rcpts = append(rcpts, strings.TrimSpace(r.Address+" "+strings.Join(r.Params, " ")))
	}
	if want := []string{"a@example.org", "c@example.org", "d@example.org NOTIFY=NEVER"}; !slices.Equal(rcpts, want) {
		t.Errorf("recipients %q, want %q", rcpts, want)
	}
	if m.Sender != "n@example.org" || strings.Join(m.SenderParams, " ") != "SIZE=1 ret=HDRS" {
		t.Errorf("sender %q %q", m.Sender, m.SenderParams)
	}
	if !m.Quarantined || m.Reason != "why" {
		t.Errorf("quarantine %v %q", m.Quarantined, m.Reason)
	}
	if m.Apply(mta.Modification{Action: 'x'}, false) == nil {
		t.Error("an unknown edit")
	}
}

// FuzzAnswers: whatever a milter answers at the end of a message, there is no
// panic, and edits that were taken can be applied without a new field, a new
// recipient line or a broken body coming from within a value.
func FuzzAnswers(f *testing.F) {
	f.Add(byte('h'), []byte("X\x00y\x00"))
	f.Add(byte('m'), append(binary.BigEndian.AppendUint32(nil, 1), "A\x00\nEvil: y\x00"...))
	f.Add(byte('y'), []byte("550-5.7.1 a\r\n550 5.7.1 b%%\x00"))
	f.Add(byte('2'), []byte("<a@example.org>\x00NOTIFY=NEVER\x00"))
	f.Add(byte('b'), []byte("x\r"))
	f.Fuzz(func(t *testing.T, letter byte, payload []byte) {
		if r, err := mta.ParseReply(letter, payload); err == nil {
			if strings.ContainsAny(r.String(), "\r\n\x00") {
				t.Errorf("reply %q", r)
			}
			if refused := r.Verdict() == "reject" || r.Verdict() == "tempfail"; r.Refuses() != refused {
				t.Errorf("reply %+v", r)
			}
		}
		e, err := mta.ParseModification(letter, payload)
		if err != nil {
			return
		}
		_ = e.String()
		m := mta.ParseMessage([]byte("A: 1\n\nb\n"))
		if err := m.Apply(e, false); err != nil {
			t.Fatal(err)
		}
		m.Finish()
		for _, field := range m.Fields {
			for i, line := range strings.Split(field.Text, "\n") {
				if i > 0 && line[0] != ' ' && line[0] != '\t' {
					t.Errorf("field %q", field.Text)
				}
			}
		}
		if len(m.Fields) > 2 || (len(m.Body) > 0 && !bytes.HasSuffix(m.Body, []byte("\n"))) {
			t.Errorf("message %q", text(t, m))
		}
		if strings.ContainsAny(m.Sender+m.Reason, "\r\n\x00") {
			t.Errorf("envelope %q %q", m.Sender, m.Reason)
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte("A: 1\r\n\tb\r\n\r\nbody\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := mta.ParseMessage(data)
		var first bytes.Buffer
		m.WriteTo(&first)
		// What was written reads the same, but for a "From " line that begins it.
		if bytes.HasPrefix(first.Bytes(), []byte("From ")) {
			return
		}
		var again bytes.Buffer
		mta.ParseMessage(first.Bytes()).WriteTo(&again)
		if !bytes.Equal(first.Bytes(), again.Bytes()) {
			t.Errorf("%q became %q", first.Bytes(), again.Bytes())
		}
	})
}
