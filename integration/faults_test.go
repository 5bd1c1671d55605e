package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// A fault is what a handler does wrong.
type fault struct {
	name string
	code string // of the handler
	// drops: the world is lost with it, at least on a slow machine, and later
	// commands of the connection may be answered with 421.
	drops bool
}

// faults are the ways to fail; each is chosen by its name as the local part of
// the sender, or as the subject.
func faults() []fault {
	return []fault{
		{name: "throw", code: `throw new Error("on purpose")`},
		{name: "nothing-to-catch", code: `null.x`},
		{name: "rejects", code: `return Promise.reject(new Error("on purpose"))`},
		{name: "number", code: `return 42`},
		{name: "text", code: `return "reject"`},
		{name: "object", code: `return {}`},
		{name: "wrong-class", code: `return reject(250, "2.0.0", "fine")`},
		{name: "control", code: `return reject("a\x00b")`},
		{name: "recursion", code: `const f = (n) => f(n + 1) + 1; f(0)`},
		{name: "eval", code: `eval("1")`},
		{name: "function", code: `(() => {}).constructor("return 1")()`},
		{name: "brackets", code: `JSON.parse("[".repeat(3000000))`, drops: true},
		{name: "huge", code: `"x".repeat(2 ** 50)`},
		{name: "loop", code: `for (;;) ;`, drops: true},
		{name: "never", code: `return new Promise(() => {})`, drops: true},
		{name: "waits", code: `return new Promise((done) => setTimeout(done, 60000))`, drops: true},
		{name: "promises", code: `const f = () => Promise.resolve().then(f); return f()`, drops: true},
		{name: "generator", code: `function* g() { yield* g() } g().next()`, drops: true},
		{name: "regex", code: `/(a?){1000}b/.test("a".repeat(100000))`, drops: true},
		{name: "lookbehind", code: `/(?<!x)^(a|aa)+$/.test("a".repeat(80) + "c")`, drops: true},
		{name: "backreference", code: `/^(a+)+\1$/.test("a".repeat(60) + "c")`, drops: true},
		{name: "sort", code: `const a = Array.from({ length: 1000 }, (_, i) => i); a.sort(() => { for (;;) ; })`, drops: true},
		{name: "proxy", code: `let p = {}; for (let i = 0; i < 200000; i++) p = new Proxy(p, {}); p.x`, drops: true},
	}
}

// faultScript fails in phase as the key says.
func faultScript(phase, args, key string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "export function %s(session%s) {\n  switch (%s) {\n", phase, args, key)
	for _, f := range faults() {
		fmt.Fprintf(&b, "  case %q: { %s; break }\n", f.name, f.code)
	}
	b.WriteString("  }\n}\n")
	return b.String()
}

// shortLimits make the tests quick, but leave a slow machine time for the faults
// that are found out without them.
func shortLimits() map[string]string {
	return map[string]string{
		"handler.timeout": `"3s"`, "handler.eom_timeout": `"3s"`, "handler.cpu": `"2s"`,
	}
}

// faultBudget is the time in which a fault must be answered: the limits above and
// much for a slow machine, but below Postfix's own 30 s.
const faultBudget = 25 * time.Second

// A handler that fails gives 451 within its limits, and another connection is
// served meanwhile as if nothing were.
func TestFaultInMail(t *testing.T) {
	m := startMTA(t, nil)
	s := m.serve(t, one(faultScript("mail", ", sender", "sender.local")), shortLimits())
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			answer := make(chan postfixtest.Reply, 1)
			bad, good := m.Dial(t), m.Dial(t)
			bad.Cmd("EHLO bad.example.org")
			good.Cmd("EHLO good.example.org")
			begin := time.Now()
			bad.Write("MAIL FROM:<" + f.name + "@example.org>\r\n")
			go func() { answer <- bad.Read() }()

			undisturbed := time.Now()
			if reply := good.Send("a@example.org", []string{"b@example.org"}, plainMessage); reply.Code() != 250 {
				t.Errorf("the other connection: %s", reply)
			}
			if took := time.Since(undisturbed); took > faultBudget {
				t.Errorf("the other connection waited %v", took)
			}
			reply := <-answer
			if took := time.Since(begin); took > faultBudget {
				t.Errorf("answered after %v", took)
			}
			if code := reply.Code(); code != 451 && (code != 421 || !f.drops) {
				t.Errorf("reply %q, want 451", reply)
			}
			if s.ended() {
				t.Fatal("pmilterd is gone")
			}
		})
	}
	// Each left its place in the log.
	s.awaitLog("10-test.js:4:", "on purpose")
}

