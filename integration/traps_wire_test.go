package integration

import (
	"fmt"
	"strings"
	"testing"

	"pmilter/internal/postfixtest"
	"pmilter/internal/sendmailtest"
)

// On both MTAs, as seen on the wire between them and pmilterd, and as delivered.

func onPostfix(t *testing.T, test func(*testing.T, behind)) {
	t.Helper()
	t.Parallel()
	test(t, startMTA(t, nil))
}

func onSendmail(t *testing.T, test func(*testing.T, behind)) {
	t.Helper()
	t.Parallel()
	test(t, startSendmail(t, sendmailtest.Config{}))
}

func TestTrap01Negotiation(t *testing.T)         { onPostfix(t, negotiation) }
func TestSendmailTrap01Negotiation(t *testing.T) { onSendmail(t, negotiation) }

// everyPhase has a handler for each.
const everyPhase = `export const options = { early: true };
export function connect() {}
export function helo() {}
export function mail() {}
export function rcpt() {}
export function data() {}
export function header() {}
export function eoh() {}
export function body() {}
export function unknown() {}
export function abort() {}
export function close() {}
`

// What the MTA is asked to send is what the scripts need.
func negotiation(t *testing.T, m behind) {
	t.Helper()
	for _, c := range []struct{ name, script, commands string }{
		{"one phase", `export function rcpt() {}`, "OCHMREQ"},
		{"the end alone", stamp, "OCHMRLLLBEQ"},
		{"every phase", everyPhase + stamp, "OCHMRTLLLNBEQ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := startWire(t, m)
			w.serve(t, one(c.script), nil)
			sendOne(t, w, plainMessage, nil)
			packets := w.awaitQuit(t)
			checkWire(t, packets)
			if got := strings.ReplaceAll(letters(packets, true), "A", ""); got != c.commands {
				t.Errorf("the MTA sent %s, want %s", got, c.commands)
			}
		})
	}
}

func TestTrap01Refused(t *testing.T)         { onPostfix(t, refusedVersion) }
func TestSendmailTrap01Refused(t *testing.T) { onSendmail(t, refusedVersion) }

// An offer of version 1 is not answered, and the MTA does without its milter as
// it is told to: with 451.
func refusedVersion(t *testing.T, m behind) {
	t.Helper()
	w := startWire(t, m)
	w.offer = func(o options) options { return options{1, o.actions, o.protocol} }
	s := w.serve(t, one(stamp), nil)
	c := w.Dial(t)
	c.Run(postfixtest.Steps("EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 451")...)
	if lines := awaitComplaints(s, 1); len(lines) != 1 || !strings.Contains(lines[0], "version") {
		t.Errorf("in the log:\n%s", lines)
	}
}

// sendOne sends one mail on a connection of its own and returns what was delivered.
func sendOne(t *testing.T, m behind, message string, check func(*postfixtest.Mail)) {
	t.Helper()
	c := m.Dial(t)
	defer c.Close()
	c.Cmd("EHLO client.example.org")
	reply := c.Send("a@example.org", []string{"b@example.org"}, message)
	if reply.Code() != 250 {
		t.Fatalf("%s\n%s", reply, c.Transcript.String())
	}
	mail := m.delivered().Wait(t, reply.QueueID())
	c.Cmd("QUIT")
	if check != nil {
		check(mail)
	}
}

// Sendmail itself always offers version 6: the offer is lowered on its way.
func TestSendmailTrap01Versions(t *testing.T) {
	t.Parallel()
	m := startSendmail(t, sendmailtest.Config{})
	script := one(`
	export function helo(session, name) { if (name === "bad") return reject("helo"); }
	export function header(session, name, value) { if (name === "X-Bad") return reject("header " + value); }
	` + eom(`h.prepend("X-Top", "t"); h.set("X-Two", "2"); h.remove("X-Gone"); h.add("X-End", "e");
		m.replaceBody(m.body.length + "\n"); m.addRecipient("c@example.net");`))
	for _, c := range []struct{ offered, answered options }{
		{options{2, 0x3f, 0x7f}, options{version: 2}},
		{options{3, 0x3f, 0x17f}, options{version: 3}},
		{options{4, 0x3f, 0x37f}, options{version: 4}},
		{options{7, 0x1ff, 0x1fffff}, options{version: 6}},
	} {
		t.Run(fmt.Sprint(c.offered.version), func(t *testing.T) {
			w := startWire(t, m)
			w.offer = func(options) options { return c.offered }
			w.serve(t, script, nil)
			for _, s := range []scenario{
				{dialogue: dialogue("(message) => 550 5.7.1 header no"), message: "X-Bad: no\r\n\r\nx\r\n"},
				{
					message:    "X-Two:  two\r\nX-Tab:\ttab\r\nX-Gone: g\r\nX-Two: again\r\n\r\nbody\r\n",
					recipients: []string{"b@example.org", "c@example.net"},
					delivered:  "X-Top: t\r\nX-Two: 2\r\nX-Tab:\ttab\r\nX-End: e\r\n\r\n6\r\n",
				},
			} {
				client := w.Dial(t)
				s.speak(t, w, client)
				client.Cmd("QUIT")
			}
			packets := w.awaitQuit(t)
			checkWire(t, packets)
			if got := packets[1].options().version; got != c.answered.version {
				t.Errorf("answered %d, want %d", got, c.answered.version)
			}
		})
	}
}

func TestTrap02Actions(t *testing.T)         { onPostfix(t, unofferedActions) }
func TestSendmailTrap02Actions(t *testing.T) { onSendmail(t, unofferedActions) }

