package filter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pmilter/filter"
	"pmilter/internal/mta"
)

// shelf is a Spool in memory. What it is given it notes as
// "queue verdict complete sender>recipients header|body".
type shelf struct {
	mu     sync.Mutex
	events []string
	puts   int
	fail   error
	hang   chan struct{} // when set, Put does not return the content before this is closed
}

func (s *shelf) Has(queue string) bool { return slices.Contains(s.Names(), queue) }

func (s *shelf) Names() []string { return []string{"archive", "bad"} }

func (s *shelf) Put(ctx context.Context, m *filter.QueuedMail, free func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	if s.hang != nil {
		body := m.Body
		go func() {
			<-s.hang
			if string(body) != "text" {
				panic("the body was taken away")
			}
			free()
		}()
		<-ctx.Done()
		return context.Cause(ctx)
	}
	defer free()
	if s.fail != nil {
		return s.fail
	}
	whole := map[bool]string{true: "whole", false: "part"}[m.Complete]
	for i, q := range m.Events {
		q.ID = fmt.Sprint("id", len(s.events)+i)
		s.events = append(s.events, fmt.Sprintf("%s%s %s %s %s>%s %s|%s", q.Queue, q.Data, m.Verdict, whole, m.Sender,
			strings.Join(m.Recipients, ","), strings.ReplaceAll(string(m.Header), "\r\n", "~"), m.Body))
	}
	return nil
}

// has compares what was put since the last time.
func (s *shelf) has(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.events, append([]string(nil), want...)) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(s.events, "\n"), strings.Join(want, "\n"))
	}
	s.events = nil
}

func shelved(s *shelf) option {
	return func(o *filter.Options, _ *mta.Options) { o.Spool = s }
}

func queues(s *filter.Script) { s.Queues, s.Headers, s.Body = true, true, true }

// enqueues asks for an event; "any " before the queue's name is when: any.
func enqueues(names ...string) func(*play) (filter.Verdict, error) {
	return with(func(p *play) error {
		for _, name := range names {
			queue, any := strings.CutPrefix(name, "any ")
			if err := p.m.Enqueue(filter.Queued{Queue: queue, Any: any}); err != nil {
				return err
			}
		}
		return nil
	})
}

func both(a, b func(*play) (filter.Verdict, error)) func(*play) (filter.Verdict, error) {
	return func(p *play) (filter.Verdict, error) {
		if v, err := a(p); err != nil {
			return v, err
		}
		return b(p)
	}
}

const wholeMail = "whole a@example.org>b@example.net Subject: hello~~|text"

