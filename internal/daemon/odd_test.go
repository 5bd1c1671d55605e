package daemon

import (
	"fmt"
	"strings"
	"testing"

	"pmilter/internal/mta"
)

// TestOddValues: whatever a script throws, returns or hands to a verdict, the
// answer is on_error with words for the log, and not a broken connection.
func TestOddValues(t *testing.T) {
	tests := []struct{ name, code, want, logged string }{
		{"throws a revoked Proxy", `const p = Proxy.revocable({}, {}); p.revoke(); throw p.proxy;`, "451", "cannot be shown"},
		{"throws what hangs when it is asked for its prototype", `throw new Proxy({}, { getPrototypeOf() { for (;;); } });`, "451", "[object Object]"},
		{"returns what hangs when it is asked for its prototype", `return new Proxy({}, { getPrototypeOf() { for (;;); } });`, "451", "[object Object]"},
		{"returns a revoked Proxy", `const p = Proxy.revocable({}, {}); p.revoke(); return p.proxy;`, "451", ""},
		{"a code whose toString throws", `return reject({ toString() { throw new Error("inner"); } }, "x");`, "451", "code an object is not in 500 to 599"},
		{"a text whose toString throws", `return reject(550, { toString() { throw new Error("inner"); } });`, "451", "the text is an object, which is no string"},
		{"a code that loops", `return reject({ toString() { for (;;); } }, "x");`, "451", "code an object is not in 500 to 599"},
		{"a code that is very long", `return reject("1".repeat(1e6), "x");`, "451", `1"... is not in 500 to 599`},
		{"a Symbol as code", `return reject(Symbol("550"), "x");`, "451", "code Symbol(550) is not in"},
		{"a BigInt as code", `return reject(550n, "x");`, "451", "is not in 500 to 599"},
		{"a very long message", `throw new Error("x".repeat(3e5));`, "451", "x..."},
	}
	for _, tt := range tests {
		for _, async := range []string{"", "async "} {
			t.Run(async+tt.name, func(t *testing.T) {
				s := one(t, "export "+async+"function mail() { "+tt.code+" }")
				if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "mail "+tt.want+" 4.3.0 ") {
					t.Errorf("got %q", got)
				}
				lines := s.entries("script error")
				if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["error"]), tt.logged) {
					t.Fatalf("logged %.500s", fmt.Sprint(lines))
				}
				for key, value := range lines[0] {
					if n := len(fmt.Sprint(value)); n > 10000 {
						t.Errorf("%s has %d bytes", key, n)
					}
				}
			})
		}
	}
}

// TestHangingWordsSpoilTheWorld: a world in which what was put into words for the log
// had to be stopped serves no other call, whatever the call itself had answered.
func TestHangingWordsSpoilTheWorld(t *testing.T) {
	for _, words := range []string{"for (;;);", "return this.toString();"} {
		s := one(t, `export function mail() { Promise.reject({ toString() { `+words+` } }); }
export function rcpt() { return reject("served"); }`, overruns)
		if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "rcpt 421 4.3.0 ") {
			t.Errorf("%s %q", words, got)
		}
		if n := len(s.entries("unhandled rejection")); n != 1 {
			t.Errorf("%s %d lines", words, n)
		}
	}
}

// TestWarningsNameTheLine: also of what no verdict depends on.
func TestWarningsNameTheLine(t *testing.T) {
	s := one(t, `const wait = (ms) => new Promise((r) => setTimeout(r, ms));
export function mail() {
  (async () => {
    throw new Error("nobody waits");
  })();
}
export async function rcpt() {
  setTimeout(() => { (function f() { f(); })(); }, 1);
  setTimeout(() => { throw new Error("late"); }, 2);
  await wait(30);
}
export function data() {
  setTimeout(() => { let n = 0;
    for (;;) n++; }, 0);
  for (const t = Date.now(); Date.now() < t + 20;);
}
export function eom() {}`, overruns)
	if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "eom 421 4.3.0 ") {
		t.Error(got)
	}
	want := []struct{ line, error, at string }{
		{"unhandled rejection", "Error: nobody waits", "10-test.js:5:"},
		{"timer failed", "too much recursion", "10-test.js:9:"},
		{"timer failed", "Error: late", "10-test.js:10:"},
		{"script error", "ran too long", "10-test.js:15:"},
	}
	for i, w := range want {
		lines := s.entries(w.line)
		if w.error == "Error: late" {
			lines = lines[1:]
		}
		if len(lines) == 0 || !strings.Contains(fmt.Sprint(lines[0]["error"]), w.error) || !strings.HasPrefix(fmt.Sprint(lines[0]["at"]), w.at) || lines[0]["line"] == nil {
			t.Errorf("%d: %v", i, lines)
		}
	}
}

