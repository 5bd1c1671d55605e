package script

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBundleImports(t *testing.T) {
	b := loaded(t, map[string]string{
		"scripts/10.js": `
			import cfg from "./data/cfg.json"; import text from "./data/t.txt"; import mail from "../m.eml"; import key from "../k.pem";
			import { twice, counter } from "./lib/twice.js"; import pk, { named } from "pk"; import cjs from "cj"; import * as sc from "@s/c/deep.js";
			counter.n++;
			export const mail_ = 1;
			export function all() { return [cfg.a, text.trim(), mail.trim(), key.trim(), twice(4), pk(), named, cjs.x, sc.deep].join(); }
			export function count() { return counter.n; }`,
		"scripts/20.ts": `
			import { counter, type T } from "./lib/twice.js"; import { later } from "./lib/later";
			enum Colour { Red, Green }
			counter.n++;
			export function count(x: T): number { return counter.n + Colour.Red; }
			export { later };
			export const dyn = async (): Promise<string> => (await import("./lib/dyn.js")).name + (await import("./data/cfg.json")).default.a;`,
		"scripts/lib/twice.ts":         `export type T = number; export const twice = (n: number): number => n * 2; export const counter = { n: 0 };`,
		"scripts/lib/later/index.js":   `export async function later() { let s = 0; for await (const x of gen()) s += x; return s } async function* gen() { yield 1; yield 2 }`,
		"scripts/lib/dyn.js":           `export const name = "dyn";`,
		"scripts/data/cfg.json":        `{"a": "A"}`,
		"scripts/data/t.txt":           "text\n",
		"m.eml":                        "Subject: x\n",
		"k.pem":                        "-----BEGIN\n",
		"node_modules/pk/package.json": `{"name":"pk","main":"lib/cjs.js","module":"lib/esm.js"}`,
		"node_modules/pk/lib/esm.js":   `export default () => "esm"; export const named = "named";`,
		"node_modules/pk/lib/cjs.js":   `module.exports = () => "cjs"`,
		"node_modules/cj/index.js":     `try { require("fs") } catch (e) { exports.x = "nofs" } exports.y = require("./other")`,
		"node_modules/cj/other.js":     `module.exports = this === module.exports`,
		"node_modules/@s/c/deep.js":    `export const deep = "deep"`,
	})
	r := run(t, b, nil)
	for _, c := range []struct {
		script     int
		name, want string
	}{
		{0, "all", "A,text,Subject: x,-----BEGIN,8,esm,named,nofs,deep"},
		{0, "count", "2"}, // one module for both scripts
		{1, "count", "2"},
		{1, "later", "3"},
		{1, "dyn", "dynA"},
	} {
		if got := r.string(c.script, c.name); got != c.want {
			t.Errorf("%s of script %d = %q, want %q", c.name, c.script, got, c.want)
		}
	}
	wantLines(t, b.files, "scripts/10.js", "scripts/20.ts")
}

func TestBundleOwnModules(t *testing.T) {
	base := project(t, map[string]string{
		"scripts/1.js": `
			import { reject, accept as yes } from "pmilter"; import * as pm from "pmilter"; import all from "pmilter";
			export const f = () => [reject, yes, pm.tempfail, all.discard].join();`,
		"scripts/2.js": `
			import vars from "pmilter/vars"; import * as names from "pmilter/vars"; import { host, class as c } from "pmilter/vars";
			export const f = () => [vars.host, names.host, host, c, names["my-key"], names.default === vars].join();`,
		"scripts/3.ts":     `import { deep } from "./lib/a.ts"; export { deep };`,
		"scripts/lib/a.ts": `import { b } from "./b.js"; export const deep = () => b;`,
		"scripts/lib/b.ts": `import vars from "pmilter/vars"; import { skip } from "pmilter"; export const b: any = [vars, skip];`,
		"scripts/4.js":     `export const f = 1; export default 2;`,
	})
	vars := map[string]any{"host": "h", "class": "k", "my-key": "m", "default": "d"}
	b, _, faults := newBundle(Options{Base: base, Scripts: []string{"scripts"}, Vars: vars})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	r := run(t, b, map[string]any{"pmilter/vars.default": vars})
	if got := r.string(0, "f"); got != "pmilter.reject,pmilter.accept,pmilter.tempfail,pmilter.discard" {
		t.Error(got)
	}
	if got := r.string(1, "f"); got != "h,h,h,k,m,true" {
		t.Error(got)
	}
	for i, want := range []string{"pmilter", "pmilter/vars", "pmilter pmilter/vars", ""} {
		if got := strings.Join(sorted(b.imports[i]), " "); got != want {
			t.Errorf("script %d imports %q, want %q", i, got, want)
		}
	}
}

