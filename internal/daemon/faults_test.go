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
			s := one(t, fmt.Sprintf(hang, tt.code), func(c *config.Config) {
				if tt.want == "421" {
					overruns(c)
				}
			})
			tx := plain()
			tx.Sender = "evil@example.org"
			got := outcomeOf(s.send(tx)) // which waits for half a minute at most
			if !strings.HasPrefix(got, "mail "+tt.want+" 4.3.0 ") {
				t.Errorf("got %q, want on_error %s", got, tt.want)
			}
			if n := len(s.entries("script error")); n != 1 {
				t.Errorf("%d lines about it", n)
			}
			if got := outcomeOf(s.send(plain())); got != "mail c" && got != "eom c" {
				t.Errorf("the next mail got %q", got)
			}
			awaitRegexp(t)
		})
	}
}

// TestOverrunIsAnsweredByAnother: a built-in that cannot be interrupted does
// not hold the verdict; on_error accept lets the mail through with the edits of the others.
func TestOverrunIsAnsweredByAnother(t *testing.T) {
	s := newStage(t, map[string]string{
		"10-good.js": imports + `export function eom(s) { s.message.headers.add("X-Good", "1"); }`,
		"20-evil.js": imports + `export const options = { onError: "accept" };
export function eom(s) { s.message.headers.add("X-Evil", "1"); ` + hangs + ` }`,
		"30-last.js": imports + `export const options = { onError: "accept" };
export function eom(s) { s.message.headers.add("X-Last", "1"); }`,
	}, overruns)
	r := s.send(plain())
	checkHung(t, s)
	if r.Message == nil || len(header(r.Message, "X-Good")) != 1 || len(header(r.Message, "X-Evil")) != 0 {
		t.Errorf("%s, edits %v", outcomeOf(r), r.Edits)
	}
}

// TestDroppedWorldAnswersOnError: after an overrun the rest of the connection gets on_error.
func TestDroppedWorldAnswersOnError(t *testing.T) {
	s := newStage(t, map[string]string{
		"10-a.js": imports + `export const options = { onError: "accept" }; export function helo() { for (;;); }`,
		"20-b.js": imports + `export const options = { onError: "reject" }; export function rcpt() {}`,
	}, overruns)
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

// TestOtherConnectionsAreUndisturbed: while one handler loops, others are served.
func TestOtherConnectionsAreUndisturbed(t *testing.T) {
	s := one(t, `export function mail(s, a) { if (a.local === "evil") for (;;); }`, overruns)
	done := make(chan string, 1)
	go func() {
		tx := plain()
		tx.Sender = "evil@example.org"
		done <- outcomeOf(s.send(tx))
	}()
	for honest := 0; ; honest++ {
		select {
		case got := <-done:
			if !strings.HasPrefix(got, "mail 421 4.3.0") || honest == 0 {
				t.Errorf("evil got %q; %d honest mails meanwhile", got, honest)
			}
			return
		default:
		}
		if got := outcomeOf(s.send(plain())); got != "mail c" && got != "eom c" {
			t.Fatalf("honest mail got %q", got)
		}
	}
}

// hangs is a statement that is in one built-in for regexpLimit, which nothing can stop.
const hangs = `/^(a|aa)+$(?!x)/.test("a".repeat(100) + "!");`

// checkHung is called right after the verdict of a script with hangs: that came
// from another goroutine, while the built-in was still at it.
func checkHung(t *testing.T, s *stage) {
	t.Helper()
	if n := s.e.filter.Overruns(); n != 1 || !matching() {
		t.Errorf("the verdict waited for the end of a built-in function; %d overruns", n)
	}
	t.Cleanup(func() { awaitRegexp(t) })
}

// awaitRegexp waits until no goroutine matches a regular expression any more:
// what nobody can stop ends by itself, and then leaves nothing behind.
func awaitRegexp(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(plenty); matching(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a stuck script is still there")
		}
	}
}

func matching() bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("regexp2/v2.(*Runner)"))
}

// tried makes a variable that tells a script whether it is only tried, at load.
const tried = `let tried = false; try { note("x"); } catch { tried = true; }` + "\n"

// TestTopLevelCodeThatHangs: a built-in that cannot be interrupted in code that
// runs when the world is made is answered for like one in a handler.
func TestTopLevelCodeThatHangs(t *testing.T) {
	s := one(t, tried+"if (!tried) "+hangs+"\nexport function mail() {}", overruns)
	got := outcomeOf(s.send(plain()))
	checkHung(t, s)
	if !strings.HasPrefix(got, "mail 421 4.3.0") {
		t.Errorf("got %q", got)
	}
}

// TestErrorThatHangsWhenShown: what a script throws may hang when it is put
// into words for the log; the verdict does not wait for it.
func TestErrorThatHangsWhenShown(t *testing.T) {
	s := one(t, `export function mail() { throw { toString() { `+hangs+` } }; }`, overruns)
	got := outcomeOf(s.send(plain()))
	checkHung(t, s)
	if !strings.HasPrefix(got, "mail 4") {
		t.Errorf("got %q", got)
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
