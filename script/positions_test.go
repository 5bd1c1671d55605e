package script

import (
	"errors"
	"strings"
	"testing"

	"github.com/dop251/goja"

	"pmilter/filter"
)

// thrownAt is where an exception was thrown, by its frames and by its stack alike.
func thrownAt(t *testing.T, err error) filter.Position {
	t.Helper()
	var thrown *goja.Exception
	if !errors.As(err, &thrown) {
		t.Fatalf("no exception: %v", err)
	}
	p := position(thrown.Stack())
	if o, ok := thrown.Value().(*goja.Object); ok && o.Get("stack") != nil {
		if q := positionInStack(o.Get("stack").String()); q != p {
			t.Errorf("frames say %v, the stack says %v:\n%s", p, q, o.Get("stack"))
		}
	}
	return p
}

func TestPositions(t *testing.T) {
	b := loaded(t, map[string]string{
		"scripts/a.ts": `import { inner } from "./lib/n";
interface X { a: string }
type Y = { [k in keyof X]: number };

export function plain(x: X): never {
    throw new Error("plain");
}
export function neighbour() { return inner(null as unknown as X) }
export function type_(x?: any) { const y: any = x; return y.foo.bar }
export function wide() { const s = "äöü😀", t = "äöü😀"; return s + t + missing1 }
export function raw() { const s = String.raw` + "`äöü😀`" + `, r = /äöü😀/; return s + r + missing2 }
export function re() { const r = /\p{Lu}+/u, q = /[\p{Nd}]/u; return r.test("A") && q.test("1") && missing3 }
export function native() { return [1].map((x: number): number => { throw new TypeError("in map") }) }
export const gen = async function* () { yield 1; throw new Error("gen") };
`,
		"scripts/lib/n.ts": `export type Z = string;
export const inner = (z: { a: string }) => {
  return z
    .a.length;
};
`,
		"scripts/ä b#%c.js": "export function odd() {\n  throw new Error('odd');\n}\n",
	})
	r := run(t, b, nil)
	for _, c := range []struct {
		script int
		name   string
		want   filter.Position
	}{
		{0, "plain", at("scripts/a.ts", 6, 11)},
		{0, "neighbour", at("scripts/lib/n.ts", 4, 6)},
		{0, "type_", at("scripts/a.ts", 9, 61)},
		{0, "wide", at("scripts/a.ts", 10, 73)},
		{0, "raw", at("scripts/a.ts", 11, 82)},
		{0, "re", at("scripts/a.ts", 12, 100)},
		{0, "native", at("scripts/a.ts", 13, 74)},
		{1, "odd", at("scripts/ä b#%c.js", 2, 9)},
	} {
		_, err := r.call(c.script, c.name)
		if err == nil {
			t.Fatalf("%s threw nothing", c.name)
		}
		if got := thrownAt(t, err); got != c.want {
			t.Errorf("%s: thrown at %v, want %v: %v", c.name, got, c.want, err)
		}
	}
}

func TestPositionsAfterAwait(t *testing.T) {
	b := loaded(t, map[string]string{"scripts/a.ts": `
export async function later(n: number) {
  await null;
  await helper();
}
async function helper() {
  await 1;
  const o: any = null;
  throw new RangeError("after");
}
export const gen = async () => { for await (const x of g()) { } };
async function* g() {
  yield 1;
  throw new Error("gen");
}
`})
	r := run(t, b, nil)
	for name, want := range map[string]filter.Position{"later": at("scripts/a.ts", 9, 9), "gen": at("scripts/a.ts", 14, 9)} {
		v, err := r.call(0, name)
		if err != nil {
			t.Fatal(err)
		}
		p := v.Export().(*goja.Promise)
		if p.State() != goja.PromiseStateRejected {
			t.Fatalf("%s: state %v", name, p.State())
		}
		stack := p.Result().ToObject(r.rt).Get("stack").String()
		if got := positionInStack(stack); got != want {
			t.Errorf("%s: at %v, want %v:\n%s", name, got, want, stack)
		}
	}
}

func TestPositionOutsideTheBase(t *testing.T) {
	base := project(t, map[string]string{"x/y z.js": "export const f = () => { throw new Error('e') }"})
	b, _, faults := newBundle(Options{Base: t.TempDir(), Scripts: []string{base + "/x"}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	_, err := run(t, b, nil).call(0, "f")
	if got := thrownAt(t, err); got != at(base+"/x/y z.js", 1, 32) {
		t.Errorf("thrown at %v: %v", got, err)
	}
}

func TestPositionInStack(t *testing.T) {
	for _, c := range []struct {
		name, stack string
		want        filter.Position
	}{
		{"none", "", filter.Position{}},
		{"message only", "Error: x at y", filter.Position{}},
		{"plain", "Error: x\n\tat scripts/a.js:1:2(3)\n", at("scripts/a.js", 1, 2)},
		{"named", "Error: x\n\tat f (scripts/a.js:1:2(3))\n\tat g (scripts/b.js:4:5(6))\n", at("scripts/a.js", 1, 2)},
		{"native first", "E\n\tat map (native)\n\tat native\n\tat g (scripts/b.js:4:5(6))\n", at("scripts/b.js", 4, 5)},
		{"ours first", "E\n\tat repeat (pmilter:guards:1:2(3))\n\tat g (scripts/b.js:4:5(6))\n", at("scripts/b.js", 4, 5)},
		{"ours only", "E\n\tat pmilter:runtime:1:2(3)\n", filter.Position{}},
		{"in the message", "Error: a\n\tat evil (x.js:1:1(1))\nb\n\tat f (scripts/a.js:1:2(3))\n", at("scripts/a.js", 1, 2)},
		{"escaped", "E\n\tat f (scripts/a%20b.js:1:2(3))\n", at("scripts/a b.js", 1, 2)},
		{"absolute", "E\n\tat f (file:///x/a%20b.js:1:2(3))\n", at("/x/a b.js", 1, 2)},
	} {
		if got := positionInStack(c.stack); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := positionInStack(strings.Repeat("\tat (", 1<<16)); got != (filter.Position{}) {
		t.Errorf("long: %v", got)
	}
}
