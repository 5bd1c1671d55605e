package script

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dop251/goja"
)

// usageOf is what the bundler would find in some plain source.
func usageOf(source string) usage {
	u := usage{names: make(map[string]bool)}
	for _, name := range regexp.MustCompile(`[A-Za-z_$][\w$]*`).FindAllString(source, -1) {
		u.names[name] = true
	}
	u.names[syntaxNoted] = true
	u.names["yield"] = strings.Contains(source, "function*") || strings.Contains(source, "function *")
	u.names["..."] = strings.Contains(source, "...")
	u.dynamic = u.names["globalThis"] || u.names["Reflect"] || strings.Contains(source, "[name]")
	return u
}

func guardedRuntime(tb testing.TB, u usage, maxValue int64) *goja.Runtime {
	tb.Helper()
	g, err := newGuards(u)
	if err != nil {
		tb.Fatal(err)
	}
	rt := goja.New()
	rt.SetMaxCallStackSize(500)
	if err := g.install(rt, maxValue); err != nil {
		tb.Fatal(err)
	}
	return rt
}

// hostile are expressions that, unguarded, stop a process or stall it; each must
// throw soon and without using much memory.
func hostile() []string {
	return strings.Split(strings.TrimSpace(`
"x".repeat(2**31)
"x".repeat(2**50)
"x".padEnd(2**31)
"x".padStart(2**31, "ab")
"x".padEnd(1/0)
({toString: () => "xx", repeat: "".repeat}).repeat(2**30)
"x".repeat(3e6).concat("x".repeat(3e6))
"x".repeat(1e5).split("")
"x,".repeat(1e5).split(",")
"x,".repeat(1e5).split(/,/)
"x".repeat(1e4).replace(/./g, "y".repeat(1e5))
"x".repeat(1e4).replaceAll("x", "y".repeat(1e5))
"x".repeat(1e3).replace(/./g, () => "y".repeat(3e6))
"x".repeat(1e5).replace(/x/g, "$'")
"x".repeat(1e5).replace(/(x)/g, "$1$&$&$&$&$&" + "-".repeat(100))
"é".repeat(1e6).normalize("NFD")
String.raw({raw: {length: 1e9}})
String.raw({raw: ["x".repeat(3e6), "x".repeat(3e6)]})
[..."x".repeat(1e5)]
new Set("x".repeat(1e5))
Array.from("x".repeat(1e5))
let s = new Set(); for (let i = 0; i < 1e5; i++) s.add(i); [...s]
let s = new Map(); for (let i = 0; i < 1e5; i++) s.set(i); [...s.values()]
new Array(1e9).fill(0)
new Array(4e9).join("x")
new Array(1e9) + ""
String(Array(1e9))
Array(1e3).fill("y".repeat(3e6)).join("")
Array(1e4).join("y".repeat(1e3))
Array.from({length: 1e9})
Array.from({length: 2**53})
[].concat.apply([], {length: 1e9})
Array.apply(null, {length: 1e9})
Math.max.apply(null, {length: 1e9})
Reflect.apply(Math.max, null, {length: 1e9})
Reflect.construct(Array, {length: 1e9})
new Array(4e9).sort()
new Array(4e9).reverse()
new Array(4e9).indexOf(1)
new Array(4e9).includes(1)
new Array(4e9).lastIndexOf(1)
let a = []; a[4e9] = 1; a.forEach(x => x)
let a = []; a[4e9] = 1; a.map(x => x)
let a = []; a[4e9] = 1; a.reduce((x, y) => x)
let a = []; a.length = 4e9; a.find(x => 0)
let a = []; a.length = 4e9; a.splice(1, 1)
let a = []; a.length = 4e9; a.shift()
let a = []; a.length = 4e9; a.unshift(1)
let a = []; a.length = 4e9; a.copyWithin(1, 0)
let a = []; a.length = 4e9; a.concat(a)
let a = []; a.length = 4e9; a.toSorted()
let a = []; a.length = 4e9; a.slice(1)
let a = []; a.length = 4e9; [...a]
let a = []; a.length = 4e9; Math.max(...a)
let a = []; a.length = 4e9; let [...b] = a
let a = []; a.length = 4e9; [...a.keys()]
let a = []; a.length = 4e9; new Set(a)
let a = Array(1e4).fill(1); a = Array(1e4).fill(a); a.flat()
JSON.stringify(new Array(1e9))
let a = "x".repeat(1e5); JSON.stringify(Array(1e3).fill(a))
let a = "x".repeat(64); for (let i = 0; i < 40; i++) a = [a, a]; JSON.stringify(a)
JSON.stringify(1, (k, v) => [v])
JSON.stringify({toJSON() { return {x: {toJSON: this.toJSON}} }})
let a = []; for (let i = 0; i < 3e4; i++) a = [a]; JSON.stringify(a)
let a = {}; for (let i = 0; i < 3e4; i++) a = {a}; JSON.stringify(a)
let a = []; a[0] = a; JSON.stringify(a)
JSON.parse("[".repeat(3e6))
JSON.parse("[".repeat(1e5) + "]".repeat(1e5))
JSON.parse('{"a":'.repeat(1e5) + "1" + "}".repeat(1e5))
JSON.parse("[" + "1,".repeat(1e5) + "1]")
JSON.parse("[0,0]", function (k, v) { if (k === "0") this[1] = [0, 0]; return v })
let a = []; for (let i = 0; i < 3e4; i++) a = [a]; a + ""
let a = []; for (let i = 0; i < 3e4; i++) a = [a]; a.toString()
let a = []; for (let i = 0; i < 3e4; i++) a = [a]; a.toLocaleString()
let a = []; for (let i = 0; i < 3e4; i++) a = [a]; a.flat(Infinity)
let a = []; a[0] = a; a.flat(Infinity)
let e = new Error("x"); e.message = e; e + ""
let e = new Error("x"); for (let i = 0; i < 3e4; i++) { let f = new Error("y"); f.message = e; e = f } e + ""
let e = new Error("x"); e.message = {toString: Error.prototype.toString.bind(e)}; e + ""
function* g() { yield* g() } g().next()
function* g() { yield* g() } [...g()]
function* g() { yield* g() } for (const x of g());
function* g() { for (const x of g()) yield x } g().next()
let g = function* () { yield 1 }, it = g(); for (let i = 0; i < 3e4; i++) { const j = it; it = (function* () { yield* j })() } it.next()
let p = {}; for (let i = 0; i < 3e4; i++) p = new Proxy(p, {}); p.x
let p = {}; for (let i = 0; i < 3e4; i++) p = new Proxy({}, p); p.x
let p = {}; for (let i = 0; i < 40; i++) p = new Proxy(p, p); p.x
let p = () => 1; for (let i = 0; i < 3e4; i++) p = new Proxy(p, {}); p()
let p = {}; for (let i = 0; i < 3e4; i++) p = Object.create(new Proxy(p, {})); p.x
let p = {}; for (let i = 0; i < 3e4; i++) p = Proxy.revocable(p, {}).proxy; p.x
let t = {}, p = new Proxy(t, {}); Object.setPrototypeOf(t, p); t.x
let t = {}, p = new Proxy(t, {}); Reflect.setPrototypeOf(t, p); t.x
let t = {}, p = new Proxy(t, {}); t.__proto__ = p; t.x
let t = {}, p = Object.create(new Proxy(t, {})); Object.setPrototypeOf(t, p); t.x
let f = () => 1; for (let i = 0; i < 3e4; i++) f = f.bind(); f()
let o = {valueOf() { return +o }}; +o
let o = {get x() { return this.x }}; o.x
let o = {toString() { return String(this) }}; o + ""
let o = {[Symbol.toPrimitive]() { return o + "" }}; o + ""
let f = () => [2, 1].sort(f); f()
let f = () => [1].map(f); f()
let f = () => "x".replace("x", f); f()
let f = () => JSON.stringify({toJSON: f}); f()
let f = () => Reflect.apply(f, null, []); f()
class A { constructor() { new A } } new A
new Uint8Array(2**40)
new Uint8Array(2**33)
new ArrayBuffer(2**40)
new Float64Array(2**30)
new Float64Array(1e6)
new Uint8Array({length: 2**40})
new Uint8Array(new Array(1e9))
Uint8Array.from({length: 1e9})
class X extends Uint8Array {} new X(2**40)
[...new Uint8Array(6e6)]
new BigInt64Array(2**40)
BigInt("9".repeat(3e6))
2n ** (2n ** 40n)
BigInt(2) ** BigInt(2 ** 30)
1n << (1n << 40n)
1n >> -(1n << 33n)
let x = 1n; x <<= 1n << 40n
let o = {x: 3n}; o.x **= 1n << 33n
let o = {x: 3n}, k = "x"; o[k] **= 1n << 33n
let x = 10n ** 100000n; x ** 1000n
let x = 3n; for (;;) x *= x
let x = 3n; for (;;) x <<= 1000000n
let x = 3n; for (;;) x = x ** 9n
BigInt({toString: () => "9".repeat(3e6)})
BigInt.asUintN(2**50, -1n)
BigInt.asIntN(2**50, "9".repeat(3e6))
eval("1")
(0, eval)("1")
globalThis.eval("1")
new Function("return 1")
Function("return 1")
(() => {}).constructor("return 1")
(async () => {}).constructor("return 1")
(function* () {}).constructor("return 1")
Reflect.construct((() => {}).constructor, ["return 1"])
Reflect.construct(Function, ["return 1"], Object)
let name = "construct" + "or"; (() => {})[name]("return 1")
class F extends Function {} new F("return 1")
Object.getPrototypeOf(async () => {}).constructor("")
new RegExp("a".repeat(7e4))
RegExp("a".repeat(7e4))
/a/.constructor("a".repeat(7e4))
"x".match("a".repeat(7e4))
"x".search("a".repeat(7e4))
"x".matchAll("a".repeat(7e4))
/a/.compile("a".repeat(7e4))
class R extends RegExp {} new R("a".repeat(7e4))
new RegExp("a", "v")
String.prototype.concat = Array.prototype.join = () => "no"; "x".repeat(2**40)
Reflect.apply = () => "no"; Function.prototype.call = Function.prototype.apply = Reflect.apply; "x".repeat(2**40)
Object.defineProperty(Array.prototype, 0, {get() { return 1 }, set() {}}); "x".repeat(2**40)
RangeError = TypeError = function () { return {} }; Array.isArray = () => false; "x".padEnd(2**40)
`), "\n")
}

