package filter_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pmilter/filter"
)

const gone = "tempfail 421 4.3.0 Message filter error, try again later"

// stuck is a handler that hangs in a place that cannot be stopped: a watchdog
// gives the call up after the deadline, and it returns only when released.
type stuck struct {
	when    func(*play) bool // nil: always
	release chan struct{}
	back    chan struct{} // closed when the call has come back
	then    func(*play)   // what the script still does after it was given up
	err     error         // what the call returns at last
}

func newStuck() *stuck {
	return &stuck{release: make(chan struct{}), back: make(chan struct{}), err: filter.ErrAbandoned}
}

func (s *stuck) call(p *play) (filter.Verdict, error) {
	if s.when != nil && !s.when(p) {
		return filter.Verdict{}, nil
	}
	defer close(s.back)
	time.Sleep(time.Until(p.c.Deadline))
	told := make(chan struct{})
	go func() {
		defer close(told)
		p.c.Overrun(&filter.ScriptError{Script: "stuck", Phase: p.c.Phase, Message: "ran too long", Dropped: true})
	}()
	<-s.release
	if s.then != nil {
		s.then(p)
	}
	<-told
	return verdict(filter.Accept), s.err
}

// let has the stuck call come back.
func (s *stuck) let() {
	close(s.release)
	<-s.back
	synctest.Wait()
}

func TestOverrunInEachPhase(t *testing.T) {
	t.Parallel()
	tests := []struct {
		p     filter.Phase
		early bool
		steps string
	}{
		{filter.Connect, false, "connect"},
		{filter.Helo, false, "connect|helo x"},
		{filter.Mail, false, "connect|mail <a@example.org>"},
		{filter.Rcpt, false, "mail <a@example.org>|rcpt <b@example.net>"},
		{filter.Data, false, "mail <a@example.org>|rcpt <b@example.net>|data"},
		{filter.Header, false, "mail <a@example.org>|header Subject: x|eoh|body x|eom"},
		{filter.EOH, false, "mail <a@example.org>|header Subject: x|eoh|body x|eom"},
		{filter.Body, false, "mail <a@example.org>|header Subject: x|eoh|body x|eom"},
		{filter.EOM, false, "mail <a@example.org>|header Subject: x|eoh|body x|eom"},
		{filter.Header, true, "mail <a@example.org>|header Subject: x"},
		{filter.EOH, true, "mail <a@example.org>|header Subject: x|eoh"},
		{filter.Body, true, "mail <a@example.org>|header Subject: x|eoh|body x"},
		{filter.Unknown, false, "connect|unknown FOO"},
	}
	errs := map[filter.Action]string{filter.Tempfail: gone, filter.Reject: "reject 550 5.3.0 Message filter error", filter.Accept: "continue"}
	for _, tt := range tests {
		for action, want := range errs {
			name := tt.p.String() + " " + action.String()
			if tt.early {
				name = "early " + name
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStuck()
					set := func(sc *filter.Script) { sc.Early, sc.OnError = tt.early, action }
					c := newCast(script("a", on{tt.p: pass}, set), script("b", on{tt.p: s.call}, set),
						script("c", on{tt.p: pass}, set), script("z", on{filter.Close: pass}))
					r := newRig(t, c)
					steps := strings.Split(tt.steps, "|")
					steps[len(steps)-1] += " -> " + want
					r.say(steps...)
					if calls := c.take(); len(calls) != 2 {
						t.Errorf("calls %q, want those of a and b", calls)
					}
					if n := r.filter.Overruns(); n != 1 {
						t.Errorf("%d overruns", n)
					}
					if action != filter.Accept {
						if o := r.outcomes[0]; o.Script != "b" || o.Phase != tt.p || o.InScript < 8*time.Second {
							t.Errorf("outcome %+v", o)
						}
					}
					// The connection lives on, without a world, while the script still runs and after.
					r.say("abort", "mail <c@example.org>"+map[bool]string{true: " -> " + want}[tt.p == filter.Mail])
					s.let()
					r.say("abort", "quitnc")
					made, _ := c.open()
					if made != 1 {
						t.Errorf("%d worlds were made", made)
					}
					r.hangUp()
					c.called(t)
				})
			})
		}
	}
}

