package filter_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"pmilter/filter"
)

func TestFirstRefusalDecides(t *testing.T) {
	t.Parallel()
	phases := []struct {
		p     filter.Phase
		steps string // all but the last continue
	}{
		{filter.Connect, "connect"},
		{filter.Helo, "connect|helo x"},
		{filter.Mail, "connect|mail <a@example.org>"},
		{filter.Rcpt, "connect|mail <a@example.org>|rcpt <b@example.net>"},
		{filter.Data, "connect|mail <a@example.org>|rcpt <b@example.net>|data"},
		{filter.Header, "connect|mail <a@example.org>|header Subject: x|eoh|body x|eom"},
		{filter.EOH, "connect|mail <a@example.org>|header Subject: x|eoh|body x|eom"},
		{filter.Body, "connect|mail <a@example.org>|header Subject: x|eoh|body x|eom"},
		{filter.EOM, "connect|mail <a@example.org>|header Subject: x|eoh|body x|eom"},
		{filter.Unknown, "connect|unknown FOO"},
	}
	replies := map[filter.Action]string{
		filter.Reject: "reject 550 5.7.1 no", filter.Tempfail: "tempfail 451 4.7.1 later", filter.Discard: "discard",
	}
	for _, phase := range phases {
		for action, reply := range replies {
			if action == filter.Discard && (phase.p < filter.Mail || phase.p == filter.Unknown) {
				reply = "tempfail 451 4.3.0 Message filter error, try again later"
			}
			t.Run(phase.p.String()+" "+action.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCast(script("a", on{phase.p: pass}), script("b", on{phase.p: does(action)}), script("c", on{phase.p: does(filter.Reject)}))
					r := newRig(t, c)
					steps := strings.Split(phase.steps, "|")
					steps[len(steps)-1] += " -> " + reply
					r.say(steps...)
					var names []string
					for _, call := range c.take() {
						name, _, _ := strings.Cut(call, ".")
						names = append(names, name)
					}
					if got := strings.Join(names, ""); got != "ab" {
						t.Errorf("scripts %s were asked, want a and b", got)
					}
					if len(r.outcomes) != 1 {
						t.Fatalf("%d outcomes, want 1", len(r.outcomes))
					}
					if o := r.outcomes[0]; o.Script != "b" || o.Phase != phase.p {
						t.Errorf("decided by %s in %s", o.Script, o.Phase)
					}
				})
			})
		}
	}
}

func TestTrap10RefusedRecipient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		recipients := func(p *play) error {
			for _, a := range p.m.Recipients() {
				seen = append(seen, a.Address)
			}
			return nil
		}
		c := newCast(
			script("a", on{filter.Rcpt: func(p *play) (filter.Verdict, error) {
				if p.c.Address.Local == "bad" {
					return verdict(filter.Reject), nil
				}
				return filter.Verdict{}, nil
			}, filter.Abort: pass}),
			script("b", on{filter.Rcpt: with(recipients), filter.EOM: with(recipients)}),
		)
		r := newRig(t, c)
		r.say("connect", "mail <a@example.org>", "rcpt <one@example.net>", "rcpt <bad@example.net> -> reject 550 5.7.1 no", "rcpt <two@example.net>", "data")
		r.content("continue")
		if got := strings.Join(seen, " "); got != "one@example.net one@example.net two@example.net" {
			t.Errorf("recipients seen: %s", got)
		}
		if calls := strings.Join(c.take(), " "); strings.Contains(calls, "abort") {
			t.Errorf("a refused recipient aborted the message: %s", calls)
		}
		if len(r.outcomes) != 2 || r.outcomes[0].Subject() != "recipient" || r.outcomes[0].Recipient != "bad@example.net" || r.outcomes[1].Subject() != "message" {
			t.Errorf("outcomes %+v", r.outcomes)
		}
	})
}

