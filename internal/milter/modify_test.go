package milter

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	wire "github.com/emersion/go-milter"
)

// edits negotiates, has the session edit, and returns the frames up to the reply.
func edits(t *testing.T, o Options, edit func(*Modifications) Reply) (frames []frame, writes int) {
	t.Helper()
	s := &recorder{negotiate: func(Options) Options { return o }, eom: edit}
	p := dial(t, s)
	p.offer(everything)
	before := p.writes.count()
	p.send(wire.CodeEOB)
	for {
		f := p.recv()
		frames = append(frames, f)
		switch wire.ActionCode(f.code) {
		case wire.ActAccept, wire.ActContinue, wire.ActReject, wire.ActTempFail, wire.ActReplyCode:
			writes = p.writes.count() - before
			p.quit()
			return frames, writes
		}
	}
}

var edible = Options{Actions: AllActions}

func TestEditsLeaveInOneWrite(t *testing.T) {
	long := strings.Repeat("x", 70000)
	frames, writes := edits(t, edible, func(m *Modifications) Reply {
		for _, err := range []error{
			m.AddHeader("X-A", "1\r\n\tfolded"),
			m.InsertHeader(0, "X-B", ""),
			m.ChangeHeader(3, "X-C", "\xff"),
			m.ChangeHeader(1, "X-D", ""),
			m.AddRcpt("a@example.org", nil),
			m.AddRcpt("<b@example.org>", []string{"NOTIFY=NEVER", "ORCPT=rfc822;b"}),
			m.ReplaceBody([]byte(long)),
			m.DelRcpt("\"a b\"@example.org"),
			m.ChangeFrom("", nil),
			m.ChangeFrom("<c@example.org>", []string{"RET=HDRS"}),
			m.Quarantine("held\tback"),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		return Reply{Action: wire.ActAccept}
	})
	want := []frame{
		{'h', "X-A\x001\n\tfolded\x00"},
		{'i', "\x00\x00\x00\x00X-B\x00\x00"},
		{'m', "\x00\x00\x00\x03X-C\x00\xff\x00"},
		{'m', "\x00\x00\x00\x01X-D\x00\x00"},
		{'+', "<a@example.org>\x00"},
		{'2', "<b@example.org>\x00NOTIFY=NEVER ORCPT=rfc822;b\x00"},
		{'b', long[:65535]},
		{'b', long[65535:]},
		{'-', "<\"a b\"@example.org>\x00"},
		{'e', "<>\x00"},
		{'e', "<c@example.org>\x00RET=HDRS\x00"},
		{'q', "held\tback\x00"},
		{'a', ""},
	}
	if len(frames) != len(want) {
		t.Fatalf("%d frames, want %d", len(frames), len(want))
	}
	for i := range want {
		if frames[i] != want[i] {
			t.Errorf("frame %d: %c %.80q, want %c %.80q", i, frames[i].code, frames[i].payload, want[i].code, want[i].payload)
		}
	}
	if writes != 1 {
		t.Errorf("%d writes", writes)
	}
}

func TestEditsOfOneMessageAreNotTheNexts(t *testing.T) {
	n := 0
	s := &recorder{eom: func(m *Modifications) Reply {
		if n++; n == 1 {
			_ = m.ReplaceBody([]byte("x"))
			_ = m.AddHeader("X", "1")
		}
		return Reply{}
	}}
	p := dial(t, s)
	p.offer(everything)
	p.ask(wire.CodeEOB, "", wire.ActionCode('b'))
	p.recv()
	p.recv()
	p.ask(wire.CodeEOB, "", wire.ActContinue)
	p.quit()
}

func TestTrap02ActionsNotNegotiated(t *testing.T) {
	for action, edit := range map[wire.OptAction]func(*Modifications) error{
		wire.OptAddHeader:       func(m *Modifications) error { return errors.Join(m.AddHeader("A", "b"), m.InsertHeader(1, "A", "b")) },
		wire.OptChangeHeader:    func(m *Modifications) error { return m.ChangeHeader(1, "A", "b") },
		wire.OptAddRcpt:         func(m *Modifications) error { return m.AddRcpt("a", nil) },
		wire.OptAddRcptWithArgs: func(m *Modifications) error { return m.AddRcpt("a", []string{"A=b"}) },
		wire.OptRemoveRcpt:      func(m *Modifications) error { return m.DelRcpt("a") },
		wire.OptChangeFrom:      func(m *Modifications) error { return m.ChangeFrom("a", nil) },
		wire.OptChangeBody:      func(m *Modifications) error { return m.ReplaceBody(nil) },
		wire.OptQuarantine:      func(m *Modifications) error { return m.Quarantine("a") },
	} {
		var m Modifications
		m.reset(Options{Actions: action})
		if err := edit(&m); err != nil {
			t.Errorf("%#x: %v", action, err)
		}
		m.reset(Options{Actions: AllActions &^ action &^ wire.OptAddRcptWithArgs})
		if err := edit(&m); !errors.Is(err, ErrNotNegotiated) || len(m.buf) > 0 || m.hasBody {
			t.Errorf("%#x not negotiated: %v, %q", action, err, m.buf)
		}
	}
	var m Modifications
	m.reset(Options{Actions: wire.OptAddRcptWithArgs})
	if err := m.AddRcpt("a", nil); err != nil || m.buf[4] != '2' {
		t.Errorf("the other code would do: %v", err)
	}
}

func TestTrap17HeaderValues(t *testing.T) {
	for _, tc := range []struct {
		name, value string
		ok          bool
	}{
		{"X", "", true},
		{"X", "plain", true},
		{"X", "bytes \xff\xfe", true},
		{"X", "a\n b\n\tc", true},
		{"X", "a\r\n b", true},
		{"X", "\n a", true},
		{"X", strings.Repeat("x", 2045), true},
		{"X", strings.Repeat("x", 2046), false},
		{"X", "a\n " + strings.Repeat("x", 2047), true},
		{"X", "a\n " + strings.Repeat("x", 2048), false},
		{"X", strings.Repeat("a\n ", 21842) + "a", true},
		{"X", strings.Repeat("a\n ", 22000), false}, // more than Sendmail reads
		{"X", "a\x00b", false},
		{"X", "a\rb", false},
		{"X", "a\r\r\n b", false},
		{"X", "a\nX-Injected: b", false},
		{"X", "a\r\nX-Injected: b", false},
		{"X", "a\n\n body", false},
		{"X", "a\n", false},
		{"", "a", false},
		{"X Y", "a", false},
		{"X:", "a", false},
		{"X\n", "a", false},
		{"X\x00", "a", false},
		{"X\xc3\xa9", "a", false},
	} {
		var m Modifications
		m.reset(edible)
		for i, err := range []error{m.AddHeader(tc.name, tc.value), m.InsertHeader(1, tc.name, tc.value), m.ChangeHeader(1, tc.name, tc.value)} {
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrValue) {
				t.Errorf("%d: %q: %.40q: %v", i, tc.name, tc.value, err)
			}
		}
		frames, err := readAll(NewFrameReader(bytes.NewReader(m.buf), 0))
		if !errors.Is(err, io.EOF) || tc.ok != (len(frames) == 3) || !tc.ok && len(frames) > 0 {
			t.Errorf("%.40q: %d frames, %v", tc.value, len(frames), err)
		}
		for _, f := range frames {
			if want := tc.name + "\x00" + strings.ReplaceAll(tc.value, "\r\n", "\n") + "\x00"; !strings.HasSuffix(f.payload, want) {
				t.Errorf("%.40q was sent as %.80q", tc.value, f.payload)
			}
		}
	}
	var m Modifications
	m.reset(edible)
	if m.InsertHeader(-1, "X", "a") == nil || m.ChangeHeader(-1, "X", "a") == nil {
		t.Error("a negative index")
	}
}

