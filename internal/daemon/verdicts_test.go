package daemon

import (
	"fmt"
	"strings"
	"testing"

	"pmilter/internal/mta"
)

// outcomeOf is a result in short: "phase action code enhanced text".
func outcomeOf(r mta.Result) string {
	code, enhanced, text := r.Verdict.SMTP()
	if code == 0 {
		return fmt.Sprintf("%s %c", r.Phase, r.Verdict.Action)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %d %s %s", r.Phase, code, enhanced, text))
}

func TestVerdicts(t *testing.T) {
	test := func(name, script, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			s := one(t, script)
			if got := outcomeOf(s.send(plain())); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
				for _, e := range s.entries("script error") {
					t.Log(e)
				}
			}
		})
	}
	for _, phase := range []string{"connect", "helo", "mail", "rcpt", "data", "header", "eoh", "body", "eom"} {
		falls := phase
		if phase == "header" || phase == "eoh" || phase == "body" {
			falls = "eom" // without options.early they run when the message is complete
		}
		for _, handler := range []string{"function", "async function"} {
			test(handler+" reject in "+phase, fmt.Sprintf(`export %s %s() { return reject("no: %s"); }`, handler, phase, phase),
				falls+" 550 5.7.1 no: "+phase)
		}
		test("tempfail in "+phase, fmt.Sprintf(`export function %s() { return tempfail(450, "4.2.0", "later"); }`, phase), falls+" 450 4.2.0 later")
	}
	for _, phase := range []string{"header", "eoh", "body"} {
		test("early reject in "+phase, fmt.Sprintf(`export const options = { early: true }; export function %s() { return reject("no"); }`, phase),
			phase+" 550 5.7.1 no")
	}
	test("defaults", `export function mail() { return reject(); }`, "mail 550 5.7.1 Command rejected")
	test("code and text", `export function mail() { return reject(553, "x"); }`, "mail 553 5.7.1 x")
	test("several lines", `export function mail() { return reject("one\ntwo"); }`, "mail 550 5.7.1 one\ntwo")
	test("percent", `export function mail() { return reject("100% sure %s"); }`, "mail 550 5.7.1 100% sure %s")
	test("discard", `export function data() { return discard(); }`, "data d")
	test("accept is no wire accept while others follow", `export function mail() { return accept(); } export function close() {}`, "eom c")
	test("accept by all goes out", `export function mail() { return accept(); }`, "mail a")
	test("after an await", `export async function eom() { await new Promise(r => setTimeout(r, 5)); return reject("slow"); }`, "eom 550 5.7.1 slow")
	test("abort cannot refuse", `export function mail() {} export function abort() { return reject(); }`, "eom c")
}

func TestBadVerdictsAreErrors(t *testing.T) {
	for _, call := range []string{
		`reject(450, "x")`, `reject(200, "x")`, `reject("550", "x")`, `reject(550.5, "x")`, `reject(550, "4.1.1", "x")`, `reject(550, "5.1", "x")`,
		`reject("a\tb")`, `reject("a\u0000b")`, `reject(550)`, `reject(1, 2, 3, 4)`, `tempfail(550, "x")`, `tempfail(450, "5.1.1", "x")`, `accept(1)`,
		`skip()`, `true`, `"reject"`, `{ action: "reject" }`, `Promise.resolve(1)`, `null`, `Object.create(reject())`, `new Proxy(reject(), {})`, `reject`,
	} {
		t.Run(call, func(t *testing.T) {
			s := one(t, "export function mail() {\n  return "+call+";\n}")
			r := s.send(plain())
			if got := outcomeOf(r); !strings.HasPrefix(got, "mail 451 4.3.0 ") {
				t.Errorf("got %q, want on_error", got)
			}
			errors := s.entries("script error")
			if len(errors) != 1 || errors[0]["script"] != "10-test.js" || errors[0]["phase"] != "mail" {
				t.Fatalf("log has %v", errors)
			}
			if at, ok := errors[0]["at"].(string); ok && !strings.HasPrefix(at, "10-test.js:3:") {
				t.Errorf("at %s, want line 3", at)
			}
		})
	}
}

// TestTrap10RcptVerdict: a verdict in RCPT is that recipient's; the session goes on.
func TestTrap10RcptVerdict(t *testing.T) {
	s := one(t, `
let seen = 0;
export function rcpt(session, to) {
  seen++;
  if (to.local === "no") return reject(550, "5.1.1", "not " + to);
  session.message.state.last = to.address;
}
export function eom(session) {
  session.message.headers.add("X-Rcpt", seen + " " + session.message.recipients.join(",") + " " + session.message.state.last);
}`)
	tx := plain()
	tx.Recipients = []mta.Recipient{{Address: "a@example.net"}, {Address: "no@example.net"}, {Address: "c@example.net"}}
	r := s.send(tx)
	if got := header(r.Message, "X-Rcpt"); len(got) != 1 || got[0] != "3 a@example.net,c@example.net c@example.net" {
		t.Errorf("header %q", got)
	}
	if refused := s.entries("recipient"); len(refused) != 1 || refused[0]["recipient"] != "no@example.net" || refused[0]["code"] != int64(550) {
		t.Errorf("log %v", refused)
	}
}

func TestScriptsRunInOrder(t *testing.T) {
	s := newStage(t, map[string]string{
		"10-a.js": imports + `export function eom(s) { s.message.headers.add("X-A", "1"); return accept(); } export function mail(s) { s.state.order = ["a"]; }`,
		"20-b.ts": imports + `export function mail(s: any): void { s.state.order.push("b"); } export function eom(s: any) { s.message.headers.add("X-B", s.state.order.join("")); if (s.message.headers.has("X-A")) return reject("b decides"); }`,
		"30-c.js": imports + `export function eom() { return reject("c is not asked"); }`,
	})
	if got := outcomeOf(s.send(plain())); got != "eom 550 5.7.1 b decides" {
		t.Error(got)
	}
	lines := s.entries("message")
	if len(lines) != 1 || lines[0]["script"] != "20-b.ts" || !strings.HasPrefix(fmt.Sprint(lines[0]["at"]), "20-b.ts:2:") {
		t.Errorf("log %v", lines)
	}
}

func TestObserveDoesNothing(t *testing.T) {
	s := one(t, `export const options = { observe: true };
export function eom(s) { s.message.headers.add("X-No", "1"); s.message.quarantine("no"); return reject("would"); }`)
	r := s.send(plain())
	if r.Message == nil || len(r.Edits) != 0 {
		t.Errorf("%s %v", outcomeOf(r), r.Edits)
	}
	if lines := s.entries("message would be refused"); len(lines) != 1 || lines[0]["text"] != "would" {
		t.Errorf("log %v", lines)
	}
}

func TestNotesAreLogged(t *testing.T) {
	s := one(t, `export function eom() { note("seen", { n: 1, deep: ["x"] }); note("plain"); }`)
	s.send(plain())
	lines := s.entries("message")
	if len(lines) != 1 {
		t.Fatal(lines)
	}
	if got := fmt.Sprintf("%s", lines[0]["notes"]); !strings.Contains(got, "seen") || !strings.Contains(got, "plain") {
		t.Errorf("notes %s", got)
	}
}
