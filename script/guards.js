// Guards around the built-ins of goja that run, recurse or allocate in Go, where
// no interrupt stops them. guards.go takes from this file the sections that the
// scripts can reach: "//@ a b" begins what is needed when a or b is mentioned,
// "//@ *" what always is. A section is one block of statements.
//
// "X.y": X and y are mentioned; "[computed]": names are made at run time; "yield"
// and "...": the syntax is used.
//
// Given from Go: MAX, the characters or bytes of one value; LEN, the elements of
// one array; some symbols; and functions.
//
// Originals are taken here, before any script runs. Wrappers are methods of a
// literal, so that name, length and the lack of [[Construct]] are right.

//@ *
const O = Object, apply = (() => {}).call.bind((() => {}).apply); // Reflect costs ten times as much
const A = [].__proto__, S = "".__proto__;

const tooLarge = (what) => { throw new RangeError("Invalid " + what + ": larger than max_value"); };

// small lets only those objects through whose length a loop in Go may run over.
const small = (o) => { if (o != null && o.length > LEN) tooLarge("array length"); };
const needText = (v) => typeof v === "string" ? v : `${v}`;

//@ concat flat split
const isArray = Array.isArray;

//@ RegExp constructor compile match matchAll search Proxy BigInt Uint8Array Uint8ClampedArray Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array BigInt64Array BigUint64Array ArrayBuffer
const define = O.defineProperty, setPrototypeOf = O.setPrototypeOf;
// subclass gives what an original constructor made the class that it is wanted of.
const subclass = (o, target, Wrapper) => target === undefined || target === Wrapper ? o : setPrototypeOf(o, target.prototype);
// replace puts a constructor in the place of a global one.
const replace = (name, original, wrapper, prototype) => {
  define(wrapper, "name", { value: name, configurable: true });
  define(wrapper, "prototype", { value: prototype, writable: false });
  if (prototype) prototype.constructor = wrapper;
  globalThis[name] = wrapper;
};

//@ *
// Reached without any name: "" + array and "" + error, [...array].
{
  // Joins that are under way, since goja's own notice of a cycle needs goja's own recursion.
  const active = { __proto__: null, length: 0 };
  const join = A.join, { defineProperty } = O;
  // measure is the size of the result, or -1 when an element has toString of its own.
  const measure = (list, n, separator) => {
    let total = n > 0 ? (n - 1) * separator.length : 0;
    for (let i = 0; i < n; i++) {
      const x = list[i];
      if (typeof x === "string") {
        if ((total += x.length) > MAX) tooLarge("string length");
      } else if (typeof x === "object" || typeof x === "function") {
        if (x !== null) return -1;
      } else total += 25;
    }
    return total;
  };
  A.join = ({ join(separator) {
    if (this === null || typeof this !== "object") return apply(join, this, [separator]);
    const n = this.length;
    if (typeof n !== "number") return apply(join, this, [separator]);
    if (n > LEN) tooLarge("array length");
    separator = separator === undefined ? "," : `${separator}`;
    const size = measure(this, n, separator);
    if (size > MAX) tooLarge("string length");
    if (size >= 0) return apply(join, this, [separator]);
    for (let i = 0; i < active.length; i++) if (active[i] === this) return "";
    active[active.length++] = this;
    try {
      // What has toString of its own is turned into text here, in JavaScript, where depth is counted.
      const texts = [];
      for (let i = 0, total = 0; i < n; i++) {
        const x = this[i];
        const value = x === undefined || x === null ? "" : `${x}`;
        if ((total += value.length + separator.length) > MAX + separator.length) tooLarge("string length");
        defineProperty(texts, i, { value, writable: true, enumerable: true, configurable: true });
      }
      return apply(join, texts, [separator]);
    } finally {
      active.length--;
    }
  } }).join;
}
{
  const E = Error.prototype;
  E.toString = ({ toString() {
    if (this === null || typeof this !== "object" && typeof this !== "function") {
      throw new TypeError("Error.prototype.toString: 'this' is not an object");
    }
    const { name, message } = this;
    const n = name === undefined ? "Error" : `${name}`, m = message === undefined ? "" : `${message}`;
    return n === "" ? m : m === "" ? n : n + ": " + m;
  } }).toString;
}

