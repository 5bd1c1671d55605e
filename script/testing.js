// expect of pmilter/test. The file is the body of a function that is given
// diff(expected, received) and fieldsOf(value), the pairs of a message's header;
// it returns expect, and how a value is shown in one line.

class AssertionError extends Error {
  constructor(message) {
    super(message);
    this.name = "AssertionError";
  }
}

// ---- what values look like

const MOST = 200; // members of one value that are shown
const identifier = /^[A-Za-z_$][\w$]*$/;

function isObject(v) {
  return (typeof v === "object" && v !== null) || typeof v === "function";
}

// nameOf is a value's class, "" for a plain object.
function nameOf(v) {
  const name = v.constructor && v.constructor.name;
  return name === "Object" || typeof name !== "string" ? "" : name;
}

// show writes a value, several lines if it has to: one member a line, so that
// a diff shows the members that differ.
function show(v, indent = "", above = []) {
  switch (typeof v) {
    case "string": return JSON.stringify(v);
    case "bigint": return `${v}n`;
    case "symbol": return v.toString();
    case "function": return `[Function ${v.name || "anonymous"}]`;
    case "number": return Object.is(v, -0) ? "-0" : String(v);
  }
  if (!isObject(v)) return String(v);
  if (v instanceof Expected) return v.toString();
  if (above.includes(v)) return "[Circular]";
  if (v instanceof Date) return isNaN(v) ? "Invalid Date" : `Date ${v.toISOString()}`;
  if (v instanceof RegExp) return String(v);
  if (v instanceof Error) return `[${v.name}: ${v.message}]`;
  if (v instanceof Promise) return "Promise {}";
  const path = [...above, v];
  const deeper = indent + "  ";
  const member = (x) => show(x, deeper, path);
  const fields = fieldsOf(v);
  if (fields) return block("Headers [", fields.map(([name, value]) => `${name}: ${value}`), "]", indent);
  if (Array.isArray(v)) return block("[", cut(v, member), "]", indent);
  if (ArrayBuffer.isView(v)) return `${nameOf(v)} [${cut(Array.from(v), String).join(", ")}]`;
  if (v instanceof Map) return block("Map {", cut([...v], ([k, x]) => `${member(k)} => ${member(x)}`), "}", indent);
  if (v instanceof Set) return block("Set {", cut([...v], member), "}", indent);
  const name = nameOf(v);
  const lines = cut(Object.keys(v), (k) => `${identifier.test(k) ? k : JSON.stringify(k)}: ${member(v[k])}`);
  return block(name ? `${name} {` : "{", lines, "}", indent);
}

function cut(list, each) {
  const shown = list.slice(0, MOST).map((x) => each(x));
  if (list.length > MOST) shown.push(`... ${list.length - MOST} more`);
  return shown;
}

function block(open, lines, close, indent) {
  if (lines.length === 0) return open + close;
  return `${open}\n${lines.map((l) => `${indent}  ${l},\n`).join("")}${indent}${close}`;
}

