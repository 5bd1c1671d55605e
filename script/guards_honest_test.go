package script

import (
	"strings"
	"testing"

	"github.com/dop251/goja"
)

// honest are expressions that must give with guards what they give without.
func honest() []string {
	return strings.Split(strings.TrimSpace(`
"ab".repeat(3)
"".repeat(5)
"ab".repeat("2")
"ab".repeat(0)
"ab".repeat(1.9)
"ab".repeat(-1)
"ab".repeat(Infinity)
"ab".repeat()
"".repeat.call(12, 2)
"".repeat.call(null, 2)
"".repeat.call({toString: () => "q"}, 2)
"a".padStart(5)
"a".padStart(5, "xy")
"a".padStart(5, "")
"a".padStart()
"a".padStart(0)
"a".padEnd("3", 1)
"a".padEnd(3, undefined)
"a".padEnd(NaN, "b")
"".padEnd.call(undefined, 3)
"a".concat("b", 1, null, undefined)
"".concat.call(null)
"a,b,c".split(",")
"a,b,c".split(",", 2)
"abc".split("")
"abc".split()
"a1b2".split(/\d/)
"a1b2".split(/(\d)/)
"abc".split({[Symbol.split]: (s, l) => [s, l]})
"aXbX".replace("X", "-")
"aXbX".replace(/X/g, "[$&]")
"aXbX".replace(/X/g, "$$")
"aXbX".replace(/(X)/g, "$1$2$01$10$0")
"aXbX".replace(/(?<n>X)/g, "<$<n>$<m>>")
"aXbX".replace(/X/g, "$`+"`"+`|$'")
"aXbX".replace(/X/g, (m, i, s) => m + i + s)
"aXbX".replace(/(X)|(b)/g, (m, a, b) => [m, a, b].join())
"aXbX".replace("X", () => undefined)
"aXbX".replace("X")
"aXbX".replace("X", null)
"aXbX".replaceAll("X", "-$&-")
"aXbX".replaceAll(/X/g, "-")
"aXbX".replaceAll(/X/, "-")
"aXbX".replace({[Symbol.replace]: (s, r) => s + r}, "z")
"".replace.call(null, "a", "b")
"e\u0301".normalize().length
"é".normalize("NFD").length
"é".normalize("X")
String.raw`+"`a${1}\\n${2}b`"+`
String.raw({raw: "abc"}, 1, 2)
String.raw({raw: []})
String.raw()
"a1b2".match(/\d/g)
"a1b2".match("\\d").index
"a1b2".match()
"a1b2".match(null)
"a1b2".search("2")
[..."a1b2".matchAll(/\d/g)].map(m => m.index)
[..."a1b2".matchAll("\\d")].length
"a1b2".matchAll(/\d/)
[..."añ😀"].length
[1, [2, [3, [4]]]].join("-")
[1, null, undefined, "x"].join()
[1, 2].join(undefined)
[].join()
[,,].join()
[[]].join("x")
[{toString: () => "o"}, 1].join()
[Symbol()].join()
let a = [1]; a.push(a); a.join()
let a = [1], b = [a]; a.push(b); String(a)
[1n, true, 1.5].join()
Array.prototype.join.call({length: 2, 0: "a", 1: "b"})
Array.prototype.join.call("abc", "-")
Array.prototype.join.call(null)
[].toString.call({})
String([1, [2, 3]])
[1, 2, 3].toLocaleString()
[3, 1, 2].sort()
[3, 1, 2].sort((a, b) => b - a)
[3, 1, 2].sort(1)
[1, 2, 3].map(x => x * 2)
[1, 2, 3].map(function () { return this.k }, {k: 7})
["1", "2", "3"].map(parseInt)
[1, 2, 3].filter(x => x > 1)
[1, 2, 3].reduce((a, b) => a + b)
[1, 2, 3].reduce((a, b) => a + b, undefined)
[].reduce((a, b) => a + b)
[1, 2, 3].reduceRight((a, b) => a + "" + b)
[1, 2, 3].forEach(x => x)
[1, 2, 3].find(x => x > 1)
[1, 2, 3].findLast(x => x < 3)
[1, 2, 3].findIndex(x => x > 1)
[1, 2, 3].some(x => x > 2)
[1, 2, 3].every(x => x > 2)
[1, 2, 3, 2].indexOf(2, 2)
[1, 2, 3, 2].lastIndexOf(2)
[1, 2, 3, 2].lastIndexOf(2, undefined)
[1, NaN].includes(NaN)
[1, 2, 3].slice(1)
[1, 2, 3].slice(-2, -1)
let a = [1, 2, 3]; [a.splice(1), a]
let a = [1, 2, 3]; [a.splice(0, 1, 9, 8), a]
let a = [1, 2, 3]; [a.splice(), a]
let a = [1, 2, 3]; [a.splice(undefined), a]
let a = [1, 2, 3]; [a.shift(), a.unshift(5, 6), a]
[1, 2, 3].reverse()
[1, 2, 3].fill(0)
[1, 2, 3].fill(0, 1, 2)
new Array(3).fill()
[1, 2, 3, 4].copyWithin(0, 2)
[...[1, 2].keys()]
[...[1, 2].entries()]
[1, 2].concat(3, [4, [5]])
[].concat.call("a", "b").length
[1].concat({length: 1, 0: "x", [Symbol.isConcatSpreadable]: true})
[1, [2, [3, [4]]]].flat()
[1, [2, [3, [4]]]].flat(Infinity)
[1, [2, [3, [4]]]].flat(0)
[1, [2, [3, [4]]]].flat("2")
[1, , [2, , 3]].flat()
[1, 2].flatMap(x => [x, x])
class L extends Array {} new L(1, 2, 3).map(x => x) instanceof L
class L extends Array {} new L(1, [2]).flat() instanceof L
[1, 2].toReversed()
[2, 1].toSorted()
[1, 2, 3].toSpliced(0, 1, 7)
[1, 2].with(0, 5)
Array.from("abc")
Array.from({length: 3}, (x, i) => i * 2)
Array.from(new Set([1, 1, 2]))
Array.from(null)
Array.from([1], 2)
Array.from.call(Object, [1]).length
Array.from({length: 2})
Math.max.apply(null, [1, 2])
Math.max.apply(null)
Math.max.apply(null, 5)
(function () { return arguments.length }).apply(1, {length: 2})
Reflect.apply(Math.max, null, [1, 3])
Reflect.apply(Math.max)
Reflect.construct(Date, [0]).getTime()
Reflect.construct(Object, [], Array) instanceof Array
(function (a, b) { return [this.x, a, b] }).bind({x: 1}, 2)(3)
(function foo(a, b) {}).bind(null, 1).name
(function foo(a, b) {}).bind(null, 1).length
new (function (a) { this.a = a }).bind(null, 4)().a
Function.prototype.bind.call(1)
JSON.parse('{"a":[1,{"b":null}],"c":"\\u00e9"}')
JSON.parse("[1,2")
JSON.parse("")
JSON.parse()
JSON.parse("1")
JSON.parse(null)
JSON.parse('"[[[["')
JSON.parse('"\\"["')
JSON.parse('{"a":[1,2,{"b":3}]}', (k, v) => typeof v === "number" ? v + 1 : v)
JSON.parse('{"a":1,"b":2}', (k, v) => k === "a" ? undefined : v)
JSON.parse('[1,2,3]', function (k, v) { return k === "1" ? this.length : v })
JSON.parse("[".repeat(900) + "]".repeat(900)).length
JSON.stringify({a: 1, b: [1, "x", null, undefined, () => 1, Symbol()], c: undefined, d() {}})
JSON.stringify("a\"\\\b\f\n\r\t\u0001é\ud800😀/\u007f")
JSON.stringify(undefined)
JSON.stringify(() => 1)
JSON.stringify(Symbol())
JSON.stringify()
JSON.stringify(null)
JSON.stringify([NaN, Infinity, -0, 1e21, 1.5, 1e-7])
JSON.stringify(new Date(0))
JSON.stringify({a: new Date(NaN)})
JSON.stringify({toJSON(k) { return "k" + k }})
JSON.stringify({x: {toJSON(k) { return "k" + k }}})
JSON.stringify([{toJSON(k) { return typeof k }}])
JSON.stringify({a: 1, b: {c: [1, 2, {}], d: {}}, e: []}, null, 2)
JSON.stringify([1, [2]], null, "--")
JSON.stringify([1], null, "0123456789abc")
JSON.stringify([1], null, 99)
JSON.stringify([1], null, 0.5)
JSON.stringify([1], null, new Number(1))
JSON.stringify([1], null, {})
JSON.stringify({a: 1, b: {a: 2, c: 3}}, ["a", "b", "a", 1])
JSON.stringify({1: 1, b: 2}, [1, new String("b"), {}])
JSON.stringify({a: 1, b: [1, 2]}, (k, v) => Array.isArray(v) ? "list" : v)
JSON.stringify({a: 1}, function (k, v) { return k === "" ? v : Object.keys(this).join() })
JSON.stringify({b: 1, a: 2, 1: 3})
JSON.stringify(Object.create({inherited: 1}))
JSON.stringify(new Map([[1, 2]]))
JSON.stringify(new Uint8Array([1, 2]))
JSON.stringify(new Error("x"))
JSON.stringify(/x/)
JSON.stringify({a: JSON.rawJSON("1e5"), b: [JSON.rawJSON('"x"')]})
JSON.isRawJSON(JSON.rawJSON("1"))
JSON.stringify(1n)
JSON.stringify({a: 1n})
JSON.stringify(new Proxy({a: 1}, {}))
JSON.stringify({get a() { return 5 }})
JSON.stringify({get a() { throw new TypeError("no") }})
JSON.stringify({[Symbol("x")]: 1, y: 2})
JSON.stringify({"\u2028": "\u2028"})
let a = {}; a.a = a; try { JSON.stringify(a) } catch (e) { e.name }
let a = [1]; JSON.stringify([a, a])
String(new Error("x"))
String(new TypeError)
Error.prototype.toString.call({name: "N", message: "m"})
Error.prototype.toString.call({name: "", message: "m"})
Error.prototype.toString.call({name: "N", message: ""})
Error.prototype.toString.call(1)
class E extends Error { get name() { return "Mine" } } String(new E("q"))
function* g() { const x = yield 1; try { yield x } finally { yield 3 } } let i = g(); [i.next(9), i.next(5), i.return(7), i.next()].map(x => x.value + ":" + x.done)
function* g() { try { yield 1 } catch (e) { yield e } } let i = g(); [i.next(), i.throw(4), i.next()].map(x => x.value)
function* g() { yield* [1, 2]; yield* h() } function* h() { yield 3; return 4 } [...g()]
function* g(n) { if (n > 0) yield* g(n - 1); yield n } [...g(20)].length
Object.getPrototypeOf(function* () {}).prototype.next.call({})
new Proxy({a: 1}, {get: (t, k) => k + "!"}).b
new Proxy(() => 3, {})()
new Proxy(class { constructor() { this.z = 1 } }, {}).name
Proxy({}, {})
new Proxy(1, {})
let r = Proxy.revocable({}, {}); r.revoke(); try { r.proxy.x } catch (e) { e.name }
Proxy.prototype
Proxy.length
Object.setPrototypeOf({}, {q: 4}).q
Object.setPrototypeOf({}, 1)
Object.setPrototypeOf(1, null)
Reflect.setPrototypeOf({}, null)
({__proto__: {q: 5}}).q
let o = {}; o.__proto__ = {q: 6}; o.q
let o = {}; o.__proto__ = 1; Object.getPrototypeOf(o) === Object.prototype
Object.getOwnPropertyDescriptor(Object.prototype, "__proto__").enumerable
new RegExp("a+", "g").flags
new RegExp("a+", "g").test("caat")
RegExp("x").source
new RegExp().source
new RegExp(undefined, "g").toString()
new RegExp(/a/g).flags
new RegExp(/a/g, "i").flags
let r = /a/; RegExp(r) === r
let r = /a/; new RegExp(r) === r
let r = /a/; RegExp(r, "g") === r
new RegExp("(")
new RegExp("a", "q")
/a/ instanceof RegExp
new RegExp("a") instanceof RegExp
/a/.constructor === RegExp
RegExp.prototype.constructor === RegExp
RegExp.prototype === Object.getPrototypeOf(/a/)
RegExp[Symbol.species] === RegExp
RegExp.name + RegExp.length
class R extends RegExp { exec(s) { return super.exec(s) } } let r = new R("b", "g"); [r instanceof R, r instanceof RegExp, "abcb".replace(r, "x"), r.constructor === R]
class R extends RegExp {} "a-b".split(new R("-"))
"a1b22".replace(new RegExp("\\d+", "g"), "#")
new RegExp({toString: () => "z"}).source
new RegExp({[Symbol.match]: true, source: "s", flags: "g", constructor: 1}).toString()
/a/.compile("b").source
new RegExp("\\d{2}").exec("a12").index
typeof BigInt(5)
BigInt("123456789012345678901234567890").toString()
BigInt("x")
BigInt(1.5)
BigInt(true) + 1n
BigInt({valueOf: () => 3}).toString()
BigInt({toString: () => "3"}).toString()
new BigInt(1)
BigInt.asUintN(8, 257n).toString()
BigInt.asIntN(8, 255n).toString()
BigInt.asUintN(8, -1n).toString()
BigInt.prototype.constructor === BigInt
BigInt.name + BigInt.length
(1n << 100n).toString()
new ArrayBuffer(8).byteLength
new ArrayBuffer(8).slice(2).byteLength
ArrayBuffer.isView(new Uint8Array(1))
ArrayBuffer(1)
new ArrayBuffer(-1)
new ArrayBuffer(8) instanceof ArrayBuffer
new ArrayBuffer(8).constructor === ArrayBuffer
new Uint8Array().length
new Uint8Array(3).length
new Uint8Array("3").length
new Uint8Array([1, 2, 300]).join()
new Uint8Array(new Uint16Array([1, 257])).join()
new Uint8Array(new Set([1, 2])).join()
new Uint8Array({length: 2, 0: 7}).join()
new Uint8Array(new ArrayBuffer(8), 2, 3).length
new Uint16Array(new ArrayBuffer(8), 2).length
new Uint8Array(-1)
Uint8Array(1)
Uint8Array.from([1, 2], x => x * 2).join()
Uint8Array.of(1, 2).join()
Uint8Array.from("12").join()
new Uint8Array([3, 1, 2]).sort().map(x => x + 1).subarray(1).join()
new Uint8Array(2) instanceof Uint8Array
new Uint8Array(2).constructor === Uint8Array
Uint8Array.BYTES_PER_ELEMENT + Float64Array.BYTES_PER_ELEMENT + new Int32Array(1).BYTES_PER_ELEMENT
Object.getPrototypeOf(Uint8Array) === Object.getPrototypeOf(Int8Array)
class U extends Uint8Array {} let u = new U(2); [u instanceof U, u.length, u.map(x => x) instanceof U]
[...new Uint8Array([1, 2])]
for (const x of new Uint8Array([1])) x
new BigInt64Array(1)[0].toString()
Uint8Array.name + Uint8Array.length
(() => {}) instanceof Function
(() => {}).constructor === Function
Function.prototype === Object.getPrototypeOf(() => {})
Function.name + Function.length
typeof Function.prototype.call
Array.prototype[Symbol.iterator] === Array.prototype.values
Object.keys(Array.prototype).length + Object.keys(String.prototype).length + Object.keys(globalThis).length
let [x, ...y] = [1, 2, 3]; y
Math.max(...[1, 2, 3])
[...new Set([1, 2])]
new Map([[1, 2]]).get(1)
let s = new Set([3, 4]); [[...s], [...s.keys()], [...s.values()], [...s.entries()], Set.prototype.keys === Set.prototype.values]
let m = new Map([[3, 4]]); [[...m], [...m.keys()], [...m.values()], [...m.entries()], Map.prototype.entries === Map.prototype[Symbol.iterator]]
Set.prototype.values.call(1)
`), "\n")
}

