package integration

import (
	"testing"

	"pmilter/internal/postfixtest"
)

// A refusal in each phase, with the code and the text that the client saw.
func TestReject(t *testing.T) { playAll(t, rejections()) }

func rejections() []scenario {
	refusal := func(phase string) string {
		return "export function " + phase + `() { return reject(554, "5.7.2", "no ` + phase + `"); }`
	}
	return []scenario{
		// Postfix answers EHLO itself and gives the milter's word from the next command on.
		{name: "helo", script: refusal("helo"), dialogue: dialogue("MAIL FROM:<a@example.org> => 554 5.7.2 no helo")},
		{name: "mail", script: refusal("mail"), dialogue: dialogue("MAIL FROM:<a@example.org> => 554 5.7.2 no mail")},
		{name: "rcpt", script: refusal("rcpt"), dialogue: dialogue("RCPT TO:<b@example.org> => 554 5.7.2 no rcpt")},
		{name: "data", script: refusal("data"), dialogue: dialogue("DATA => 554 5.7.2 no data")},
		{name: "header", script: refusal("header"), dialogue: dialogue("(message) => 554 5.7.2 no header")},
		{name: "eoh", script: refusal("eoh"), dialogue: dialogue("(message) => 554 5.7.2 no eoh")},
		{name: "body", script: refusal("body"), dialogue: dialogue("(message) => 554 5.7.2 no body")},
		{name: "eom", script: refusal("eom"), dialogue: dialogue("(message) => 554 5.7.2 no eom")},
		{
			name: "header early", script: "export const options = { early: true };\n" + refusal("header"),
			dialogue: dialogue("(message) => 554 5.7.2 no header"),
		},
		{
			name: "eoh early", script: "export const options = { early: true };\n" + refusal("eoh"),
			dialogue: dialogue("(message) => 554 5.7.2 no eoh"),
		},
		{
			name: "body early", script: "export const options = { early: true };\n" + refusal("body"),
			dialogue: dialogue("(message) => 554 5.7.2 no body"),
		},
		{
			name: "unknown", script: `export function unknown(session, command) { return reject(502, "5.5.1", "not " + command.split(" ")[0]); }`,
			dialogue: []string{"EHLO client.example.org => 250", "XYZZY => 502 5.5.1 not XYZZY", "NOOP => 250"},
		},
		{
			name: "async", script: `export async function mail() { await null; return reject("later"); }`,
			dialogue: dialogue("MAIL FROM:<a@example.org> => 550 5.7.1 later"),
		},
		{
			name: "typescript", scripts: map[string]string{
				"10.ts": `import { reject } from "pmilter";` + "\nexport function helo(session: unknown, name: string) { return reject(`not ${name}` as string); }",
			},
			dialogue: dialogue("MAIL FROM:<a@example.org> => 550 5.7.1 not client.example.org"),
		},
	}
}

func TestTempfail(t *testing.T) { playAll(t, tempfails()) }

func tempfails() []scenario {
	refusal := func(phase string) string {
		return "export function " + phase + `() { return tempfail("not now"); }`
	}
	return []scenario{
		{name: "helo", script: refusal("helo"), dialogue: dialogue("MAIL FROM:<a@example.org> => 451 4.7.1 not now")},
		{name: "mail", script: refusal("mail"), dialogue: dialogue("MAIL FROM:<a@example.org> => 451 4.7.1 not now")},
		{name: "rcpt", script: refusal("rcpt"), dialogue: dialogue("RCPT TO:<b@example.org> => 451 4.7.1 not now")},
		{name: "data", script: refusal("data"), dialogue: dialogue("DATA => 451 4.7.1 not now")},
		{name: "eom", script: refusal("eom"), dialogue: dialogue("(message) => 451 4.7.1 not now")},
		{
			name: "421 ends the connection", script: `export function mail() { return tempfail(421, "4.7.0", "go away"); }`,
			dialogue: []string{"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 421 4.7.0 go away", "NOOP => "},
		},
	}
}

// Texts that other servers mangle.
func TestTrap09ReplyText(t *testing.T) { playAll(t, replyTexts()) }

func replyTexts() []scenario {
	mail := func(verdict string) string { return "export function mail() { return " + verdict + "; }" }
	return []scenario{
		{name: "default", script: mail("reject()"), dialogue: dialogue("MAIL FROM:<a@example.org> => 550")},
		{
			name: "percent", script: mail(`reject(550, "5.7.1", "100% %s %% sure")`),
			dialogue: dialogue("MAIL FROM:<a@example.org> => 550 5.7.1 100% %s %% sure"),
		},
		{
			name: "lines", script: mail(`reject(550, "5.7.1", "one\ntwo 50%\nthree")`),
			dialogue: dialogue("MAIL FROM:<a@example.org> => 550-5.7.1 one\n550-5.7.1 two 50%\n550 5.7.1 three"),
		},
		{
			name: "lines at the end", script: `export function eom() { return reject(550, "5.7.1", "one\ntwo"); }`,
			dialogue: dialogue("(message) => 550-5.7.1 one\n550 5.7.1 two"),
		},
		{
			// The client is in step afterwards.
			name: "in step", script: mail(`reject(550, "5.7.1", "one\ntwo")`),
			dialogue: []string{
				"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 550-5.7.1 one\n550 5.7.1 two",
				"NOOP => 250 2.0.0 Ok", "VRFY b@example.org => 252",
			},
		},
	}
}

// A verdict in rcpt is about that recipient alone.
func TestTrap10RecipientAlone(t *testing.T) { playAll(t, recipientVerdicts()) }