// brief is show in one line, if it fits there.
function brief(v) {
  const text = show(v).replace(/,\n\s*([\]}])/g, " $1").replace(/([[{])\n\s*/g, "$1 ").replace(/\n\s*/g, " ");
  return text.length <= 100 ? text : text.slice(0, 97) + "...";
}

// compare is how two values differ, as the end of a message.
function compare(expected, received, label = "expected") {
  const plain = typeof expected === "string" && typeof received === "string";
  const lines = (v) => (plain ? v.replace(/\r\n/g, "\\r\\n\n") : show(v));
  const a = lines(expected), b = lines(received);
  const pad = " ".repeat(Math.max(0, label.length - 8));
  if ((!a.includes("\n") && !b.includes("\n")) || a === b) {
    return `\n${label} ${brief(expected)}\nreceived ${pad}${brief(received)}${a === b && !Object.is(expected, received) ? "\n(they look the same and are not: toBe asks for the same object; see toEqual)" : ""}`;
  }
  return `\n- expected\n+ received\n\n${diff(a, b)}`;
}

// ---- when values are equal

// Expected stands for any value that fits.
class Expected {
  constructor(text, fits) {
    this.text = text;
    this.fits = fits;
  }
  toString() { return this.text; }
}

// equal tells whether b, which is received, has the members of a, whatever the
// classes, and unless some no others. Members that are undefined are as good as absent.
function equal(a, b, some = false, above = []) {
  if (a instanceof Expected) return a.fits(b);
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b) || typeof a === "function" || typeof b === "function") return false;
  if (above.some(([x, y]) => x === a && y === b)) return true;
  const path = [...above, [a, b]];
  if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && Object.is(a.getTime(), b.getTime());
  if (a instanceof RegExp || b instanceof RegExp) return String(a) === String(b);
  if (a instanceof Error || b instanceof Error) return a instanceof Error && b instanceof Error && a.message === b.message && a.name === b.name;
  const fa = fieldsOf(a), fb = fieldsOf(b);
  if (fa || fb) return equal(fa || a, fb || b, some, path);
  if (Array.isArray(a) !== Array.isArray(b) || ArrayBuffer.isView(a) !== ArrayBuffer.isView(b)) return false;
  if (Array.isArray(a) || ArrayBuffer.isView(a)) {
    return a.length === b.length && Array.from(a).every((x, i) => equal(x, b[i], some, path));
  }
  if (a instanceof Map || b instanceof Map) {
    return a instanceof Map && b instanceof Map && a.size === b.size && [...a].every(([k, x]) => b.has(k) && equal(x, b.get(k), some, path));
  }
  if (a instanceof Set || b instanceof Set) {
    return a instanceof Set && b instanceof Set && a.size === b.size && [...a].every((x) => b.has(x) || [...b].some((y) => equal(x, y, some, path)));
  }
  const keys = (o) => Object.keys(o).filter((k) => o[k] !== undefined);
  if (!keys(a).every((k) => equal(a[k], b[k], some, path))) return false;
  return some || keys(b).every((k) => a[k] !== undefined);
}

// like is received with only those members that expected names, for the diff.
function like(expected, received) {
  if (!isObject(expected) || !isObject(received) || expected instanceof Expected || received instanceof Promise || fieldsOf(received)) return received;
  if (Array.isArray(expected)) {
    return Array.isArray(received) ? received.map((x, i) => (i < expected.length ? like(expected[i], x) : x)) : received;
  }
  if (expected instanceof Date || expected instanceof RegExp || expected instanceof Map || expected instanceof Set) return received;
  const o = {};
  for (const k of Object.keys(expected)) if (k in received) o[k] = like(expected[k], received[k]);
  return o;
}

// ---- matchers: each returns whether it holds, and how to go on in the message

const ordered = {
  toBeGreaterThan: [">", (a, b) => a > b],
  toBeGreaterThanOrEqual: [">=", (a, b) => a >= b],
  toBeLessThan: ["<", (a, b) => a < b],
  toBeLessThanOrEqual: ["<=", (a, b) => a <= b],
};