//@ ... Set Map WeakSet WeakMap Array.from all allSettled any race fromEntries
{
  const f = A.values;
  A[ITERATOR] = A.values = ({ values() { small(this); return apply(f, this, []); } }).values;
  const g = S[ITERATOR];
  S[ITERATOR] = ({ [ITERATOR]() {
    if (typeof this === "string" && this.length > LEN) tooLarge("number of characters to iterate");
    return apply(g, this, []);
  } })[ITERATOR];
}

//@ Set Map
const iterable = (P, n) => {
  const { keys, values, entries } = P;
  const large = (o) => { if (o != null && o.size > LEN) tooLarge("number of elements to iterate"); };
  const w = {
    keys() { large(this); return apply(keys, this, []); },
    values() { large(this); return apply(values, this, []); },
    entries() { large(this); return apply(entries, this, []); },
  };
  P.values = w.values;
  P.entries = w.entries;
  P.keys = keys === values ? w.values : w.keys;
  P[ITERATOR] = n === 1 ? w.values : w.entries;
};

//@ Set
iterable(Set.prototype, 1);

//@ Map
iterable(Map.prototype, 2);

//@ yield
{
  const G = O.getPrototypeOf(function* () {}).prototype;
  const next = G.next, ret = G.return, thr = G.throw;
  const w = { next(value) { return apply(next, this, [value]); }, return(value) { return apply(ret, this, [value]); }, throw(error) { return apply(thr, this, [error]); } };
  G.next = w.next; G.return = w.return; G.throw = w.throw;
}

//@ repeat
{
  const f = S.repeat;
  S.repeat = ({ repeat(count) {
    if (this == null) return apply(f, this, [count]);
    const s = needText(this), n = +count;
    if (s.length * n > MAX) tooLarge("string length");
    return s === "" && n >= 0 && n !== Infinity ? "" : apply(f, s, [n]);
  } }).repeat;
}

//@ padStart
{
  const f = S.padStart;
  S.padStart = ({ padStart(maxLength, fillString = undefined) {
    if (this == null) return apply(f, this, []);
    const s = needText(this), n = +maxLength;
    if (!(n > s.length)) return s;
    const fill = fillString === undefined ? " " : `${fillString}`;
    if (fill === "") return s;
    if (n > MAX) tooLarge("string length");
    return apply(f, s, [n, fill]);
  } }).padStart;
}

//@ padEnd
{
  const f = S.padEnd;
  S.padEnd = ({ padEnd(maxLength, fillString = undefined) {
    if (this == null) return apply(f, this, []);
    const s = needText(this), n = +maxLength;
    if (!(n > s.length)) return s;
    const fill = fillString === undefined ? " " : `${fillString}`;
    if (fill === "") return s;
    if (n > MAX) tooLarge("string length");
    return apply(f, s, [n, fill]);
  } }).padEnd;
}

//@ concat
{
  const f = S.concat, g = A.concat, spreadable = SPREADABLE;
  S.concat = ({ concat(string) {
    if (this == null) return apply(f, this, []);
    let s = needText(this), n = s.length;
    const list = [];
    for (let i = 0; i < arguments.length; i++) {
      const t = needText(arguments[i]);
      if ((n += t.length) > MAX) tooLarge("string length");
      list[i] = t;
    }
    return apply(f, s, list);
  } }).concat;
  A.concat = ({ concat(item) {
    small(this);
    let n = this == null ? 0 : isArray(this) ? this.length : 1;
    for (let i = 0; i < arguments.length; i++) {
      const x = arguments[i];
      if (x === null || typeof x !== "object") n++;
      else if (isArray(x) || x[spreadable]) n += +x.length || 0;
      else n++;
      if (n > LEN) tooLarge("array length");
    }
    return apply(g, this, arguments);
  } }).concat;
}

//@ split
{
  const f = S.split;
  S.split = ({ split(separator, limit) {
    if (this == null || limit !== undefined) return apply(f, this, [separator, limit]);
    if (typeof this === "string" && this.length <= LEN) return apply(f, this, [separator, undefined]);
    const pieces = apply(f, this, [separator, LEN + 2]);
    if (isArray(pieces) && pieces.length > LEN + 1) tooLarge("number of pieces");
    return pieces;
  } }).split;
}

