package integration

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
	"pmilter/internal/sendmailtest"
)

// offerAll is the payload of an MTA's first packet: version 6 and all there is.
const offerAll = "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"

// handMTA is a milter connection that the test drives itself.
type handMTA struct {
	t    *testing.T
	conn net.Conn
}

// dialMilter connects to the socket that the MTA uses, too.
func dialMilter(t *testing.T, m behind) *handMTA {
	t.Helper()
	conn, err := dialBriefly(dialAddr(m.socket()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &handMTA{t, conn}
}

// say sends a packet that gets no reply.
func (h *handMTA) say(code byte, payload string) {
	h.t.Helper()
	if err := writePacket(h.conn, code, payload); err != nil {
		h.t.Fatalf("%c: %v", code, err)
	}
}

// ask sends a packet and returns its reply.
func (h *handMTA) ask(code byte, payload string) packet {
	h.t.Helper()
	h.say(code, payload)
	reply, err := readPacket(h.conn)
	if err != nil {
		h.t.Fatalf("%c: no reply: %v", code, err)
	}
	return reply
}

// begin starts a mail and leaves it open behind RCPT; rest ends it.
func begin(t *testing.T, m behind) (rest func(want func(*postfixtest.Mail) bool)) {
	t.Helper()
	c := m.Dial(t)
	c.Run(postfixtest.Steps("EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250", "RCPT TO:<b@example.org> => 250")...)
	return func(want func(*postfixtest.Mail) bool) {
		t.Helper()
		c.Run(postfixtest.Steps("DATA => 354")...)
		reply := c.Data(plainMessage)
		if reply.Code() != 250 {
			t.Fatalf("%s\n%s", reply, c.Transcript.String())
		}
		if mail := m.delivered().Wait(t, reply.QueueID()); !want(mail) {
			t.Errorf("delivered %q", mail.Data)
		}
		c.Cmd("QUIT")
	}
}

// complaints are the lines of the log that are worse than info.
func complaints(log string) (lines []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"level":"warn"`) || strings.Contains(line, `"level":"error"`) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTrap03BrokenPeers(t *testing.T)         { onPostfix(t, brokenPeers) }
func TestSendmailTrap03BrokenPeers(t *testing.T) { onSendmail(t, brokenPeers) }

// Peers that break the protocol lose their connection, with one line in the log,
// and the MTA's mail goes on.
func brokenPeers(t *testing.T, m behind) {
	t.Helper()
	s := m.serve(t, one(stamp), nil)
	rest := begin(t, m)
	for name, bytes := range map[string]string{
		"length 0":        "\x00\x00\x00\x00",
		"length of 4 GB":  "\xff\xff\xff\xffO",
		"unknown command": "\x00\x00\x00\x01!",
		"no NUL":          "\x00\x00\x00\x05Habcd",
		"short offer":     "\x00\x00\x00\x04O\x00\x00\x00",
		"HTTP":            "GET / HTTP/1.1\r\nHost: mx.example.org\r\n\r\n",
	} {
		before := len(complaints(s.log()))
		h := dialMilter(t, m)
		if name == "unknown command" || name == "no NUL" {
			h.ask('O', offerAll)
		}
		_, _ = h.conn.Write([]byte(bytes)) // it may hang up in between
		if p, err := readPacket(h.conn); err == nil {
			t.Errorf("%s: answered %+v", name, p)
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection is still there", name)
		}
		lines := awaitComplaints(s, before+1)
		if len(lines) != before+1 {
			t.Errorf("%s: in the log:\n%s", name, lines[before:])
		}
	}
	rest(stamped)
}

// awaitComplaints waits for n of them, and no longer than a moment.
func awaitComplaints(s *server, n int) []string {
	for range 100 {
		if len(complaints(s.log())) >= n {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return complaints(s.log())
}

func TestTrap04Clients(t *testing.T) { playAll(t, oddClients()) }

func oddClients() []scenario {
	who := `export function mail(session) {
		const c = session.client;
		return reject([c.family, c.ip, c.name, session.helo].join(" ").trim());
	}`
	xclient := func(args, want string) scenario {
		return scenario{name: args, script: who, dialogue: []string{
			"EHLO client.example.org => 250", "XCLIENT " + args + " => 220", "HELO client.example.org => 250",
			"MAIL FROM:<a@example.org> => 550 5.7.1 " + want + " client.example.org",
		}}
	}
	return []scenario{
		{name: "no HELO", script: who, dialogue: []string{"MAIL FROM:<a@example.org> => 550 5.7.1 inet 127.0.0.1 localhost"}},
		{name: "HELO twice", script: who, dialogue: []string{"HELO one => 250", "EHLO two => 250", "MAIL FROM:<a@example.org> => 550 5.7.1 inet 127.0.0.1 localhost two"}},
		xclient("NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]", "unknown  "),
		xclient("NAME=[TEMPUNAVAIL] ADDR=192.0.2.7", "inet 192.0.2.7 "),
		xclient("NAME=mail.example.net ADDR=IPv6:2001:db8::7 PORT=0", "inet6 2001:db8::7 mail.example.net"),
	}
}

func TestTrap05HealthChecks(t *testing.T)         { onPostfix(t, healthChecks) }
func TestSendmailTrap05HealthChecks(t *testing.T) { onSendmail(t, healthChecks) }

// Connections that say nothing, or no more than an offer, are no errors, also
// beside and between mails.
func healthChecks(t *testing.T, m behind) {
	t.Helper()
	s := m.serve(t, one(stamp), nil)
	for range 2 {
		rest := begin(t, m)
		for range 10 {
			dialMilter(t, m).conn.Close()
			h := dialMilter(t, m)
			h.ask('O', offerAll)
			h.conn.Close()
		}
		rest(stamped)
	}
	s.terminate()
	if lines := complaints(s.log()); len(lines) > 0 {
		t.Errorf("in the log:\n%s", strings.Join(lines, ""))
	}
}

func TestTrap06QuitNC(t *testing.T)         { onPostfix(t, quitNC) }
func TestSendmailTrap06QuitNC(t *testing.T) { onSendmail(t, quitNC) }

// Neither MTA sends QUIT_NC: the test does, on a connection beside the MTA's.
// Each session of it is a new one, and the MTA's own knows of none.
func quitNC(t *testing.T, m behind) {
	t.Helper()
	m.serve(t, one(`
	let world = 0;
	export function mail(session) {
		session.state.count = (session.state.count || 0) + 1;
		const known = [++world, session.state.count, session.client.ip, session.helo, session.macros.j || "-", session.queueId || "-"].join(" ");
		if (session.macros.by === "hand") return reject(known);
		session.message.headers.add("X-World", String(world));
	}`), nil)
	rest := begin(t, m)
	h := dialMilter(t, m)
	h.ask('O', offerAll)
	for i, c := range []struct{ ip, helo, macros, want string }{
		{"192.0.2.1", "one", "Cj\x00one.example.org\x00i\x00AAAA\x00", "1 1 192.0.2.1 one one.example.org AAAA"},
		{"192.0.2.2", "", "", "1 1 192.0.2.2  - -"},
		{"192.0.2.3", "three", "Hj\x00three.example.org\x00", "1 1 192.0.2.3 three three.example.org -"},
		{"", "four", "", "1 1  four - -"}, // no CONNECT, so that nothing else begins it
	} {
		if c.macros != "" {
			h.say('D', c.macros)
		}
		if c.ip != "" {
			h.say('C', "host.example.org\x004\x00\x19"+c.ip+"\x00")
		}
		if c.helo != "" {
			h.say('H', c.helo+"\x00")
		}
		h.say('D', "M{by}\x00hand\x00")
		if got, want := h.ask('M', "<a@example.org>\x00"), "550 5.7.1 "+c.want+"\x00"; got.code != 'y' || got.payload != want {
			t.Errorf("session %d: %c %q, want %q", i, got.code, got.payload, want)
		}
		h.say('K', "")
	}
	rest(func(mail *postfixtest.Mail) bool { return strings.Contains(mail.Header(), "\r\nX-World: 1\r\n") })
}

// macroScript notes what is known where; the names in seen are those asked for.
const macroScript = `
let seen = [];
const see = (session, phase, ...names) => seen.push(phase + " " + names.map((n) => n + "=" + (session.macros[n] ?? "-")).join(" "));
export function connect(session) { see(session, "connect", "j", "{daemon_name}"); }
export function helo(session) { see(session, "helo", "j", "daemon_name", "mail_addr"); }
export function mail(session) { see(session, "mail", "j", "{mail_addr}", "rcpt_addr", "i", "msg_id"); }
export function rcpt(session) { see(session, "rcpt", "mail_addr", "{rcpt_addr}"); }
export function eom(session) {
	see(session, "eom", "j", "daemon_name", "mail_addr", "i", "{i}");
	const m = session.message;
	for (const line of seen) m.headers.add("X-Macros", line);
	seen = [];
}`

func TestTrap07Macros(t *testing.T)         { onPostfix(t, macros) }
func TestSendmailTrap07Macros(t *testing.T) { onSendmail(t, macros) }

// The MTA's own macros, by both their names, and no longer than they last: those
// of one message are not seen in the next.
func macros(t *testing.T, m behind) {
	t.Helper()
	m.serve(t, one(macroScript), nil)
	daemon, early := "mx.example.org", false
	if _, sendmail := m.(*sendmailMTA); sendmail {
		daemon, early = "MTA", true
	}
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	for i, sender := range []string{"first", "second"} {
		rcpt := []string{"one@example.org", "two@example.org"}[i]
		reply := c.Send(sender+"@example.org", []string{rcpt}, plainMessage)
		id := reply.QueueID()
		atMail := "-" // Postfix has no id yet, and that of the message before is forgotten
		if early {
			atMail = id
		}
		want := []string{
			"mail j=mx.example.org {mail_addr}=" + sender + "@example.org rcpt_addr=- i=" + atMail + " msg_id=-",
			"rcpt mail_addr=" + sender + "@example.org {rcpt_addr}=" + rcpt,
			"eom j=mx.example.org daemon_name=" + daemon + " mail_addr=" + sender + "@example.org i=" + id + " {i}=" + id,
		}
		if i == 0 {
			want = append([]string{
				"connect j=mx.example.org {daemon_name}=" + daemon, "helo j=mx.example.org daemon_name=" + daemon + " mail_addr=-",
			}, want...)
		}
		_, got, _ := strings.Cut(m.delivered().Wait(t, id).Header(), "X-Macros: ")
		if want := strings.Join(want, "\r\nX-Macros: ") + "\r\n"; got != want {
			t.Errorf("macros\n%s, want\n%s", got, want)
		}
	}
}

func TestTrap16SameNames(t *testing.T)         { onPostfix(t, sameNames) }
func TestSendmailTrap16SameNames(t *testing.T) { onSendmail(t, sameNames) }

// A field that is added stands where it was put, also beside its namesakes.
func sameNames(t *testing.T, m behind) {
	t.Helper()
	const sent = "X-A: one\r\nSubject: s\r\nX-A: two\r\nX-B: b\r\n\r\nbody\r\n"
	playBehind(t, m, []scenario{
		{
			name: "added", script: eom(`h.add("X-A", "end"); h.add("Subject", "again");`), message: sent,
			delivered: "X-A: one\r\nSubject: s\r\nX-A: two\r\nX-B: b\r\nX-A: end\r\nSubject: again\r\n\r\nbody\r\n",
		},
		{
			name: "inserted and prepended", script: eom(`h.insert(2, "X-A", "middle"); h.prepend("Subject", "top");`), message: sent,
			delivered: "Subject: top\r\nX-A: one\r\nSubject: s\r\nX-A: middle\r\nX-A: two\r\nX-B: b\r\n\r\nbody\r\n",
		},
		{
			name: "removed and added", script: eom(`h.remove("X-A"); h.add("X-A", "end");`), message: sent,
			delivered: "Subject: s\r\nX-B: b\r\nX-A: end\r\n\r\nbody\r\n",
		},
	})
}

func TestTrap17Values(t *testing.T)         { onPostfix(t, values) }
func TestSendmailTrap17Values(t *testing.T) { onSendmail(t, values) }

// A value's folds and length stay; what would be another field, or none at all,
// fails at that line and changes nothing.
func values(t *testing.T, m behind) {
	t.Helper()
	scenarios := []scenario{
		{
			name: "folds", script: eom(`h.add("X-Fold", "a\n\tb\n c"); h.add("X-CRLF", "a\r\n b");`),
			delivered: strings.Replace(plainMessage, "\r\n\r\n", "\r\nX-Fold: a\r\n\tb\r\n c\r\nX-CRLF: a\r\n b\r\n\r\n", 1),
		},
		{
			name: "long", script: eom(`h.add("X-Long", "x".repeat(900));`),
			delivered: strings.Replace(plainMessage, "\r\n\r\n", "\r\nX-Long: "+strings.Repeat("x", 900)+"\r\n\r\n", 1),
		},
	}
	for name, call := range map[string]string{
		"LF":        `h.add("X-A", "a\nX-Evil: 1")`,
		"CRLF":      `h.prepend("X-A", "a\r\nX-Evil: 1")`,
		"CR":        `h.set("Subject", "a\rX-Evil: 1")`,
		"NUL":       `h.insert(1, "X-A", "a\x00b")`,
		"empty":     `h.add("X-A", "a\n\nbody")`,
		"name":      `h.add("X-Evil: 1\r\nX-A", "a")`,
		"long line": `h.add("X-A", "x".repeat(3000))`,
	} {
		scenarios = append(scenarios, scenario{name: name, script: eom(call), dialogue: dialogue("(message) => 451")})
	}
	playBehind(t, m, scenarios)
	for _, mail := range m.delivered().Mails() {
		if strings.Contains(mail.Header(), "Evil") {
			t.Errorf("delivered %q", mail.Data)
		}
	}
}

// What arrives is what goes out, also bytes that are no UTF-8, in addresses too.
func TestTrap20Bytes(t *testing.T) {
	t.Parallel()
	bytes20(t, startMTA(t, map[string]string{"strict_smtputf8": "no", "smtputf8_enable": "no"}))
}

// A client of sendmail -bs is told of its refused recipient, unlike one of
// sendmail -t, and a script knows it by its family.
func TestSendmailTrap23StandardInput(t *testing.T) {
	t.Parallel()
	m := startSendmail(t, sendmailtest.Config{})
	m.serve(t, one(`export function rcpt(session, a) {
		if (a.local === "bad") return reject("no " + session.client.family + " " + session.client.ip); // null: it has none
	}`+"\n"+stamp), nil)
	c := m.DialStdin(t)
	c.Run(postfixtest.Steps(
		"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250",
		"RCPT TO:<bad@example.org> => 550 5.7.1 <bad@example.org>... no unix null", "RCPT TO:<b@example.org> => 250", "DATA => 354",
	)...)
	reply := c.Data(plainMessage)
	if mail := m.Sink.Wait(t, reply.QueueID()); !stamped(mail) || sorted(mail.Recipients) != "b@example.org" {
		t.Errorf("delivered to %q: %q", mail.Recipients, mail.Data)
	}
	m.awaitEmpty(t)
}