func TestGuardsHonest(t *testing.T) {
	for _, source := range honest() {
		plain, guarded := goja.New(), guardedRuntime(t, usageOf(source), 0)
		all := guardedRuntime(t, usage{dynamic: true}, 0)
		want := outcome(plain, source)
		if got := outcome(guarded, source); got != want {
			t.Errorf("%s\n  guarded: %s\n  plain:   %s", source, got, want)
		}
		if got := outcome(all, source); got != want {
			t.Errorf("%s\n  all guards: %s\n  plain:      %s", source, got, want)
		}
	}
}

// outcome is what an expression gives, or the class of what it throws.
func outcome(rt *goja.Runtime, source string) string {
	return result(rt.RunString(`"use strict"; ` + source))
}

func result(v goja.Value, err error) string {
	if err != nil {
		class, _, _ := strings.Cut(err.Error(), " ")
		return "threw " + strings.TrimSuffix(class, ":")
	}
	if _, ok := v.(*goja.Symbol); ok || goja.IsNull(v) || goja.IsUndefined(v) {
		return v.String()
	}
	return v.ExportType().String() + " " + v.String()
}

// TestGuardsLookNative compares what every guarded function and constructor
// shows of itself with goja's own.
func TestGuardsLookNative(t *testing.T) {
	const describe = `(() => {
  const lines = [];
  const show = (path, o) => {
    for (const k of Reflect.ownKeys(o)) {
      const d = Object.getOwnPropertyDescriptor(o, k), f = d.value;
      let line = path + "." + String(k) + " " + [d.writable, d.enumerable, d.configurable, typeof f, typeof d.get, typeof d.set];
      if (typeof f === "function") line += " " + f.name + "/" + f.length + " " + (typeof f.prototype);
      lines.push(line);
    }
  };
  const roots = { Set, Map, String, Array, Error, RegExp, JSON, Reflect, Object, Function, Proxy, BigInt, ArrayBuffer, Uint8Array, Float64Array };
  for (const [name, o] of Object.entries(roots)) {
    show(name, o);
    if (o.prototype) show(name + ".prototype", o.prototype);
  }
  show("globalThis", globalThis);
  show("Generator", Object.getPrototypeOf(function* () {}).prototype);
  show("GeneratorFunction", Object.getPrototypeOf(function* () {}));
  show("AsyncFunction", Object.getPrototypeOf(async function () {}));
  show("TypedArray", Object.getPrototypeOf(Uint8Array));
  show("TypedArray.prototype", Object.getPrototypeOf(Uint8Array.prototype));
  return lines.sort().join("\n");
})()`
	run := func(rt *goja.Runtime) map[string]bool {
		v, err := rt.RunString(describe)
		if err != nil {
			t.Fatal(err)
		}
		lines := make(map[string]bool)
		for _, line := range strings.Split(v.String(), "\n") {
			if !strings.HasPrefix(line, "Proxy.prototype ") { // only goja's own constructors can be without
				lines[line] = true
			}
		}
		return lines
	}
	plain, guarded := run(goja.New()), run(guardedRuntime(t, usage{dynamic: true}, 0))
	for line := range plain {
		if !guarded[line] {
			t.Errorf("without guards: %s", line)
		}
	}
	for line := range guarded {
		if !plain[line] {
			t.Errorf("with guards: %s", line)
		}
	}
}

// TestGuardsEachAlone: a section must bring all that it uses.
func TestGuardsEachAlone(t *testing.T) {
	guardedRuntime(t, usage{names: map[string]bool{syntaxNoted: true}, dynamic: true}, 0)
	for _, s := range preludeSections(guardsSource) {
		for _, name := range s.names {
			u := usage{names: map[string]bool{name: true, syntaxNoted: true}}
			if owner, member, ok := strings.Cut(name, "."); ok {
				u.names[owner], u.names[member] = true, true
			}
			guardedRuntime(t, u, 0)
		}
	}
}