//@ replace replaceAll
// counted is the replacement such that the size of the result is watched while it grows.
const counted = (text, search, replacement) => {
  let total = text.length;
  const add = (s) => { if ((total += s.length) > MAX) tooLarge("string length"); return s; };
  if (typeof replacement === "function") {
    return (...found) => add(`${apply(replacement, undefined, found)}`);
  }
  replacement = `${replacement}`;
  // The most it can become is known without looking: $` and $' are the longest.
  let dollars = 0;
  for (let i = apply(indexOf, replacement, ["$"]); i >= 0; i = apply(indexOf, replacement, ["$", i + 1])) dollars++;
  if ((text.length + 1) * (replacement.length + dollars * text.length) + total <= MAX) return replacement;
  if (dollars === 0) return () => add(replacement);
  let parts;
  return (...found) => {
    let end = found.length - 1, named = found[end];
    if (typeof named === "string") named = undefined; else end--;
    if (parts === undefined) parts = parse(replacement, end - 2, named !== undefined);
    return add(expand(parts, found, named, found[end], found[end - 1]));
  };
};
const { indexOf, substring } = S;
// parse and expand are GetSubstitution of ECMA-262 §22.1.3.19.1, with what a
// replacer is given. Parts are text, or the number of a group, or an object for the rest.
const BEFORE = {}, AFTER = {};
const parse = (template, groups, hasNames) => {
  const parts = { __proto__: null, length: 0 };
  const put = (part) => { if (part !== "") parts[parts.length++] = part; };
  for (let i = 0;;) {
    const j = apply(indexOf, template, ["$", i]);
    if (j < 0 || j === template.length - 1) { put(apply(substring, template, [i])); return parts; }
    put(apply(substring, template, [i, j]));
    const c = template[j + 1];
    i = j + 2;
    if (c === "$") put("$");
    else if (c === "&") put(0);
    else if (c === "`") put(BEFORE);
    else if (c === "'") put(AFTER);
    else if (c >= "0" && c <= "9") {
      let n = +c;
      const d = template[i], two = n * 10 + +d;
      if (d >= "0" && d <= "9" && two >= 1 && two <= groups) { n = two; i++; }
      put(n >= 1 && n <= groups ? n : apply(substring, template, [j, i]));
    } else if (c === "<" && hasNames) {
      const k = apply(indexOf, template, [">", i]);
      if (k < 0) put("$<");
      else { put({ name: apply(substring, template, [i, k]) }); i = k + 1; }
    } else { put("$"); i = j + 1; }
  }
};
const expand = (parts, found, named, text, at) => {
  let out = "";
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (typeof part === "string") out += part;
    else if (typeof part === "number") { if (found[part] !== undefined) out += found[part]; }
    else if (part === BEFORE) out += apply(substring, text, [0, at]);
    else if (part === AFTER) out += apply(substring, text, [at + found[0].length]);
    else { const v = named[part.name]; if (v !== undefined) out += v; }
    if (out.length > MAX) tooLarge("string length");
  }
  return out;
};

//@ replace
{
  const f = S.replace;
  S.replace = ({ replace(search, replacement) {
    if (this == null) return apply(f, this, [search, replacement]);
    const s = needText(this);
    return apply(f, s, [search, counted(s, search, replacement)]);
  } }).replace;
}

//@ replaceAll
{
  const f = S.replaceAll;
  S.replaceAll = ({ replaceAll(search, replacement) {
    if (this == null) return apply(f, this, [search, replacement]);
    const s = needText(this);
    return apply(f, s, [search, counted(s, search, replacement)]);
  } }).replaceAll;
}

//@ normalize
{
  // A character costs a third of a microsecond, and can become eighteen.
  const f = S.normalize;
  S.normalize = ({ normalize(form = undefined) {
    if (this == null) return apply(f, this, []);
    const s = needText(this);
    if (s.length * 16 > MAX) tooLarge("string length");
    return apply(f, s, [form]);
  } }).normalize;
}

//@ String.raw
{
  const f = String.raw;
  String.raw = ({ raw(template) {
    if (template != null && template.raw != null) {
      const { raw } = template;
      small(raw);
      let n = 0;
      for (let i = 0; i < raw.length; i++) if ((n += `${raw[i]}`.length) > MAX) tooLarge("string length");
      for (let i = 1; i < arguments.length && i < raw.length; i++) if ((n += `${arguments[i]}`.length) > MAX) tooLarge("string length");
    }
    return apply(f, this, arguments);
  } }).raw;
}

