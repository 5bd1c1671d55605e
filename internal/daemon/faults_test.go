package daemon

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"pmilter/internal/config"
)

// TestFaultsGiveOnError: whatever a handler does wrong, its answer is on_error,
// in time, and the next connection is served as if nothing had been.
func TestFaultsGiveOnError(t *testing.T) {
	hang := `
const evil = "a".repeat(5000) + "!";
const nested = (n) => n === 0 ? 0 : nested(n - 1);
export async function mail(session, sender) {
  if (sender.local !== "evil") return;
  %s
}`
	tests := []struct{ name, code, want string }{
		{"throws", `throw new Error("boom");`, "451"},
		{"throws a string", `throw "boom";`, "451"},
		{"throws what cannot be shown", `throw { toString() { throw 1; } };`, "451"},
		{"reference", `nothing.here();`, "451"},
		{"rejects", `await Promise.reject(new Error("boom"));`, "451"},
		{"loops", `for (;;);`, "421"},
		{"loops in catch", `for (;;) { try { for (;;); } catch (e) {} finally { for (;;); } }`, "421"},
		{"loops in promises", `const f = () => Promise.resolve().then(f); await f();`, "421"},
		{"recurses", `(function f() { f(); })();`, "451"},
		{"recurses in a getter", `const o = { get x() { return this.x; } }; o.x;`, "451"},
		{"recurses through sort", `(function f() { [2, 1].sort(f); })();`, "451"},
		{"never settles", `await new Promise(() => {});`, "451"},
		{"settles too late", `await new Promise(r => setTimeout(r, 60000));`, "421"},
		{"backtracks", `/^(a+)+$/.test(evil); /(?=(a+)+$)b/.test(evil); /^(a|aa)+$(?!x)/.test(evil);`, "421"},
		{"nonsense", `return 7;`, "451"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := one(t, fmt.Sprintf(hang, tt.code))
			tx := plain()
			tx.Sender = "evil@example.org"
			start := time.Now()
			got := outcomeOf(s.send(tx))
			if !strings.HasPrefix(got, "mail "+tt.want+" 4.3.0 ") {
				t.Errorf("got %q, want on_error %s", got, tt.want)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			if n := len(s.entries("script error")); n != 1 {
				t.Errorf("%d lines about it", n)
			}
			if got := outcomeOf(s.send(plain())); got != "mail c" && got != "eom c" {
				t.Errorf("the next mail got %q", got)
			}
		})
	}
}

// TestOverrunIsAnsweredByAnother: a built-in that cannot be interrupted does
// not hold the verdict; on_error accept lets the mail through with the edits of the others.
func TestOverrunIsAnsweredByAnother(t *testing.T) {
	s := newStage(t, map[string]string{
		"10-good.js": imports + `export function eom(s) { s.message.headers.add("X-Good", "1"); }`,
		"20-evil.js": imports + `export const options = { onError: "accept" };
export function eom(s) { s.message.headers.add("X-Evil", "1"); /(a?){300}b/.test("a".repeat(60000)); }`,
		"30-last.js": imports + `export const options = { onError: "accept" };
export function eom(s) { s.message.headers.add("X-Last", "1"); }`,
	}, func(c *config.Config) { c.Handler.CPU = 100 * time.Millisecond })
	t.Cleanup(func() { awaitRegexp(t) })
	start := time.Now()
	r := s.send(plain())
	took := time.Since(start)
	if r.Message == nil || len(header(r.Message, "X-Good")) != 1 || len(header(r.Message, "X-Evil")) != 0 {
		t.Errorf("%s, edits %v", outcomeOf(r), r.Edits)
	}
	if took > 2*time.Second {
		t.Errorf("the verdict took %v", took)
	}
	if s.e.filter.Overruns() == 0 {
		t.Skip("this machine's regular expression ended within the limit")
	}
}

// TestDroppedWorldAnswersOnError: after an overrun the rest of the connection gets on_error.
func TestDroppedWorldAnswersOnError(t *testing.T) {
	s := newStage(t, map[string]string{
		"10-a.js": imports + `export const options = { onError: "accept" }; export function helo() { for (;;); }`,
		"20-b.js": imports + `export const options = { onError: "reject" }; export function rcpt() {}`,
	})
	if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "rcpt 550 5.3.0 ") {
		t.Error(got)
	}
}