const matchers = {
  toBe: (got, want) => [Object.is(got, want), () => compare(want, got)],
  toEqual: (got, want) => [equal(want, got), () => compare(want, got)],
  toMatchObject: (got, want) => {
    if (!isObject(want)) throw new TypeError("toMatchObject takes an object");
    return [isObject(got) && equal(want, got, true), () => compare(want, like(want, got))];
  },
  toContain: (got, want) => {
    if (typeof got === "string") {
      if (typeof want !== "string") throw new TypeError("a string contains strings only");
      return [got.includes(want), () => `\nexpected to contain ${brief(want)}\nreceived ${show(got)}`];
    }
    if (!isObject(got) || !(Symbol.iterator in got)) return [false, () => `\nreceived ${brief(got)}, which contains nothing: it is no string, array or iterable`];
    const list = [...got];
    const near = list.some((x) => equal(want, x)) ? "\n(one is equal, but not the same: toContainEqual asks for that)" : "";
    return [list.some((x) => Object.is(x, want)), () => `\nexpected to contain ${brief(want)}\nreceived ${show(got)}${near}`];
  },
  toContainEqual: (got, want) => {
    const list = isObject(got) || typeof got === "string" ? [...got] : [];
    return [list.some((x) => equal(want, x)), () => `\nexpected to contain ${show(want)}\nreceived ${show(got)}`];
  },
  toMatch: (got, want) => {
    if (typeof want !== "string" && !(want instanceof RegExp)) throw new TypeError("toMatch takes a regular expression or a string");
    const holds = typeof got === "string" && (typeof want === "string" ? got.includes(want) : new RegExp(want.source, want.flags.replace(/[gy]/g, "")).test(got));
    return [holds, () => `\nexpected to match ${brief(want)}\nreceived ${show(got)}`];
  },
  toHaveLength: (got, want) => {
    const length = got === null || got === undefined ? undefined : got.length;
    return [length === want, () => `\nexpected length ${brief(want)}\nreceived length ${length}: ${brief(got)}`];
  },
  toHaveProperty: (got, key, ...value) => {
    let at = got;
    let there = true;
    for (const name of Array.isArray(key) ? key : String(key).split(".")) {
      there = there && at !== null && at !== undefined && name in Object(at);
      at = there ? at[name] : undefined;
    }
    return [there && (value.length === 0 || equal(value[0], at)), () => (there ? compare(value[0], at) : `\nreceived ${show(got)}`)];
  },
  toBeCloseTo: (got, want, digits = 2) => [
    Object.is(got, want) || Math.abs(got - want) < 10 ** -digits / 2,
    () => `\nexpected ${want}, to ${digits} digits\nreceived ${brief(got)}`,
  ],
  toBeTruthy: (got) => [!!got, () => `\nreceived ${brief(got)}`],
  toBeFalsy: (got) => [!got, () => `\nreceived ${brief(got)}`],
  toBeNull: (got) => [got === null, () => `\nreceived ${brief(got)}`],
  toBeUndefined: (got) => [got === undefined, () => `\nreceived ${brief(got)}`],
  toBeDefined: (got) => [got !== undefined, () => `\nreceived ${brief(got)}`],
  toBeNaN: (got) => [Number.isNaN(got), () => `\nreceived ${brief(got)}`],
  toBeInstanceOf: (got, want) => {
    if (typeof want !== "function") throw new TypeError("toBeInstanceOf takes a class");
    return [got instanceof want, () => `\nexpected an instance of ${want.name}\nreceived ${brief(got)}`];
  },
};

for (const [name, [sign, holds]] of Object.entries(ordered)) {
  matchers[name] = (got, want) => {
    const numbers = [got, want].every((x) => typeof x === "number" || typeof x === "bigint");
    return [numbers && holds(got, want), () => `\nexpected ${sign} ${brief(want)}\nreceived ${" ".repeat(sign.length)} ${brief(got)}`];
  };
}

// thrown is toThrow: with nothing, a part of the message, an expression for it, a
// class, or an error with the same message.
function thrown(error, did, want) {
  const message = error instanceof Error ? error.message : String(error);
  const got = () => (did ? `\nit threw ${brief(error)}` : "\nit did not throw");
  if (!did || want === undefined) return [did, got];
  if (typeof want === "string") return [message.includes(want), () => `\nexpected an error with ${brief(want)} in its message${got()}`];
  if (want instanceof RegExp) return [want.test(message), () => `\nexpected an error whose message matches ${want}${got()}`];
  if (typeof want === "function") return [error instanceof want, () => `\nexpected a ${want.name}${got()}`];
  return [message === want.message, () => `\nexpected the message ${brief(want.message)}${got()}`];
}