// TestOverrunInAbortKeepsTheVerdict: whatever on_error is, what a script
// refused stays refused.
func TestOverrunInAbortKeepsTheVerdict(t *testing.T) {
	t.Parallel()
	for p, steps := range map[filter.Phase]string{
		filter.Mail: "mail <a@example.org>", filter.Rcpt: "mail <a@example.org>|rcpt <b@example.net>", filter.Data: "mail <a@example.org>|data",
		filter.Header: "mail <a@example.org>|header A: b|eom", filter.EOM: "mail <a@example.org>|eom",
	} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStuck()
				c := newCast(script("a", on{p: does(filter.Discard), filter.Abort: s.call}), script("b", on{filter.Abort: pass}))
				r := newRig(t, c, set(func(o *filter.Options) { o.OnError = filter.Accept }))
				all := strings.Split(steps, "|")
				all[len(all)-1] += " -> discard"
				r.say(all...)
				s.let()
				if len(r.outcomes) != 1 || r.outcomes[0].Verdict.Action != filter.Discard {
					t.Errorf("outcomes %+v", r.outcomes)
				}
				r.say("mail <c@example.org>", "rcpt <d@example.net>", "data", "eom")
			})
		})
	}
}

func TestOverrunInAbortOfCommandsWithoutReply(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]string{
		"ABORT":    "abort|mail <c@example.org> -> " + gone,
		"MAIL":     "mail <c@example.org> -> " + gone,
		"QUIT_NC":  "quitnc|connect|mail <c@example.org>|eom",
		"the end ": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStuck()
				c := newCast(script("a", on{filter.Mail: pass, filter.Abort: s.call, filter.Close: pass}))
				r := newRig(t, c)
				r.say("mail <a@example.org>")
				if steps == "" {
					r.hangUp()
				} else {
					r.say(strings.Split(steps, "|")...)
				}
				<-time.After(10 * time.Second)
				s.let()
				// Who lost the connection says and does nothing more.
				if name == "MAIL" && (len(r.outcomes) != 1 || len(r.logged("script error")) != 2) {
					t.Errorf("outcomes %v, warnings %v", r.outcomes, r.logged("script error"))
				}
			})
		})
	}
}

func TestOverrunInClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStuck()
		r := newRig(t, newCast(script("a", on{filter.Mail: pass, filter.Close: s.call})))
		r.say("mail <a@example.org>", "eom")
		r.hangUp()
		<-time.After(10 * time.Second)
		if n := r.srv.Connections(); n != 0 {
			t.Errorf("%d connections are open", n)
		}
		if w := r.logged("script error"); len(w) != 1 || w[0]["phase"] != "close" {
			t.Errorf("warnings %v", w)
		}
		s.let()
	})
}

func TestOverrunKeepsWhatWasBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStuck()
		var before *filter.Session
		s.then = func(p *play) { // what the script does after it was given up touches nobody
			before = p.s
			for range 100 {
				_ = p.m.AddHeader("X-Late", "undone")
				_ = p.m.ReplaceBody([]byte("undone"))
				p.s.AddNote(filter.Note{Reason: "undone"})
			}
			_, _ = p.m.Fields()
			_ = p.s.QueueID()
			_ = p.s.Macros()
			_ = p.m.Recipients()
		}
		edits := func(name string) func(*play) (filter.Verdict, error) {
			return func(p *play) (filter.Verdict, error) {
				p.s.AddNote(filter.Note{Reason: name})
				return filter.Verdict{}, p.m.AddHeader("X-Kept", name)
			}
		}
		c := newCast(
			script("a", on{filter.Mail: edits("mail"), filter.EOM: edits("eom")}, onError(filter.Accept)),
			script("b", on{filter.EOM: func(p *play) (filter.Verdict, error) {
				_ = p.m.AddHeader("X-Stuck", "undone")
				p.s.AddNote(filter.Note{Reason: "undone"})
				return s.call(p)
			}}, onError(filter.Accept)),
			script("c", on{filter.EOM: pass}, onError(filter.Accept)),
		)
		r := newRig(t, c)
		r.say("connect", "helo client.example.org", "mail <a@example.org>", "rcpt <b@example.net>", "data", "header Subject: x", "eoh", "body text")
		done := make(chan struct{})
		go func() {
			<-time.After(time.Minute + time.Second)
			s.let() // while the successor goes on
			close(done)
		}()
		r.say("eom")
		r.did("add header X-Kept:  mail", "add header X-Kept:  eom")
		<-done
		o := r.outcomes[0]
		if len(o.Notes) != 2 || o.Sender != "a@example.org" || len(o.Recipients) != 1 || o.Helo != "client.example.org" || o.Client.IP != "192.0.2.7" || o.QueueID != "4XQ1" {
			t.Errorf("outcome %+v", o)
		}
		if before.ID != o.Session {
			t.Errorf("session %s became %s", before.ID, o.Session)
		}
		if n := len(r.logged("script error")); n != 2 {
			t.Errorf("%d warnings, want those of b and c", n)
		}
		// The next session on the connection has a fresh world.
		s.when = func(*play) bool { return false }
		c.actors[1].on[filter.EOM] = pass
		c.take()
		r.say("quitnc", "connect", "mail <c@example.org>", "eom")
		c.called(t, "a.mail c@example.org", "a.eom", "b.eom", "c.eom")
	})
}