func TestQueue(t *testing.T) {
	t.Parallel()
	const mail, rcpt, eom, abort = filter.Mail, filter.Rcpt, filter.EOM, filter.Abort
	reject, discard := does(filter.Reject), does(filter.Discard)
	tests := []struct {
		name   string
		cast   []*actor
		answer string // to EOM
		want   []string
	}{
		{"in any phase, as the message ends", []*actor{script("a", on{mail: enqueues("archive"), eom: func(p *play) (filter.Verdict, error) {
			return filter.Verdict{}, errors.Join(p.m.AddHeader("X-A", "1"), p.m.AddRecipient("c@example.net", ""), p.m.ReplaceBody([]byte("new")))
		}}, queues)}, "continue", []string{"archive accept whole a@example.org>b@example.net,c@example.net Subject: hello~X-A: 1~~|new"}},
		{"data", []*actor{script("a", on{eom: with(func(p *play) error {
			return p.m.Enqueue(filter.Queued{Queue: "archive", Data: []byte(`{"x":1}`)})
		})}, queues)}, "continue", []string{`archive{"x":1} accept ` + wholeMail}},
		{
			"twice is two",
			[]*actor{script("a", on{eom: enqueues("archive", "any bad", "archive")}, queues)},
			"continue",
			[]string{"archive accept " + wholeMail, "bad accept " + wholeMail, "archive accept " + wholeMail},
		},
		{
			"a script that has accepted",
			[]*actor{script("a", on{rcpt: both(enqueues("archive"), does(filter.Accept))}, queues)},
			"continue",
			[]string{"archive accept " + wholeMail},
		},
		{
			"refused: only any",
			[]*actor{script("a", on{mail: enqueues("archive", "any bad")}, queues), script("b", on{eom: reject})},
			"reject 550 5.7.1 no",
			[]string{"bad reject " + wholeMail},
		},
		{
			"discarded: only any",
			[]*actor{script("a", on{mail: enqueues("archive", "any bad")}, queues), script("b", on{eom: discard})},
			"discard",
			[]string{"bad discard " + wholeMail},
		},
		{
			"refused, and nobody wants it",
			[]*actor{script("a", on{mail: enqueues("archive")}, queues), script("b", on{eom: reject})},
			"reject 550 5.7.1 no", nil,
		},
		{
			"undone with the call",
			[]*actor{script("a", on{mail: enqueues("archive"), eom: both(enqueues("any bad"), fails)}, queues, onError(filter.Accept))},
			"continue",
			[]string{"archive accept " + wholeMail},
		},
		{
			"observed",
			[]*actor{script("a", on{eom: enqueues("any bad")}, queues, observe), script("b", on{eom: enqueues("archive")})},
			"continue",
			[]string{"archive accept " + wholeMail},
		},
		{
			"an abort handler's, after a refusal",
			[]*actor{script("a", on{eom: reject, mail: pass, abort: enqueues("archive", "any bad")}, queues)},
			"reject 550 5.7.1 no",
			[]string{"bad reject " + wholeMail},
		},
		{
			"an abort handler's that fails",
			[]*actor{script("a", on{eom: reject, mail: pass, abort: both(enqueues("any bad"), fails)}, queues)},
			"reject 550 5.7.1 no", nil,
		},
		{
			"an abort handler's that observes",
			[]*actor{script("a", on{mail: pass, abort: enqueues("any bad")}, queues, observe), script("b", on{eom: reject})},
			"reject 550 5.7.1 no", nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{}
				r := newRig(t, newCast(tt.cast...), shelved(s))
				r.envelope()
				r.content(tt.answer)
				s.has(t, tt.want...)
				r.say("mail <a@example.org>", "abort") // nothing is left for the next
				s.events = slices.DeleteFunc(s.events, func(e string) bool { return strings.Contains(e, " abort ") })
				r.hangUp()
				s.has(t)
			})
		})
	}
}

func TestQueueLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		r := newRig(t, newCast(script("a", on{filter.EOM: enqueues("archive", "any bad")}, queues),
			script("o", on{filter.EOM: enqueues("archive")}, observe)), shelved(s))
		r.envelope()
		r.content("continue")
		o := r.outcomes[0]
		if len(o.Queued) != 2 || o.Queued[0].ID != "id0" || o.Queued[1].Queue != "bad" || !o.Queued[1].Any {
			t.Errorf("outcome's queued: %+v", o.Queued)
		}
		if lines := r.logged("message"); len(lines) != 1 || fmt.Sprint(lines[0]["queued"]) != "[archive bad]" {
			t.Errorf("log %v", lines)
		}
		if lines := r.logged("message would be queued"); len(lines) != 1 || lines[0]["script"] != "o" || fmt.Sprint(lines[0]["queues"]) != "[archive]" {
			t.Errorf("log %v", lines)
		}
	})
}

// TestQueueFails: when nothing can be written the client must come again,
// whatever the verdict was to be, and no edit is done.
func TestQueueFails(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(*play) (filter.Verdict, error){
		"accept": addHeader("X-A", "1"), "reject": does(filter.Reject), "discard": does(filter.Discard),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{fail: errors.New("disk is full")}
				r := newRig(t, newCast(script("a", on{filter.Mail: enqueues("any bad"), filter.EOM: then}, queues)), shelved(s))
				r.envelope()
				r.content("tempfail 451 4.3.0 Message filter error, try again later")
				r.did()
				if s.puts != 1 {
					t.Errorf("%d puts", s.puts)
				}
				lines := r.logged("message cannot be queued")
				if len(lines) != 1 || lines[0]["error"] != "disk is full" || fmt.Sprint(lines[0]["queues"]) != "[bad]" {
					t.Errorf("log %v", lines)
				}
				s.fail = nil
				r.say("mail <a@example.org>", "abort") // goes on
				s.has(t, "bad abort part a@example.org> ~|")
			})
		})
	}
}