func recipientVerdicts() []scenario {
	return []scenario{{
		name: "others go on",
		script: `export function rcpt(session, to) {
			session.state.count = (session.state.count || 0) + 1;
			if (to.local === "bad") return reject(550, "5.1.1", "unknown: " + to);
			if (to.local === "later") return tempfail(450, "4.2.0", "busy");
		}
		export function eom(session) {
			session.message.headers.add("X-Seen", session.state.count + " " + session.message.recipients.join(","));
		}`,
		dialogue: []string{
			"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 250",
			"RCPT TO:<bad@example.org> => 550 5.1.1 unknown: bad@example.org",
			"RCPT TO:<b@example.org> => 250 2.1.5 Ok",
			"RCPT TO:<later@example.org> => 450 4.2.0 busy",
			"RCPT TO:<c@example.net> => 250 2.1.5 Ok",
			"DATA => 354", "(message) => 250",
		},
		delivered:  "From: Alice <a@example.org>\r\nTo: b@example.org\r\nSubject: test\r\nX-Seen: 4 b@example.org,c@example.net\r\n\r\nbody\r\n",
		recipients: []string{"b@example.org", "c@example.net"},
	}}
}

func TestDiscard(t *testing.T) { playAll(t, discards()) }

func discards() []scenario {
	var all []scenario
	for _, phase := range []string{"mail", "rcpt", "data", "header", "eoh", "body", "eom"} {
		all = append(all, scenario{
			name: phase, script: "export function " + phase + "() { return discard(); }", discarded: true,
		})
	}
	return all
}

// Quarantine is an action beside an accept, its reason has one line. Postfix
// does not show the reason anywhere; pmilterd's log does.
func TestTrap21Quarantine(t *testing.T) { playAll(t, quarantines()) }

func quarantines() []scenario {
	return []scenario{
		{
			name: "hold", script: `export function eom(session) { session.message.quarantine("needs a look"); }`,
			held: "needs a look",
		},
		{
			name: "early in the dialogue", script: `export function mail(session) { session.message.quarantine("odd sender"); }`,
			held: "odd sender",
		},
		{
			name: "a line break is an error", script: `export function eom(session) { session.message.quarantine("a\nb"); }`,
			dialogue: dialogue("(message) => 451"),
		},
	}
}

// Several scripts: the first refusal decides, accept ends one script's interest.
func TestChain(t *testing.T) { playAll(t, chains()) }

func chains() []scenario {
	tag := func(text string) string {
		return "export function eom(session) { session.message.headers.add('X-Tag', '" + text + "'); }\n"
	}
	tagged := func(tags string) string {
		return "From: Alice <a@example.org>\r\nTo: b@example.org\r\nSubject: test\r\n" + tags + "\r\nbody\r\n"
	}
	return []scenario{
		{
			name: "accept in mail", scripts: map[string]string{
				"10.js": verdicts + "export function mail() { return accept(); }\nexport function rcpt() { return reject(); }\n" + tag("10"),
				"20.js": tag("20"),
			},
			delivered: tagged("X-Tag: 20\r\n"),
		},
		{
			name: "accept in connect", scripts: map[string]string{
				"10.js": verdicts + "export function connect() { return accept(); }\nexport function rcpt() { return reject(); }\n",
				"20.js": tag("20"),
			},
			delivered: tagged("X-Tag: 20\r\n"),
		},
		{
			name: "all accept", scripts: map[string]string{
				"10.js": verdicts + "export function helo() { return accept(); }\nexport function eom() { return reject(); }\n",
				"20.js": verdicts + "export function mail() { return accept(); }\nexport function eom() { return reject(); }\n",
			},
		},
		{
			name: "order", scripts: map[string]string{"10.js": tag("10"), "20.ts": tag("20"), "30.mjs": tag("30"), "_40.js": tag("40"), "x.test.js": tag("t")},
			delivered: tagged("X-Tag: 10\r\nX-Tag: 20\r\nX-Tag: 30\r\n"),
		},
		{
			name: "first refusal", scripts: map[string]string{
				"10.js": verdicts + `export function mail() { return tempfail("ten"); }`,
				"20.js": verdicts + `export function mail() { return reject("twenty"); }`,
			},
			dialogue: dialogue("MAIL FROM:<a@example.org> => 451 4.7.1 ten"),
		},
		{
			name: "observe", scripts: map[string]string{
				"10.js": verdicts + "export const options = { observe: true };\nexport function mail() { return reject(); }\n" + tag("10"),
				"20.js": tag("20"),
			},
			delivered: tagged("X-Tag: 20\r\n"),
		},
	}
}

// Postfix greets and answers EHLO with its own words, and gives ours from the
// next command on.
func TestTrap27ConnectText(t *testing.T) {
	m := startMTA(t, nil)
	for _, c := range []struct {
		name, verdict, greeting string
		then                    []string
	}{
		{
			"reject", `reject(550, "5.7.1", "not you")`, "554 mx.example.org ESMTP not accepting connections",
			[]string{"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 550 5.7.1 not you", "VRFY a => 550 5.7.1 not you"},
		},
		{
			"tempfail", `tempfail(450, "4.7.1", "not now")`, "220 mx.example.org ESMTP Postfix",
			[]string{"EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 450 4.7.1 not now"},
		},
		{"421", `tempfail(421, "4.7.0", "closing")`, "421 mx.example.org Service unavailable - try again later", []string{"EHLO client.example.org => "}},
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
