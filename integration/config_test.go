package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pmilter/internal/postfixtest"
)

// SIGHUP reads the configuration anew; one with a fault changes nothing.
func TestHangup(t *testing.T) {
	m := startMTA(t, nil)
	script := one(`import vars from "pmilter/vars";
	export function mail() { return reject(vars.text); }`)
	s := m.serve(t, script, map[string]string{"vars.text": `"one"`})
	awaitReply(t, m, "550 5.7.1 one")
	old := m.Dial(t)
	old.Run(postfixtest.Steps("EHLO client.example.org => 250", "MAIL FROM:<a@example.org> => 550 5.7.1 one")...)

	file := filepath.Join(s.dir, "pmilter.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s.signal(syscall.SIGHUP)
	}
	rewrite(strings.Replace(string(text), "log", "no_such_table", 1))
	s.awaitLog("no_such_table")
	awaitReply(t, m, "550 5.7.1 one")
	rewrite(strings.Replace(string(text), `"one"`, `"two"`, 1))
	awaitReply(t, m, "550 5.7.1 two")
	old.Run(postfixtest.Steps("MAIL FROM:<a@example.org> => 550 5.7.1 one")...)
}

// A message over max_message.
func TestOversize(t *testing.T) {
	m := startMTA(t, nil)
	big := plainMessage + strings.Repeat("more than the limit\r\n", 2000)
	for _, c := range []struct{ oversize, want string }{{"reject", "552"}, {"tempfail", "452"}, {"accept", "250"}} {
		t.Run(c.oversize, func(t *testing.T) {
			settings := map[string]string{"milter.max_message": `"20KiB"`, "milter.oversize": `"` + c.oversize + `"`}
			m.serve(t, one(eom(`return reject("whole");`)), settings)
			for _, s := range []scenario{
				{message: big, dialogue: dialogue("(message) => " + c.want)},
				{dialogue: dialogue("(message) => 550 5.7.1 whole")},
			} {
				client := m.Dial(t)
				s.speak(t, m, client)
				client.Cmd("QUIT")
			}
		})
	}
}

// With options.early the body's handler stops the rest of the body by skip().
func TestTrap13Skip(t *testing.T) {
	long := "Subject: long\r\n\r\n" + strings.Repeat("0123456789012345678901234567890123456789012345678901234567\r\n", 5000)
	script := func(options, verdict string) string {
		return "export const options = " + options + ";\nlet chunks = 0;\nexport function body(session) {\n" +
			"  session.message.headers.add('X-Chunk', String(++chunks));\n  " + verdict + "\n}\n"
	}
	with := func(chunks ...string) string {
		return strings.Replace(long, "\r\n\r\n", "\r\nX-Chunk: "+strings.Join(chunks, "\r\nX-Chunk: ")+"\r\n\r\n", 1)
	}
	all := with("1", "2", "3", "4", "5")
	raw := "export function eom(session) { if (session.message.body.length !== 300000) return reject(String(session.message.body.length)); }\n"
	playAll(t, []scenario{
		{name: "early, all", script: script("{ early: true }", ""), message: long, delivered: all},
		{name: "early, skipped", script: script("{ early: true }", "return skip();"), message: long, delivered: with("1")},
		{name: "early, skipped, body wanted", script: script("{ early: true }", "return skip();") + raw, message: long, delivered: with("1")},
		{name: "all", script: script("{}", ""), message: long, delivered: all},
		{name: "skipped", script: script("{}", "return skip();"), message: long, delivered: with("1")},
		{
			name: "skipped by one of two", scripts: map[string]string{
				"10.js": verdicts + script("{ early: true }", "return skip();"),
				"20.js": verdicts + script("{ early: true }", ""),
			}, message: long, delivered: with("1", "1", "2", "3", "4", "5"),
		},
	})
}

// An abort tells the scripts what was given up, and the connection goes on.
func TestTrap11Abort(t *testing.T) {
	playAll(t, []scenario{{
		name: "after RSET and after a refusal", script: `
		const gone = [];
		export function data(session) { if (session.message.sender.local === "refused") return reject("data"); }
		export function abort(session) { gone.push(session.message.sender.local); }
		` + eom(`h.add("X-Gone", gone.join(" "));`),
		dialogue: []string{
			"EHLO client.example.org => 250",
			"MAIL FROM:<one@example.org> => 250", "RSET => 250",
			"MAIL FROM:<refused@example.org> => 250", "RCPT TO:<b@example.org> => 250", "DATA => 550 5.7.1 data", "RSET => 250",
			"MAIL FROM:<a@example.org> => 250", "RCPT TO:<c@example.org> => 250", "DATA => 354", "(message) => 250",
		},
		recipients: []string{"c@example.org"},
		delivered:  strings.Replace(plainMessage, "\r\n\r\n", "\r\nX-Gone: one refused\r\n\r\n", 1),
	}})
}
