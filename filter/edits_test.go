package filter_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	wire "github.com/emersion/go-milter"

	"pmilter/filter"
	"pmilter/internal/mta"
)

// letter is a message of these fields, "Name: value", through one script that
// edits it at MAIL and at the end.
type letter struct {
	fields    []string
	atMail    func(m *filter.Message) error
	atEOM     func(m *filter.Message) error
	shown     []filter.Field // at the end, to the scripts
	recipient []string
}

func (m *letter) cast() *cast {
	do := func(f *func(*filter.Message) error) func(*play) (filter.Verdict, error) {
		return with(func(p *play) error {
			if *f == nil {
				return nil
			}
			return (*f)(p.m)
		})
	}
	return newCast(script("a", on{filter.Mail: do(&m.atMail), filter.EOM: do(&m.atEOM)}), script("z", on{filter.EOM: with(func(p *play) error {
		fields, err := p.m.Fields()
		m.shown = slices.Clone(fields)
		return err
	})}))
}

func (m *letter) send(r *rig) {
	r.t.Helper()
	r.say("connect", "mail <a@example.org>")
	for _, a := range append([]string{"b@example.net"}, m.recipient...) {
		r.say("rcpt <" + a + ">")
	}
	for _, f := range m.fields {
		name, value, _ := strings.Cut(f, ":")
		if _, err := r.c.Header(r.t.Context(), name, value); err != nil {
			r.t.Fatal(err)
		}
	}
	r.say("eoh", "body text", "eom")
}

func TestHeaderEdits(t *testing.T) {
	t.Parallel()
	three := []string{"Subject: x", "X-A: 1", "x-a: 2", "X-B:3", "X-A: 4"}
	type edit = func(m *filter.Message) error
	add := func(n, v string) edit { return func(m *filter.Message) error { return m.AddHeader(n, v) } }
	insert := func(i int, n, v string) edit {
		return func(m *filter.Message) error { return m.InsertHeader(i, n, v) }
	}
	set := func(n, v string) edit { return func(m *filter.Message) error { return m.SetHeader(n, v) } }
	remove := func(n string) edit { return func(m *filter.Message) error { return m.RemoveHeader(n) } }
	removeAt := func(n string, i int) edit {
		return func(m *filter.Message) error { return m.RemoveHeaderAt(n, i) }
	}
	tests := []struct {
		name   string
		atMail bool // asked for before the headers came
		edits  []edit
		want   string // the header, fields joined by |
		sent   []string
	}{
		{"add", false, []edit{add("X-New", "n")}, "Subject: x|X-A: 1|x-a: 2|X-B:3|X-A: 4|X-New: n", []string{"add header X-New:  n"}},
		{"prepend", false, []edit{insert(0, "X-New", "n")}, "X-New: n|Subject: x|X-A: 1|x-a: 2|X-B:3|X-A: 4", []string{"insert header at 0 X-New:  n"}},
		{"insert", false, []edit{insert(1, "X-New", "n")}, "Subject: x|X-New: n|X-A: 1|x-a: 2|X-B:3|X-A: 4", []string{"insert header at 2 X-New:  n"}},
		{"insert far", false, []edit{insert(99, "X-New", "n")}, "Subject: x|X-A: 1|x-a: 2|X-B:3|X-A: 4|X-New: n", []string{"add header X-New:  n"}},
		{"set one", false, []edit{set("subject", "y")}, "Subject: y|X-A: 1|x-a: 2|X-B:3|X-A: 4", []string{"change header Subject (number 1):  y"}},
		{"set of three", false, []edit{set("X-A", "y")}, "Subject: x|X-A: y|X-B:3", []string{"change header X-A (number 1):  y", "delete header X-A (number 3)", "delete header x-a (number 2)"}},
		{"set to what it is", false, []edit{set("Subject", "x")}, "Subject: x|X-A: 1|x-a: 2|X-B:3|X-A: 4", nil},
		{"set to nothing", false, []edit{set("Subject", "")}, "Subject: |X-A: 1|x-a: 2|X-B:3|X-A: 4", []string{"change header Subject (number 1):  "}},
		{"set of none", false, []edit{set("X-New", "y")}, "Subject: x|X-A: 1|x-a: 2|X-B:3|X-A: 4|X-New: y", []string{"add header X-New:  y"}},
		{"remove", false, []edit{remove("x-A")}, "Subject: x|X-B:3", []string{"delete header X-A (number 3)", "delete header x-a (number 2)", "delete header X-A (number 1)"}},
		{"removeAt", false, []edit{removeAt("x-a", 1)}, "Subject: x|X-A: 1|X-B:3|X-A: 4", []string{"delete header x-a (number 2)"}},
		{"removeAt none", false, []edit{removeAt("x-a", 3), removeAt("x-c", 0)}, "Subject: x|X-A: 1|x-a: 2|X-B:3|X-A: 4", nil},
		{"add and remove", false, []edit{add("X-New", "n"), remove("x-new")}, "Subject: x|X-A: 1|x-a: 2|X-B:3|X-A: 4", nil},
		{"remove and add", false, []edit{remove("X-A"), add("X-A", "n")}, "Subject: x|X-B:3|X-A: n", []string{"delete header X-A (number 3)", "delete header x-a (number 2)", "delete header X-A (number 1)", "add header X-A:  n"}},
		{"insert and remove the same name", false, []edit{insert(1, "X-A", "n"), removeAt("X-A", 1)}, "Subject: x|X-A: n|x-a: 2|X-B:3|X-A: 4", []string{"insert header at 2 X-A:  n", "delete header X-A (number 2)"}},
		{"prepend and set", false, []edit{insert(0, "X-A", "n"), set("X-A", "m")}, "X-A: m|Subject: x|X-B:3", []string{"delete header X-A (number 3)", "delete header x-a (number 2)", "delete header X-A (number 1)", "insert header at 0 X-A:  m"}},
		{"set before they came", true, []edit{set("X-A", "y"), remove("X-B"), insert(1, "X-New", "n")}, "X-A: y|X-New: n|Subject: x|X-A: 1|x-a: 2|X-A: 4", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &letter{fields: three}
				all := func(m *filter.Message) error {
					for _, e := range tt.edits {
						if err := e(m); err != nil {
							return err
						}
					}
					return nil
				}
				if tt.atMail {
					m.atMail = all
				} else {
					m.atEOM = all
				}
				r := newRig(t, m.cast())
				m.send(r)
				if tt.atMail {
					for _, f := range m.shown {
						if f.Is("X-B") {
							t.Errorf("%v is shown", f)
						}
					}
					return
				}
				var shown []string
				for _, f := range m.shown {
					shown = append(shown, f.Name+":"+f.Value)
				}
				if got := strings.Join(shown, "|"); got != tt.want {
					t.Errorf("shown %s\nwant  %s", got, tt.want)
				}
				r.did(tt.sent...)
			})
		})
	}
}

