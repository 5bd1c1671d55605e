package integration

import (
	"strings"
	"testing"

	"pmilter/internal/sendmailtest"
)

// completing are the flags of a mailer that gives a message the Date, From and
// Message-Id that it lacks, as those of Sendmail's own mailers do.
const completing = "DFMmzXu8k"

// headerCase is a message and what becomes of its header.
type headerCase struct {
	name, script string
	sent, want   string // fields, joined by "|"; "*" as a value stands for any
}

// playHeaders sends the messages and compares the headers that are delivered,
// right away and through the queue.
func playHeaders(t *testing.T, mailer string, cases []headerCase) {
	t.Helper()
	for _, mode := range []string{"i", "q"} {
		m := startSendmail(t, sendmailtest.Config{Mailer: mailer, Delivery: mode})
		for _, c := range cases {
			t.Run(mode+" "+c.name, func(t *testing.T) {
				m.serve(t, one(c.script), nil)
				client := m.Dial(t)
				client.Cmd("EHLO client.example.org")
				reply := client.Send("a@example.org", []string{"b@example.org"}, strings.ReplaceAll(c.sent, "|", "\r\n")+"\r\n\r\nx\r\n")
				client.Cmd("QUIT")
				mail := m.Sink.Wait(t, reply.QueueID())
				mail.Data = []byte(mail.Plain())
				got := mail.Fields()
				for i, want := range strings.Split(c.want, "|") {
					if name, ok := strings.CutSuffix(want, "*"); ok && i < len(got) && strings.HasPrefix(got[i], name) {
						got[i] = want
					}
				}
				if got := strings.Join(got, "|"); got != c.want {
					t.Errorf("delivered\n%q, want\n%q", got, c.want)
				}
			})
		}
	}
}

// What a script puts beside a field that Sendmail would write itself, or in the
// place of one, ends as the model says; Sendmail writes none of its own then.
func TestSendmailTrap16OwnFields(t *testing.T) {
	own := "Date: *|From: *|Message-Id: *|"
	three := "Message-Id: <m@example.org>|From: f@example.org|Date: then|"
	playHeaders(t, completing, []headerCase{
		{"untouched", eom(""), "Subject: s", own + "Subject: s"},
		{"complete", eom(""), three + "Subject: s", three + "Subject: s"},
		{
			"set", eom(`h.set("Message-ID", "<n@example.org>"); h.set("date", "today"); h.set("From", "x@example.org");`),
			"Subject: s", "Subject: s|Message-ID: <n@example.org>|date: today|From: x@example.org",
		},
		{
			"prepended, inserted, added", eom(`h.prepend("Message-ID", "<n@example.org>"); h.insert(2, "From", "f@example.org"); h.add("Date", "today");`),
			"Subject: s|X-A: 1", "Message-ID: <n@example.org>|Subject: s|From: f@example.org|X-A: 1|Date: today",
		},
		{"removed", eom(`h.remove("Message-ID"); h.remove("From"); h.remove("Date");`), three + "Subject: s", "Subject: s"},
		{
			"removed and added", eom(`for (const name of ["Message-ID", "From", "Date"]) { h.remove(name); h.add(name, "n"); }`),
			three + "Subject: s", "Subject: s|Message-ID: n|From: n|Date: n",
		},
		{
			"twice", eom(`h.add("Date", "one"); h.add("Date", "two");`),
			"Subject: s", "From: *|Message-Id: *|Subject: s|Date: one|Date: two",
		},
		{
			"resent", eom(`h.add("Resent-Date", "today");`),
			three + "Resent-From: r@example.org", "Resent-Message-Id: *|" + three + "Resent-From: r@example.org|Resent-Date: today",
		},
		{
			// It takes the place of Sendmail's own: nobody knows whether one arrived.
			"added without looking", `export function rcpt(session) { session.message.headers.add("Message-Id", "<n@example.org>"); }`,
			"Subject: s", "Date: *|From: *|Message-Id: <n@example.org>|Subject: s",
		},
		{
			"Received", eom(`h.remove("Received"); h.prepend("Received", "by top"); h.add("Received", "by end");`),
			three + "Received: one|Received: two", "Received: by top|" + three + "Received: by end",
		},
	})
}

// Where Sendmail has a way of its own, whoever adds the field: it empties Bcc,
// drops fields that it alone may write, and Resent- fields when nothing else
// says that the message was sent again, and sets lists of addresses anew.
func TestSendmailOwnWay(t *testing.T) {
	add := func(fields ...string) string {
		var b strings.Builder
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			b.WriteString(`h.add("` + name + `", "` + value + `");`)
		}
		return eom(b.String())
	}
	playHeaders(t, "", []headerCase{
		{"Bcc", add("Bcc: c@example.org"), "To: b@example.org|Bcc: d@example.org", "To: b@example.org"},
		{"Return-Path", add("Return-Path: <r@example.org>"), "Return-Path: <q@example.org>|Subject: s", "Subject: s"},
		{"Content-Length", add("Content-Length: 5"), "Content-Length: 5|Subject: s", "Subject: s"},
		{"Full-Name", add("Full-Name: x"), "Full-Name: x|Subject: s", "Subject: s"},
		{"Resent-From", add("Resent-From: r@example.org"), "Subject: s", "Subject: s"},
		{
			"lists", add("Cc: a@example.org,b@example.org"), "To: a@example.org,b@example.org,\r\n\t\"C, D\" <c@example.org>",
			"To: a@example.org, b@example.org, \"C, D\" <c@example.org>|Cc: a@example.org, b@example.org",
		},
		{"one address", add("Cc:  a@example.org"), "From:\"A, B\"   <a@example.org>  (c)|To: b@example.org", "From:\"A, B\"   <a@example.org>  (c)|To: b@example.org|Cc:  a@example.org"},
	})
}

// A header of 30 KB, in long lines and in many fields, and a body of megabytes,
// with every part looked at, several on a connection.
func TestSendmailTrap08Large(t *testing.T) {
	var header strings.Builder
	for range 15 {
		header.WriteString("X-Long: " + strings.Repeat("0123456789 ", 90) + "end\r\n\t" + strings.Repeat("x", 900) + "\r\n")
	}
	header.WriteString("Subject: large\r\n")
	body := "\r\n" + strings.Repeat(strings.Repeat("0123456789", 7)+"\r\n", 40000)
	script := `
	export function header() {}
	export function eoh() {}
	export function body(session, chunk) { session.message.state.size = (session.message.state.size || 0) + chunk.length; }
	` + eom(`h.add("X-Size", m.state.size + " " + m.body.length);`)
	for _, early := range []string{"", "export const options = { early: true };\n"} {
		m := startSendmail(t, sendmailtest.Config{})
		m.serve(t, one(early+script), nil)
		c := m.Dial(t)
		c.Cmd("EHLO client.example.org")
		for range 3 {
			reply := c.Send("a@example.org", []string{"b@example.org"}, header.String()+body)
			if reply.Code() != 250 {
				t.Fatal(reply)
			}
			got := m.Sink.Wait(t, reply.QueueID()).Plain()
			if want := header.String() + "X-Size: 2880000 2880000\r\n" + body; got != want {
				t.Errorf("delivered %d bytes, want %d: %.3000s", len(got), len(want), got)
			}
		}
		c.Cmd("QUIT")
	}
}
