// The global functions and classes that are no part of ECMAScript. globals.go
// takes from this file the sections whose names the scripts mention: see prelude.go.

//@ console setTimeout setInterval clearTimeout clearInterval setImmediate clearImmediate queueMicrotask TextEncoder TextDecoder URL URLSearchParams atob btoa crypto structuredClone
const defineProperty = Object.defineProperty, toStringTag = Symbol.toStringTag;
const put = (name, value) => { defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false }); };
const fault = (name, message, Class = Error) => {
  const e = new Class(message);
  defineProperty(e, "name", { value: name, writable: true, configurable: true, enumerable: false });
  return e;
};

//@ console
put("console", {
  log(...values) { print("info", values); },
  info(...values) { print("info", values); },
  debug(...values) { print("debug", values); },
  warn(...values) { print("warn", values); },
  error(...values) { print("error", values); },
  trace(...values) { print("trace", values); },
  dir(value) { print("info", [value]); },
  assert(condition, ...values) { if (!condition) print("assert", values); },
});

//@ setTimeout
put("setTimeout", ({ setTimeout(handler, delay = 0, ...values) { return startTimer(handler, +delay, false, values); } }).setTimeout);
//@ setInterval
put("setInterval", ({ setInterval(handler, delay = 0, ...values) { return startTimer(handler, +delay, true, values); } }).setInterval);
//@ setImmediate
put("setImmediate", ({ setImmediate(handler, ...values) { return startTimer(handler, -1, false, values); } }).setImmediate);
//@ clearTimeout
put("clearTimeout", ({ clearTimeout(id) { stopTimer(id); } }).clearTimeout);
//@ clearInterval
put("clearInterval", ({ clearInterval(id) { stopTimer(id); } }).clearInterval);
//@ clearImmediate
put("clearImmediate", ({ clearImmediate(id) { stopTimer(id); } }).clearImmediate);

//@ queueMicrotask
{
  const resolved = Promise.resolve(), { then } = Promise.prototype, apply = (() => {}).call.bind((() => {}).apply);
  put("queueMicrotask", ({ queueMicrotask(callback) {
    if (typeof callback !== "function") throw new TypeError("queueMicrotask: the callback is not a function");
    apply(then, resolved, [() => { callback(); }]);
  } }).queueMicrotask);
}

//@ TextEncoder
put("TextEncoder", class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(input = "") { return new Uint8Array(encodeText(`${input}`)); }
  encodeInto(source, destination) {
    if (!(destination instanceof Uint8Array)) throw new TypeError("TextEncoder.encodeInto: the destination is no Uint8Array");
    return encodeInto(`${source}`, destination.buffer, destination.byteOffset, destination.byteLength);
  }
  get [toStringTag]() { return "TextEncoder"; }
});