// TestQueueHangs: the answer does not wait for a disk for ever, and the disk
// keeps the body until it lets go of it.
func TestQueueHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hang: make(chan struct{})}
		r := newRig(t, newCast(script("a", on{filter.EOM: enqueues("archive")}, queues)), shelved(s))
		r.envelope()
		start := time.Now()
		r.content("tempfail 451 4.3.0 Message filter error, try again later")
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("waited %v", waited)
		}
		r.say("mail <a@example.org>", "abort")
		close(s.hang)
		synctest.Wait()
	})
}

func TestQueueAborted(t *testing.T) {
	t.Parallel()
	for end, do := range map[string]func(r *rig){
		"abort":   func(r *rig) { r.say("abort") },
		"quitnc":  func(r *rig) { r.say("quitnc") },
		"hang up": func(r *rig) { r.hangUp() },
		"mail":    func(r *rig) { r.say("mail <x@example.org>", "rcpt <y@example.org>") }, // sends what no reply is waited for, too
	} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{}
				var aside []string
				r := newRig(t, newCast(script("a", on{filter.Rcpt: enqueues("archive", "any bad")}, queues)), shelved(s), told(&aside))
				r.envelope()
				r.say("header Subject: hello", "eoh", "body some")
				do(r)
				synctest.Wait()
				want := "bad abort part a@example.org>b@example.net Subject: hello~~|some"
				if end == "hang up" { // the client had not sent them
					want = "bad abort part a@example.org>b@example.net ~|"
				}
				s.has(t, want)
				if lines := r.logged("ended message queued"); len(lines) != 1 || lines[0]["verdict"] != "abort" {
					t.Errorf("log %v", lines)
				}
				if len(aside) != 1 || !strings.Contains(aside[0], "queued [badid0]") {
					t.Errorf("told aside %q", aside)
				}
			})
		})
	}
}

// TestQueueRefusedEarly: what had arrived.
func TestQueueRefusedEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		r := newRig(t, newCast(script("a", on{filter.Mail: enqueues("any bad"), filter.Data: does(filter.Reject)}, queues)), shelved(s))
		r.say("connect", "helo x", "mail <a@example.org>", "rcpt <b@example.net>", "data -> reject 550 5.7.1 no")
		s.has(t, "bad reject part a@example.org>b@example.net ~|")
	})
}

// TestQueueWaitsForTheEnd: an accept does not go out early, nor a skip, when the
// message is to be queued.
func TestQueueWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		skips := func(p *play) (filter.Verdict, error) {
			return filter.Verdict{Action: filter.Skip}, p.m.Enqueue(filter.Queued{Queue: "archive"})
		}
		r := newRig(t, newCast(script("a", on{filter.Body: skips}, queues, early), script("b", on{filter.Mail: does(filter.Accept)})), shelved(s))
		r.envelope()
		r.say("header Subject: hello", "eoh", "body one", "body two", "eom")
		s.has(t, "archive accept whole a@example.org>b@example.net Subject: hello~~|onetwo")
	})
}

// TestQueueWithoutBody: a script's options say that no body is needed.
func TestQueueWithoutBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		r := newRig(t, newCast(script("a", on{filter.Mail: enqueues("archive")}, queues, func(s *filter.Script) { s.Body = false })), shelved(s))
		r.envelope()
		r.say("header Subject: hello", "eom")
		s.has(t, "archive accept part a@example.org>b@example.net Subject: hello~~|")
	})
}

func TestQueueMistakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		many := with(func(p *play) error {
			for range 101 {
				if err := p.m.Enqueue(filter.Queued{Queue: "archive"}); err != nil {
					return err
				}
			}
			return nil
		})
		big := with(func(p *play) error {
			for range 3 {
				if err := p.m.Enqueue(filter.Queued{Queue: "archive", Data: make([]byte, 2<<20)}); err != nil {
					return err
				}
			}
			return nil
		})
		s := &shelf{}
		r := newRig(t, newCast(script("a", on{filter.Mail: enqueues("arcive")}), script("b", on{filter.Rcpt: many}), script("c", on{filter.Data: big})),
			shelved(s), func(o *filter.Options, _ *mta.Options) { o.OnError = filter.Accept })
		r.say("connect", "mail <a@example.org>", "rcpt <b@example.net>", "data -> accept")
		var got []string
		for _, line := range r.logged("script error") {
			got = append(got, fmt.Sprint(line["error"]))
		}
		if want := []string{
			`there is no queue "arcive": the configuration has archive, bad`, "more than 100 events of one message",
			"the data of one message's events is over 4194304 bytes",
		}; !slices.Equal(got, want) {
			t.Errorf("errors %q", got)
		}
		r.hangUp()
		s.has(t)
	})
}

func TestQueueWithoutQueues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCast(script("a", on{filter.Mail: enqueues("archive")})))
		r.say("connect", "mail <a@example.org> -> tempfail 451 4.3.0 Message filter error, try again later")
		if lines := r.logged("script error"); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["error"]), "has no [queue.NAME]") {
			t.Errorf("log %v", lines)
		}
	})
}

// TestQueueOverrun: a script that gets stuck after another has asked for events:
// none is lost that was promised, none is written twice.
func TestQueueOverrun(t *testing.T) {
	t.Parallel()
	const put, later = "tempfail 451 4.3.0 Message filter error, try again later", gone
	tests := []struct {
		name   string
		phase  filter.Phase
		action filter.Action
		steps  string
		want   []string
	}{
		{
			"before the content, accepted", filter.Data, filter.Accept,
			"data|header Subject: hello|eoh|body text|eom",
			[]string{"archive accept " + wholeMail, "bad accept " + wholeMail},
		},
		{"before the content, put off", filter.Data, filter.Tempfail, "data -> " + later, []string{"bad tempfail part a@example.org>b@example.net ~|"}},
		{
			"at the end, accepted: the body is with the stuck one", filter.EOM, filter.Accept,
			"header Subject: hello|eoh|body text|eom -> " + put,
			[]string{"bad tempfail part a@example.org>b@example.net Subject: hello~~|"},
		},
		{
			"at the end, put off", filter.EOM, filter.Tempfail,
			"header Subject: hello|eoh|body text|eom -> " + put,
			[]string{"bad tempfail part a@example.org>b@example.net Subject: hello~~|"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, stuck := &shelf{}, newStuck()
				stuck.then = func(p *play) { _ = p.m.Enqueue(filter.Queued{Queue: "bad", Any: true}) }
				c := newCast(script("a", on{filter.Mail: enqueues("archive", "any bad")}, queues),
					script("b", on{tt.phase: stuck.call}, onError(tt.action)))
				r := newRig(t, c, shelved(s))
				r.say("connect", "helo x", "mail <a@example.org>", "rcpt <b@example.net>")
				r.say(strings.Split(tt.steps, "|")...)
				s.has(t, tt.want...)
				stuck.let()
				r.say("abort")
				r.hangUp()
				s.has(t)
			})
		})
	}
}

// TestQueueOverrunInAbort: the refusal stands, and its events are there once.
func TestQueueOverrunInAbort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stuck := &shelf{}, newStuck()
		c := newCast(script("a", on{filter.Mail: enqueues("any bad"), filter.Abort: enqueues("any archive")}, queues),
			script("b", on{filter.Mail: pass, filter.EOM: does(filter.Reject), filter.Abort: stuck.call}))
		r := newRig(t, c, shelved(s))
		r.envelope()
		r.content("reject 550 5.7.1 no")
		s.has(t, "bad reject "+wholeMail, "archive reject part a@example.org>b@example.net Subject: hello~~|")
		stuck.let()
		r.hangUp()
		s.has(t)
	})
}
