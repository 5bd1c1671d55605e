package integration

import (
	"fmt"
	"strings"
	"testing"

	"pmilter/internal/postfixtest"
)

// eom is a script whose eom handler has this body.
func eom(body string) string {
	return "export function eom(session) {\n  const m = session.message, h = m.headers;\n" + body + "\n}\n"
}

// repeated is a message with names that come several times, in several cases.
const repeated = "X-A: one\r\nX-B: first\r\nx-a: two\r\nX-C: c\r\nX-A: three\r\nSubject: s\r\n\r\nbody\r\n"

// Changes count per name from 1 and do not see the MTA's own Received.
func TestTrap14HeaderEdits(t *testing.T) { playAll(t, headerEdits()) }

func headerEdits() []scenario {
	return []scenario{
		{
			name: "add", script: eom(`h.add("X-New", "at the end"); h.add("X-New", "again");`),
			message: repeated, delivered: strings.Replace(repeated, "s\r\n\r\n", "s\r\nX-New: at the end\r\nX-New: again\r\n\r\n", 1),
		},
		{
			name: "prepend", script: eom(`h.prepend("X-Top", "top");`),
			message: repeated, delivered: "X-Top: top\r\n" + repeated,
			check: firstField("X-Top: top"),
		},
		{
			name: "prepend twice", script: eom(`h.prepend("X-Top", "low"); h.prepend("X-Top", "high");`),
			message: repeated, delivered: "X-Top: high\r\nX-Top: low\r\n" + repeated,
			check: firstField("X-Top: high"),
		},
		{
			name: "insert", script: eom(`h.insert(1, "X-New", "second"); h.insert(0, "X-Top", "top"); h.insert(h.length, "X-End", "last");`),
			message:   repeated,
			delivered: "X-Top: top\r\nX-A: one\r\nX-New: second\r\nX-B: first\r\nx-a: two\r\nX-C: c\r\nX-A: three\r\nSubject: s\r\nX-End: last\r\n\r\nbody\r\n",
			check:     firstField("X-Top: top"),
		},
		{
			name: "set", script: eom(`h.set("x-A", "only"); h.set("X-Not-There", "new");`),
			message:   repeated,
			delivered: "X-A: only\r\nX-B: first\r\nX-C: c\r\nSubject: s\r\nX-Not-There: new\r\n\r\nbody\r\n",
		},
		{
			name: "remove", script: eom(`h.remove("x-a"); h.remove("X-None");`),
			message:   repeated,
			delivered: "X-B: first\r\nX-C: c\r\nSubject: s\r\n\r\nbody\r\n",
		},
		{
			name: "an own Received stays", script: eom(`h.remove("Received"); h.set("Message-ID", "<1@example.org>");`),
			message:   "Received: from far.example.net\r\nReceived: from farther.example.net\r\n" + repeated,
			delivered: strings.Replace(repeated, "\r\n\r\n", "\r\nMessage-ID: <1@example.org>\r\n\r\n", 1),
			check: func(t *testing.T, m *postfixtest.Mail) {
				t.Helper()
				if n := strings.Count(m.Header(), "Received:"); n != 1 {
					t.Errorf("%d Received fields, want Postfix's own alone:\n%s", n, m.Header())
				}
			},
		},
		{
			name: "folded value", script: eom(`h.add("X-Fold", "one\n two\r\n\tthree");`),
			delivered: strings.Replace(plainMessage, "\r\n\r\n", "\r\nX-Fold: one\r\n two\r\n\tthree\r\n\r\n", 1),
		},
		{
			name: "a value cannot smuggle", script: `export const options = { onError: "reject" };` + "\n" + eom(`h.add("X-A", "one\nX-Evil: yes");`),
			dialogue: dialogue("(message) => 550"),
		},
		{
			name: "asked for in mail", script: `export function mail(session) { session.message.headers.add("X-Mail", "early"); }`,
			delivered: strings.Replace(plainMessage, "\r\n\r\n", "\r\nX-Mail: early\r\n\r\n", 1),
		},
		{
			name: "encoded", script: eom(`h.add("X-Name", "Grüße");`),
			delivered: strings.Replace(plainMessage, "\r\n\r\n", "\r\nX-Name: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n", 1),
		},
	}
}

// firstField checks what the delivered message begins with.
func firstField(want string) func(*testing.T, *postfixtest.Mail) {
	return func(t *testing.T, m *postfixtest.Mail) {
		t.Helper()
		if got := m.Fields()[0]; got != want {
			t.Errorf("the first field is %q, want %q", got, want)
		}
	}
}

// Deleting shifts the indexes that follow.
func TestTrap15RemoveAt(t *testing.T) { playAll(t, removals()) }