func TestTrap18LeadingSpace(t *testing.T) {
	value := strings.Repeat("x", 2046)
	var m Modifications
	m.reset(Options{Actions: AllActions, Protocol: wire.OptHeaderLeadingSpace})
	if err := m.AddHeader("X", value); err != nil { // the MTA adds no space
		t.Error(err)
	}
	s := &recorder{negotiate: func(Options) Options { return Options{Protocol: wire.OptHeaderLeadingSpace} }}
	p := dial(t, s)
	p.offer(everything)
	for _, value := range []string{"", " ", "  two", "\ttab", "none", " a\n  b \xff"} {
		p.ask(wire.CodeHeader, "X\x00"+value+"\x00", wire.ActContinue)
		wantCalls(t, s, (&recorder{}).callOf("X", value))
	}
	p.quit()
}

func (r *recorder) callOf(name, value string) string {
	r.Header([]byte(name), []byte(value))
	return r.take()[0]
}

func TestTrap19ReplaceBody(t *testing.T) {
	for _, size := range []int{0, 1, 65534, 65535, 65536, 131070, 1 << 20} {
		body := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
		frames, writes := edits(t, edible, func(m *Modifications) Reply {
			_ = m.AddHeader("X", "before")
			if err := m.ReplaceBody(body); err != nil {
				t.Error(err)
			}
			_ = m.AddHeader("X", "after")
			if err := m.ReplaceBody(body); !errors.Is(err, ErrValue) {
				t.Errorf("a second body: %v", err)
			}
			return Reply{Action: wire.ActAccept}
		})
		chunks := frames[1 : len(frames)-2]
		var got []byte
		for _, f := range chunks {
			if f.code != 'b' || len(f.payload) > wire.MaxBodyChunk {
				t.Errorf("size %d: %c of %d bytes", size, f.code, len(f.payload))
			}
			got = append(got, f.payload...)
		}
		if !bytes.Equal(got, body) || len(chunks) != max(1, (size+65534)/65535) {
			t.Errorf("size %d: %d bytes in %d chunks", size, len(got), len(chunks))
		}
		if limit := 1 + size/(flushSize-wire.MaxBodyChunk); writes > limit {
			t.Errorf("size %d: %d writes", size, writes)
		}
	}
}