func TestAcceptEndsInterest(t *testing.T) {
	t.Parallel()
	all := func(p filter.Phase) on {
		h := on{}
		for q := range filter.Phase(filter.NumPhases) {
			h[q] = pass
		}
		h[p] = does(filter.Accept)
		delete(h, filter.Abort)
		delete(h, filter.Close)
		if p == filter.Connect {
			h[filter.Abort], h[filter.Close] = pass, pass
		}
		return h
	}
	t.Run("in helo for the connection", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", all(filter.Helo)), script("b", on{filter.Mail: pass}))
			r := newRig(t, c)
			r.say("connect", "helo x", "mail <a@example.org>", "abort", "unknown FOO", "mail <c@example.org>", "eom")
			c.called(t, "a.connect", "a.helo x", "b.mail a@example.org", "b.mail c@example.org")
		})
	})
	t.Run("in mail for the message", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", all(filter.Mail)), script("b", on{filter.Mail: pass}))
			r := newRig(t, c)
			r.say("connect", "helo x", "mail <a@example.org>", "rcpt <b@example.org>", "data", "unknown FOO", "helo y", "header S: x", "eoh", "body x", "eom", "mail <c@example.org>")
			c.called(t, "a.connect", "a.helo x", "a.mail a@example.org", "b.mail a@example.org", "a.unknown FOO", "a.helo y", "a.mail c@example.org", "b.mail c@example.org")
		})
	})
	t.Run("not beyond QUIT_NC", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Connect: does(filter.Accept), filter.Mail: pass}), script("b", on{filter.Mail: pass}))
			r := newRig(t, c)
			r.say("connect", "mail <a@example.org>", "quitnc", "mail <a@example.org>")
			c.called(t, "a.connect", "b.mail a@example.org", "a.mail a@example.org", "b.mail a@example.org")
		})
	})
	t.Run("still gets abort and close", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", all(filter.Connect)), script("b", on{filter.Mail: pass, filter.Data: does(filter.Reject)}))
			r := newRig(t, c)
			r.say("connect", "helo x", "mail <a@example.org>", "data -> reject 550 5.7.1 no")
			r.hangUp()
			c.called(t, "a.connect", "b.mail a@example.org", "b.data", "a.abort", "a.close")
		})
	})
}

func TestAcceptOnTheWire(t *testing.T) {
	t.Parallel()
	accept := does(filter.Accept)
	editing := func(p *play) (filter.Verdict, error) {
		return verdict(filter.Accept), p.m.AddHeader("X-A", "b")
	}
	tests := []struct {
		name   string
		actors []*actor
		steps  string
	}{
		{"all in connect", []*actor{script("a", on{filter.Connect: accept}), script("b", on{filter.Connect: accept})}, "connect -> accept"},
		{"one of two", []*actor{script("a", on{filter.Connect: accept}), script("b", on{filter.Helo: pass})}, "connect|helo x"},
		{"one in connect, one in helo", []*actor{script("a", on{filter.Connect: accept}), script("b", on{filter.Helo: accept})}, "connect|helo x -> accept"},
		{"one in helo, one in mail", []*actor{script("a", on{filter.Helo: accept}), script("b", on{filter.Mail: accept})}, "connect|helo x|mail <a@example.org> -> accept"},
		{"mail and data", []*actor{script("a", on{filter.Mail: accept}), script("b", on{filter.Data: accept})}, "connect|mail <a@example.org>|data -> accept"},
		{"rcpt", []*actor{script("a", on{filter.Rcpt: accept})}, "connect|mail <a@example.org>|rcpt <b@example.net> -> accept"},
		{"an edit", []*actor{script("a", on{filter.Mail: editing})}, "connect|mail <a@example.org>|data|eom"},
		{"an abort handler", []*actor{script("a", on{filter.Mail: accept, filter.Abort: pass})}, "connect|mail <a@example.org>|data|eom"},
		{"a close handler of another", []*actor{script("a", on{filter.Connect: accept}), script("b", on{filter.Connect: accept, filter.Close: pass})}, "connect|helo x"},
		{"early header", []*actor{script("a", on{filter.Header: accept}, early)}, "connect|mail <a@example.org>|data|header A: b -> accept"},
		{"late header", []*actor{script("a", on{filter.Header: accept})}, "connect|mail <a@example.org>|data|header A: b|eoh|eom"},
		{"again for the next message", []*actor{script("a", on{filter.Mail: accept})}, "mail <a@example.org> -> accept|abort|mail <c@example.org> -> accept"},
		{"not after unknown", []*actor{script("a", on{filter.Unknown: accept})}, "mail <a@example.org>|unknown FOO|eom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				newRig(t, newCast(tt.actors...)).say(strings.Split(tt.steps, "|")...)
			})
		})
	}
}

