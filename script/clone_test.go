package script

import "testing"

func TestStructuredClone(t *testing.T) {
	testGlobals(t, []globalsCase{
		{`JSON.stringify(structuredClone({a: [1, {b: null}], c: "x", d: undefined}))`, `{"a":[1,{"b":null}],"c":"x"}`},
		{`structuredClone(5) + structuredClone("x")`, "5x"},
		{`structuredClone(undefined) === undefined`, "true"},
		{`structuredClone()`, "threw TypeError: structuredClone: no value"},
		{`let a = {}; a.self = a; let b = structuredClone(a); b !== a && b.self === b`, "true"},
		{`let s = {}, b = structuredClone([s, s]); b[0] === b[1] && b[0] !== s`, "true"},
		{`let m = structuredClone(new Map([["k", {v: 1}], [{}, 2]])); m.size + m.get("k").v`, "3"},
		{`[...structuredClone(new Set([1, 2]))].join()`, "1,2"},
		{`let m = new Map(); m.set(m, m); let c = structuredClone(m); c.get(c) === c`, "true"},
		{`structuredClone(new Date(5)).getTime()`, "5"},
		{`let r = structuredClone(/a(b)/gi); r.source + r.flags`, "a(b)gi"},
		{`structuredClone([1, , 3]).length + "" + (1 in structuredClone([1, , 3]))`, "3false"},
		{`let a = new Uint8Array([1, 2, 3]), b = structuredClone(a); a[0] = 9; b.join() + (b instanceof Uint8Array)`, "1,2,3true"},
		{`let a = new Uint8Array([1, 2, 3]).subarray(1), b = structuredClone(a); [b.join(), b.byteOffset, b.buffer.byteLength].join("|")`, "2,3|1|3"},
		{`structuredClone(new Float64Array([1.5])).join()`, "1.5"},
		{`structuredClone(new DataView(new ArrayBuffer(8), 2, 4)).byteLength`, "4"},
		{`structuredClone(new ArrayBuffer(8)).byteLength`, "8"},
		{`let b = new ArrayBuffer(8), c = structuredClone([new Uint8Array(b), b]); c[0].buffer === c[1]`, "true"},
		{`let e = structuredClone(new RangeError("m")); [e instanceof RangeError, e.message, e.name].join()`, "true,m,RangeError"},
		{`let e = structuredClone(Object.assign(new Error("m"), {extra: 1})); e.extra === undefined`, "true"},
		{`structuredClone(new Number(5)).valueOf() + structuredClone(new String("s")).valueOf()`, "5s"},
		{`typeof structuredClone(5n)`, "bigint"},
		{`class P { constructor() { this.x = 1 } } let c = structuredClone(new P); c.x + (c instanceof P)`, "1"},
		{`structuredClone(() => 1)`, "threw DataCloneError: structuredClone: a function cannot be cloned"},
		{`structuredClone({f() {}})`, "threw DataCloneError: structuredClone: a function cannot be cloned"},
		{`structuredClone(Symbol())`, "threw DataCloneError: structuredClone: a symbol cannot be cloned"},
		{`structuredClone(new Proxy({}, {}))`, "threw DataCloneError: structuredClone: a Proxy cannot be cloned"},
		{`structuredClone(Promise.resolve())`, "threw DataCloneError: structuredClone: a Promise cannot be cloned"},
		{`structuredClone({get a() { return 4 }}).a`, "4"},
		{`let a = []; for (let i = 0; i < 900; i++) a = [a]; structuredClone(a).length`, "1"},
		{`let a = []; for (let i = 0; i < 2e3; i++) a = [a]; structuredClone(a)`, "threw RangeError: structuredClone: nested deeper than 1000"},
		{`let a = {}; for (let i = 0; i < 2e3; i++) a = new Map([[1, a]]); structuredClone(a)`, "threw RangeError: structuredClone: nested deeper than 1000"},
		{`structuredClone(JSON.parse('{"__proto__": 1}')).hasOwnProperty("__proto__")`, "true"},
	})
}
