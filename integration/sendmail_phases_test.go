package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"pmilter/internal/postfixtest"
	"pmilter/internal/sendmailtest"
)

func TestSendmailTrap26DrainServesOpenConnections(t *testing.T) {
	drainOpen(t, startSendmail(t, sendmailtest.Config{}))
}

func TestSendmailTrap26DrainTimeout(t *testing.T) {
	drainTimeout(t, startSendmail(t, sendmailtest.Config{}))
}

func TestSendmailTrap25KillAndStaleSocket(t *testing.T) {
	killAndStart(t, startSendmail(t, sendmailtest.Config{}))
}

// What becomes of a session whose milter is gone is said by the filter's F=.
func TestSendmailTrap25Flags(t *testing.T) {
	for _, c := range []struct{ flags, open, greeting, mail string }{
		{"T", "451 4.3.2 Please try again later", "220", "451 4.3.2 Please try again later"},
		{"R", "550 5.7.1 <a@example.org>... Command rejected", "554 mx.example.org ESMTP not accepting messages", "550 5.0.0 Command rejected"},
		{"4", "421 4.3.0 closing connection", "421 4.7.0 mx.example.org closing connection", ""},
		{"", "250", "220", "250"},
	} {
		t.Run("F="+c.flags, func(t *testing.T) {
			m := startSendmail(t, sendmailtest.Config{Filters: []sendmailtest.Filter{{Socket: "unix:{dir}/m.sock", Flags: c.flags}}})
			s := m.serve(t, one(`export function mail() {}`), nil)
			open := m.Dial(t)
			open.Cmd("EHLO client.example.org")
			s.kill()
			open.Run(postfixtest.Step{Send: "MAIL FROM:<a@example.org>", Want: c.open})
			fresh := m.Dial(t)
			if !fresh.Greeting.Matches(c.greeting) {
				t.Errorf("greeting %q, want %q", fresh.Greeting, c.greeting)
			}
			if c.mail != "" {
				fresh.Run(postfixtest.Steps("EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => "+c.mail)...)
			}
		})
	}
}

// Sendmail greets with its own words and keeps of ours only the class, and 421.
func TestSendmailTrap27ConnectText(t *testing.T) {
	m := startSendmail(t, sendmailtest.Config{})
	for _, c := range []struct {
		name, verdict, greeting string
		then                    []string
	}{
		{
			"reject", `reject(550, "5.7.1", "not you")`, "554 mx.example.org ESMTP not accepting messages",
			[]string{"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 550 5.0.0 Command rejected"},
		},
		{
			"tempfail", `tempfail(450, "4.7.1", "not now")`, "220",
			[]string{"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 451 4.3.2 Please try again later"},
		},
		{"421", `tempfail(421, "4.7.0", "closing")`, "421 4.7.0 mx.example.org closing connection", []string{"EHLO client.example.org => "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.serve(t, one("export function connect() { return "+c.verdict+"; }"), nil)
			client := m.Dial(t)
			defer client.Close()
			if !client.Greeting.Matches(c.greeting) {
				t.Errorf("greeting %q, want %q", client.Greeting, c.greeting)
			}
			client.Run(postfixtest.Steps(c.then...)...)
		})
	}
}

// PROGRESS keeps Sendmail waiting for longer than its R= at the end of the
// message, and only there.
func TestSendmailTrap12Progress(t *testing.T) {
	m := startSendmail(t, sendmailtest.Config{Filters: []sendmailtest.Filter{{
		Socket: "unix:{dir}/m.sock", Flags: "T", Timeouts: "C:20s;S:20s;R:7s;E:60s",
	}}})
	m.serve(t, one(`
	const wait = (ms) => new Promise((done) => setTimeout(done, ms));
	export async function eom(session) { await wait(10000); session.message.headers.add("X-Stamp", "1"); }`), nil)
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	reply := c.Send("a@example.org", []string{"b@example.org"}, plainMessage)
	if reply.Code() != 250 || !stamped(m.Sink.Wait(t, reply.QueueID())) {
		t.Errorf("after 10 s at the end of the message: %s", reply)
	}
}

// Every kind of client and of socket.
func TestSendmailTrap04Connect(t *testing.T) {
	script := one(`export function mail(session) {
		const c = session.client;
		return reject([c.family, c.ip, c.name, session.helo, session.queueId !== "", session.mta.hostname, session.mta.daemon].join(" "));
	}`)
	const words = "MAIL FROM:<a@example.org> => 550 5.7.1 <a@example.org>... "
	freePort := func(host string) string {
		_, port, err := net.SplitHostPort(postfixtest.FreeAddr(t, host))
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Run("inet socket", func(t *testing.T) {
		socket := "inet:" + freePort("127.0.0.1") + "@127.0.0.1"
		m := startSendmail(t, sendmailtest.Config{Filters: []sendmailtest.Filter{{Socket: socket, Flags: "T"}}})
		m.listen = socket
		m.serve(t, script, nil)
		m.Dial(t).Run(postfixtest.Steps("EHLO client.example.org => 250", words+"inet 127.0.0.1 localhost client.example.org true mx.example.org MTA")...)
	})
	t.Run("inet6", func(t *testing.T) {
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			t.Skip("left out: no IPv6 here")
		}
		l.Close()
		port := freePort("::1")
		m := startSendmail(t, sendmailtest.Config{Macros: fmt.Sprintf("DAEMON_OPTIONS(`Name=MTA6, Family=inet6, Addr=::1, Port=%s')dnl\n", port)})
		m.serve(t, script, nil)
		postfixtest.Dial(t, "[::1]:"+port).Run(postfixtest.Steps("HELO client.example.org => 250", words+"inet6 ::1 localhost client.example.org true mx.example.org MTA6")...)
	})
	t.Run("standard input", func(t *testing.T) {
		m := startSendmail(t, sendmailtest.Config{})
		m.serve(t, script, nil)
		m.DialStdin(t).Run(postfixtest.Steps("EHLO client.example.org => 250", words+"unix  localhost client.example.org true mx.example.org")...)
	})
}