func removals() []scenario {
	return []scenario{
		{
			name: "middle", script: eom(`h.removeAt("x-a", 1);`), message: repeated,
			delivered: "X-A: one\r\nX-B: first\r\nX-C: c\r\nX-A: three\r\nSubject: s\r\n\r\nbody\r\n",
		},
		{
			name: "first twice", script: eom(`h.removeAt("X-A", 0); h.removeAt("X-A", 0);`), message: repeated,
			delivered: "X-B: first\r\nX-C: c\r\nX-A: three\r\nSubject: s\r\n\r\nbody\r\n",
		},
		{
			name: "last and first", script: eom(`h.removeAt("X-A", 2); h.removeAt("X-A", 0); h.removeAt("X-A", 9);`), message: repeated,
			delivered: "X-B: first\r\nx-a: two\r\nX-C: c\r\nSubject: s\r\n\r\nbody\r\n",
		},
		{
			name: "with inserts of the same name", message: repeated,
			script:    eom(`h.insert(2, "X-A", "new"); h.removeAt("X-A", 2); h.prepend("X-A", "top"); h.removeAt("X-A", 1);`),
			delivered: "X-A: top\r\nX-B: first\r\nX-A: new\r\nX-C: c\r\nX-A: three\r\nSubject: s\r\n\r\nbody\r\n",
		},
	}
}

// dkimStyle is a message that a signature would not survive if a byte changed.
const dkimStyle = "Received: from a.example.net (a.example.net [192.0.2.1])\r\n\tby b.example.net; Thu, 1 Jan 2026 00:00:00 +0000\r\n" +
	"DKIM-Signature: v=1; a=rsa-sha256;\r\n  bh=abc=;\r\n\t b=def\r\n" +
	"Subject:no space\r\nX-Two:  two spaces\r\nX-Tab:\ta tab\r\nX-Mixed: \t mixed \r\nX-Empty:\r\nX-Blank: \r\n" +
	"X-Fold-First:\r\n then text\r\nX-Raw: caf\xe9 \xff\xfe\r\nX-Utf8: caf\xc3\xa9\r\n\r\n" +
	"trailing \t \r\n..dots\r\n.\r\n\r\nraw \xe9\xff\r\n\r\n\r\n"

// Untouched headers and bodies come through byte for byte.
func TestTrap18ByteForByte(t *testing.T) { playAll(t, untouched()) }

func untouched() []scenario {
	add := strings.Replace(dkimStyle, "\r\n\r\n", "\r\nX-New: n\r\n\r\n", 1)
	look := "export function header() {}\nexport function eoh() {}\nexport function body() {}\n"
	// Postfix keeps 60,000 bytes of a field, with a milter or without.
	references := "References:" + strings.Repeat(" "+strings.Repeat("r", 990)+"\r\n", 59)
	return []scenario{
		{
			name: "a header of 117 KB", postfix: true, message: "X-A: 1\r\n" + references + "Subject: s\r\n" + references + "\r\nbody\r\n",
			script: eom(`if (h.rawAll("References").some((v) => v.length !== 58526)) throw new Error(h.raw("References").length);
h.remove("X-A"); h.set("Subject", "new"); h.prepend("X-Top", "t"); h.insert(2, "X-Mid", "m");`),
			delivered: "X-Top: t\r\n" + references + "X-Mid: m\r\nSubject: new\r\n" + references + "\r\nbody\r\n",
		},
		{name: "looked at", script: look + eom(`m.raw(); [...h];`), message: dkimStyle},
		{name: "header added", script: look + eom(`h.add("X-New", "n");`), message: dkimStyle, delivered: add},
		{name: "header added without looking", script: `export function rcpt(session) { session.message.headers.add("X-New", "n"); }`, message: dkimStyle, delivered: add},
		{
			name: "neighbour changed", script: eom(`h.set("X-Two", "2"); h.remove("X-Tab");`), message: dkimStyle,
			delivered: strings.Replace(strings.Replace(dkimStyle, "X-Two:  two spaces", "X-Two: 2", 1), "X-Tab:\ta tab\r\n", "", 1),
		},
		{
			name: "what the script sees", message: "X-Two:  two\r\n lines\r\nX-Tab:\ttab\r\nX-None:none\r\nX-Raw: caf\xe9\r\n\r\n",
			script: `export function header(session, name, value) {
				const want = { "X-Two": "two\n lines", "X-Tab": "tab", "X-None": "none" };
				if (name in want && value !== want[name]) return reject(name + ": " + JSON.stringify(value));
			}
			export function eom(session) {
				const h = session.message.headers;
				if (h.get("x-two") !== "two lines") return reject("get: " + JSON.stringify(h.get("x-two")));
				if (h.length !== 4 || [...h].length !== 4) return reject("length " + h.length);
			}`,
		},
	}
}

// Bodies: REPLBODY in chunks of at most 65535 bytes, also none at all.
func TestTrap19ReplaceBody(t *testing.T) { playAll(t, newBodies()) }

