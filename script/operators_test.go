package script

import (
	"testing"

	"github.com/dop251/goja"
)

func TestGuardOperators(t *testing.T) {
	for _, source := range []string{
		`2 ** 3 ** 2`, `3 * 4.5`, `3n * -4n`, `"2" * "3"`, `2n * 3`, `let x = 3; x *= 2; x`, `(-2) ** 2`, `1 << 33`, `-5 >> 1`, `5 >>> 1`, `2n ** 64n`, `(-3n) ** 3n`, `1n << 128n`, `-5n >> 1n`, `5n >> 1000000000n`, `-5n >> 1000000000n`,
		`0n << 100000000000n`, `1n ** 100000000000n`, `1n >> -4n`, `2n ** -1n`, `2n ** 1`, `"2" ** "3"`, `"a" << 1`, `null ** undefined`, `[2] ** [3]`,
		`({valueOf: () => 2n}) ** ({valueOf: () => 10n})`, `({[Symbol.toPrimitive]: (h) => h === "number" ? 3 : 0}) << 1`,
		`({toString: () => "2"}) ** 3`, `Symbol() ** 1`,
		`let x = 3; x **= 2; x <<= 1; x >>= 2; x`, `let x = 3n; x **= 2n; x`,
		`let n = 0, o = {a: 2}, f = () => (n++, o); f().a **= 3; [n, o.a]`,
		`let n = 0, o = {a: 2}, k = () => (n++, "a"); o[k()] <<= 3; [n, o.a]`,
		`let o = {a: {b: 2}}; o.a.b **= o.a.b **= 2; o.a.b`,
		`class C { #p = 2; static s = 3n; up() { this.#p **= 4; return this.#p } } C.s <<= 2n; new C().up() + " " + C.s`,
		`class A { get v() { return 2 } } class B extends A { f() { return super.v ** 3 } } new B().f()`,
		`const f = (a = 2 ** 4, {b = 1 << 4} = {}) => a + b; f()`, "`${2 ** 5}`", `let [x = 3 ** 2] = []; x`,
		`let s = ""; for (let i = 1 << 2; i > 2 >> 1; i--) s += i << 1; s`, `switch (1 << 1) { case 2 ** 1: "two" }`,
		`const x = 5; x <<= 1`, `Object.freeze([1])[0] <<= 1`, `undefined.x <<= 1`, `let log = []; (log.push("l"), 1) << (log.push("r"), 2); log.join()`,
		`[1 << 2, ...[2 ** 3]].join()`, `({[1 << 2]: 1 << 3})[4]`, `(() => 1 << 4)()`, `(x => { return x << 1 })(4)`, `new Array(1 << 2).length`, `tag` + "`${1 << 2}`; function tag(s, v) { return v }",
		`parseInt("ff", 2 ** 4)`, `typeof (1n << 2n)`, `!(1 << 2)`, `(1 << 2) ? 2 ** 2 : 0`, `a: for (;;) { if (1 << 1) break a }`, `try { throw 1 << 2 } catch (e) { e ** 2 }`,
	} {
		tree, err := goja.Parse("x.js", `"use strict"; `+source)
		if err != nil {
			t.Fatal(err)
		}
		u := usageOf(source)
		u.names["BigInt"] = true
		guardOperators(tree, u)
		prg, err := goja.CompileAST(tree, true)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		want := outcome(goja.New(), source)
		rt := guardedRuntime(t, u, 0)
		got := result(rt.RunProgram(prg))
		if got != want {
			t.Errorf("%s\n  guarded: %s\n  plain:   %s", source, got, want)
		}
	}
}

// TestGuardOperatorsLeavesOthersAlone: a bundle without BigInt costs nothing.
func TestGuardOperatorsLeavesOthersAlone(t *testing.T) {
	const source = `2 ** 3 << 1`
	tree, err := goja.Parse("x.js", source)
	if err != nil {
		t.Fatal(err)
	}
	guardOperators(tree, usageOf(source))
	prg, err := goja.CompileAST(tree, true)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := goja.New().RunProgram(prg); err != nil || v.ToInteger() != 16 {
		t.Error(v, err)
	}
}