// TestWarningsAreFew: a script cannot fill the log with what fails beside its handlers.
func TestWarningsAreFew(t *testing.T) {
	s := one(t, `export async function mail() {
  for (let i = 0; i < 200; i++) setTimeout(() => { throw new Error("tick"); }, 1);
  await new Promise((r) => setTimeout(r, 50));
}`)
	if got := outcomeOf(s.send(plain())); got != "mail c" && got != "eom c" {
		t.Error(got)
	}
	if n := len(s.entries("timer failed")); n == 0 || n > 100 {
		t.Errorf("%d lines", n)
	}
}

// TestExportsThatChange: a set is what its throwaway world showed. A world that
// shows something else answers on_error.
func TestExportsThatChange(t *testing.T) {
	for name, code := range map[string]string{
		"no function":   `module.exports = { mail: !tried ? 5 : () => {} };`,
		"throws":        `Object.defineProperty(exports, "mail", { enumerable: true, get() { if (!tried) throw new Error("gone"); return () => {}; } });`,
		"loops":         `Object.defineProperty(exports, "mail", { enumerable: true, get() { while (!tried); return () => {}; } });`,
		"a plain throw": `if (!tried) throw new Error("gone"); exports.mail = () => {};`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, map[string]string{"10-test.js": "const { note } = require('pmilter');\n" + tried + code}, overruns)
			if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "mail 4") || !strings.Contains(got, " 4.3.0 ") {
				t.Errorf("got %q", got)
			}
			if lines := s.entries("script error"); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]), "10-test.js") {
				t.Errorf("logged %v", lines)
			}
		})
	}
}

// TestOddArguments: what an edit is given is looked at, never copied whole to
// learn its kind: the copy of a large array or of a deep one may end the process.
func TestOddArguments(t *testing.T) {
	for _, tt := range []struct{ code, want string }{
		{`m.replaceBody(new Array(4294967295))`, "TypeError: the body is no string and no Uint8Array"},
		{`let o = 1; for (let i = 0; i < 2e5; i++) o = [o]; m.replaceBody(o)`, "TypeError: the body is no string and no Uint8Array"},
		{`const p = Proxy.revocable({}, {}); p.revoke(); m.replaceBody(p.proxy)`, "TypeError: the body is no string and no Uint8Array"},
		{`m.replaceBody(new DataView(new ArrayBuffer(4)))`, "TypeError: the body is no string and no Uint8Array"},
		{`h.insert({ toString() { throw new Error("inner"); } }, "X", "y")`, "TypeError: the index is no whole number: an object"},
		{`h.insert(Symbol("x"), "X", "y")`, "TypeError: the index is no whole number: Symbol(x)"},
		{`h.insert(1n, "X", "y")`, "TypeError: the index is no whole number: 1"},
		{`delete Array.prototype[Symbol.iterator]; for (const x of h);`, "TypeError"},
	} {
		s := one(t, "export function eom(s) { const m = s.message, h = m.headers; "+tt.code+"; }")
		if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "eom 451 4.3.0 ") {
			t.Errorf("%s: %s", tt.code, got)
		}
		if lines := s.entries("script error"); len(lines) != 1 || !strings.HasPrefix(fmt.Sprint(lines[0]["error"]), tt.want) || lines[0]["line"] == nil {
			t.Errorf("%s: %v", tt.code, lines)
		}
	}
	for _, code := range []string{`new (class U extends Uint8Array {})([65, 66])`, `new Uint8Array([64, 65, 66, 67]).subarray(1, 3)`, `new Uint8Array([65, 66]).buffer`} {
		s := one(t, "export function eom(s) { s.message.replaceBody("+code+"); }")
		if r := s.send(plain()); r.Message == nil || strings.TrimSpace(string(r.Message.Body)) != "AB" {
			t.Errorf("%s: %s", code, outcomeOf(r))
		}
	}
}

// TestStateOfAnOldMessage: a script that keeps a message beyond its end does not
// take the state of the one that came after it.
func TestStateOfAnOldMessage(t *testing.T) {
	s := one(t, `let old;
export function mail(s) { old ??= s.message; s.message.state.from = "mail"; }
export function rcpt(s) {
  const { message } = s;
  try { old.state.from = "old"; } catch {}
  return reject([message.state.from, s.message.state.from, message === s.message].join(" "));
}`)
	conn, err := s.e.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := mta.NewClient(t.Context(), conn, mta.PostfixOptions(6))
	if err != nil {
		t.Fatal(err)
	}
	session, want := mta.NewSession(c, mta.PostfixMacros("localhost", plain().Peer)), "old old true"
	for range 2 {
		if _, err := session.Mail(t.Context(), "a@example.org"); err != nil {
			t.Fatal(err)
		}
		if r, err := session.Rcpt(t.Context(), "b@example.net"); err != nil || r.Text != want {
			t.Errorf("got %q, want %q; %v", r.Text, want, err)
		}
		if err := session.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
		want = "mail mail true"
	}
	_ = session.Close(t.Context())
}