//@ RegExp constructor compile match matchAll search
let GuardedRegExp;
{
  const Original = RegExp, P = Original.prototype, compile = P.compile;
  const symbol = MATCH, source = O.getOwnPropertyDescriptor(P, "source").get;
  const isRegExp = (p) => {
    if (p === null || typeof p !== "object" && typeof p !== "function") return false;
    const m = p[symbol];
    return m === undefined ? p instanceof Original : !!m;
  };
  // prepare is the pattern as goja may have it. The source of a RegExp is so already.
  const prepare = (p, flags) => {
    if (p === undefined) return p;
    if (isRegExp(p)) {
      try { apply(source, p, []); return p; } catch (e) { /* only something like a RegExp */ }
      if (flags === undefined) flags = p.flags;
      p = p.source;
    }
    p = `${p}`;
    if (p.length > 65536) throw new RangeError("Invalid regular expression: longer than 64 KiB");
    const r = rewrite(p, flags === undefined ? "" : `${flags}`);
    if (typeof r !== "string") throw new SyntaxError(r.message);
    return r;
  };
  const flagsOf = (p, flags) => flags === undefined && isRegExp(p) ? p.flags : flags;
  const Wrapper = function (pattern, flags) {
    if (new.target === undefined && flags === undefined && isRegExp(pattern) && pattern.constructor === Wrapper) return pattern;
    return subclass(new Original(prepare(pattern, flags), flagsOf(pattern, flags)), new.target, Wrapper);
  };
  GuardedRegExp = Wrapper;
  replace("RegExp", Original, Wrapper, P);
  define(Wrapper, SPECIES, { get: O.getOwnPropertyDescriptor(Original, SPECIES).get, configurable: true });
  P.compile = ({ compile(pattern, flags) { return apply(compile, this, [prepare(pattern, flags), flags]); } }).compile;
}

//@ match matchAll search
// These make a RegExp of any other pattern, past the global one.
const pattern = (p, flags) => p === undefined || p === null || typeof p === "object" ? p : new GuardedRegExp(p, flags);

//@ match
{
  const f = S.match;
  S.match = ({ match(regexp) { return apply(f, this, [this == null ? regexp : pattern(regexp)]); } }).match;
}

//@ matchAll
{
  const f = S.matchAll;
  S.matchAll = ({ matchAll(regexp) { return apply(f, this, [this == null ? regexp : pattern(regexp, "g")]); } }).matchAll;
}

//@ search
{
  const f = S.search;
  S.search = ({ search(regexp) { return apply(f, this, [this == null ? regexp : pattern(regexp)]); } }).search;
}

//@ JSON.parse
{
  const f = JSON.parse;
  JSON.parse = ({ parse(text, reviver) {
    text = `${text}`;
    const fault = checkJSON(text);
    if (fault !== undefined) throw new RangeError(fault);
    const v = apply(f, JSON, [text]);
    return typeof reviver === "function" ? revive(v, reviver) : v;
  } }).parse;
}

//@ JSON.stringify
{
  const poll = () => {}; // a call into JavaScript is where an interrupt ends what is in Go
  JSON.stringify = ({ stringify(value, replacer, space) { return stringify(value, replacer, space, poll); } }).stringify;
}

//@ flat
{
  const f = A.flat;
  // measure walks what flat would, in JavaScript, and refuses what is too deep or too long.
  const measure = (root, depth) => {
    let total = 0, level = 1, list = root, i = 0;
    const lists = { __proto__: null }, indexes = { __proto__: null };
    for (;;) {
      if (i >= list.length) {
        if (--level === 0) return;
        list = lists[level]; i = indexes[level];
        continue;
      }
      const x = list[i++];
      if (typeof x === "object" && level <= depth && isArray(x)) {
        if (level >= 1000) throw new RangeError("flat: nested deeper than 1000");
        lists[level] = list; indexes[level] = i;
        level++; list = x; i = 0;
        small(x);
      } else if (++total > LEN) tooLarge("array length");
    }
  };
  A.flat = ({ flat(depth = undefined) {
    small(this);
    depth = depth === undefined ? 1 : +depth;
    if (isArray(this)) measure(this, depth);
    return apply(f, this, [depth]);
  } }).flat;
}

//@ Array.from
{
  const f = Array.from, iterator = ITERATOR;
  Array.from = ({ from(items, mapfn = undefined, thisArg = undefined) {
    if (items != null && (typeof items === "string" || items[iterator] == null)) small(items);
    return mapfn === undefined ? apply(f, this, [items]) : apply(f, this, [items, mapfn, thisArg]);
  } }).from;
}

