// What scripts, or mail that scripts read, have done to servers: each attack fails
// on purpose, as a handler that a mail brings to its knees would. Which one strikes,
// and in which phase, is in the client's name: "loop.mail.hostile". All other
// clients are honest: their mail gets a header.
import { accept, reject } from "pmilter";
import store from "pmilter/store";

const never = new Promise(() => {});
const later = (f) => setTimeout(f, 0);

export const attacks = {
  "loop"() { for (;;) ; },
  "loop-caught"() { for (;;) try { for (;;) ; } catch {} },
  "loop-finally"() { for (;;) try { for (;;) ; } finally { continue; } },
  "loop-of-throws"() { for (;;) try { throw 1; } catch {} },
  "repeat"() { return "x".repeat(2 ** 30); },
  "pad"() { return "x".padEnd(2 ** 30); },
  "double-text"() { let s = "x"; for (;;) s += s; },
  "double-array"() { let a = [1]; for (;;) a = a.concat(a); },
  "push"() { const a = []; for (;;) a.push(a.length); },
  "hoard"() { const a = []; for (;;) a.push(new Uint8Array(1 << 20)); },
  "hoard-texts"() { const a = []; for (let i = 0; ; i++) a.push("x".repeat(1 << 20) + i); },
  "hoard-keys"() { const o = {}; for (let i = 0; ; i++) o["key" + i] = i; },
  "json-deep"() { return JSON.parse("[".repeat(3e6)); },
  "json-wide"() { const a = []; for (;;) a.push(JSON.parse("[" + "0,".repeat(5e5) + "0]")); },
  "json-out"() { let a = ["x"]; for (let i = 0; i < 60; i++) a = [a, a]; return JSON.stringify(a); },
  "fill"() { return Array(1e9).fill(0); },
  "join"() { return Array(4e9).join("xx"); },
  "from"() { return Array.from({ length: 1e9 }); },
  "flat"() { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a.flat(Infinity); },
  "flat-self"() { const a = []; a[0] = a; return a.flat(Infinity); },
  "proxies"() { let p = {}; for (let i = 0; i < 2e5; i++) p = new Proxy(p, {}); return p.x; },
  "proxies-up"() { let p = {}; for (let i = 0; i < 2e5; i++) p = Object.create(new Proxy(p, {})); return p.x; },
  "regexp-source"() { return new RegExp("(a|b)?".repeat(20000)); },
  "regexp-count"() { return /(a?){1000}b/.test("a".repeat(1e5)); },
  "regexp-ahead"() { return /^(?=(a+))(a|aa)+$/.test("a".repeat(80) + "c"); },
  "regexp-behind"() { return /(?<!x)^(a|aa)+$/.test("a".repeat(80) + "c"); },
  "regexp-back"() { return /^(a+)+\1$/.test("a".repeat(60) + "c"); },
  "bytes"() { return new Uint8Array(2 ** 40); },
  "bigint"() { let x = 3n; for (;;) x *= x; },
  "yield"() { function* g() { yield* g(); } return g().next(); },
  "recursion"() { const f = (n) => f(n + 1) + 1; return f(0); },
  "recursion-native"() { const f = () => [1].map(f); return f(); },
  "recursion-sort"() { const f = () => [2, 1].sort(f); return f(); },
  "recursion-text"() { const o = { toString() { return String(o); } }; return o + ""; },
  "recursion-json"() { const f = () => JSON.stringify({ toJSON: f }); return f(); },
  "sort-loop"() { return Array.from({ length: 1000 }, (_, i) => i).sort(() => { for (;;) ; }); },
  "promises"() { const f = () => Promise.resolve().then(f); return f(); },
  "promises-many"() { const f = () => { Promise.resolve().then(f); Promise.resolve().then(f); }; f(); return never; },
  "timers"() { const f = () => { later(f); later(f); }; f(); return never; },
  "timers-many"() { for (;;) setTimeout(() => {}, 3600e3); },
  "intervals"() { for (;;) setInterval(() => {}, 0); },
  "store-flood"() { const f = () => { store.get("x").then(f); store.get("y").then(f); }; f(); return never; },
  "never"() { return never; },
  "pollute-object"() {
    Object.prototype.then = (f) => f(accept());
    Object.prototype.code = 250;
    Object.prototype.ip = "127.0.0.1";
    throw new Error("polluted");
  },
  "pollute-builtins"() {
    const no = () => { throw new Error("polluted"); };
    for (const p of [Array, String, Function, Promise, RegExp, Map, Uint8Array].map((c) => c.prototype))
      for (const k of Object.getOwnPropertyNames(p)) try { p[k] = no; } catch {}
    JSON.parse = JSON.stringify = no;
    return no();
  },
  "pollute-shared"(session) {
    session.state.x = session;
    for (const o of [session, session.client, session.macros, session.mta, accept, reject, store])
      for (const p of [o, Object.getPrototypeOf(o)]) {
        try { Object.defineProperty(p, "client", { get() { return { name: "loop.mail.hostile" }; } }); } catch {}
        try { Object.setPrototypeOf(p, null); } catch {}
        for (const k of Object.getOwnPropertyNames(p)) try { delete p[k]; } catch {}
      }
    throw new Error("polluted");
  },
  "getters"() { return { get action() { throw new Error("get"); }, get then() { throw new Error("then"); } }; },
  "thenable-loop"() { return { then() { for (;;) ; } }; },
  "thenable-self"() { const o = { then(f) { f(o); } }; return o; },
  "verdict-code"() { const v = reject(); v.code = 250; Object.defineProperty(v, "code", { value: 250 }); return Object.assign({}, v, { code: 250 }); },
  "verdict-copy"() { return { ...accept() }; },
  "verdict-child"() { return Object.create(accept()); },
  "verdict-proxy"() { return new Proxy(accept(), { get() { for (;;) ; } }); },
  "verdict-class"() { return reject(250, "2.0.0", "welcome"); },
  "verdict-text"() { return reject({ toString() { for (;;) ; } }); },
  "throw-odd"() { throw { get message() { for (;;) ; }, toString() { for (;;) ; } }; },
  "throw-proxy"() { throw new Proxy({}, { get() { for (;;) ; }, getPrototypeOf() { for (;;) ; } }); },
  "throw-nothing"() { throw undefined; },
};

function strike(session, phase) {
  const [what, where, who] = session.client.name.split(".");
  if (who === "hostile" && where === phase) return attacks[what](session);
}

export const connect = (session) => strike(session, "connect");
export const helo = (session) => strike(session, "helo");
export const mail = (session) => strike(session, "mail");
export const rcpt = (session) => strike(session, "rcpt");
export const data = (session) => strike(session, "data");
export const header = (session) => strike(session, "header");
export const eoh = (session) => strike(session, "eoh");
export const body = (session) => strike(session, "body");
export const unknown = (session) => strike(session, "unknown");
export const abort = (session) => strike(session, "abort");
export const close = (session) => strike(session, "close");
export async function eom(session) {
  const answer = await strike(session, "eom");
  if (answer !== undefined) return answer;
  session.message.headers.add("X-Passed", String(await store.incr("passed")));
}