func TestSkip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCast(script("a", on{filter.Body: does(filter.Skip), filter.EOM: pass}), script("b", on{filter.Body: pass}))
		r := newRig(t, c)
		r.say("mail <a@example.org>", "body one", "body two")
		big := strings.Repeat("x", 65535)
		r.say("body "+big, "eom")
		c.called(t, "a.body 65535", "b.body 65535", "b.body 6", "a.eom")
	})
	for _, p := range []filter.Phase{filter.Connect, filter.Mail, filter.Rcpt, filter.Header, filter.EOM} {
		t.Run("is an error in "+p.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newCast(script("a", on{p: does(filter.Skip)})))
				for _, step := range []string{"connect", "mail <a@example.org>", "rcpt <b@example.org>", "header A: b", "eom"} {
					reply, err := r.send(step)
					if err != nil {
						t.Fatal(err)
					}
					if reply.Refuses() {
						break
					}
				}
				if len(r.outcomes) == 0 || r.outcomes[0].Phase != p || r.outcomes[0].Verdict.Action != filter.Tempfail {
					t.Errorf("outcomes %+v", r.outcomes)
				}
			})
		})
	}
}

func TestTrap13Skip(t *testing.T) {
	t.Parallel()
	skip := does(filter.Skip)
	tests := []struct {
		name    string
		actors  []*actor
		version uint32
		steps   string
	}{
		{"the only one", []*actor{script("a", on{filter.Body: skip}, early)}, 6, "body x -> skip|eom"},
		{"two of two", []*actor{script("a", on{filter.Body: skip}, early), script("b", on{filter.Body: skip}, early)}, 6, "body x -> skip|eom"},
		{"one of two", []*actor{script("a", on{filter.Body: skip}, early), script("b", on{filter.Body: pass}, early)}, 6, "body x|body y|eom"},
		{"another reads it late", []*actor{script("a", on{filter.Body: skip}, early), script("b", on{filter.Body: pass})}, 6, "body x|body y|eom"},
		{"its own eom may read it", []*actor{script("a", on{filter.Body: skip, filter.EOM: pass}, early)}, 6, "body x|body y|eom"},
		{"the other has accepted", []*actor{script("a", on{filter.Body: skip}, early), script("b", on{filter.Mail: does(filter.Accept), filter.EOM: pass})}, 6, "body x -> skip|eom"},
		{"not offered", []*actor{script("a", on{filter.Body: skip}, early)}, 4, "body x|body y|eom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCast(tt.actors...)
				r := newRig(t, c, speaking(tt.version))
				r.say("connect", "mail <a@example.org>")
				r.say(strings.Split(tt.steps, "|")...)
				if n := strings.Count(strings.Join(c.take(), " "), "a.body"); n != 1 {
					t.Errorf("a.body was called %d times after its skip()", n)
				}
			})
		})
	}
}

func TestAbortIsTold(t *testing.T) {
	t.Parallel()
	tells := func(p *play) (filter.Verdict, error) {
		if p.m == nil {
			p.cast.note("no message")
		} else {
			p.cast.note("message of " + p.m.Sender.Address)
		}
		return filter.Verdict{}, nil
	}
	ways := map[string]string{
		"ABORT": "data|abort", "close": "data", "QUIT_NC": "data|quitnc", "TestTrap11MailWithoutAbort": "data|mail <>",
		"double ABORT": "data|abort|abort", "ABORT before MAIL": "abort|abort",
	}
	for name, steps := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCast(script("a", on{filter.Connect: pass, filter.Mail: pass, filter.Abort: tells}), script("b", on{filter.EOM: pass}))
				r := newRig(t, c)
				r.say("connect")
				c.take()
				if strings.HasPrefix(steps, "data") {
					r.say("mail <a@example.org>", "rcpt <b@example.net>")
					c.take()
				}
				r.say(strings.Split(steps, "|")...)
				if name == "close" {
					r.hangUp()
				}
				switch {
				case strings.HasSuffix(steps, "mail <>"):
					c.called(t, "a.abort", "message of a@example.org", "a.mail ")
				case strings.HasPrefix(steps, "data"):
					c.called(t, "a.abort", "message of a@example.org")
				default:
					c.called(t)
				}
			})
		})
	}
	t.Run("only to who saw its mail", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Abort: pass}), script("b", on{filter.Mail: does(filter.Reject), filter.Abort: pass}),
				script("c", on{filter.Mail: pass, filter.Abort: pass}))
			r := newRig(t, c)
			r.say("mail <a@example.org> -> reject 550 5.7.1 no")
			c.called(t, "b.mail a@example.org", "a.abort", "b.abort")
		})
	})
	t.Run("not after the end", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Abort: pass}))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "eom", "abort")
			r.hangUp()
			c.called(t)
		})
	})
	t.Run("for a refusal at the end", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.EOM: does(filter.Discard), filter.Abort: tells}))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "eom -> discard", "abort")
			c.called(t, "a.eom", "a.abort", "message of a@example.org")
		})
	})
}

