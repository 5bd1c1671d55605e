package script

import (
	"context"
	"strings"
	"testing"
)

// TestEnqueueNamesQueues: a queue that is written down and not configured is a fault at
// load, at its place, by whatever name enqueue goes; what is not certain is none.
func TestEnqueueNamesQueues(t *testing.T) {
	t.Parallel()
	const missing = `enqueue: there is no queue "nope": the configuration has archive, web-hook`
	for name, c := range map[string]struct{ code, want string }{
		"named":     {"import { enqueue } from \"pmilter/queue\";\nexport function eom() {\n  enqueue(\"nope\", { data: 1 });\n}", "scripts/1.js:3:11: " + missing},
		"renamed":   {`import { enqueue as later } from "pmilter/queue"; export function eom() { later('nope'); }`, "scripts/1.js:1:81: " + missing},
		"default":   {`import queue from "pmilter/queue"; export function eom() { queue.enqueue("nope"); }`, "scripts/1.js:1:74: " + missing},
		"namespace": {`import * as q from "pmilter/queue"; export function eom() { q.enqueue("nope"); }`, "scripts/1.js:1:71: " + missing},
		"template":  {"import { enqueue } from \"pmilter/queue\"; export function eom() { enqueue(`nope`); }", "scripts/1.js:1:74: " + missing},
		"two": {
			`import { enqueue } from "pmilter/queue"; export const eom = async () => { enqueue("nope"); enqueue("archive"); enqueue("/gone/"); };`,
			"scripts/1.js:1:83: " + missing + "\nscripts/1.js:1:120: " + strings.Replace(missing, "nope", "/gone/", 1),
		},
		"after a regular expression": {
			`import { enqueue } from "pmilter/queue"; export function eom(s) { /\p{Lu}/u.test("x"); enqueue("nope"); }`,
			"scripts/1.js:1:96: " + missing,
		},
		"neighbour's": {`import "./lib/n.js"; export function eom() {}`, "scripts/lib/n.js:2:50: " + missing},

		"configured":   {`import { enqueue } from "pmilter/queue"; export function eom() { enqueue("archive"); enqueue("web-hook"); }`, ""},
		"computed":     {`import { enqueue } from "pmilter/queue"; export function eom(s) { enqueue(s.id); enqueue("no" + s.id); enqueue(` + "`no${s.id}`" + `); enqueue(); }`, ""},
		"another":      {`import { enqueue } from "./lib/own.js"; export function eom() { enqueue("nope"); }`, ""},
		"a parameter":  {`import { enqueue } from "pmilter/queue"; export function eom() { enqueue("archive"); [1].map((enqueue) => enqueue("nope")); }`, ""},
		"a local":      {`import { enqueue } from "pmilter/queue"; export function eom() { enqueue("archive"); { const enqueue = String; enqueue("nope"); } }`, ""},
		"other object": {`import queue from "pmilter/queue"; export function eom(s) { queue.enqueue("archive"); s.enqueue("nope"); queue.other("nope"); }`, ""},
		"unused":       {`import { enqueue } from "pmilter/queue"; function never() { enqueue("nope"); } export function eom() {}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := project(t, map[string]string{
				"scripts/1.js":       c.code,
				"scripts/lib/n.js":   "import { enqueue } from \"pmilter/queue\";\nglobalThis.later = () => { enqueue( /* where? */ \"nope\" ); };",
				"scripts/lib/own.js": "export const enqueue = (name) => name;",
			})
			for _, queues := range [][]string{{"archive", "web-hook"}, nil} {
				l := NewLibrary(Options{Base: base, Scripts: []string{"scripts"}, Queues: queues})
				l.prepare = bareSet
				t.Cleanup(l.Close)
				got, want := "", c.want
				if queues == nil {
					want = ""
				}
				if err := l.Load(context.Background()); err != nil {
					got = err.Error()
				}
				if got != want {
					t.Errorf("queues %v:\n%s\nwant\n%s", queues, got, want)
				}
			}
		})
	}
}

func TestEnqueueWithoutQueues(t *testing.T) {
	t.Parallel()
	base := project(t, map[string]string{"scripts/1.js": `import { enqueue } from "pmilter/queue"; export function eom() { enqueue("nope"); }`})
	l := NewLibrary(Options{Base: base, Scripts: []string{"scripts"}, Queues: []string{}})
	l.prepare = bareSet
	t.Cleanup(l.Close)
	const want = `scripts/1.js:1:74: enqueue: there is no queue "nope": the configuration has no [queue.NAME]`
	if err := l.Load(t.Context()); err == nil || err.Error() != want {
		t.Error(err)
	}
}