func TestEnvelopeEdits(t *testing.T) {
	t.Parallel()
	type edit = func(m *filter.Message) error
	tests := []struct {
		name string
		edit edit
		sent []string
	}{
		{"sender", func(m *filter.Message) error { return m.SetSender("x@example.org", "RET=HDRS ENVID=1") }, []string{"change sender to <x@example.org> RET=HDRS ENVID=1"}},
		{"null sender", func(m *filter.Message) error { return m.SetSender("", "") }, []string{"change sender to <>"}},
		{"the same sender", func(m *filter.Message) error { return m.SetSender("a@example.org", "") }, nil},
		{"sender and back", func(m *filter.Message) error {
			_ = m.SetSender("x@example.org", "")
			return m.SetSender("a@example.org", "")
		}, nil},
		{"recipients", func(m *filter.Message) error {
			_ = m.AddRecipient("c@example.net", "")
			return m.RemoveRecipient("b@EXAMPLE.net")
		}, []string{"remove recipient <b@example.net>", "add recipient <c@example.net>"}},
		{"added and removed", func(m *filter.Message) error {
			_ = m.AddRecipient("c@example.net", "")
			return m.RemoveRecipient("c@example.net")
		}, nil},
		{"given twice", func(m *filter.Message) error { return m.RemoveRecipient("twice@example.net") }, []string{"remove recipient <twice@example.net>"}},
		{"not there", func(m *filter.Message) error { return m.RemoveRecipient("nobody@example.net") }, nil},
		{"with parameters", func(m *filter.Message) error { return m.AddRecipient("c@example.net", "NOTIFY=NEVER") }, []string{"add recipient <c@example.net> NOTIFY=NEVER"}},
		{"body", func(m *filter.Message) error {
			_ = m.ReplaceBody([]byte("first"))
			return m.ReplaceBody([]byte("a\nb"))
		}, []string{"replace body, 4 bytes"}},
		{"empty body", func(m *filter.Message) error { return m.ReplaceBody(nil) }, []string{"replace body, 0 bytes"}},
		{"quarantine", func(m *filter.Message) error { _ = m.Quarantine("first"); return m.Quarantine("second") }, []string{"quarantine: first"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &letter{atEOM: tt.edit, recipient: []string{"twice@example.net", "twice@example.net"}}
				r := newRig(t, m.cast())
				m.send(r)
				r.did(tt.sent...)
			})
		})
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var kept *filter.Message
		m := &letter{atEOM: func(m *filter.Message) error {
			kept = m
			for name, err := range map[string]error{
				"header with a colon": m.AddHeader("X:Y", "z"), "header with a space": m.AddHeader("X Y", "z"), "header with LF": m.AddHeader("X\nY", "z"),
				"header without a name": m.AddHeader("", "z"), "long name": m.AddHeader(strings.Repeat("x", 257), "z"), "UTF-8 name": m.AddHeader("Ä", "z"),
				"value with LF": m.AddHeader("X", "y\nBcc: z"), "insert below 0": m.InsertHeader(-1, "X", "y"), "remove below 0": m.RemoveHeaderAt("X", -1),
				"sender with a space": m.SetSender("a b", ""), "recipient in brackets": m.AddRecipient("<a@example.org>", ""), "empty recipient": m.AddRecipient("", ""),
				"reason of two lines": m.Quarantine("a\nb"), "no reason": m.Quarantine(""), "long reason": m.Quarantine(strings.Repeat("x", 2000)), "reason with a bell": m.Quarantine("\a"),
			} {
				if err == nil {
					t.Errorf("%s was accepted", name)
				}
			}
			return nil
		}}
		r := newRig(t, m.cast())
		m.send(r)
		r.did()
		for _, err := range []error{kept.AddHeader("X", "y"), kept.Quarantine("x")} {
			if err == nil {
				t.Error("a message that is over was edited")
			}
		}
		m.atEOM = func(m *filter.Message) (err error) {
			for i := 0; err == nil && i < 20000; i++ {
				err = m.AddHeader("X", "y")
			}
			if err == nil {
				t.Error("any number of edits is accepted")
			}
			return nil
		}
		m.send(r)
		if n := len(r.edits); n != 10000 {
			t.Errorf("%d edits", n)
		}
		if o := r.outcomes[1]; len(o.Edits) != 101 {
			t.Errorf("the log names %d edits", len(o.Edits))
		}
		m.atEOM = func(m *filter.Message) (err error) {
			large := make([]byte, 64<<20)
			for i := 0; err == nil && i < 10; i++ {
				err = m.ReplaceBody(large)
			}
			if err == nil {
				t.Error("any number of large bodies is kept")
			}
			return nil
		}
		m.atEOM, m.atMail = nil, m.atEOM
		r.say("mail <a@example.org>", "abort")
	})
}

func TestPartsNotAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCast(script("a", on{filter.EOM: with(func(p *play) error {
			_, noFields := p.m.Fields()
			_, noBody := p.m.Body()
			_, noRaw := p.m.Raw()
			for _, err := range []error{noFields, noBody, noRaw, p.m.SetHeader("X", "y"), p.m.RemoveHeader("X"), p.m.InsertHeader(1, "X", "y")} {
				if err == nil {
					t.Error("what was not asked for is there")
				}
			}
			if err := p.m.InsertHeader(0, "X-First", "y"); err != nil {
				return err
			}
			if err := p.m.ReplaceBody([]byte("new")); err != nil {
				return err
			}
			if body, err := p.m.Body(); string(body) != "new" {
				t.Errorf("body %q, %v", body, err)
			}
			return p.m.AddHeader("X-Last", "y")
		})}, func(s *filter.Script) { s.Headers, s.Body = false, false }))
		r := newRig(t, c)
		r.say("mail <a@example.org>", "header A: b", "eoh", "body x", "eom")
		r.did("insert header at 0 X-First: y", "add header X-Last: y", "replace body, 3 bytes")
	})
}

func TestRaw(t *testing.T) {
	t.Parallel()
	for _, version := range []uint32{2, 6} {
		synctest.Test(t, func(t *testing.T) {
			m := &letter{fields: []string{"Subject: x\n\ty", "X-A: 1"}}
			m.atEOM = func(m *filter.Message) error {
				if err := m.SetHeader("X-A", "2"); err != nil {
					return err
				}
				raw, err := m.Raw()
				if want := "Subject: x\r\n\ty\r\nX-A: 2\r\n\r\ntext"; string(raw) != want {
					t.Errorf("version %d: %q, want %q", version, raw, want)
				}
				return err
			}
			m.send(newRig(t, m.cast(), speaking(version)))
		})
	}
}

// queueFile is a header as an MTA keeps it, for edits to be made in.
type queueFile struct {
	fields []string // "Name:value"; the first is the MTA's own Received
}

func newQueueFile(fields []string) *queueFile {
	return &queueFile{fields: append([]string{"Received: by mx.example.net"}, fields...)}
}

