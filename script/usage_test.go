package script

import "testing"

func TestUsageNames(t *testing.T) {
	u := loaded(t, map[string]string{"scripts/a.ts": `
		import { reject } from "pmilter"; import "./_b.js";
		const o = { key: 1, "quoted": 2, short, nested: { deep: 3 } }; const { taken: renamed } = o as any; declare const short: any;
		export function mail(s: any) { if (s) return reject(); console.log(s.member?.chained, s["literal"], ` + "`piece ${o.key}`, `whole`" + `); class X { #priv = 1; method() { return this.#priv } get got() { return 1 } } return new X() }
		export const nums = (list: number[]) => { let n = 0; for (let i = 0, j = 1; i < list.length; i++, j += 2) n += list[i] * list[j - 1] + list[list.length - 1] + list[0]; return n };
		export const it = { [Symbol.iterator]() { return null } };
		const K = "named", K2 = K; export const known = (x: any) => x[K] + x[K2] + x[x ? "yes" : "no"];
	`, "scripts/_b.js": `export const unusedPure = 1; JSON.parse("{}");`}).usage
	if u.dynamic {
		t.Error("dynamic")
	}
	for _, name := range []string{
		"console", "log", "key", "quoted", "short", "nested", "deep", "taken", "member", "chained", "literal", "piece ", "whole",
		"method", "got", "JSON", "parse", "Symbol", "iterator", "named", "yes", "no", "length", "reject",
	} {
		if !u.mentions(name) {
			t.Errorf("%q is not mentioned", name)
		}
	}
	for _, name := range []string{"setTimeout", "repeat", "getOwnPropertyNames", "defineProperty", "eval", "unusedPure"} {
		if u.mentions(name) {
			t.Errorf("%q is mentioned", name)
		}
	}
}

func TestUsageDynamic(t *testing.T) {
	for _, c := range []struct {
		text    string
		dynamic bool
	}{
		{`export const f = (x, k) => x[k]`, true},
		{`export const f = (x) => x[["a", "b"].join("")]`, true},
		{`export const f = (x) => { for (const k in x) x[k] }`, true},
		{`export const f = (x) => { for (const k of [1]) x[k] }`, true},
		{`export const f = (x) => { let k = "fl"; k += "at"; return x[k] }`, true},
		{`export const f = (x) => { let k = "a"; k = k + 1; return x[k] }`, true},
		{`export const f = (x) => { let k = 1; k = x.y; return x[k] }`, true},
		{`export const f = (x) => { let k = 1; [k] = ["at"]; return x[k] }`, true},
		{`export const f = (x) => { let k = 1; ({ k } = x); return x[k] }`, true},
		{`export const f = (x) => { let k = 1; k ||= x; return x[k] }`, true},
		{`export const f = (x) => { try { x() } catch (k) { return x[k] } }`, true},
		{`export const f = ({ k = 1 }) => f[k]`, true},
		{`export const f = (...k) => f[k]`, true},
		{`export const f = (x, y) => { const { [y]: z } = x; return z }`, true},
		{`export const f = (x) => x[k2]; const k2 = x2(); function x2() { return "a" }`, true},
		{"export const f = (x) => x[`a${x}`]", true},
		{`export const f = (x, k) => x?.[k]`, true},
		{`export class C { [f()] = 1; [f()]() {} } function f() { return { [f.name]: 1 } }`, false},
		{`export const f = (x) => globalThis.y`, true},
		{`export const f = (x) => Reflect.get(x, 1)`, true},
		{`export const f = (x) => Object.getOwnPropertyNames(x)`, true},
		{`const g = Object["getOwnPropertyDescriptors"]; export const f = g`, true},
		{`export const f = (x) => { let a = b2, b = 1; var b2 = a; return x[a] }`, false},
		{`export const f = (x) => { let i; i = 0; i = i + 1; i -= 1; return x[i++] + x[-i] + x[i % 2] + x[i | 0] }`, false},
		{`export const f = (x) => x[0] + x["a"] + x[` + "`b`" + `] + x[1n] + x[true]`, false},
		{`import "./_m.cjs"; import * as n from "./_n.js"; export * from "./_n.js"; export const f = n, g = async () => import("./_n.js"); export async function* h() { for await (const x of []) yield x }`, false},
	} {
		u := loaded(t, map[string]string{
			"scripts/a.js": c.text, "scripts/_m.cjs": "exports.a = 1; module.exports.b = require('./_o.cjs')", "scripts/_o.cjs": "exports.c = 1", "scripts/_n.js": "export const n1 = 1, n2 = 2",
		}).usage
		if u.dynamic != c.dynamic {
			t.Errorf("dynamic is %v: %s", u.dynamic, c.text)
		}
	}
	packaged := loaded(t, map[string]string{"scripts/a.js": `import "./_m.cjs"; export const f = 1`, "scripts/_m.cjs": "exports.f = (x, k) => x[k]"}).usage
	if !packaged.dynamic {
		t.Error("a CommonJS module's computed member is overlooked")
	}
}