// The same at the end of the message, where edits of the failing call are undone.
func TestFaultInEOM(t *testing.T) {
	m := startMTA(t, nil)
	script := faultScript("eom", "", `session.message.headers.get("Subject")`)
	script = strings.Replace(script, "{\n", "{\n  session.message.headers.add('X-Undone', 'yes');\n", 1)
	s := m.serve(t, one(script), shortLimits())
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			c := m.Dial(t)
			c.Cmd("EHLO bad.example.org")
			begin := time.Now()
			reply := c.Send("a@example.org", []string{"b@example.org"}, "Subject: "+f.name+"\r\n\r\nx\r\n")
			if code := reply.Code(); code != 451 && (code != 421 || !f.drops) {
				t.Errorf("reply %q, want 451", reply)
			}
			if took := time.Since(begin); took > faultBudget {
				t.Errorf("answered after %v", took)
			}
			if s.ended() {
				t.Fatal("pmilterd is gone")
			}
		})
	}
	if n := len(m.Sink.Mails()); n > 0 {
		t.Errorf("%d mails delivered", n)
	}
}

// on_error, of the configuration and of one script.
func TestOnError(t *testing.T) {
	throws := eom(`h.add("X-Undone", "yes"); throw new Error("on purpose");`)
	m := startMTA(t, nil)
	for _, c := range []struct {
		name, setting, option, want string
	}{
		{"default", "", "", "451"},
		{"tempfail", "tempfail", "", "451"},
		{"reject", "reject", "", "550"},
		{"accept", "accept", "", "250"},
		{"script's own", "accept", "reject", "550"},
		{"script accepts", "", "accept", "250"},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := shortLimits()
			if c.setting != "" {
				settings["handler.on_error"] = `"` + c.setting + `"`
			}
			script := throws
			if c.option != "" {
				script = "export const options = { onError: '" + c.option + "' };\n" + throws
			}
			s := scenario{script: script, dialogue: dialogue("(message) => " + c.want)}
			if c.want == "550" || c.want == "451" {
				s.dialogue = append(s.dialogue, "NOOP => 250")
			}
			s.play(t, m, settings)
		})
	}
}

// A fault in one script with on_error accept leaves the others their say.
func TestOnErrorAcceptIsOfOneScript(t *testing.T) {
	playAll(t, []scenario{{
		name: "the next decides", scripts: map[string]string{
			"10.js": verdicts + "export const options = { onError: 'accept' };\nexport function mail() { throw new Error('x'); }\n" + eom(`h.add("X-Ten", "1");`),
			"20.js": verdicts + eom(`h.add("X-Twenty", "1");`),
		},
		delivered: strings.Replace(plainMessage, "\r\n\r\n", "\r\nX-Twenty: 1\r\n\r\n", 1),
	}})
}

// Memory is bounded: the handler that eats it is stopped, the server lives.
func TestFaultMemory(t *testing.T) {
	m := startMTA(t, nil)
	settings := map[string]string{"handler.memory": `"128MiB"`, "handler.max_value": `"1MiB"`}
	s := m.serve(t, one(`export function mail(session, sender) {
		if (sender.local === "value") { let s = "x"; for (;;) s += s; }
		if (sender.local === "hoard") { const a = []; for (;;) a.push(new Uint8Array(65536)); }
	}`), settings)
	for _, name := range []string{"value", "hoard"} {
		t.Run(name, func(t *testing.T) {
			c := m.Dial(t)
			c.Cmd("EHLO bad.example.org")
			if code := c.Cmd("MAIL FROM:<" + name + "@example.org>").Code(); code != 451 && code != 421 {
				t.Errorf("code %d, want 451", code)
			}
			if s.ended() {
				t.Fatal("pmilterd is gone")
			}
			// What is stuck holds its memory until it ends: on a slow machine another
			// handler may be stopped meanwhile, and its client comes back.
			for deadline := time.Now().Add(patience); ; {
				good := m.Dial(t)
				good.Cmd("EHLO good.example.org")
				reply := good.Send("a@example.org", []string{"b@example.org"}, plainMessage)
				if reply.Code() == 250 {
					break
				}
				if reply.Code() != 421 || time.Now().After(deadline) {
					t.Fatalf("afterwards: %s", reply)
				}
			}
		})
	}
}