func newBodies() []scenario {
	head := "From: Alice <a@example.org>\r\nTo: b@example.org\r\nSubject: test\r\n\r\n"
	long := strings.Repeat("0123456789012345678901234567890123456789012345678901234567\r\n", 5000)
	return []scenario{
		{name: "text", script: eom(`m.replaceBody("new\nbody\r\n.dot\n");`), delivered: head + "new\r\nbody\r\n.dot\r\n"},
		{name: "empty", script: eom(`m.replaceBody("");`), delivered: head},
		{name: "bytes", script: eom(`m.replaceBody(new Uint8Array([0xe9, 0xff, 0x80, 0x0d, 0x0a]));`), delivered: head + "\xe9\xff\x80\r\n"},
		{name: "long", script: eom(`m.replaceBody("0123456789012345678901234567890123456789012345678901234567\n".repeat(5000));`), delivered: head + long},
		{
			name: "of a long one", script: eom(`m.replaceBody(m.body.length + " bytes\n");`), message: head + long,
			delivered: head + fmt.Sprintf("%d bytes\r\n", len(long)),
		},
		{
			name: "no final line end", script: eom(`m.replaceBody("no end");`), delivered: head + "no end\r\n",
		},
		{
			name: "the same", script: eom(`m.replaceBody(m.body);`), message: head + long + "raw \xff\r\n",
		},
		{
			name: "with headers", script: eom(`m.replaceBody("b\n"); h.set("Subject", "new"); h.prepend("X-Top", "t");`),
			delivered: "X-Top: t\r\n" + strings.Replace(head, "test", "new", 1) + "b\r\n",
		},
	}
}

// The envelope, with ESMTP parameters only as the MTA knows them.
func TestTrap22Envelope(t *testing.T) { playAll(t, envelopes()) }

func envelopes() []scenario {
	null, other := "", "bounce@example.net"
	has := func(args []string, want string) bool {
		return strings.Contains(" "+strings.Join(args, " ")+" ", " "+want+" ")
	}
	return []scenario{
		{name: "sender", script: eom(`m.setSender("bounce@example.net");`), sender: &other},
		{name: "null sender", script: eom(`m.setSender("");`), sender: &null},
		{
			name: "sender with parameters", script: eom(`m.setSender("bounce@example.net", { RET: "HDRS", ENVID: "abc" });`), sender: &other,
			check: func(t *testing.T, m *postfixtest.Mail) {
				t.Helper()
				if !has(m.SenderArgs, "RET=HDRS") || !has(m.SenderArgs, "ENVID=abc") {
					t.Errorf("parameters of the sender: %q", m.SenderArgs)
				}
			},
		},
		{
			name: "recipients", script: eom(`m.addRecipient("c@example.net"); m.removeRecipient("b@example.org");`),
			recipients: []string{"c@example.net"},
		},
		{
			name: "one of two removed", script: eom(`m.removeRecipient("B@example.org");`),
			dialogue: []string{
				"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250", "RCPT TO:<B@example.org> => 250",
				"RCPT TO:<d@example.org> => 250", "DATA => 354", "(message) => 250",
			},
			recipients: []string{"d@example.org"},
		},
		{
			name: "added and removed again", script: eom(`m.addRecipient("c@example.net"); m.removeRecipient("c@example.net");`),
			recipients: []string{"b@example.org"},
		},
		{
			name: "recipient with parameters", script: eom(`m.removeRecipient("b@example.org"); m.addRecipient("c@example.net", { NOTIFY: "NEVER", ORCPT: "rfc822;c@example.net" });`),
			recipients: []string{"c@example.net"},
			check: func(t *testing.T, m *postfixtest.Mail) {
				t.Helper()
				if !has(m.RcptArgs[0], "NOTIFY=NEVER") || !has(m.RcptArgs[0], "ORCPT=rfc822;c@example.net") {
					t.Errorf("parameters of the recipient: %q", m.RcptArgs)
				}
			},
		},
		{
			name: "parameters as they came", script: `
			export function mail(session, a) { if (a.params.RET !== "FULL" || a.params.ENVID !== "x1") return reject(JSON.stringify(a.params)); }
			export function rcpt(session, a) { if (a.params.NOTIFY !== "SUCCESS,DELAY") return reject(JSON.stringify(a.params)); }`,
			dialogue: []string{
				"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> RET=FULL ENVID=x1 => 250",
				"RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY => 250", "DATA => 354", "(message) => 250",
			},
		},
		{
			name: "quoted local part", script: `
			export function rcpt(session, a) { if (a.local !== "odd one") return reject(JSON.stringify([a.local, a.address])); }
			export function eom(session) { session.message.removeRecipient("\"odd one\"@example.org"); session.message.addRecipient("\"other one\"@example.org"); }`,
			dialogue: []string{
				"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250",
				`RCPT TO:<"odd one"@example.org> => 250`, "DATA => 354", "(message) => 250",
			},
			recipients: []string{`"other one"@example.org`},
		},
	}
}