func (q *queueFile) insert(at int, field string) {
	q.fields = slices.Insert(q.fields, min(at, len(q.fields)), field)
}

// change is cleanup_milter.c's: the first field, whatever it is, is skipped.
func (q *queueFile) change(index int, name, field string) {
	for i := 1; i < len(q.fields); i++ {
		own, _, _ := strings.Cut(q.fields[i], ":")
		if !strings.EqualFold(own, name) {
			continue
		}
		if index--; index > 0 {
			continue
		}
		if field != "" {
			q.fields[i] = field
		} else {
			q.fields = slices.Delete(q.fields, i, i+1)
		}
		return
	}
	if field != "" {
		q.insert(len(q.fields), field)
	}
}

func (q *queueFile) apply(e mta.Modification, space string) {
	field := e.Name + ":" + space + e.Value
	switch e.Action {
	case wire.ActAddHeader:
		q.insert(len(q.fields), field)
	case wire.ActInsertHeader:
		q.insert(int(e.Index), field)
	case wire.ActChangeHeader:
		if e.Value == "" {
			field = ""
		}
		q.change(int(e.Index), e.Name, field)
	default:
	}
}

// left is what is delivered, without the MTA's own Received.
func (q *queueFile) left() []string {
	var left []string
	for _, f := range q.fields {
		if f != "Received: by mx.example.net" {
			left = append(left, f)
		}
	}
	return left
}

// TestTrap14EditsEndAsTheModel: random edits of random headers with repeated
// names, delivered as Postfix does, are what the scripts saw.
func TestTrap14EditsEndAsTheModel(t *testing.T) {
	t.Parallel()
	for _, version := range []uint32{6, 4} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &letter{}
				r := newRig(t, m.cast(), speaking(version))
				for seed := range uint64(1500) {
					did := randomMail(m, rand.New(rand.NewPCG(seed, uint64(version))))
					m.send(r)
					compareDelivered(t, r, m, fmt.Sprintf("seed %d, %s", seed, strings.Join(*did, ", ")))
					if t.Failed() {
						return
					}
				}
			})
		})
	}
}

func compareDelivered(t *testing.T, r *rig, m *letter, what string) {
	t.Helper()
	space, trim := "", func(s string) string { return s }
	if !r.c.LeadingSpace() {
		space = " "
		// A value without its space comes as one with it.
		trim = func(s string) string {
			name, value, _ := strings.Cut(s, ":")
			return name + ": " + strings.TrimLeft(value, " ")
		}
	}
	var shown []string
	for _, f := range m.shown {
		shown = append(shown, trim(f.Name+":"+space+f.Value))
	}
	q := newQueueFile(m.fields)
	for _, e := range r.edits {
		q.apply(e, space)
	}
	left := q.left()
	for i := range left {
		left[i] = trim(left[i])
	}
	if !slices.Equal(left, shown) {
		t.Errorf("%s\narrived   %q\ndelivered %q\nshown     %q\nsent %v", what, m.fields, left, shown, r.edits)
	}
}

// randomMail makes a header and edits of it, and returns the edits' names.
func randomMail(m *letter, rnd *rand.Rand) *[]string {
	names := []string{"Received", "X-A", "x-a", "X-B", "Subject", "Message-ID", "Date"}
	values := []string{" 1", "2", "  3", " a\n\tb", " ", "", " x: y"}
	name := func() string { return names[rnd.IntN(len(names))] }
	m.fields = nil
	for range rnd.IntN(8) {
		m.fields = append(m.fields, name()+":"+values[rnd.IntN(len(values))])
	}
	did := &[]string{}
	edits := func(m *filter.Message) error {
		for range rnd.IntN(7) {
			n, v, i := name(), fmt.Sprintf("new %d", rnd.IntN(100)), rnd.IntN(10)
			if rnd.IntN(10) == 0 {
				v = ""
			}
			var err error
			switch op := rnd.IntN(7); op {
			case 0:
				err = m.AddHeader(n, v)
				*did = append(*did, "add "+n)
			case 1, 2:
				i *= op - 1
				err = m.InsertHeader(i, n, v)
				*did = append(*did, fmt.Sprintf("insert %d %s", i, n))
			case 3:
				err = m.SetHeader(n, v)
				*did = append(*did, "set "+n)
			case 4:
				err = m.RemoveHeader(n)
				*did = append(*did, "remove "+n)
			default:
				err = m.RemoveHeaderAt(n, i%3)
				*did = append(*did, fmt.Sprintf("removeAt %s %d", n, i%3))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	m.atMail, m.atEOM = nil, edits
	if rnd.IntN(3) == 0 {
		m.atMail = edits
	}
	return did
}
