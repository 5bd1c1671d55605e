package script

import (
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"
)

func TestConsoleText(t *testing.T) {
	for _, c := range []globalsCase{
		{`console.log("plain", 1, true, null, undefined)`, "plain 1 true null undefined"},
		{`console.log({a: 1, b: "x'y", c: [1, 2, [3]]})`, `{ a: 1, b: 'x\'y', c: [ 1, 2, [ 3 ] ] }`},
		{`console.log([], {}, [[]])`, "[] {} [ [] ]"},
		{`console.log({a: {b: {c: {d: {}}}}})`, "{ a: { b: { c: [Object] } } }"},
		{`console.log([[[[1]]]])`, "[ [ [ [Array] ] ] ]"},
		{`let a = {}; a.self = a; console.log(a)`, "{ self: [Circular] }"},
		{`console.log(() => 1, function f() {}, class K {})`, "[Function: (anonymous)] [Function: f] [Function: K]"},
		{`console.log(Symbol("s"), 5n, new Date(0), /r/g)`, "Symbol(s) 5n 1970-01-01T00:00:00.000Z /r/g"},
		{`console.log(new Map([["k", 1]]), new Set([1]), new Uint8Array(2))`, "Map (1) [ [ 'k', 1 ] ] Set (1) [ 1 ] Uint8Array (2) [ 0, 0 ]"},
		{`console.log(new (class Point { constructor() { this.x = 1 } }))`, "Point { x: 1 }"},
		{`console.log(new TypeError("bad"))`, "TypeError: bad"},
		{`console.log("%s is %d, %i, %f, %j %o %% %x", "n", 1.5, 1.5, "2.5", {a: 1}, [1], "more")`, "n is 1.5, 1, 2.5, { a: 1 } [ 1 ] % %x more"},
		{`console.log("100%", "x")`, "100% x"},
		{`console.log("%s")`, "%s"},
		{`console.log("%d", {}, Symbol())`, "NaN Symbol()"},
		{`console.log({get a() { throw new Error("no") }})`, "{ a: [threw]"},
		{`console.log(new Proxy({}, {}))`, "[Proxy]"},
		{`console.log(Object.create(null))`, "{}"},
		{`console.log(new Array(1e9))`, "[ undefined"},
		{`console.log(Array(200).fill(0))`, "100 more ]"},
		{`console.log("x".repeat(1e6)); `, "xxx ..."},
		{`console.log(Array(200).fill("y".repeat(1e4)))`, "yyy ..."},
		{`console.log({constructor: {name: "z".repeat(200)}})`, "{ constructor: { name: "},
		{`console.log("\ud800|é")`, "\uFFFD|é"},
		{`console.log(new Number(3), new String("q"))`, "[Number: 3] [String: q]"},
		{`console.assert(true, "no"); console.assert(0, "why", 1)`, "Assertion failed: why 1"},
	} {
		f := newGlobalsFixture(t, c.source)
		if got := f.run(c.source); strings.HasPrefix(got, "threw") {
			t.Errorf("%s: %s", c.source, got)
			continue
		}
		entries := f.logs.All()
		if len(entries) != 1 {
			t.Errorf("%s: %d lines", c.source, len(entries))
			continue
		}
		text := entries[0].ContextMap()["text"].(string)
		exact := text == c.want
		if strings.Contains(c.want, "...") || strings.Contains(c.source, "1e") || strings.Contains(c.source, "fill") ||
			strings.Contains(c.source, "threw") || strings.Contains(c.source, "throw") || strings.Contains(c.source, "zz") || strings.Contains(c.source, `"z"`) {
			exact = containsInOrder(text, strings.Fields(c.want))
		}
		if !exact {
			t.Errorf("%s\n  got  %.200s\n  want %s", c.source, text, c.want)
		}
		if len(text) > maxConsoleText+100 {
			t.Errorf("%s: %d bytes", c.source, len(text))
		}
	}
}

func containsInOrder(text string, parts []string) bool {
	for _, part := range parts {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

func TestConsoleLevelsAndPlace(t *testing.T) {
	const source = "console.debug(1);\nconsole.info(2);\nconsole.log(3);\n  console.warn(4);\nconsole.error(5);\nfunction f() { console.trace(6) }\nf()"
	f := newGlobalsFixture(t, source)
	if got := f.run(source); strings.HasPrefix(got, "threw") {
		t.Fatal(got)
	}
	want := []struct {
		level zapcore.Level
		at    string
	}{
		{zapcore.DebugLevel, "author.js:1:"},
		{zapcore.InfoLevel, "author.js:2:"},
		{zapcore.InfoLevel, "author.js:3:"},
		{zapcore.WarnLevel, "author.js:4:"},
		{zapcore.ErrorLevel, "author.js:5:"},
		{zapcore.InfoLevel, "author.js:6:"},
	}
	for i, e := range f.logs.All() {
		at, _ := e.ContextMap()["at"].(string)
		if e.Message != "console" || e.Level != want[i].level || !strings.HasPrefix(at, want[i].at) {
			t.Errorf("line %d: %s %s at %s", i, e.Level, e.Message, at)
		}
	}
	last := f.logs.All()[5].ContextMap()["stack"].(string)
	if !strings.Contains(last, "at f (author.js:6:") || !strings.Contains(last, "author.js:7:") {
		t.Error(last)
	}
}

func TestConsoleIsBounded(t *testing.T) {
	const source = `for (let i = 0; i < 5000; i++) console.log(i)`
	f := newGlobalsFixture(t, source)
	f.run(source)
	entries := f.logs.All()
	if len(entries) != maxConsoleLines+1 {
		t.Fatalf("%d lines", len(entries))
	}
	if last := entries[len(entries)-1]; last.Level != zapcore.WarnLevel || last.Message == "console" {
		t.Errorf("the last line is %v", last)
	}
}