const hostileEnv = "PMILTER_TEST_HOSTILE"

// TestGuardsHostile runs them in a process of their own, as what it tests for
// ends a process.
func TestGuardsHostile(t *testing.T) {
	if os.Getenv(hostileEnv) != "" {
		runHostile(t)
		return
	}
	list := hostile()
	for first := 0; first < len(list); {
		cmd := exec.Command(os.Args[0], "-test.run=^TestGuardsHostile$", "-test.v")
		cmd.Env = append(os.Environ(), hostileEnv+"="+strconv.Itoa(first))
		out, err := cmd.CombinedOutput()
		at := first
		lines := bufio.NewScanner(strings.NewReader(string(out)))
		for lines.Scan() {
			if n, fault, ok := strings.Cut(lines.Text(), "\t"); ok {
				i, convErr := strconv.Atoi(n)
				if convErr != nil {
					continue
				}
				at = i + 1
				if fault != "ok" {
					t.Errorf("%s: %s", list[i], fault)
				}
			}
		}
		if err == nil && at == len(list) {
			return
		}
		if at < len(list) {
			t.Errorf("%s: ended the process (%v): %.600s", list[at], err, tail(string(out)))
		}
		first = at + 1
	}
}

// tail is the output from the first sign of a death on.
func tail(out string) string {
	for _, sign := range []string{"fatal error", "panic:", "too much memory", "stalled"} {
		if i := strings.Index(out, sign); i >= 0 {
			return out[i:]
		}
	}
	return out
}