//@ apply
{
  const P = Function.prototype, f = P.apply;
  P.apply = ({ apply(thisArg, argArray) { small(argArray); return apply(f, this, [thisArg, argArray]); } }).apply;
}

//@ Reflect
{
  const f = Reflect.construct;
  Reflect.apply = ({ apply(target, thisArgument, argumentsList) {
    if (typeof target !== "function") throw new TypeError("Reflect.apply: not a function");
    if (argumentsList === null || typeof argumentsList !== "object") throw new TypeError("Reflect.apply: no list of arguments");
    small(argumentsList);
    return apply(target, thisArgument, argumentsList);
  } }).apply;
  Reflect.construct = ({ construct(target, argumentsList) {
    small(argumentsList);
    return apply(f, Reflect, arguments);
  } }).construct;
}

//@ bind
{
  const P = Function.prototype, f = P.bind, depths = new WeakMap();
  const get = WeakMap.prototype.get, set = WeakMap.prototype.set;
  P.bind = ({ bind(thisArg) {
    const bound = apply(f, this, arguments);
    const d = (apply(get, depths, [this]) || 0) + 1;
    if (d > 1000) throw new RangeError("bind: bound more than 1000 times over");
    apply(set, depths, [bound, d]);
    return bound;
  } }).bind;
}

//@ Proxy
{
  const Original = Proxy, revocable = Original.revocable;
  const getPrototypeOf = O.getPrototypeOf;
  const weights = new WeakMap(), get = WeakMap.prototype.get, set = WeakMap.prototype.set;
  // weight is how many proxies one look-up in o may pass.
  const weight = (o) => {
    for (let steps = 0; o !== null && (typeof o === "object" || typeof o === "function"); steps++) {
      const w = apply(get, weights, [o]);
      if (w !== undefined) return w;
      if (steps >= 1000) throw new RangeError("Proxy: more than 1000 prototypes in a row");
      o = getPrototypeOf(o);
    }
    return 0;
  };
  const weigh = (target, handler) => {
    const w = weight(target) + weight(handler) + 1;
    if (w > 1000) throw new RangeError("Proxy: more than 1000 in a row");
    return w;
  };
  const Wrapper = function Proxy(target, handler) {
    if (new.target === undefined) throw new TypeError("Constructor Proxy requires 'new'");
    const w = weigh(target, handler);
    const p = new Original(target, handler);
    apply(set, weights, [p, w]);
    return p;
  };
  replace("Proxy", Original, Wrapper, undefined);
  define(Wrapper, "revocable", { value: ({ revocable(target, handler) {
    const w = weigh(target, handler);
    const r = apply(revocable, Original, [target, handler]);
    apply(set, weights, [r.proxy, w]);
    return r;
  } }).revocable, writable: true, configurable: true });
  // An object that exists must not get a proxy as its prototype: the proxy may have it as its target.
  const refuse = (proto) => { if (weight(proto) > 0) throw new TypeError("An object's prototype cannot become a Proxy"); };
  const ofObject = O.setPrototypeOf, ofReflect = Reflect.setPrototypeOf;
  O.setPrototypeOf = ({ setPrototypeOf(object, proto) { refuse(proto); return apply(ofObject, O, [object, proto]); } }).setPrototypeOf;
  Reflect.setPrototypeOf = ({ setPrototypeOf(target, proto) { refuse(proto); return apply(ofReflect, Reflect, [target, proto]); } }).setPrototypeOf;
  const d = O.getOwnPropertyDescriptor(O.prototype, "__proto__");
  const setter = d.set;
  d.set = O.getOwnPropertyDescriptor({ set __proto__(proto) { refuse(proto); return apply(setter, this, [proto]); } }, "__proto__").set;
  define(O.prototype, "__proto__", d);
}

//@ eval
globalThis.eval = ({ eval(x) { throw new EvalError("eval is not available to scripts"); } }).eval;

//@ Function constructor [computed]
{
  const P = Function.prototype, defineProperty = O.defineProperty;
  const refused = (name) => { throw new EvalError(name + " from text is not available to scripts"); };
  const one = (name, proto, writable) => {
    const F = { [name]: function () { refused(name); } }[name];
    defineProperty(F, "length", { value: 1, configurable: true });
    defineProperty(F, "prototype", { value: proto, writable: false });
    defineProperty(proto, "constructor", { value: F, writable, enumerable: false, configurable: true });
    return F;
  };
  const F = one("Function", P, true);
  defineProperty(globalThis, "Function", { value: F, writable: true, enumerable: false, configurable: true });
  one("GeneratorFunction", O.getPrototypeOf(function* () {}), false);
  one("AsyncFunction", O.getPrototypeOf(async function () {}), true);
}

