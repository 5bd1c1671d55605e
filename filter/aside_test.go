package filter_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pmilter/filter"
)

// told is what a rig's filter told aside, and of an outcome what explains it.
func told(list *[]string) option {
	return set(func(o *filter.Options) {
		o.Aside = func(o *filter.Outcome) {
			var notes, queues []string
			for _, n := range o.Notes {
				notes = append(notes, n.Reason)
			}
			for _, q := range o.Queued {
				queues = append(queues, q.Queue+q.ID)
			}
			*list = append(*list, fmt.Sprintf("%s in %s of <%s> to %v%s by %q at %s: %q would be %v, edits %v queued %v notes %v, %s",
				o.Subject(), o.Phase, o.Sender, o.Recipients, o.Recipient, o.Script, o.Where, o.Fault, o.WouldBe, o.Edits, queues, notes, o.Verdict.Action))
		}
	})
}

func noted(reason string) func(*play) (filter.Verdict, error) {
	return with(func(p *play) error { p.s.AddNote(filter.Note{Reason: reason}); return nil })
}

// TestAside: what decides nothing is told, once, and what an outcome tells is not.
func TestAside(t *testing.T) {
	t.Parallel()
	accepts := func(s *filter.Script) { s.OnError = filter.Accept }
	const fault = `"TypeError: x is not a function" would be false, edits [] queued [] notes [], continue`
	for _, tt := range []struct {
		name   string
		actors []*actor
		steps  []string
		want   []string
	}{
		{"an outcome has it", []*actor{script("a", on{filter.Mail: fails})}, []string{
			"connect", "mail <a@x> -> tempfail 451 4.3.0 Message filter error, try again later",
		}, nil},
		{"passed over", []*actor{script("a", on{filter.Data: fails, filter.EOM: pass}, accepts), script("z", on{filter.EOM: pass})}, []string{"connect", "mail <a@x>", "rcpt <b@y>", "data", "eom"}, []string{
			`message in data of <a@x> to [b@y] by "thrower" at thrower.js:7:3: ` + fault,
		}},
		{"of a recipient", []*actor{script("a", on{filter.Rcpt: fails, filter.EOM: pass}, accepts), script("z", on{filter.EOM: pass})}, []string{"connect", "mail <a@x>", "rcpt <b@y>", "eom"}, []string{
			`recipient in rcpt of <a@x> to []b@y by "thrower" at thrower.js:7:3: ` + fault,
		}},
		{"in abort and close", []*actor{script("a", on{filter.Mail: pass, filter.Abort: fails, filter.Close: fails})}, []string{"connect", "mail <a@x>", "abort"}, []string{
			`message in abort of <a@x> to [] by "thrower" at thrower.js:7:3: ` + fault,
			`connection in close of <> to [] by "thrower" at thrower.js:7:3: ` + fault,
		}},
		{"observed", []*actor{script("a", on{filter.EOM: addHeader("X-A", "b")}, observe)}, []string{"connect", "mail <a@x>", "rcpt <b@y>", "eom"}, []string{
			`message in eom of <a@x> to [b@y] by "a" at : "" would be true, edits [add X-A] queued [] notes [], continue`,
		}},
		{"notes without an outcome", []*actor{script("a", on{filter.Connect: noted("c"), filter.Mail: noted("m"), filter.Close: noted("z")})}, []string{"connect", "mail <a@x>", "abort"}, []string{
			`message in abort of <a@x> to [] by "" at : "" would be false, edits [] queued [] notes [c m], continue`,
			`connection in close of <> to [] by "" at : "" would be false, edits [] queued [] notes [c z], continue`,
		}},
		{"notes that an outcome had", []*actor{script("a", on{filter.Connect: noted("c"), filter.Mail: noted("m"), filter.Rcpt: does(filter.Reject)})}, []string{
			"connect", "mail <a@x>", "rcpt <b@y> -> reject 550 5.7.1 no", "abort",
		}, nil},
		{"a note of a connection alone", []*actor{script("a", on{filter.Connect: noted("c")})}, []string{"connect"}, []string{
			`connection in close of <> to [] by "" at : "" would be false, edits [] queued [] notes [c], continue`,
		}},
		{"nor with a message that has none of its own", []*actor{script("a", on{filter.Connect: noted("c"), filter.Mail: pass, filter.Abort: pass})}, []string{"connect", "mail <a@x>", "abort"}, []string{
			`connection in close of <> to [] by "" at : "" would be false, edits [] queued [] notes [c], continue`,
		}},
		{"nothing to tell", []*actor{script("a", on{filter.Mail: pass, filter.Abort: pass, filter.Close: pass})}, []string{"connect", "mail <a@x>", "abort", "mail <a@x>", "eom"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got []string
				r := newRig(t, newCast(tt.actors...), told(&got))
				r.say(tt.steps...)
				r.hangUp()
				if !slices.Equal(got, tt.want) {
					t.Errorf("got\n%q\nwant\n%q", got, tt.want)
				}
			})
		})
	}
}

// TestMessageID: as it arrived, when the message was looked at.
func TestMessageID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCast(script("a", on{filter.EOM: pass})))
		r.envelope()
		r.say(`header message-ID:\n <1@x>`, "header Message-ID: <2@x>", "eoh", "eom")
		r.envelope()
		r.say("header Subject: none", "eom")
		if len(r.outcomes) != 2 || r.outcomes[0].MessageID != "<1@x>" || r.outcomes[1].MessageID != "" {
			t.Errorf("%+v", r.outcomes)
		}
	})
}

// TestAsideOfAnOverrunInAbort: nobody answers that anew, and yet it is told.
func TestAsideOfAnOverrunInAbort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStuck()
		var aside []string
		r := newRig(t, newCast(script("b", on{filter.Mail: pass, filter.Abort: s.call})), told(&aside))
		r.say("connect", "mail <a@x>", "abort")
		<-time.After(10 * time.Second)
		synctest.Wait()
		if want := []string{`message in abort of <a@x> to [] by "stuck" at : "ran too long" would be false, edits [] queued [] notes [], continue`}; !slices.Equal(aside, want) {
			t.Errorf("told aside %q, want %q", aside, want)
		}
		s.let()
	})
}