func TestEditsOfAFailingCallAreUndone(t *testing.T) {
	s := newStage(t, map[string]string{
		"10-a.js": imports + `export const options = { onError: "accept" };
export function mail(s) { s.message.headers.add("X-Mail", "kept"); }
export function eom(s) { s.message.headers.add("X-Eom", "undone"); s.message.setSender("x@example.org"); note("undone"); throw new Error("boom"); }`,
		"20-b.js": imports + `export function eom(s) { s.message.headers.add("X-B", String(s.message.headers.has("X-Eom"))); note("kept"); }`,
	})
	r := s.send(plain())
	if fmt.Sprint(header(r.Message, "X-Mail"), header(r.Message, "X-Eom"), header(r.Message, "X-B")) != "[kept] [] [false]" || r.Message.Sender != "a@example.org" {
		t.Errorf("edits %v", r.Edits)
	}
	if notes := fmt.Sprintf("%s", s.entries("message")[0]["notes"]); strings.Contains(notes, "undone") || !strings.Contains(notes, "kept") {
		t.Errorf("notes %s", notes)
	}
}

// TestOtherConnectionsAreUndisturbed: while one handler loops, others answer at once.
func TestOtherConnectionsAreUndisturbed(t *testing.T) {
	s := one(t, `export function mail(s, a) { if (a.local === "evil") for (;;); }`, func(c *config.Config) { c.Handler.CPU = time.Second })
	done := make(chan string, 1)
	go func() {
		tx := plain()
		tx.Sender = "evil@example.org"
		done <- outcomeOf(s.send(tx))
	}()
	honest, longest := 0, time.Duration(0)
	for {
		select {
		case got := <-done:
			if !strings.HasPrefix(got, "mail 421 4.3.0") || honest < 3 || longest > 500*time.Millisecond {
				t.Errorf("evil got %q; %d honest mails meanwhile, the slowest in %v", got, honest, longest)
			}
			return
		default:
		}
		start := time.Now()
		if got := outcomeOf(s.send(plain())); got != "mail c" && got != "eom c" {
			t.Fatalf("honest mail got %q", got)
		}
		honest, longest = honest+1, max(longest, time.Since(start))
	}
}

// awaitRegexp waits until no goroutine matches a regular expression any more:
// what nobody can stop ends by itself, and then leaves nothing behind.
func awaitRegexp(t *testing.T) {
	t.Helper()
	for range 600 {
		stacks := make([]byte, 1<<20)
		if !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("regexp.(*machine)")) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("a stuck script is still there after a minute")
}

// TestTopLevelCodeThatHangs: a built-in that cannot be interrupted in code that
// runs when the world is made is answered for like one in a handler.
func TestTopLevelCodeThatHangs(t *testing.T) {
	s := one(t, `
import vars from "pmilter/vars";
globalThis.hang = () => /(a?){300}b/.test("a".repeat(60000));
if (Date.now() > vars.after) hang();
export function mail() {}`, func(c *config.Config) {
		c.Handler.CPU = 300 * time.Millisecond
		c.Vars = map[string]any{"after": time.Now().Add(3 * time.Second).UnixMilli()}
	})
	t.Cleanup(func() { awaitRegexp(t) })
	if got := outcomeOf(s.send(plain())); got != "mail c" && got != "eom c" {
		t.Fatalf("before: %s", got)
	}
	time.Sleep(3 * time.Second) // the clock of scripts is not ours yet
	start := time.Now()
	if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "mail 421 4.3.0") {
		t.Errorf("got %q", got)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the verdict took %v", took)
	}
}

// TestErrorThatHangsWhenShown: what a script throws may hang when it is put
// into words for the log; the verdict does not wait for it.
func TestErrorThatHangsWhenShown(t *testing.T) {
	s := one(t, `export function mail() { throw { toString() { return String(/(a?){300}b/.test("a".repeat(60000))); } }; }`,
		func(c *config.Config) { c.Handler.CPU = 300 * time.Millisecond })
	t.Cleanup(func() { awaitRegexp(t) })
	start := time.Now()
	if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "mail 4") {
		t.Errorf("got %q", got)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the verdict took %v", took)
	}
}

// TestFailingTimersAreLogged: what a timer's function throws costs no verdict.
func TestFailingTimersAreLogged(t *testing.T) {
	s := one(t, `export async function mail() { setTimeout(() => { throw new Error("tick"); }, 1); await new Promise(r => setTimeout(r, 20)); return reject("fine"); }`)
	if got := outcomeOf(s.send(plain())); got != "mail 550 5.7.1 fine" {
		t.Error(got)
	}
	if lines := s.entries("timer failed"); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]), "tick") {
		t.Errorf("log %v", lines)
	}
}