//@ TextDecoder
put("TextDecoder", class TextDecoder {
  #name; #fatal; #ignoreBOM; #rest; #begun = false;
  constructor(label = "utf-8", options = {}) {
    this.#name = encodingName(`${label}`);
    if (this.#name === "") throw new RangeError(`TextDecoder: the encoding ${JSON.stringify(`${label}`)} is not known`);
    this.#fatal = !!(options && options.fatal);
    this.#ignoreBOM = !!(options && options.ignoreBOM);
  }
  get encoding() { return this.#name; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreBOM; }
  decode(input = undefined, options = {}) {
    let buffer, offset = 0, length = 0;
    if (input !== undefined) {
      if (ArrayBuffer.isView(input)) {
        buffer = input.buffer; offset = input.byteOffset; length = input.byteLength;
      } else if (input instanceof ArrayBuffer) {
        buffer = input; length = input.byteLength;
      } else throw new TypeError("TextDecoder.decode: the input is neither an ArrayBuffer nor a view of one");
    }
    const more = !!(options && options.stream);
    const r = decodeText(this.#name, buffer, offset, length, this.#rest, this.#fatal, this.#ignoreBOM || this.#begun, more);
    this.#rest = more ? r.rest : undefined;
    this.#begun = more && (this.#begun || r.text !== "" || r.marked);
    if (r.bad) {
      this.#rest = undefined; this.#begun = false;
      throw new TypeError("TextDecoder.decode: the bytes are not valid " + this.#name);
    }
    return r.text;
  }
  get [toStringTag]() { return "TextDecoder"; }
});

//@ atob
put("atob", ({ atob(data) {
  const text = fromBase64(`${data}`);
  if (typeof text !== "string") throw fault("InvalidCharacterError", "atob: the text is not correctly encoded");
  return text;
} }).atob);

//@ btoa
put("btoa", ({ btoa(data) {
  const text = toBase64(`${data}`);
  if (typeof text !== "string") throw fault("InvalidCharacterError", "btoa: the text has characters above U+00FF");
  return text;
} }).btoa);

//@ URL URLSearchParams
let listOf, watch; // into the private parts of URLSearchParams, for URL
{
  const ITERATOR = Symbol.iterator, sort = (list) => { // stable, by code units
    for (let i = 1; i < list.length; i++) {
      const x = list[i];
      let j = i;
      for (; j > 0 && list[j - 1][0] > x[0]; j--) list[j] = list[j - 1];
      list[j] = x;
    }
  };
  class URLSearchParams {
    #list = []; #changed = undefined;
    static {
      listOf = (params, text) => {
        const flat = queryParse(text);
        params.#list = [];
        for (let i = 0; i < flat.length; i += 2) params.#list[i / 2] = [flat[i], flat[i + 1]];
      };
      watch = (params, changed) => { params.#changed = changed; };
    }
    constructor(init = "") {
      if (init !== null && typeof init === "object") {
        const pairs = init[ITERATOR] == null ? Object.entries(init) : init;
        for (const pair of pairs) {
          const [name, value, more] = pair;
          if (value === undefined || more !== undefined) throw new TypeError("URLSearchParams: an element is no pair of name and value");
          this.#list[this.#list.length] = [`${name}`, `${value}`];
        }
      } else {
        const text = `${init}`;
        listOf(this, text[0] === "?" ? text.slice(1) : text);
      }
    }
    #write() { if (this.#changed !== undefined) this.#changed(this.toString()); }
    get size() { return this.#list.length; }
    append(name, value) { this.#list[this.#list.length] = [`${name}`, `${value}`]; this.#write(); }
    delete(name, value = undefined) {
      name = `${name}`;
      this.#list = this.#list.filter((p) => p[0] !== name || value !== undefined && p[1] !== `${value}`);
      this.#write();
    }
    get(name) { const p = this.#list.find((p) => p[0] === `${name}`); return p === undefined ? null : p[1]; }
    getAll(name) { return this.#list.filter((p) => p[0] === `${name}`).map((p) => p[1]); }
    has(name, value = undefined) { return this.#list.some((p) => p[0] === `${name}` && (value === undefined || p[1] === `${value}`)); }
    set(name, value) {
      name = `${name}`; value = `${value}`;
      const first = this.#list.findIndex((p) => p[0] === name);
      if (first < 0) return this.append(name, value);
      this.#list[first] = [name, value];
      this.#list = this.#list.filter((p, i) => p[0] !== name || i === first);
      this.#write();
    }
    sort() { sort(this.#list); this.#write(); }
    forEach(callback, thisArg = undefined) { for (const [name, value] of this) callback.call(thisArg, value, name, this); }
    *entries() { for (const [name, value] of this.#list) yield [name, value]; }
    *keys() { for (const p of this.#list) yield p[0]; }
    *values() { for (const p of this.#list) yield p[1]; }
    toString() { return this.#list.map((p) => queryEscape(p[0]) + "=" + queryEscape(p[1])).join("&"); }
    get [toStringTag]() { return "URLSearchParams"; }
  }
  defineProperty(URLSearchParams.prototype, ITERATOR, { value: URLSearchParams.prototype.entries, writable: true, configurable: true });
  put("URLSearchParams", URLSearchParams);

  class URL {
    #parts; #params = undefined;
    constructor(url, base = undefined) {
      const parts = urlParse(`${url}`, base === undefined ? undefined : `${base}`);
      if (parts === null) {
        const e = new TypeError("Invalid URL");
        e.code = "ERR_INVALID_URL"; e.input = `${url}`;
        throw e;
      }
      this.#parts = parts;
    }
    static canParse(url, base = undefined) { return urlParse(`${url}`, base === undefined ? undefined : `${base}`) !== null; }
    static parse(url, base = undefined) { return URL.canParse(url, base) ? new URL(url, base) : null; }
    #set(part, value) {
      this.#parts = urlSet(this.#parts.href, part, `${value}`);
      if (part === "search" && this.#params !== undefined) listOf(this.#params, this.#parts.search.slice(1));
    }
    get href() { return this.#parts.href; }
    set href(value) {
      this.#parts = new URL(value).#parts;
      if (this.#params !== undefined) listOf(this.#params, this.#parts.search.slice(1));
    }
    get origin() { return this.#parts.origin; }
    get protocol() { return this.#parts.protocol; }
    set protocol(value) { this.#set("protocol", value); }
    get username() { return this.#parts.username; }
    set username(value) { this.#set("username", value); }
    get password() { return this.#parts.password; }
    set password(value) { this.#set("password", value); }
    get host() { return this.#parts.host; }
    set host(value) { this.#set("host", value); }
    get hostname() { return this.#parts.hostname; }
    set hostname(value) { this.#set("hostname", value); }
    get port() { return this.#parts.port; }
    set port(value) { this.#set("port", value); }
    get pathname() { return this.#parts.pathname; }
    set pathname(value) { this.#set("pathname", value); }
    get search() { return this.#parts.search; }
    set search(value) { this.#set("search", value); }
    get hash() { return this.#parts.hash; }
    set hash(value) { this.#set("hash", value); }
    get searchParams() {
      if (this.#params === undefined) {
        this.#params = new URLSearchParams(this.#parts.search);
        watch(this.#params, (text) => { this.#parts = urlSet(this.#parts.href, "search", text); });
      }
      return this.#params;
    }
    toString() { return this.#parts.href; }
    toJSON() { return this.#parts.href; }
    get [toStringTag]() { return "URL"; }
  }
  put("URL", URL);
}

//@ crypto
put("crypto", {
  randomUUID() { return randomUUID(); },
  get [toStringTag]() { return "Crypto"; },
});

//@ structuredClone
{
  const refuse = (what) => { throw fault("DataCloneError", "structuredClone: " + what + " cannot be cloned"); };
  const call = (() => {}).call, uncurry = (f) => call.bind(f);
  const getTime = uncurry(Date.prototype.getTime), mapEach = uncurry(Map.prototype.forEach), setEach = uncurry(Set.prototype.forEach);
  const mapGet = uncurry(Map.prototype.get), mapSet = uncurry(Map.prototype.set), setAdd = uncurry(Set.prototype.add);
  const bufferSlice = uncurry(ArrayBuffer.prototype.slice), keys = Object.keys, has = uncurry(Object.prototype.hasOwnProperty);
  const stringOf = uncurry(String.prototype.valueOf), isView = ArrayBuffer.isView, getPrototypeOf = Object.getPrototypeOf;
  const tagOf = uncurry(Object.getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), toStringTag).get);
  const errors = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const RegExp_ = RegExp, Date_ = Date, Map_ = Map, Set_ = Set, Object_ = Object;
  const set = (o, key, value) => { defineProperty(o, key, { value, writable: true, configurable: true, enumerable: true }); };
  const hidden = (o, key, value) => { defineProperty(o, key, { value, writable: true, configurable: true, enumerable: false }); };

  // Breadth first with a list of what is left: values may nest deeper than calls.
  put("structuredClone", ({ structuredClone(value) {
    if (arguments.length === 0) throw new TypeError("structuredClone: no value");
    const copies = new Map_(), left = { __proto__: null };
    let first = 0, end = 0;
    const later = (from, to, kind, depth) => {
      if (depth > 1000) throw new RangeError("structuredClone: nested deeper than 1000");
      left[end++] = [from, to, kind, depth];
    };
    const copy = (v, depth) => {
      if (typeof v === "symbol") refuse("a symbol");
      if (typeof v === "function") refuse("a function");
      if (typeof v !== "object" || v === null) return v;
      const known = mapGet(copies, v);
      if (known !== undefined) return known;
      const kind = isView(v) ? "View" : kindOf(v);
      const to = shell(v, kind, depth);
      mapSet(copies, v, to);
      if (kind === "Object" || kind === "Array" || kind === "Map" || kind === "Set" || kind === "Error") later(v, to, kind, depth);
      return to;
    };
    const shell = (v, kind, depth) => {
      switch (kind) {
        case "Object": return {};
        case "Array": { const a = []; a.length = v.length; return a; }
        case "Map": return new Map_();
        case "Set": return new Set_();
        case "Date": return new Date_(getTime(v));
        case "RegExp": return new RegExp_(v);
        case "String": return Object_(stringOf(v));
        case "Boolean": case "Number": case "BigInt": return Object_(plainOf(v));
        case "ArrayBuffer": return bufferSlice(v, 0);
        case "View": {
          const buffer = copy(v.buffer, depth);
          const tag = tagOf(v), C = tag === undefined ? DataView : globalThis[tag];
          return new C(buffer, v.byteOffset, C.BYTES_PER_ELEMENT === undefined ? v.byteLength : v.length);
        }
        case "Error": {
          const C = has(errors, `${v.name}`) ? errors[v.name] : Error;
          return new C();
        }
      }
      refuse(kind);
    };
    const fill = (from, to, kind, depth) => {
      if (kind === "Map") {
        const pairs = { __proto__: null };
        let n = 0;
        mapEach(from, (v, k) => { pairs[n++] = k; pairs[n++] = v; });
        for (let i = 0; i < n; i += 2) mapSet(to, copy(pairs[i], depth), copy(pairs[i + 1], depth));
      } else if (kind === "Set") {
        const list = { __proto__: null };
        let n = 0;
        setEach(from, (v) => { list[n++] = v; });
        for (let i = 0; i < n; i++) setAdd(to, copy(list[i], depth));
      } else if (kind === "Error") {
        if (has(from, "message")) hidden(to, "message", `${from.message}`);
        if (has(from, "stack")) hidden(to, "stack", `${from.stack}`);
        if (has(from, "cause")) hidden(to, "cause", copy(from.cause, depth));
      } else {
        const names = keys(from);
        for (let i = 0; i < names.length; i++) if (has(from, names[i])) set(to, names[i], copy(from[names[i]], depth));
      }
    };
    const result = copy(value, 1);
    while (first < end) {
      const [from, to, kind, depth] = left[first];
      delete left[first++];
      fill(from, to, kind, depth + 1);
    }
    return result;
  } }).structuredClone);
}