// Of an MTA that offers to add headers alone nothing else is asked, and a script
// that wants more fails at that line.
func unofferedActions(t *testing.T, m behind) {
	t.Helper()
	w := startWire(t, m)
	w.offer = func(o options) options { return options{o.version, 0x1, o.protocol} }
	s := w.serve(t, one(eom(`h.add("X-Stamp", "1");
	switch (h.get("Subject")) {
	case "body": m.replaceBody("new\n"); break;
	case "recipient": m.addRecipient("c@example.org"); break;
	case "sender": m.setSender("c@example.org"); break;
	case "hold": m.quarantine("why"); break;
	}`)), nil)
	c := w.Dial(t)
	c.Cmd("EHLO client.example.org")
	for _, what := range []string{"body", "recipient", "sender", "hold"} {
		if reply := c.Send("a@example.org", []string{"b@example.org"}, "Subject: "+what+"\r\n\r\nx\r\n"); reply.Code() != 451 {
			t.Errorf("%s: %s", what, reply)
		}
	}
	mail := w.delivered().Wait(t, c.Send("a@example.org", []string{"b@example.org"}, plainMessage).QueueID())
	if !stamped(mail) {
		t.Errorf("delivered %q", mail.Data)
	}
	c.Cmd("QUIT")
	checkWire(t, w.awaitQuit(t))
	s.awaitLog("10-test.js:6")
}

func TestTrap08OneReply(t *testing.T)         { onPostfix(t, oneReply) }
func TestSendmailTrap08OneReply(t *testing.T) { onSendmail(t, oneReply) }

// One reply for a command and none where that was agreed, in a session with
// refusals, aborts and several messages.
func oneReply(t *testing.T, m behind) {
	t.Helper()
	refusing := `
	export function mail(session, a) { if (a.local === "bad") return reject("mail"); }
	export function rcpt(session, a) { if (a.local === "bad") return tempfail("rcpt"); }
	export function header(session, name) { if (name === "X-Bad") return reject("header"); }
	export function body(session, chunk) { if (chunk[0] === 33) return reject("body"); }
	` + stamp
	for _, early := range []string{"", "export const options = { early: true };\n"} {
		w := startWire(t, m)
		server := w.serve(t, one(early+refusing), nil)
		c := w.Dial(t)
		c.Run(postfixtest.Steps("EHLO client.example.org => 250", "MAIL FROM:<bad@example.org> => 550", "MAIL FROM:<a@example.org> => 250",
			"RCPT TO:<bad@example.org> => 451", "RCPT TO:<b@example.org> => 250", "RSET => 250", "NOOP => 250", "HELO again.example.org => 250")...)
		for message, want := range map[string]int{plainMessage: 250, "X-Bad: 1\r\n\r\nx\r\n": 550, "X-A: 1\r\n\r\n!\r\n": 550} {
			if reply := c.Send("a@example.org", []string{"bad@example.org", "b@example.org"}, message); reply.Code() != want {
				t.Errorf("%s, want %d", reply, want)
			}
		}
		c.Cmd("QUIT")
		checkWire(t, w.awaitQuit(t))
		server.terminate()
		w.close()
	}
}

func TestTrap12Progress(t *testing.T) {
	t.Parallel()
	m := startMTA(t, map[string]string{"milter_content_timeout": "7s", "milter_command_timeout": "7s"})
	progress(t, m)
}

// PROGRESS holds the MTA for longer than its timeout, and only at the end.
func progress(t *testing.T, m behind) {
	t.Helper()
	w := startWire(t, m)
	w.serve(t, one(`export async function eom(session) {
		await new Promise((done) => setTimeout(done, 8000));
		session.message.headers.add("X-Stamp", "1");
	}`), nil)
	sendOne(t, w, plainMessage, func(mail *postfixtest.Mail) {
		if !stamped(mail) {
			t.Errorf("delivered %q", mail.Data)
		}
	})
	packets := w.awaitQuit(t)
	checkWire(t, packets)
	if got := letters(packets, false); !strings.Contains(got, "p") {
		t.Errorf("answers %q, want a p among them", got)
	}
}

func TestTrap13SkipOnTheWire(t *testing.T)         { onPostfix(t, skipped) }
func TestSendmailTrap13SkipOnTheWire(t *testing.T) { onSendmail(t, skipped) }

// After skip() the MTA sends no more of that message's body, but of the next one's.
func skipped(t *testing.T, m behind) {
	t.Helper()
	w := startWire(t, m)
	w.serve(t, one(`export const options = { early: true };
	export function body(session, chunk) { session.message.headers.add("X-Chunk", "1"); return skip(); }`), nil)
	c := w.Dial(t)
	c.Cmd("EHLO client.example.org")
	large := "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("0123456789", 6)+"\r\n", 20000)
	for range 2 {
		reply := c.Send("a@example.org", []string{"b@example.org"}, large)
		if reply.Code() != 250 {
			t.Fatal(reply)
		}
		if got, want := w.delivered().Wait(t, reply.QueueID()).Plain(), strings.Replace(large, "\r\n\r\n", "\r\nX-Chunk: 1\r\n\r\n", 1); got != want {
			t.Errorf("delivered %d bytes, want %d", len(got), len(want))
		}
	}
	c.Cmd("QUIT")
	packets := w.awaitQuit(t)
	checkWire(t, packets)
	if n, skips := strings.Count(letters(packets, true), "B"), strings.Count(letters(packets, false), "s"); n != 2 || skips != 2 {
		t.Errorf("%d chunks and %d skips in two messages, want 2 and 2", n, skips)
	}
}