// judge throws at when a matcher does not hold, or holds where it must not.
function judge(at, heading, not, [holds, detail]) {
  if (holds !== not) return;
  at.message = not && !heading.includes("toThrow") ? `${heading}\n${negated(detail())}` : `${heading}\n${detail()}`;
  throw at;
}

// negated is the detail of a matcher that holds and should not; a hint why it
// does not hold is out of place.
function negated(detail) {
  return detail.replace(/\n\(.*\)$/, "").replace(/(^|\n)expected /, "$1expected not ").replace(/\nreceived  +/, "\nreceived ");
}

const argumentsOf = { toThrow: "expected", toBeTruthy: "", toBeFalsy: "", toBeNull: "", toBeUndefined: "", toBeDefined: "", toBeNaN: "" };

function heading(name, not, how) {
  const inner = name in argumentsOf ? argumentsOf[name] : "expected";
  return `expect(received)${how ? "." + how : ""}${not ? ".not" : ""}.${name}(${inner})`;
}

// Assertions are the matchers of a value.
class Assertions {
  constructor(received, inverted) {
    this.received = received;
    this.inverted = inverted;
  }
  get not() { return new Assertions(this.received, !this.inverted); }
  get resolves() { return new Settled(this.received, "resolves", this.inverted); }
  get rejects() { return new Settled(this.received, "rejects", this.inverted); }

  toThrow(want) {
    const at = new AssertionError("");
    if (typeof this.received !== "function") throw new TypeError("expect(...).toThrow needs a function to call");
    let error, did = false, hint = "";
    try {
      if (this.received() instanceof Promise) hint = "\n(it returned a promise: await expect(...).rejects.toThrow() looks at that)";
    } catch (e) {
      error = e;
      did = true;
    }
    const [holds, detail] = thrown(error, did, want);
    judge(at, heading("toThrow", this.inverted), this.inverted, [holds, () => detail() + hint]);
  }
}

// Settled are the matchers of what a promise is settled with.
class Settled {
  constructor(promise, how, inverted) {
    this.promise = promise;
    this.how = how;
    this.inverted = inverted;
  }
  get not() { return new Settled(this.promise, this.how, !this.inverted); }

  async judge(name, at, want) {
    const head = heading(name, this.inverted, this.how);
    let value, failed = false;
    try {
      value = await (typeof this.promise === "function" ? this.promise() : this.promise);
    } catch (e) {
      value = e;
      failed = true;
    }
    if (failed !== (this.how === "rejects")) {
      at.message = `${head}\n\nthe promise was ${failed ? "rejected" : "resolved"} with ${brief(value)}`;
      throw at;
    }
    judge(at, head, this.inverted, name === "toThrow" ? thrown(value, true, ...want) : matchers[name](value, ...want));
  }
}

for (const name of [...Object.keys(matchers), "toThrow"]) {
  if (name !== "toThrow") {
    Assertions.prototype[name] = function (...want) {
      judge(new AssertionError(""), heading(name, this.inverted), this.inverted, matchers[name](this.received, ...want));
    };
  }
  Settled.prototype[name] = function (...want) {
    // The error is made here, where its stack leads to the author's line.
    return this.judge(name, new AssertionError(""), want);
  };
}

const expect = (received) => new Assertions(received, false);

expect.anything = () => new Expected("anything", (v) => v !== null && v !== undefined);
expect.any = (kind) => new Expected(`any ${kind.name}`, (v) => Object(v) instanceof kind);
expect.stringContaining = (part) => new Expected(`a string with ${JSON.stringify(part)}`, (v) => typeof v === "string" && v.includes(part));
expect.stringMatching = (pattern) => new Expected(`a string that matches ${pattern}`, (v) => typeof v === "string" && new RegExp(pattern).test(v));
expect.objectContaining = (some) => new Expected(`an object with ${brief(some)}`, (v) => isObject(v) && equal(some, v, true));
expect.arrayContaining = (some) => new Expected(`an array with ${brief(some)}`, (v) => Array.isArray(v) && some.every((x) => v.some((y) => equal(x, y))));

return { expect, brief };