func TestErrorsInAbortAndCloseAreOnlyLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCast(script("a", on{filter.Abort: fails, filter.Close: does(filter.Reject), filter.Mail: pass}), script("b", on{filter.Abort: pass, filter.Close: pass}))
		r := newRig(t, c)
		r.say("mail <a@example.org>", "abort", "mail <c@example.org>", "eom")
		r.hangUp()
		c.called(t, "a.mail a@example.org", "a.abort", "b.abort", "a.mail c@example.org", "a.close", "b.close")
		if n := len(r.logged("script error")); n != 2 {
			t.Errorf("%d warnings, want 2", n)
		}
	})
}

func TestOnError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		configured, own filter.Action
		want            string
	}{
		{filter.Tempfail, filter.Continue, "tempfail 451 4.3.0 Message filter error, try again later"},
		{filter.Reject, filter.Continue, "reject 550 5.3.0 Message filter error"},
		{filter.Accept, filter.Continue, "continue"},
		{filter.Accept, filter.Tempfail, "tempfail 451 4.3.0 Message filter error, try again later"},
		{filter.Tempfail, filter.Reject, "reject 550 5.3.0 Message filter error"},
		{filter.Tempfail, filter.Accept, "continue"},
		{filter.Continue, filter.Continue, "tempfail 451 4.3.0 Message filter error, try again later"},
	}
	for _, tt := range tests {
		t.Run(tt.configured.String()+" "+tt.own.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				faulty := func(p *play) (filter.Verdict, error) {
					_ = p.m.AddHeader("X-Faulty", "undone")
					p.s.AddNote(filter.Note{Script: "b", Reason: "undone"})
					return fails(p)
				}
				good := func(p *play) (filter.Verdict, error) {
					p.s.AddNote(filter.Note{Script: "a", Reason: "kept"})
					return filter.Verdict{}, p.m.AddHeader("X-Good", "kept")
				}
				c := newCast(script("a", on{filter.EOM: good}), script("b", on{filter.EOM: faulty}, onError(tt.own)), script("c", on{filter.EOM: addHeader("X-Last", "kept")}))
				r := newRig(t, c, set(func(o *filter.Options) { o.OnError = tt.configured }))
				r.envelope()
				r.content(tt.want)
				if tt.want == "continue" {
					r.did("add header X-Good:  kept", "add header X-Last:  kept")
					c.called(t, "a.eom", "b.eom", "c.eom")
				} else {
					r.did()
				}
				notes := r.outcomes[0].Notes
				if len(notes) != 1 || notes[0].Reason != "kept" {
					t.Errorf("notes %v", notes)
				}
			})
		})
	}
}

func TestOnErrorAcceptIsOfThatScriptAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCast(script("a", on{filter.Mail: fails, filter.Rcpt: pass, filter.EOM: pass}, onError(filter.Accept)), script("b", on{filter.Rcpt: does(filter.Reject)}))
		r := newRig(t, c)
		r.say("mail <a@example.org>", "rcpt <b@example.net> -> reject 550 5.7.1 no", "eom")
		c.called(t, "a.mail a@example.org", "b.rcpt b@example.net")
	})
}

func TestNonsenseIsAnError(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]func(*play) (filter.Verdict, error){
		"an action nobody knows": func(*play) (filter.Verdict, error) { return filter.Verdict{Action: 77}, nil },
		"a plain error":          func(*play) (filter.Verdict, error) { return filter.Verdict{}, errors.New("odd") },
		"abandoned by nobody":    func(*play) (filter.Verdict, error) { return verdict(filter.Skip), nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newCast(script("a", on{filter.Mail: h})))
				r.say("mail <a@example.org> -> tempfail 451 4.3.0 Message filter error, try again later")
			})
		})
	}
}