// Mail from sendmail -t goes by the milter: Sendmail asks it in SMTP alone.
func TestSendmailTrap24Submitted(t *testing.T) {
	m := startSendmail(t, sendmailtest.Config{})
	m.serve(t, one(stamp), nil)
	if out, err := m.Submit("To: c@example.org\nSubject: local\n\nx\n", "-i", "-t", "-f", "a@example.org"); err != nil {
		t.Fatalf("sendmail -t: %v: %s", err, out)
	}
	mail := m.Sink.WaitFor(t, "the mail", func(*postfixtest.Mail) bool { return true })
	if want := "To: c@example.org\r\nSubject: local\r\n\r\nx\r\n"; mail.Plain() != want {
		t.Errorf("delivered %q, want %q", mail.Data, want)
	}
}

// What arrives is what goes out, also bytes that are no UTF-8, in addresses too.
func TestSendmailTrap20Bytes(t *testing.T) { bytes20(t, startSendmail(t, sendmailtest.Config{})) }

func bytes20(t *testing.T, m behind) {
	t.Helper()
	m.serve(t, one(eom(`h.add("X-Seen", "1"); h.set("X-A", h.get("X-A")); m.addRecipient("gr\u00fcn@example.org"); m.removeRecipient(m.recipients[0]);`)), nil)
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	const message = "Subject: caf\xe9 \xff\r\nX-A: plain\r\nX-C1: \x81\x80\xa0\x9f\r\n\r\n\xe9\xff\x80\x81\r\n"
	reply := c.Send("j\xfcrgen@example.org", []string{"d\xc3\xb6rte@example.org", "b\xe9@example.org"}, message)
	mail := m.delivered().Wait(t, reply.QueueID())
	if want := strings.Replace(message, "\r\n\r\n", "\r\nX-Seen: 1\r\n\r\n", 1); mail.Plain() != want {
		t.Errorf("delivered %q, want %q", mail.Plain(), want)
	}
	if got := sorted(mail.Recipients); mail.Sender != "j\xfcrgen@example.org" || got != "b\xe9@example.org gr\u00fcn@example.org" {
		t.Errorf("from %q to %q", mail.Sender, got)
	}
}

// A client may vanish, begin again or send many messages: nothing of one message
// is seen in the next, nothing of one connection in another.
func TestSendmailTrap11ManyMessages(t *testing.T) {
	m := startSendmail(t, sendmailtest.Config{})
	m.serve(t, one(`
	let world = 0;
	export function mail(session) {
		world++;
		session.state.count = (session.state.count || 0) + 1;
		if (session.state.count !== world || Object.keys(session.message.state).length) return reject("left over");
		session.message.state.mine = 1;
	}
	`+eom(`h.add("X-Count", world + " " + session.helo); if (m.recipients.length !== 1) return reject("recipients");`)), nil)
	one, two := m.Dial(t), m.Dial(t)
	one.Cmd("EHLO one")
	two.Cmd("EHLO two")
	for i := range 10 {
		for _, c := range []*postfixtest.Client{one, two} {
			switch i % 4 {
			case 1:
				c.Run(postfixtest.Steps("MAIL FROM:<x@example.org> => 250", "RCPT TO:<x@example.org> => 250", "RSET => 250", "RSET => 250")...)
			case 2:
				helo := map[*postfixtest.Client]string{one: "one", two: "two"}[c]
				c.Run(postfixtest.Steps("MAIL FROM:<x@example.org> => 250", "RCPT TO:<x@example.org> => 250", "EHLO "+helo+" => 250")...)
			case 3:
				gone := m.Dial(t)
				gone.Run(postfixtest.Steps("EHLO gone => 250", "MAIL FROM:<x@example.org> => 250", "RCPT TO:<x@example.org> => 250", "DATA => 354")...)
				gone.Write("Subject: half\r\n")
				gone.Close()
			}
			reply := c.Send("a@example.org", []string{"b@example.org"}, plainMessage)
			if reply.Code() != 250 {
				t.Fatalf("%s\n%s", reply, c.Transcript.String())
			}
			count := i + 1 + (i+3)/4 + (i+2)/4 // messages begun so far
			name := map[*postfixtest.Client]string{one: "one", two: "two"}[c]
			want := strings.Replace(plainMessage, "\r\n\r\n", fmt.Sprintf("\r\nX-Count: %d %s\r\n\r\n", count, name), 1)
			if got := m.Sink.Wait(t, reply.QueueID()).Plain(); got != want {
				t.Errorf("delivered %q, want %q", got, want)
			}
		}
	}
}
