package integration

import (
	"strings"
	"testing"

	"pmilter/internal/postfixtest"
)

// Mail from sendmail -t, through non_smtpd_milters.
func TestTrap24Sendmail(t *testing.T) {
	m := startMTA(t, nil)
	m.serve(t, one(`
	const seen = [];
	export function connect(session) { seen.push("connect", session.client.name, session.client.ip, session.client.port); }
	export function helo(session, name) { seen.push("helo", name); }
	export function mail(session, a) { seen.push("mail", a.address, session.queueId !== ""); }
	export function rcpt(session, a) { seen.push("rcpt", a.address); }
	export function eom(session) { session.message.headers.add("X-Seen", seen.join(" ")); }
	`), nil)
	for _, c := range []struct{ name, sender, want string }{
		{"sender", "a@example.org", "connect localhost 127.0.0.1 0 helo localhost mail a@example.org true rcpt b@example.org rcpt c@example.net"},
		{"null sender", "<>", "connect localhost 127.0.0.1 0 helo localhost mail  true rcpt b@example.org rcpt c@example.net"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.Sendmail(t, "To: b@example.org, c@example.net\nSubject: "+c.name+"\n\nlocal\n", "-t", "-f", c.sender)
			mail := m.Sink.WaitFor(t, "the mail", func(mail *postfixtest.Mail) bool {
				return strings.Contains(mail.Header(), "Subject: "+c.name+"\r\n")
			})
			if !strings.Contains(mail.Header(), "\r\nX-Seen: "+c.want+"\r\n") {
				t.Errorf("got\n%swant X-Seen: %s", mail.Header(), c.want)
			}
			if string(mail.Body()) != "local\r\n" || len(mail.Recipients) != 2 {
				t.Errorf("mail: %q %q", mail.Recipients, mail.Body())
			}
		})
	}
}

// A refused recipient of such mail leaves it in the queue; a script can tell.
func TestTrap23NotBySMTP(t *testing.T) {
	m := startMTA(t, nil)
	s := m.serve(t, one(`export function rcpt(session) { return reject("no " + session.client.port); }`), nil)
	m.Sendmail(t, "To: b@example.org\nSubject: stays\n\nx\n", "-t", "-f", "a@example.org")
	m.WaitLog(t, "milter configuration error")
	if n := len(m.Sink.Mails()); n > 0 {
		t.Errorf("%d mails delivered", n)
	}
	s.writeScript("10-test.js", verdicts+`export function rcpt(session) {
		const local = session.client.ip === "127.0.0.1" && session.client.port === 0 && session.mta.daemon !== "";
		if (!local) return reject("no");
	}`+"\n"+stamp)
	awaitRcpt(t, m, "550 5.7.1 no")
	m.Flush(t)
	// pickup looks again after a while; sending another mail wakes it.
	m.Sendmail(t, "To: b@example.org\nSubject: wakes\n\nx\n", "-t", "-f", "a@example.org")
	for _, subject := range []string{"wakes", "stays"} {
		m.Sink.WaitFor(t, subject, func(mail *postfixtest.Mail) bool {
			return strings.Contains(mail.Header(), "Subject: "+subject+"\r\n") && stamped(mail)
		})
	}
}

// awaitRcpt tries RCPT on new connections until it is answered like that.
func awaitRcpt(t *testing.T, m *mta, want string) {
	t.Helper()
	for range 1000 {
		c := m.Dial(t)
		c.Run(postfixtest.Steps("EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250")...)
		reply := c.Cmd("RCPT TO:<b@example.org>")
		c.Close()
		if reply.Matches(want) {
			return
		}
	}
	t.Fatalf("RCPT is never answered %q", want)
}

// What else comes from clients.
func TestClients(t *testing.T) { playAll(t, clients()) }