//@ BigInt
{
  // Larger ones take seconds to print. V8 stops at 2**30 bits.
  const BITS = 1048576, Original = BigInt, signed = Original.asIntN, unsigned = Original.asUintN;
  const check = (v) => { if (typeof v === "string" && v.length > 65536) throw new RangeError("Maximum BigInt size exceeded"); return v; };
  const primitive = (v) => {
    if (v === null || typeof v !== "object" && typeof v !== "function") return v;
    const f = v[PRIMITIVE];
    if (f != null) return apply(f, v, ["number"]);
    let p = v.valueOf();
    if (p !== null && (typeof p === "object" || typeof p === "function")) p = `${v}`;
    return p;
  };
  const Wrapper = function (value) {
    if (new.target !== undefined) throw new TypeError("BigInt is not a constructor");
    return Original(check(primitive(value)));
  };
  replace("BigInt", Original, Wrapper, Original.prototype);
  const statics = {
    asIntN(bits, bigint) {
      if (+bits > BITS && typeof bigint === "bigint") return bigint;
      return apply(signed, Original, [bits, check(bigint)]);
    },
    asUintN(bits, bigint) {
      if (+bits > BITS && typeof bigint === "bigint") { if (bigint >= 0) return bigint; throw new RangeError("Maximum BigInt size exceeded"); }
      return apply(unsigned, Original, [bits, check(bigint)]);
    },
  };
  define(Wrapper, "asIntN", { value: statics.asIntN, writable: true, configurable: true });
  define(Wrapper, "asUintN", { value: statics.asUintN, writable: true, configurable: true });
}

//@ pmilter:operator pmilter:assign
// What guardOperators puts in the place of * ** << >> in scripts that use BigInt.
{
  const BITS = 1048576, Number_ = Number, defineProperty = O.defineProperty;
  const huge = () => { throw new RangeError("Maximum BigInt size exceeded"); };
  const primitive = (v) => {
    if (v === null || typeof v !== "object" && typeof v !== "function") return v;
    const f = v[PRIMITIVE];
    if (f != null) return apply(f, v, ["number"]);
    const p = v.valueOf();
    return p !== null && (typeof p === "object" || typeof p === "function") ? `${v}` : p;
  };
  const plain = (left, op, right) => {
    switch (op) {
      case "*": return left * right;
      case "**": return left ** right;
      case "<<": return left << right;
      default: return left >> right;
    }
  };
  const operator = (left, op, right) => {
    if (typeof left === "number" && typeof right === "number") return plain(left, op, right);
    left = primitive(left);
    right = primitive(right);
    if (typeof left !== "bigint" || typeof right !== "bigint") return plain(left, op, right);
    switch (op) {
      case "*":
        if (bitLength(left) + bitLength(right) > BITS + 64) huge();
        break;
      case "**":
        if (right > 1n && left !== 0n && left !== 1n && left !== -1n &&
          (right > BITS || bitLength(left) * Number_(right) > BITS + 64)) huge();
        break;
      default:
        if (right > BITS || right < -BITS) {
          if (left === 0n) return left;
          if ((op === "<<") === (right > 0n)) huge();
          return left < 0n ? -1n : 0n;
        }
        if (bitLength(left) > 2 * BITS) huge();
    }
    return plain(left, op, right);
  };
  defineProperty(globalThis, "pmilter:operator", { value: operator });
  defineProperty(globalThis, "pmilter:assign", { value: (object, key, op, right) => object[key] = operator(object[key], op, right) });
}

//@ ArrayBuffer
{
  const Original = ArrayBuffer, isView = Original.isView;
  const Wrapper = function (length) {
    if (new.target === undefined) throw new TypeError("Constructor ArrayBuffer requires 'new'");
    const n = +length;
    if (n > MAX) tooLarge("array buffer length");
    return subclass(new Original(n), new.target, Wrapper);
  };
  replace("ArrayBuffer", Original, Wrapper, Original.prototype);
  define(Wrapper, "isView", { value: isView, writable: true, configurable: true });
  define(Wrapper, SPECIES, { get: O.getOwnPropertyDescriptor(Original, SPECIES).get, configurable: true });
}

