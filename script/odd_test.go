package script

import (
	"strings"
	"testing"
	"time"
)

// oneScript is a library of one script, scripts/a.js, which nothing has loaded yet.
func oneScript(t testing.TB, code string) *Library {
	t.Helper()
	l, _ := library(t, project(t, map[string]string{"scripts/a.js": code}))
	return l
}

// tried is how making a set of the library's scripts ends.
func tried(l *Library, limit time.Duration) error {
	b, _, faults := newBundle(l.o)
	if faults.Fatal() {
		return faults
	}
	_, faults = newSet(b, setOptions{Limits: Limits{Timeout: limit, CPU: limit}, Log: l.o.Log, watchdog: l.watchdog})
	return faults.Err()
}

// TestOddOptions: an option is what it looks like. Nothing in it is copied,
// however large or deep it is.
func TestOddOptions(t *testing.T) {
	for _, tt := range []struct{ code, want string }{
		{`{ early: new Array(4294967295) }`, "options.early is not true or false"},
		{`{ early: new Boolean(true) }`, "options.early is not true or false"},
		{`{ early: new Proxy({}, {}) }`, "options.early is not true or false"},
		{`{ early: null }`, "options.early is not true or false"},
		{`{ early: (() => { let o = 1; for (let i = 0; i < 1e4; i++) o = [o]; return o; })() }`, "options.early is not true or false"},
		{`{ onError: Symbol("accept") }`, "options.onError is"},
		{`{ onError: { toString() { return "accept"; } } }`, "options.onError is"},
		{`{ onError: 5 }`, "options.onError is"},
		{`new Proxy({}, { ownKeys() { throw new Error("no keys"); } })`, "Error: no keys"},
		{`{ get early() { throw new Error("no value"); } }`, "Error: no value"},
		{`{ get early() { for (;;); } }`, "ran too long"},
		{`null`, "options is no object"},
	} {
		l := oneScript(t, "export const options = "+tt.code+";\nexport function mail() {}")
		limit := time.Minute
		if strings.Contains(tt.code, "for (;;)") {
			limit = time.Second
		}
		if err := tried(l, limit); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "scripts/a.js") {
			t.Errorf("%s: %v", tt.code, err)
		}
	}
}

// TestLoadThatHangs: top-level code that hangs in a built-in function is waited
// for while it is loaded, and its place is named.
func TestLoadThatHangs(t *testing.T) {
	l := oneScript(t, "export function mail() {}\n"+`/(a?){100}b/.test("a".repeat(60000));`)
	err := tried(l, 500*time.Millisecond)
	if err == nil {
		t.Skip("this machine's regular expression ended within the limit")
	}
	if !strings.HasPrefix(err.Error(), "scripts/a.js:2:") || !strings.Contains(err.Error(), "ran too long") {
		t.Error(err)
	}
}

// TestWatchdogServesLateWorlds: a retired watchdog ends with its last world, and
// wakes for one that comes later.
func TestWatchdogServesLateWorlds(t *testing.T) {
	l := oneScript(t, "for (;;);")
	l.Retire()
	for range 2 {
		time.Sleep(4 * tick)
		if err := tried(l, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "ran too long") {
			t.Error(err)
		}
	}
}
