package filter_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"pmilter/filter"
)

func at(v filter.Verdict) filter.Verdict {
	v.Where = func() filter.Position { return filter.Position{File: "10-test.js", Line: 3, Column: 9} }
	return v
}

func TestOneLineForAFinishedMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCast(
			script("10-test.js", on{
				filter.Connect: with(func(p *play) error { p.s.AddNote(filter.Note{Script: "10-test.js", Reason: "seen"}); return nil }),
				filter.EOM: with(func(p *play) error {
					time.Sleep(250 * time.Millisecond)
					_ = p.m.SetSender("x@example.org", "")
					_ = p.m.AddRecipient("c@example.net", "")
					_ = p.m.Quarantine("odd")
					return p.m.AddHeader("X-A", "b")
				}),
			}),
			script("20-last.js", on{filter.EOM: func(p *play) (filter.Verdict, error) {
				if len(p.m.Recipients()) == 2 {
					return filter.Verdict{}, nil
				}
				return at(verdict(filter.Reject)), nil
			}}),
		)
		r := newRig(t, c)
		r.envelope()
		r.content("continue")
		r.say("abort", "mail <a@example.org>", "eom -> reject 550 5.7.1 no", "abort")
		lines := r.logs.FilterLevelExact(zapcore.InfoLevel).All()
		if len(lines) != 2 {
			t.Fatalf("%d lines, want one for each message: %v", len(lines), lines)
		}
		passed, refused := lines[0].ContextMap(), lines[1].ContextMap()
		want := map[string]any{
			"qid": "4XQ1", "client": "192.0.2.7", "client_name": "client.example.org", "helo": "client.example.org", "sender": "a@example.org",
			"recipients": []any{"b@example.net"}, "verdict": "accept", "phase": "eom", "quarantine": "odd", "script_ms": 250.0,
			"edits": []any{"sender x@example.org", "+rcpt c@example.net", "add X-A", "quarantine"},
		}
		for k, v := range want {
			if fmt.Sprint(passed[k]) != fmt.Sprint(v) {
				t.Errorf("%s is %v, want %v", k, passed[k], v)
			}
		}
		if passed["session"] == "" || passed["session"] != refused["session"] {
			t.Errorf("session %v, then %v", passed["session"], refused["session"])
		}
		want = map[string]any{
			"sender": "a@example.org", "verdict": "reject", "phase": "eom", "script": "20-last.js", "at": "10-test.js:3:9",
			"code": 550, "enhanced": "5.7.1", "text": "no", "edits": nil, "quarantine": nil,
		}
		for k, v := range want {
			if fmt.Sprint(refused[k]) != fmt.Sprint(v) {
				t.Errorf("%s is %v, want %v", k, refused[k], v)
			}
		}
		if lines[0].Message != "message" || lines[1].Message != "message" {
			t.Errorf("messages %q and %q", lines[0].Message, lines[1].Message)
		}
		for _, o := range r.outcomes { // a note of connect belongs to each message of the connection
			if len(o.Notes) != 1 || o.Notes[0].Reason != "seen" {
				t.Errorf("notes %v", o.Notes)
			}
		}
	})
}

func TestOneLineForARefusal(t *testing.T) {
	t.Parallel()
	tests := map[filter.Phase]struct{ steps, subject string }{
		filter.Connect: {"connect", "connection"},
		filter.Helo:    {"connect|helo x", "connection"},
		filter.Mail:    {"connect|mail <a@example.org>", "message"},
		filter.Rcpt:    {"connect|mail <a@example.org>|rcpt <b@example.net>", "recipient"},
		filter.Data:    {"connect|mail <a@example.org>|data", "message"},
		filter.Unknown: {"connect|unknown FOO", "command"},
	}
	for p, tt := range tests {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newCast(script("a", on{p: func(*play) (filter.Verdict, error) { return at(verdict(filter.Tempfail)), nil }})))
				steps := strings.Split(tt.steps, "|")
				steps[len(steps)-1] += " -> tempfail 451 4.7.1 later"
				r.say(steps...)
				lines := r.logged(tt.subject)
				if len(lines) != 1 || len(r.outcomes) != 1 {
					t.Fatalf("%d lines, %d outcomes", len(lines), len(r.outcomes))
				}
				l := lines[0]
				if l["verdict"] != "tempfail" || l["phase"] != p.String() || l["code"] != int64(451) || l["at"] != "10-test.js:3:9" || l["client"] != "192.0.2.7" {
					t.Errorf("line %v", l)
				}
				if p == filter.Rcpt && l["recipient"] != "b@example.net" {
					t.Errorf("line %v", l)
				}
			})
		})
	}
}

func TestWarningsSayWhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCast(script("a", on{filter.EOM: fails})))
		r.envelope()
		r.content("tempfail 451 4.3.0 Message filter error, try again later")
		warnings := r.logged("script error")
		if len(warnings) != 1 {
			t.Fatalf("%d warnings", len(warnings))
		}
		w := warnings[0]
		if w["script"] != "thrower" || w["line"] != int64(7) || w["at"] != "thrower.js:7:3" || w["qid"] != "4XQ1" || w["error"] != "TypeError: x is not a function" || w["session"] == "" {
			t.Errorf("warning %v", w)
		}
	})
}

// TestMailIsOnlyEverAField: no text of a client is in a log line's message.
func TestMailIsOnlyEverAField(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const evil = "EVIL"
		h := func(p *play) (filter.Verdict, error) {
			return filter.Verdict{Action: filter.Reject, Code: 550, Text: evil}, nil
		}
		c := newCast(script("a", on{filter.Helo: pass, filter.Rcpt: h, filter.EOM: func(p *play) (filter.Verdict, error) {
			_ = p.m.AddHeader(evil, evil)
			_ = p.m.Quarantine(evil)
			return filter.Verdict{}, nil
		}, filter.Unknown: h}), script("b", on{filter.Data: h, filter.EOM: with(func(p *play) error { return p.m.AddHeader(evil, evil) })}, observe))
		r := newRig(t, c, set(func(o *filter.Options) { o.MaxMessage, o.Oversize = 1000, filter.Accept }))
		r.say("connect", "helo "+evil, "mail <EVIL@example.org>", "rcpt <EVIL@example.net> -> reject 550 EVIL", "unknown EVIL -> reject 550 EVIL", "data")
		r.say("header EVIL: EVIL", "body EVIL", "eom", "mail <a@example.org>", "body "+strings.Repeat(evil, 300), "eom")
		seen := false
		for _, e := range r.logs.All() {
			if strings.Contains(e.Message, evil) {
				t.Errorf("%s", e.Message)
			}
			seen = seen || strings.Contains(fmt.Sprint(e.ContextMap()), evil)
		}
		if !seen {
			t.Error("nothing of the mail is in the log at all")
		}
	})
}

func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCast(script("a", on{filter.Mail: with(func(p *play) error {
			for i := range 1000 {
				if p.s.AddNote(filter.Note{Reason: "x", Values: map[string]any{"i": i}}) != (i < 100) {
					t.Errorf("note %d", i)
				}
			}
			return nil
		}), filter.EOM: pass})))
		r.say("mail <a@example.org>", "eom", "mail <a@example.org>", "eom")
		for _, o := range r.outcomes {
			if len(o.Notes) != 100 {
				t.Errorf("%d notes", len(o.Notes))
			}
		}
		if _, err := json.Marshal(r.outcomes[0].Notes); err != nil {
			t.Error(err)
		}
	})
}

func TestConfigureIsForNewConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCast(script("a", on{filter.Mail: fails}))
		r := newRig(t, c)
		r.say("connect")
		r.filter.Configure(filter.Options{Scripts: func() filter.Scripts { return c }, OnError: filter.Accept})
		r.say("mail <a@example.org> -> tempfail 451 4.3.0 Message filter error, try again later")
	})
}

func TestSessionFacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []string
		fact := with(func(p *play) error {
			s := p.s
			got = append(got, p.c.Phase.String(), s.Client.Name, s.Helo, s.QueueID(), s.MTA().Hostname, s.MTA().Daemon, s.Macro("{daemon_name}"))
			_, tls := s.TLS()
			_, auth := s.Auth()
			if tls || auth || (s.Message != nil) != (p.c.Phase >= filter.Mail && p.c.Phase != filter.Close) || s.Listener != "inet:8890" {
				t.Errorf("in %s: %+v", p.c.Phase, s)
			}
			return nil
		})
		r := newRig(t, newCast(script("a", on{filter.Connect: fact, filter.Helo: fact, filter.Mail: fact, filter.EOM: fact, filter.Close: fact})))
		r.say("helo x", "connect", "mail <a@example.org>", "eom")
		r.hangUp()
		want := []string{
			"helo", "", "x", "", "", "", "",
			"connect", "client.example.org", "x", "", "mx.example.net", "smtpd", "smtpd",
			"mail", "client.example.org", "x", "", "mx.example.net", "smtpd", "smtpd",
			"eom", "client.example.org", "x", "4XQ1", "mx.example.net", "smtpd", "smtpd",
			"close", "client.example.org", "x", "", "mx.example.net", "smtpd", "smtpd",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}