func clients() []scenario {
	return []scenario{
		{
			name: "null sender", script: `export function mail(session, a) { if (a.address !== "" || a.domain !== "") return reject("not null"); }`,
			dialogue: []string{
				"EHLO client.example.org => 250", "MAIL FROM:<> => 250", "RCPT TO:<b@example.org> => 250", "DATA => 354", "(message) => 250",
			},
		},
		{
			name: "no body", message: "Subject: nothing\r\n\r\n",
			script:    "export function body() { return reject('a body'); }\n" + eom(`if (m.body.length) return reject("length " + m.body.length); h.add("X-Eom", "1");`),
			delivered: "Subject: nothing\r\nX-Eom: 1\r\n\r\n",
		},
		{
			name: "no header", message: "\r\nonly a body\r\n",
			script:    eom(`h.add("X-Eom", String(h.length));`),
			delivered: "X-Eom: 0\r\n\r\nonly a body\r\n",
		},
		{
			name: "HELO twice", script: `export function helo(session, name) { session.state.names = (session.state.names || "") + name; }` + "\n" +
				`export function mail(session) { if (session.state.names !== "onetwo" || session.helo !== "two") return reject(session.state.names); }`,
			dialogue: []string{"HELO one => 250", "HELO two => 250", "MAIL FROM:<a@example.org> => 250"},
		},
		{
			name: "RSET", script: `
			export function mail(session, a) { session.message.state.mark = a.local; session.message.headers.add("X-From", a.local); }
			export function eom(session) { if (session.message.state.mark !== "c" || session.message.recipients.length !== 1) return reject("left over"); }`,
			dialogue: []string{
				"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250", "RCPT TO:<x@example.org> => 250", "RSET => 250", "RSET => 250",
				"MAIL FROM:<c@example.org> => 250", "RCPT TO:<b@example.org> => 250", "DATA => 354", "(message) => 250",
			},
			recipients: []string{"b@example.org"},
			delivered:  strings.Replace(plainMessage, "\r\n\r\n", "\r\nX-From: c\r\n\r\n", 1),
		},
		{
			name: "SMTPUTF8", postfix: true, script: `
			export function mail(session, a) { if (a.local !== "jürgen" || a.params.SMTPUTF8 !== "") return reject(a.local + JSON.stringify(a.params)); }
			` + eom(`if (h.get("Subject") !== "Grüße") return reject(h.get("Subject")); h.add("X-Name", "Grüße"); m.addRecipient("dörte@example.org");`),
			message: "Subject: Grüße\r\n\r\nx\r\n",
			dialogue: []string{
				"EHLO client.example.org => 250", "MAIL FROM:<jürgen@example.org> SMTPUTF8 => 250",
				"RCPT TO:<δ@example.org> => 250", "DATA => 354", "(message) => 250",
			},
			delivered:  "Subject: Grüße\r\nX-Name: Grüße\r\n\r\nx\r\n",
			recipients: []string{"δ@example.org", "dörte@example.org"},
		},
		{
			name: "XCLIENT", postfix: true, script: `export function mail(session) {
				const c = session.client;
				if (c.ip !== "192.0.2.7" || c.name !== "mail.example.net" || c.family !== "inet") return reject(JSON.stringify(c));
			}`,
			dialogue: []string{
				"EHLO client.example.org => 250", "XCLIENT NAME=mail.example.net ADDR=192.0.2.7 => 220",
				"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250",
			},
		},
		{
			name: "XCLIENT IPv6, unknown name", postfix: true, script: `export function mail(session) {
				const c = session.client;
				if (c.ip !== "2001:db8::7" || c.name !== "" || c.family !== "inet6") return reject(JSON.stringify(c));
			}`,
			dialogue: []string{
				"EHLO client.example.org => 250", "XCLIENT NAME=[UNAVAILABLE] ADDR=IPv6:2001:db8::7 => 220",
				"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250",
			},
		},
	}
}

// Pipelined commands are answered in their order, also where a script refuses.
func TestPipelining(t *testing.T) {
	m := startMTA(t, nil)
	m.serve(t, one(`export function rcpt(session, a) { if (a.local.startsWith("bad")) return reject("no " + a.local); }`), nil)
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	for range 3 {
		c.Write("MAIL FROM:<a@example.org>\r\nRCPT TO:<bad1@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<bad2@example.org>\r\nDATA\r\n")
		for _, want := range []string{"250 2.1.0 Ok", "550 5.7.1 no bad1", "250 2.1.5 Ok", "550 5.7.1 no bad2", "354"} {
			if reply := c.Read(); !reply.Matches(want) {
				t.Fatalf("reply %q, want %q", reply, want)
			}
		}
		if mail := m.Sink.Wait(t, c.Data(plainMessage).QueueID()); mail.Plain() != plainMessage || len(mail.Recipients) != 1 {
			t.Errorf("delivered to %q: %q", mail.Recipients, mail.Plain())
		}
	}
}

// Many messages on a connection, and many connections: nothing of one message
// is seen in the next, nothing of one connection in another.
func TestTrap11ManyMessages(t *testing.T) {
	m := startMTA(t, nil)
	m.serve(t, one(`
	let world = 0;
	export function mail(session) {
		world++;
		session.state.count = (session.state.count || 0) + 1;
		if (session.state.count !== world || Object.keys(session.message.state).length) return reject("left over");
		session.message.state.mine = 1;
	}
	`+eom(`h.add("X-Count", String(world)); if (m.recipients.length !== 1) return reject("recipients");`)), nil)
	for _, args := range [][]string{{"-d"}, nil} {
		before := len(m.Sink.Mails())
		if out, err := m.SMTPSource(append([]string{"-s", "5", "-m", "100", "-l", "3000"}, args...)...); err != nil {
			t.Fatalf("smtp-source %q: %v: %s", args, err, out)
		}
		counts := map[string]int{}
		for _, mail := range m.Sink.WaitCount(t, before+100)[before:] {
			_, count, _ := strings.Cut(mail.Header(), "\r\nX-Count: ")
			count, _, _ = strings.Cut(count, "\r\n")
			counts[count]++
		}
		switch {
		case args == nil && counts["1"] != 100:
			t.Errorf("one message a connection: %v", counts)
		case args != nil && len(counts) < 10:
			t.Errorf("many messages a connection: %v", counts)
		}
	}
}