//@ Uint8Array Uint8ClampedArray Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array BigInt64Array BigUint64Array body raw content encode
const typed = O.getPrototypeOf(Uint8Array);
{
  // One step of an iterator costs a microsecond in Go, of which a spread makes as many as it likes.
  const P = typed.prototype, f = P.values, from = typed.from, iterator = ITERATOR;
  const values = ({ values() {
    if (this != null && this.length > LEN) tooLarge("number of elements to iterate");
    return apply(f, this, []);
  } }).values;
  P.values = values;
  P[iterator] = values;
  typed.from = ({ from(source, mapfn = undefined, thisArg = undefined) {
    if (source != null && source[iterator] == null) small(source);
    return mapfn === undefined ? apply(from, this, [source]) : apply(from, this, [source, mapfn, thisArg]);
  } }).from;
}

//@ Uint8Array Uint8ClampedArray Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array BigInt64Array BigUint64Array
const typedArray = (name, Original, width) => {
  const Wrapper = function (first, byteOffset, length) {
    if (new.target === undefined) throw new TypeError("Constructor " + name + " requires 'new'");
    if (first === null || typeof first !== "object" && typeof first !== "function") {
      const n = first === undefined ? 0 : +first;
      if (n * width > MAX) tooLarge("typed array length");
      return subclass(new Original(n), new.target, Wrapper);
    }
    const bytes = first.byteLength;
    if (bytes === undefined ? first.length > LEN : first.length * width > MAX) tooLarge("typed array length");
    return subclass(new Original(first, byteOffset, length), new.target, Wrapper);
  };
  setPrototypeOf(Wrapper, typed);
  define(Wrapper, "BYTES_PER_ELEMENT", { value: width });
  replace(name, Original, Wrapper, Original.prototype);
};

//@ Uint8Array
{
  const { fromBase64, fromHex } = Uint8Array;
  typedArray("Uint8Array", Uint8Array, 1);
  define(Uint8Array, "fromBase64", { value: fromBase64, writable: true, configurable: true });
  define(Uint8Array, "fromHex", { value: fromHex, writable: true, configurable: true });
}

//@ Uint8ClampedArray
typedArray("Uint8ClampedArray", Uint8ClampedArray, 1);

//@ Int8Array
typedArray("Int8Array", Int8Array, 1);

//@ Uint16Array
typedArray("Uint16Array", Uint16Array, 2);

//@ Int16Array
typedArray("Int16Array", Int16Array, 2);

//@ Uint32Array
typedArray("Uint32Array", Uint32Array, 4);

//@ Int32Array
typedArray("Int32Array", Int32Array, 4);

//@ Float32Array
typedArray("Float32Array", Float32Array, 4);

//@ Float64Array
typedArray("Float64Array", Float64Array, 8);

//@ BigInt64Array
typedArray("BigInt64Array", BigInt64Array, 8);

//@ BigUint64Array
typedArray("BigUint64Array", BigUint64Array, 8);

// Methods that only need small: "//@array name(parameters)"; with "..." they are
// passed on as they came, else as they are declared.
//@array every(callbackfn, thisArg = undefined)
//@array some(callbackfn, thisArg = undefined)
//@array forEach(callbackfn, thisArg = undefined)
//@array map(callbackfn, thisArg = undefined)
//@array filter(callbackfn, thisArg = undefined)
//@array find(predicate, thisArg = undefined)
//@array findIndex(predicate, thisArg = undefined)
//@array findLast(predicate, thisArg = undefined)
//@array findLastIndex(predicate, thisArg = undefined)
//@array flatMap(mapperFunction, thisArg = undefined)
//@array indexOf(searchElement, fromIndex = undefined)
//@array includes(searchElement, fromIndex = undefined)
//@array lastIndexOf(searchElement ...)
//@array reduce(callbackfn ...)
//@array reduceRight(callbackfn ...)
//@array fill(value ...)
//@array copyWithin(target, start ...)
//@array slice(start, end)
//@array splice(start, deleteCount ...)
//@array sort(comparefn)
//@array reverse()
//@array shift()
//@array unshift(item ...)
//@array keys()
//@array entries()
//@array toLocaleString()
//@array toReversed()
//@array toSorted(comparefn)
//@array toSpliced(start, skipCount ...)
//@array with(index, value)