func TestDroppedWorld(t *testing.T) {
	t.Parallel()
	drops := func(*play) (filter.Verdict, error) {
		return filter.Verdict{}, &filter.ScriptError{Script: "a", Message: "ran too long", Dropped: true}
	}
	const gone = "tempfail 421 4.3.0 Message filter error, try again later"
	t.Run("tempfail", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Mail: drops, filter.Abort: pass, filter.Close: pass, filter.Rcpt: pass}), script("b", on{filter.Rcpt: pass}))
			r := newRig(t, c)
			r.say("mail <a@example.org> -> "+gone, "mail <c@example.org> -> "+gone, "rcpt <b@example.net> -> "+gone, "abort")
			c.called(t, "a.mail a@example.org")
			r.say("quitnc", "connect", "rcpt <b@example.net>")
			c.called(t, "a.rcpt b@example.net", "b.rcpt b@example.net")
			if made, alive := c.open(); made != 2 || alive != 1 {
				t.Errorf("%d worlds made, %d alive", made, alive)
			}
		})
	})
	t.Run("accept", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Mail: drops, filter.Rcpt: pass}, onError(filter.Accept)), script("b", on{filter.Data: pass}, onError(filter.Reject)))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "rcpt <b@example.net>", "data -> reject 550 5.3.0 Message filter error")
		})
	})
	t.Run("top-level code fails", func(t *testing.T) {
		t.Parallel()
		for _, err := range []error{
			&filter.ScriptError{Message: "ReferenceError: x is not defined", Pos: filter.Position{File: "a.js", Line: 1}},
			errors.New("odd"),
		} {
			synctest.Test(t, func(t *testing.T) {
				c := newCast(script("a", on{filter.Mail: pass, filter.Rcpt: pass, filter.Close: pass}))
				c.openErr = err
				r := newRig(t, c)
				r.say("connect", "mail <a@example.org> -> tempfail 451 4.3.0 Message filter error, try again later", "rcpt <b@example.net> -> "+gone)
			})
		}
	})
}

func TestObserve(t *testing.T) {
	t.Parallel()
	t.Run("a refusal is logged and not done", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			refusing := func(p *play) (filter.Verdict, error) {
				_ = p.m.AddHeader("X-Observed", "undone")
				return verdict(filter.Reject), nil
			}
			c := newCast(script("a", on{filter.Data: refusing, filter.EOM: pass}, observe), script("b", on{filter.EOM: addHeader("X-B", "kept")}))
			r := newRig(t, c)
			r.envelope()
			r.content("continue")
			r.did("add header X-B:  kept")
			c.called(t, "a.data", "b.eom") // as if it had been refused
			would := r.logged("message would be refused")
			if len(would) != 1 || would[0]["script"] != "a" || would[0]["code"] != int64(550) {
				t.Errorf("log %v", would)
			}
			if len(r.outcomes) != 2 || !r.outcomes[0].WouldBe || r.outcomes[1].WouldBe {
				t.Errorf("outcomes %+v", r.outcomes)
			}
		})
	})
	t.Run("edits are logged and not done", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.EOM: with(func(p *play) error {
				_ = p.m.SetSender("x@example.org", "")
				return p.m.AddHeader("X-A", "b")
			})}, observe))
			r := newRig(t, c)
			r.envelope()
			r.content("continue")
			r.did()
			would := r.logged("message would be changed")
			if len(would) != 1 || would[0]["script"] != "a" || len(would[0]["edits"].([]any)) != 2 {
				t.Errorf("log %v", would)
			}
		})
	})
	t.Run("in connect for the connection", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Connect: does(filter.Reject), filter.Mail: pass}, observe), script("z", on{filter.Data: pass}))
			r := newRig(t, c)
			r.say("connect", "helo x", "mail <a@example.org>")
			c.called(t, "a.connect")
		})
	})
	t.Run("in rcpt and unknown for that command", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Rcpt: does(filter.Reject), filter.Unknown: does(filter.Reject), filter.EOM: pass}, observe))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "rcpt <b@example.net>", "unknown FOO", "rcpt <c@example.net>", "eom")
			c.called(t, "a.rcpt b@example.net", "a.unknown FOO", "a.rcpt c@example.net", "a.eom")
		})
	})
	t.Run("a discard in rcpt ends the message for it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Rcpt: does(filter.Discard), filter.EOM: pass}, observe), script("z", on{filter.Data: pass}))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "rcpt <b@example.net>", "rcpt <c@example.net>", "eom")
			c.called(t, "a.rcpt b@example.net")
		})
	})
	t.Run("a fault", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Mail: fails, filter.EOM: pass}, observe), script("z", on{filter.Data: pass}))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "eom")
			c.called(t, "a.mail a@example.org")
		})
	})
}

