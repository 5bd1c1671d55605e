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

// sendmailMacros are what Sendmail sends with CONNECT (proto.m4).
func sendmailMacros() []string {
	return []string{"_", "client.example.org [192.0.2.7]", "{if_name}", "mx.example.net", "{if_addr}", "192.0.2.1"}
}

// hdr is Sendmail's HDR: a field of its list.
type hdr struct {
	name, value string
	user        bool // H_USER: arrived, or made by a milter
	gone        bool // its value is NULL
}

// sendmailList is the header as Sendmail keeps it (headers.c, milter.c).
type sendmailList []hdr

// newSendmailList has Sendmail's own fields before those that arrived, which
// take the place of its own.
func newSendmailList(fields []string) sendmailList {
	var l sendmailList
	for _, name := range []string{
		"Return-Path", "Received", "Resent-Date", "Date", "Resent-From", "From", "Full-Name", "Resent-Message-Id", "Message-Id",
	} {
		l = append(l, hdr{name: name, value: " own", gone: name == "Return-Path" || name == "Full-Name" || strings.HasPrefix(name, "Resent")})
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		for i := range l {
			if !l[i].user && strings.EqualFold(l[i].name, name) && name != "Received" {
				l[i].gone = true
			}
		}
		l = append(l, hdr{name: name, value: value, user: true})
	}
	return l
}

func (l *sendmailList) apply(e mta.Modification, space string) {
	made := hdr{name: e.Name, value: space + e.Value, user: true}
	same := func(h hdr) bool { return strings.EqualFold(h.name, e.Name) }
	switch e.Action {
	case wire.ActAddHeader: // milter_addheader
		if i := slices.IndexFunc(*l, func(h hdr) bool { return same(h) && !h.user && h.name != "Received" }); i >= 0 {
			(*l)[i] = hdr{name: (*l)[i].name, value: made.value, user: true}
			return
		}
		l.add(made)
	case wire.ActInsertHeader: // insheader: after the place counted to
		*l = slices.Insert(*l, min(int(e.Index)+1, len(*l)), made)
	case wire.ActChangeHeader: // milter_changeheader
		l.change(int(e.Index), made, e.Value == "")
	default:
	}
}

// add is addheader: above the first of that name.
func (l *sendmailList) add(made hdr) {
	i := slices.IndexFunc(*l, func(h hdr) bool { return strings.EqualFold(h.name, made.name) })
	if i < 0 {
		i = len(*l)
	}
	*l = slices.Insert(*l, i, made)
}

func (l *sendmailList) change(index int, made hdr, remove bool) {
	found := -1
	for i, h := range *l {
		if !strings.EqualFold(h.name, made.name) {
			continue
		}
		if h.user {
			if index--; index <= 0 {
				found = i
				break
			}
		} else if h.name != "Received" {
			found = i
		}
	}
	switch {
	case found < 0 && !remove:
		l.add(made)
	case found < 0:
	case remove:
		(*l)[found].gone = true
	default:
		(*l)[found] = hdr{name: (*l)[found].name, value: made.value, user: true}
	}
}

// left is what is delivered, without Sendmail's own fields, and which names of
// those there are.
func (l *sendmailList) left() (fields []string, own map[string]bool) {
	own = map[string]bool{}
	for _, h := range *l {
		switch {
		case h.gone:
		case h.user:
			fields = append(fields, h.name+":"+h.value)
		default:
			own[strings.ToLower(h.name)] = true
		}
	}
	return fields, own
}

// Random edits end as the model says on Sendmail, too, and no field of its own
// stands beside one of the message's.
func TestTrap16EditsEndAlikeOnSendmail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &letter{}
		r := newRig(t, m.cast())
		r.macros = sendmailMacros()
		for seed := range uint64(1500) {
			did := randomMail(m, rand.New(rand.NewPCG(seed, 16)))
			m.send(r)
			l := newSendmailList(m.fields)
			for _, e := range r.edits {
				l.apply(e, "")
			}
			var shown []string
			double := ""
			left, own := l.left()
			for _, f := range m.shown {
				shown = append(shown, f.Name+":"+f.Value)
				if own[strings.ToLower(f.Name)] && !f.Is("Received") {
					double = f.Name
				}
			}
			if !slices.Equal(left, shown) || double != "" {
				t.Fatalf("seed %d, %s\narrived   %q\ndelivered %q\nshown     %q\ntwice %q\nsent %v", seed, strings.Join(*did, ", "), m.fields, left, shown, double, r.edits)
			}
		}
	})
}

// Sendmail is known by its macros.
func TestSendmailIsKnown(t *testing.T) {
	t.Parallel()
	const asPostfix, asSendmail = "insert header at 2 X-New:  n", "insert header at 9 X-New:  n"
	for _, tt := range []struct {
		macros []string
		want   string
	}{
		{nil, asPostfix},
		{[]string{"v", "Postfix 3.7.11", "{if_name}", "x"}, asPostfix},
		{[]string{"v", "Mail 2000"}, asPostfix},
		{[]string{"_", "x [192.0.2.7]", "{daemon_addr}", "192.0.2.1"}, asPostfix},
		{[]string{"v", "8.17.1"}, asSendmail},
		{[]string{"_", "x [192.0.2.7]"}, asSendmail},
		{[]string{"{daemon_addr}", "192.0.2.1", "{if_addr}", "192.0.2.1"}, asSendmail},
		{sendmailMacros(), asSendmail},
	} {
		t.Run(fmt.Sprint(tt.macros), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &letter{fields: []string{"X-A: 1", "X-B: 2"}, atEOM: func(m *filter.Message) error { return m.InsertHeader(1, "X-New", "n") }}
				r := newRig(t, m.cast())
				r.macros = tt.macros
				m.send(r)
				r.did(tt.want)
			})
		})
	}
}