// TestOverrunIsBelieved: a handler that was given up has no say, whatever it
// returns in the end.
func TestOverrunIsBelieved(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"nil": nil, "a fault": &filter.ScriptError{Message: "x"}, "a dropped world": &filter.ScriptError{Message: "x", Dropped: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStuck()
				s.err = err
				c := newCast(script("a", on{filter.Mail: s.call, filter.Abort: pass}), script("b", on{filter.Mail: pass}))
				r := newRig(t, c)
				r.say("mail <a@example.org> -> " + gone)
				s.let()
				c.called(t, "a.mail a@example.org")
				if len(r.outcomes) != 1 || len(r.logged("script error")) != 1 {
					t.Errorf("outcomes %v, warnings %v", r.outcomes, r.logged("script error"))
				}
			})
		})
	}
}

// TestOverrunCountsNothingTwice: what the stuck conn had taken in is not taken
// in again by its successor.
func TestOverrunCountsNothingTwice(t *testing.T) {
	t.Parallel()
	ok := onError(filter.Accept)
	t.Run("field", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStuck()
			set := with(func(p *play) error { return p.m.SetHeader("X-A", "2") })
			r := newRig(t, newCast(script("a", on{filter.Mail: set}, ok), script("b", on{filter.Header: s.call}, ok, early)))
			r.say("mail <a@example.org>", "header X-A: 1", "eom")
			r.did("change header X-A (number 1):  2")
			s.let()
		})
	})
	t.Run("chunk", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStuck()
			r := newRig(t, newCast(script("a", on{filter.Mail: addHeader("X-A", "b"), filter.Body: s.call}, ok, early), script("b", on{filter.EOM: pass}, ok)))
			r.say("mail <a@example.org>", "body 12345", "body 67890", "eom")
			if o := r.outcomes[0]; o.Size != 10 {
				t.Errorf("%d bytes", o.Size)
			}
			s.let()
		})
	})
	t.Run("the message before", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStuck()
			r := newRig(t, newCast(script("a", on{filter.Mail: addHeader("X-A", "b"), filter.Abort: s.call}, ok)))
			r.say("mail <a@example.org>", "rcpt <b@example.net>", "mail <c@example.org>", "rcpt <d@example.net>", "eom")
			if o := r.outcomes[0]; o.Sender != "c@example.org" || len(o.Recipients) != 1 || o.Recipients[0] != "d@example.net" {
				t.Errorf("outcome %+v", o)
			}
			r.did()
			s.let()
		})
	})
	t.Run("phases before", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStuck()
			r := newRig(t, newCast(script("a", on{filter.Header: pass, filter.Body: pass}), script("b", on{filter.EOM: s.call}, ok)))
			r.say("mail <a@example.org>", "header X-A: 1", "body x", "eom")
			s.let()
		})
	})
	t.Run("the last field", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStuck()
			s.when = func(p *play) bool { return p.c.HeaderName == "B" }
			r := newRig(t, newCast(script("a", on{filter.Header: pass}), script("b", on{filter.Header: s.call}, ok)))
			r.say("mail <a@example.org>", "header A: 1", "header B: 2", "eom")
			s.let()
		})
	})
}

// TestOverrunAtAField: every script must have been asked about every field, or
// its on_error counts.
func TestOverrunAtAField(t *testing.T) {
	t.Parallel()
	for _, p := range []filter.Phase{filter.Header, filter.Body} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStuck()
				asked := 0
				s.when = func(*play) bool { asked++; return asked == 2 }
				c := newCast(script("a", on{p: pass}), script("b", on{p: s.call}, onError(filter.Accept)))
				r := newRig(t, c)
				r.say("mail <a@example.org>", "header A: 1", "header B: 2", "header C: 3", "eoh")
				for range 3 {
					r.say("body " + strings.Repeat("x", 65535))
				}
				r.say("eom -> " + gone) // of a, which did not see the third
				s.let()
				if n := len(c.take()); n != 4 {
					t.Errorf("%d calls, want 4", n)
				}
				if o := r.outcomes[0]; o.Script != "a" {
					t.Errorf("decided by %s", o.Script)
				}
			})
		})
	}
}
