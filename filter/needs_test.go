package filter_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	wire "github.com/emersion/go-milter"

	"pmilter/filter"
	"pmilter/internal/milter"
	"pmilter/internal/mta"
)

// asked is the negotiated protocol in words: what is sent and answered, what is
// sent and not answered.
func asked(p wire.OptProtocol) string {
	var answered, quiet []string
	for _, c := range []struct {
		name      string
		no, quiet wire.OptProtocol
	}{
		{"connect", wire.OptNoConnect, wire.OptNoConnReply},
		{"helo", wire.OptNoHelo, wire.OptNoHeloReply},
		{"mail", wire.OptNoMailFrom, wire.OptNoMailReply},
		{"rcpt", wire.OptNoRcptTo, wire.OptNoRcptReply},
		{"data", wire.OptNoData, wire.OptNoDataReply},
		{"header", wire.OptNoHeaders, wire.OptNoHeaderReply},
		{"eoh", wire.OptNoEOH, wire.OptNoEOHReply},
		{"body", wire.OptNoBody, wire.OptNoBodyReply},
		{"unknown", wire.OptNoUnknown, wire.OptNoUnknownReply},
	} {
		switch {
		case p&c.no != 0:
		case p&c.quiet != 0:
			quiet = append(quiet, c.name)
		default:
			answered = append(answered, c.name)
		}
	}
	out := strings.Join(answered, " ") + " | " + strings.Join(quiet, " ")
	if p&wire.OptHeaderLeadingSpace != 0 {
		out += " +leadspc"
	}
	if p&wire.OptSkip != 0 {
		out += " +skip"
	}
	return out
}

func TestTrap08Negotiation(t *testing.T) {
	t.Parallel()
	needs := func(headers, body bool) func(*filter.Script) {
		return func(s *filter.Script) { s.Headers, s.Body = headers, body }
	}
	tests := []struct {
		name   string
		actors []*actor
		want   string
	}{
		{"no script", nil, " | "},
		{"a script without handlers", []*actor{script("a", on{})}, " | "},
		{"connect", []*actor{script("a", on{filter.Connect: pass})}, "connect | helo mail rcpt"},
		{"envelope", []*actor{script("a", on{filter.Mail: pass}), script("b", on{filter.Rcpt: pass})}, "mail rcpt | connect helo"},
		{"data and unknown", []*actor{script("a", on{filter.Data: pass, filter.Unknown: pass})}, "data unknown | connect helo mail rcpt"},
		{"header", []*actor{script("a", on{filter.Header: pass})}, " | connect helo mail rcpt header +leadspc"},
		{"early header", []*actor{script("a", on{filter.Header: pass}, early)}, "header | connect helo mail rcpt +leadspc"},
		{"eoh", []*actor{script("a", on{filter.EOH: pass})}, " | connect helo mail rcpt"},
		{"early eoh", []*actor{script("a", on{filter.EOH: pass}, early)}, "eoh | connect helo mail rcpt"},
		{"body", []*actor{script("a", on{filter.Body: pass})}, " | connect helo mail rcpt body"},
		{"early body", []*actor{script("a", on{filter.Body: pass}, early)}, "body | connect helo mail rcpt +skip"},
		{"eom", []*actor{script("a", on{filter.EOM: pass})}, " | connect helo mail rcpt header body +leadspc"},
		{"early eom", []*actor{script("a", on{filter.EOM: pass}, early)}, " | connect helo mail rcpt header body +leadspc"},
		{"eom without body", []*actor{script("a", on{filter.EOM: pass}, needs(true, false))}, " | connect helo mail rcpt header +leadspc"},
		{"eom alone", []*actor{script("a", on{filter.EOM: pass}, needs(false, false))}, " | connect helo mail rcpt"},
		{"early and late", []*actor{script("a", on{filter.Header: pass, filter.Body: pass}), script("b", on{filter.Header: pass}, early)}, "header | connect helo mail rcpt body +leadspc"},
		{"close", []*actor{script("a", on{filter.Close: pass})}, " | connect helo mail rcpt"},
	}
	for _, tt := range tests {
		list := newCast(tt.actors...).List()
		got := filter.Ask(list, milter.Options{Version: 6, Actions: milter.AllActions, Protocol: milter.AllProtocol})
		if words := asked(got.Protocol); words != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, words, tt.want)
		}
		if got.Protocol&wire.OptNoBodyReply != 0 && got.Protocol&wire.OptSkip != 0 {
			t.Errorf("%s: NR_BODY and SKIP exclude each other", tt.name)
		}
		phases, silent := filter.Describe(list)
		words, _, _ := strings.Cut(strings.Join(phases, " ")+" | "+strings.Join(silent, " "), "+")
		if want, _, _ := strings.Cut(tt.want, " +"); words != want {
			t.Errorf("%s: described as %s, want %s", tt.name, words, want)
		}
	}
}

// TestTrap02NothingUnoffered: with each protocol an MTA may speak a mail goes
// through, and the strict client of the rig finds nothing to complain of.
func TestTrap02NothingUnoffered(t *testing.T) {
	t.Parallel()
	casts := map[string]func() []*actor{
		"none":  func() []*actor { return nil },
		"late":  func() []*actor { return []*actor{script("a", on{filter.Header: pass, filter.EOM: pass})} },
		"early": func() []*actor { return []*actor{script("a", on{filter.Header: pass, filter.Body: pass}, early)} },
		"all": func() []*actor {
			every := on{}
			for p := range filter.Phase(filter.NumPhases) {
				every[p] = pass
			}
			return []*actor{script("a", every), script("b", every, early)}
		},
	}
	for name, actors := range casts {
		for _, version := range []uint32{2, 3, 4, 6, 7} {
			t.Run(name+string(rune('0'+version)), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, newCast(actors()...), speaking(version))
					if v := r.c.Version(); v != min(version, 6) {
						t.Errorf("version %d was answered with %d", version, v)
					}
					for range 2 {
						r.say("connect", "helo x", "mail <a@example.org>", "rcpt <b@example.net>", "data", "header A: b", "eoh", "body x", "eom", "unknown X", "abort")
					}
				})
			})
		}
	}
}