func TestTrap21Quarantine(t *testing.T) {
	var m Modifications
	m.reset(edible)
	for _, reason := range []string{"", "a\nb", "a\rb", "a\x00b", "a\x1bb", strings.Repeat("x", 65535)} {
		if err := m.Quarantine(reason); !errors.Is(err, ErrValue) || len(m.buf) > 0 {
			t.Errorf("%.20q: %v", reason, err)
		}
	}
	frames, _ := edits(t, edible, func(m *Modifications) Reply {
		_ = m.Quarantine("caf\u00e9")
		return Reply{}
	})
	if len(frames) != 2 || frames[0] != (frame{'q', "caf\u00e9\x00"}) || frames[1].code != 'c' {
		t.Errorf("%q", frames)
	}
}

func TestTrap22Addresses(t *testing.T) {
	for _, tc := range []struct {
		addr string
		want string // "" is an error
	}{
		{"a@example.org", "<a@example.org>"},
		{"<a@example.org>", "<a@example.org>"},
		{`"a> <b"@example.org`, `<"a> <b"@example.org>`},
		{`"a\"b"@example.org`, `<"a\"b"@example.org>`},
		{"caf\u00e9@example.org", "<caf\u00e9@example.org>"},
		{"caf\xe9@example.org", "<caf\xe9@example.org>"},
		{"<<a@example.org>>", ""},
		{"a> <b", ""},
		{"a b", ""},
		{"a\nb", ""},
		{"a\rb", ""},
		{"a\x00b", ""},
		{"a\tb", ""},
		{`"a`, ""},
		{`"a\`, ""},
		{"\"a\\\n\"@b", ""},
		{"", ""},
		{"<>", ""},
	} {
		var m Modifications
		m.reset(edible)
		for i, err := range []error{m.AddRcpt(tc.addr, nil), m.DelRcpt(tc.addr), m.ChangeFrom(tc.addr, nil)} {
			null := i == 2 && (tc.addr == "" || tc.addr == "<>")
			if (err == nil) != (tc.want != "" || null) {
				t.Errorf("%d: %q: %v", i, tc.addr, err)
			}
		}
		if tc.want != "" && bytes.Count(m.buf, []byte(tc.want+"\x00")) != 3 {
			t.Errorf("%q was sent as %q", tc.addr, m.buf)
		}
	}
	var m Modifications
	m.reset(edible)
	for _, param := range []string{"", "A=b c", "A=b\x00", "A=b\n"} {
		if err := m.AddRcpt("a", []string{"A=b", param}); !errors.Is(err, ErrValue) {
			t.Errorf("parameter %q: %v", param, err)
		}
	}
}

func TestClearDropsTheNewBodyToo(t *testing.T) {
	frames, _ := edits(t, edible, func(m *Modifications) Reply {
		for _, err := range []error{m.AddHeader("X", "1"), m.ReplaceBody([]byte("x")), m.AddHeader("X", "2")} {
			if err != nil {
				t.Error(err)
			}
		}
		m.Clear()
		return Reply{}
	})
	if len(frames) != 1 || frames[0].code != 'c' {
		t.Errorf("%q", frames)
	}
}