func TestOversize(t *testing.T) {
	t.Parallel()
	limit := func(n int64, a filter.Action) option {
		return set(func(o *filter.Options) { o.MaxMessage, o.Oversize = n, a })
	}
	for action, want := range map[filter.Action]string{
		filter.Reject: "reject 552 5.3.4 Message is too big", filter.Tempfail: "tempfail 452 4.3.4 Message is too big for now", filter.Accept: "continue",
	} {
		for name, steps := range map[string][]string{
			"body":    {"header Subject: x", "eoh", "body " + strings.Repeat("x", 600), "body " + strings.Repeat("x", 600)},
			"headers": {"header Subject: " + strings.Repeat("x", 2000), "eoh", "body x"},
		} {
			t.Run(action.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCast(script("a", on{filter.Mail: with(func(p *play) error { return p.m.AddHeader("X-A", "b") }), filter.Header: pass, filter.Body: pass, filter.EOM: does(filter.Discard)}))
					r := newRig(t, c, limit(1000, action))
					r.envelope()
					r.say(steps...)
					r.say("eom -> " + want)
					c.called(t, "a.mail a@example.org")
					if action == filter.Accept {
						r.did("add header X-A:  b")
					}
				})
			})
		}
	}
	t.Run("accepted, with edits of fields that were not kept", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, newCast(script("a", on{filter.Mail: with(func(p *play) error { return p.m.SetHeader("X-A", "b") }), filter.EOM: pass})), limit(10, filter.Accept))
			r.say("mail <a@example.org>", "header X-A: 12345678901", "eom -> tempfail 451 4.3.0 Message filter error, try again later")
			if len(r.outcomes) != 1 || r.outcomes[0].Verdict.Action != filter.Tempfail {
				t.Errorf("outcomes %v", r.outcomes)
			}
		})
	})
	t.Run("the next one is small", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, newCast(script("a", on{filter.EOM: pass})), limit(10, filter.Reject))
			r.say("mail <a@example.org>", "body 12345678901", "eom -> reject 552 5.3.4 Message is too big", "mail <a@example.org>", "body 1234567890", "eom")
		})
	})
	t.Run("too many fields", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, newCast(script("a", on{filter.EOM: pass})), set(func(o *filter.Options) { o.MaxMessage = 1 << 30 }))
			r.say("mail <a@example.org>")
			for range 10_001 {
				if _, err := r.c.Header(t.Context(), "a", ""); err != nil {
					t.Fatal(err)
				}
			}
			r.say("eom -> reject 552 5.3.4 Message is too big")
		})
	})
}

func TestContentHandlers(t *testing.T) {
	t.Parallel()
	every := on{filter.Header: pass, filter.EOH: pass, filter.Body: pass, filter.EOM: pass}
	t.Run("run when the message is complete", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", every), script("b", every))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "header Subject:  x", `header To: b@example.net\n\tc@example.net`, "eoh")
			for range 3 {
				r.say("body " + strings.Repeat("x", 40000))
			}
			c.called(t)
			r.say("eom")
			c.called(t, "a.header Subject=x", "b.header Subject=x", "a.header To=b@example.net\n\\tc@example.net", "b.header To=b@example.net\n\\tc@example.net",
				"a.eoh", "b.eoh", "a.body 65535", "b.body 65535", "a.body 54465", "b.body 54465", "a.eom", "b.eom")
		})
	})
	t.Run("early ones at once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", every), script("b", every, early))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "header Subject: x")
			c.called(t, "b.header Subject=x")
			r.say("eoh")
			c.called(t, "b.eoh")
			r.say("body text")
			c.called(t, "b.body 4")
			r.say("eom")
			c.called(t, "a.header Subject=x", "a.eoh", "a.body 4", "a.eom", "b.eom")
		})
	})
	t.Run("get what arrived whatever was changed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCast(script("a", on{filter.Mail: with(func(p *play) error {
				if err := p.m.SetHeader("Subject", "new"); err != nil {
					return err
				}
				return p.m.ReplaceBody([]byte("longer than it was"))
			}), filter.Header: with(func(p *play) error {
				fields, err := p.m.Fields()
				p.cast.note("shows " + fields[0].Decoded())
				return err
			}), filter.Body: with(func(p *play) error {
				body, err := p.m.Body()
				p.cast.note("shows " + string(body))
				return err
			})}))
			r := newRig(t, c)
			r.say("mail <a@example.org>", "header Subject: old", "body text", "eom")
			c.called(t, "a.mail a@example.org", "a.header Subject=old", "shows new", "a.body 4", "shows longer than it was")
		})
	})
}