func runHostile(t *testing.T) {
	t.Helper()
	debug.SetMaxStack(64 << 20)
	go func() { // the memory cap: RLIMIT_AS is nothing that the race detector could live with
		var stats runtime.MemStats
		for range time.Tick(20 * time.Millisecond) {
			if runtime.ReadMemStats(&stats); stats.HeapAlloc > 1<<30 {
				fmt.Println("too much memory")
				os.Exit(3)
			}
		}
	}()
	list := hostile()
	first, err := strconv.Atoi(os.Getenv(hostileEnv))
	if err != nil {
		t.Fatal(err)
	}
	for i := first; i < len(list); i++ {
		fmt.Printf("%d\t%s\n", i, hostileFault(t, list[i]))
		debug.FreeOSMemory()
	}
}

// hostileFault runs one of them and tells what is wrong with how it ended.
func hostileFault(t *testing.T, source string) string {
	t.Helper()
	u := usageOf(source)
	tree, err := goja.Parse("hostile.js", source)
	if err != nil {
		return err.Error()
	}
	guardOperators(tree, u)
	rt := guardedRuntime(t, u, 4<<20)
	prg, err := goja.CompileAST(tree, true)
	if err != nil {
		return err.Error()
	}
	stall := time.AfterFunc(5*time.Minute, func() { fmt.Println("stalled"); os.Exit(4) })
	defer stall.Stop()
	start := usedCPU(t)
	v, err := rt.RunProgram(prg)
	took := usedCPU(t) - start
	var thrown *goja.Exception
	var overflow *goja.StackOverflowError
	switch {
	case err == nil:
		return fmt.Sprintf("did not throw, but gave %.40s", v)
	case errors.As(err, &overflow):
	case errors.As(err, &thrown):
		if message := err.Error(); strings.Contains(message, "SyntaxError: Unexpected") || strings.Contains(message, "ReferenceError") {
			return "threw something else: " + message
		}
		if p := position(thrown.Stack()); p.File != "hostile.js" {
			return fmt.Sprintf("thrown at %v: %v", p, err)
		}
	default:
		return err.Error()
	}
	if took > slowness*hostileLimit {
		return fmt.Sprintf("took %v", took)
	}
	return "ok"
}

// usedCPU is what this process has used: what others on the machine use does not count.
func usedCPU(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// hostileLimit is far more processor time than a refusal takes: it covers what an
// expression does before it is refused. Unguarded, they take for ever.
const hostileLimit = 2 * time.Second

func BenchmarkGuardsNone(b *testing.B)  { benchmarkGuards(b, usage{}, false) }
func BenchmarkGuardsLeast(b *testing.B) { benchmarkGuards(b, usageOf(""), true) }
func BenchmarkGuardsTypical(b *testing.B) {
	benchmarkGuards(b, usageOf("split map join replace includes indexOf slice filter RegExp parse"), true)
}

func BenchmarkGuardsComputed(b *testing.B) {
	u := usageOf("split map join replace includes indexOf slice filter RegExp parse")
	u.dynamic = true
	benchmarkGuards(b, u, true)
}
func BenchmarkGuardsAll(b *testing.B) { benchmarkGuards(b, usage{dynamic: true}, true) }

func benchmarkGuards(b *testing.B, u usage, with bool) {
	b.Helper()
	g, err := newGuards(u)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		rt := goja.New()
		if with {
			if err := g.install(rt, 0); err != nil {
				b.Fatal(err)
			}
		}
	}
}