func TestActionsNotOffered(t *testing.T) {
	t.Parallel()
	edits := map[string]struct {
		need wire.OptAction
		do   func(m *filter.Message) error
	}{
		"add":             {wire.OptAddHeader, func(m *filter.Message) error { return m.AddHeader("X", "y") }},
		"insert":          {wire.OptAddHeader, func(m *filter.Message) error { return m.InsertHeader(0, "X", "y") }},
		"set":             {wire.OptChangeHeader, func(m *filter.Message) error { return m.SetHeader("X", "y") }},
		"remove":          {wire.OptChangeHeader, func(m *filter.Message) error { return m.RemoveHeader("X") }},
		"removeAt":        {wire.OptChangeHeader, func(m *filter.Message) error { return m.RemoveHeaderAt("X", 0) }},
		"setSender":       {wire.OptChangeFrom, func(m *filter.Message) error { return m.SetSender("", "") }},
		"addRecipient":    {wire.OptAddRcpt, func(m *filter.Message) error { return m.AddRecipient("c@example.net", "") }},
		"with parameters": {wire.OptAddRcptWithArgs, func(m *filter.Message) error { return m.AddRecipient("c@example.net", "NOTIFY=NEVER") }},
		"removeRecipient": {wire.OptRemoveRcpt, func(m *filter.Message) error { return m.RemoveRecipient("b@example.net") }},
		"replaceBody":     {wire.OptChangeBody, func(m *filter.Message) error { return m.ReplaceBody(nil) }},
		"quarantine":      {wire.OptQuarantine, func(m *filter.Message) error { return m.Quarantine("odd") }},
	}
	for name, e := range edits {
		for _, offered := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCast(script("a", on{filter.EOM: with(func(p *play) error { return e.do(p.m) })}))
					r := newRig(t, c, func(_ *filter.Options, o *mta.Options) {
						if !offered {
							o.Actions &^= e.need
						}
					})
					r.envelope()
					want := "continue"
					if !offered {
						want = "tempfail 451 4.3.0 Message filter error, try again later"
					}
					r.content(want)
					if offered && name != "remove" && name != "removeAt" && len(r.edits) == 0 {
						t.Error("nothing was sent")
					}
				})
			})
		}
	}
}

// TestTrap06QuitNC: after QUIT_NC the newest scripts serve if their needs fit
// what was negotiated, else the old ones, and nothing of the old session is left.
func TestTrap06QuitNC(t *testing.T) {
	t.Parallel()
	mail := func(name string) *actor { return script(name, on{filter.Mail: pass, filter.Header: pass}) }
	tests := []struct {
		name   string
		newest []*actor
		want   string
	}{
		{"the same needs", []*actor{mail("new")}, "new.mail a@example.org"},
		{"fewer needs", []*actor{script("new", on{filter.Mail: pass})}, "new.mail a@example.org"},
		{"no scripts", nil, ""},
		{"another reply", []*actor{script("new", on{filter.Mail: pass, filter.Rcpt: pass})}, "old.mail a@example.org"},
		{"early", []*actor{script("new", on{filter.Mail: pass, filter.Header: pass}, early)}, "old.mail a@example.org"},
		{"the body", []*actor{script("new", on{filter.Mail: pass, filter.Body: pass})}, "old.mail a@example.org"},
		{"eom alone", []*actor{script("new", on{filter.Mail: pass, filter.EOM: pass}, func(s *filter.Script) { s.Body = false })}, "new.mail a@example.org new.eom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				old := newCast(mail("old"))
				newest := old
				id, again := "", false
				fresh := func(p *play) (filter.Verdict, error) {
					if again && (p.s.Helo != "" || p.s.Client.IP != "" || p.s.Macro("j") != "" || p.s.ID == id) {
						t.Errorf("left of the old session: %+v %v", p.s, p.s.Macros())
					}
					id = p.s.ID
					return filter.Verdict{}, nil
				}
				old.actors[0].on[filter.Mail] = fresh
				for _, a := range tt.newest {
					a.on[filter.Mail] = fresh
				}
				r := newRig(t, old, set(func(o *filter.Options) { o.Scripts = func() filter.Scripts { return newest } }))
				r.say("connect", "helo x", "mail <a@example.org>", "header A: b", "eom")
				old.called(t, "old.mail a@example.org", "old.header A=b")
				newest = newCast(tt.newest...)
				newest.name = "2"
				r.say("mail <a@example.org>", "abort")
				old.called(t, "old.mail a@example.org")
				again = true
				r.say("quitnc", "mail <a@example.org>", "eom", "quitnc", "quitnc")
				calls := slices.Concat(old.take(), newest.take())
				if got := strings.ReplaceAll(strings.Join(calls, " "), " old.header A=b", ""); got != tt.want {
					t.Errorf("calls %q, want %q", got, tt.want)
				}
				r.hangUp()
				for _, c := range []*cast{old, newest} {
					if made, alive := c.open(); alive != 0 {
						t.Errorf("%d of %d worlds live", alive, made)
					}
				}
			})
		})
	}
}