func TestBundleIsStrictAndKeepsSideEffects(t *testing.T) {
	b := loaded(t, map[string]string{
		"scripts/a.js":          `import "./lib/effect.js"; globalThis.seen = (globalThis.seen || "") + "a"; export const self = function () { return String(this) };`,
		"scripts/b.js":          `globalThis.seen += "b"; export const write = () => { try { undeclared = 1; return "sloppy" } catch (e) { return e.name } };`,
		"scripts/lib/effect.js": `globalThis.seen = "e";`,
	})
	r := run(t, b, nil)
	if got := r.rt.Get("seen").String(); got != "eab" {
		t.Errorf("top-level code ran as %q", got)
	}
	if got := r.string(0, "self"); got != "undefined" {
		t.Errorf("this is %q", got)
	}
	if got := r.string(1, "write"); got != "ReferenceError" {
		t.Errorf("undeclared variable: %s", got)
	}
}

func TestBundleCommonJSScripts(t *testing.T) {
	b := loaded(t, map[string]string{
		"scripts/a.js": `exports.mail = () => "a"; exports.options = { early: true };`,
		"scripts/b.js": `const { accept } = require("pmilter"); module.exports = { helo: () => accept };`,
		"scripts/c.js": `void 0;`,
	})
	r := run(t, b, nil)
	if r.string(0, "mail") != "a" || r.string(1, "helo") != "pmilter.accept" {
		t.Error("exports of CommonJS scripts are lost")
	}
	keys := r.exports.Get("0").ToObject(r.rt).Keys()
	wantLines(t, keys, "default", "mail", "options")
	if got := sorted(b.imports[1]); len(got) != 1 || got[0] != "pmilter" {
		t.Errorf("imports %v", got)
	}
}

// What goja knows stays as it is written; what it lacks is written in other words.
func TestBundleSyntax(t *testing.T) {
	b := loaded(t, map[string]string{"scripts/a.ts": `
		class P { #p = 1; static s = 2; static { P.s = 3 } get #g() { return this.#p } static #m() { return 5 } has(o: object) { return #p in o } q() { return this.#g + P.#m() } }
		class A { accessor x = 4 }
		export const classes = () => [new P().q(), P.s, new P().has(new P()), new A().x].join();
		export const small = () => { let a: any = null; a ??= { b: { c: 1n } }; a.b.d ||= 2; const { b, ...rest } = { ...a, e: 1_000 }; try { throw 0 } catch {} return [a?.b?.c ** 2n, a.b.d, rest.e, a.x?.().y ?? "none"].join() };
		export const regexps = () => ["a\nb".replace(/a.b/s, "dot"), "xy".replace(/(?<=x)y/, "look"), "k=v".replace(/(?<n>v)/, "<$<n>>"), /^.$/u.test("\u{1F600}")].join();
		export async function* gen() { yield 1; yield 2 }
		export async function sum() { let s = 0; for await (const x of gen()) s += x; return s }
		export function using_() { let log = ""; { using r = { [Symbol.dispose]() { log += "disposed" } }; log += "used " } return log }
	`})
	r := run(t, b, nil)
	for name, want := range map[string]string{
		"classes": "6,3,true,4", "small": "1,2,1000,none", "regexps": "dot,xlook,k=<v>,true", "sum": "3",
	} {
		if got := r.string(0, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestBundleVersion(t *testing.T) {
	base := project(t, map[string]string{"scripts/a.js": "export const a = () => { throw 1 };\n"})
	version := func() string {
		b, _, faults := newBundle(Options{Base: base, Scripts: []string{"scripts"}})
		if faults.Fatal() {
			t.Fatal(faults)
		}
		return b.version
	}
	first := version()
	if len(first) != 12 || version() != first {
		t.Errorf("version %q, then %q", first, version())
	}
	// The same code further down is another version: its positions are others.
	put(t, filepath.Join(base, "scripts/a.js"), "// note\nexport const a = () => { throw 1 };\n")
	if version() == first {
		t.Error("a moved line is the same version")
	}
}

func TestBundleNamesThroughLinks(t *testing.T) {
	base := project(t, map[string]string{
		"..data_1/10.js":   `import { f } from "./_lib.js"; export const g = () => f();`,
		"..data_1/_lib.js": `export const f = () => { throw new Error("x") };`,
	})
	for link, target := range map[string]string{"..data": "..data_1", "scripts": "volume", "volume/10.js": "../..data/10.js", "volume/_lib.js": "../..data/_lib.js"} {
		path := filepath.Join(base, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	b, _, faults := newBundle(Options{Base: base, Scripts: []string{"scripts"}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	r := run(t, b, nil)
	_, err := r.call(0, "g")
	if got := thrownAt(t, err); got != at("scripts/_lib.js", 1, 32) {
		t.Errorf("thrown at %v", got)
	}
	wantLines(t, b.files, "scripts/10.js")
}
