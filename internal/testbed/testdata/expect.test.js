import { describe, expect, test } from "pmilter/test";

const messageOf = (f) => { try { f(); } catch (e) { return e.message; } };
const fails = (f, part) => expect(f).toThrow(part);

test("toBe", () => {
  expect(NaN).toBe(NaN);
  expect({}).not.toBe({});
  fails(() => expect("a").toBe("b"), 'expect(received).toBe(expected)\n\nexpected "b"\nreceived "a"');
  fails(() => expect([1]).toBe([1]), "they look the same and are not");
  fails(() => expect(1).not.toBe(1), "expect(received).not.toBe(expected)\n\nexpected not 1");
  const hint = expect.stringMatching(/\nreceived \{ a: 1 \}$/); // and no more: it is no puzzle why they are equal
  expect(messageOf(() => expect({ a: 1 }).not.toEqual({ a: 1 }))).toEqual(hint);
});

test("toEqual", () => {
  expect({ a: [1, { b: undefined }], c: new Date(5) }).toEqual({ a: [1, {}], c: new Date(5) });
  expect(new Map([["a", { b: 1 }]])).toEqual(new Map([["a", { b: 1 }]]));
  expect(new Set([{ a: 1 }])).toEqual(new Set([{ a: 1 }]));
  expect(new Uint8Array([1, 2])).toEqual(new Uint8Array([1, 2]));
  expect({ a: 1 }).not.toEqual({ a: 1, b: 2 });
  expect([1, 2]).not.toEqual([2, 1]);
  expect(new Date(5)).not.toEqual(new Date(6));
  expect(/a/g).not.toEqual(/a/);
  expect({}).not.toEqual([]);
  expect(null).not.toEqual({});
  const loop = { a: 1 }; loop.loop = loop;
  const again = { a: 1 }; again.loop = again;
  expect(loop).toEqual(again);
  fails(() => expect({ a: 1, b: { c: [1, 2] } }).toEqual({ a: 1, b: { c: [1, 3] } }), "-       3,\n+       2,");
});

test("what stands for others", () => {
  expect({ id: 5, name: "x", at: [1, 2, 3] }).toEqual({ id: expect.any(Number), name: expect.anything(), at: expect.arrayContaining([3, 1]) });
  expect({ t: "try later" }).toMatchObject({ t: expect.stringContaining("later") });
  expect({ t: "try later" }).toMatchObject({ t: expect.stringMatching(/later$/) });
  expect([{ a: 1, b: 2 }]).toContainEqual(expect.objectContaining({ a: 1 }));
  expect(null).not.toEqual(expect.anything());
  fails(() => expect({ id: "5" }).toEqual({ id: expect.any(Number) }), "any Number");
});

test("toMatchObject", () => {
  expect({ a: 1, b: { c: 2, d: 3 }, l: [{ x: 1, y: 2 }] }).toMatchObject({ b: { c: 2 }, l: [{ x: 1 }] });
  expect({ l: [1, 2] }).not.toMatchObject({ l: [1] });
  fails(() => expect({ a: 1, z: 26 }).toMatchObject({ a: 2 }), "-   a: 2,\n+   a: 1,\n  }");
});

test("toContain, toMatch, toHaveLength", () => {
  expect("hello").toContain("ell");
  expect([1, 2]).toContain(2);
  expect(new Set(["a"])).toContain("a");
  expect([{ a: 1 }]).not.toContain({ a: 1 });
  expect("hello").toMatch(/^h/);
  expect("hello").toMatch("lo");
  expect(undefined).not.toMatch(/x/);
  expect("abc").toHaveLength(3);
  fails(() => expect([1]).toHaveLength("1"), 'expected length "1"\nreceived length 1');
  fails(() => expect([1]).toHaveLength(2), "expected length 2\nreceived length 1");
  fails(() => expect(5).toContain(5), "which contains nothing");
});

test("toThrow", () => {
  const boom = () => { throw new RangeError("too far"); };
  expect(boom).toThrow();
  expect(boom).toThrow("far");
  expect(boom).toThrow(/^too/);
  expect(boom).toThrow(RangeError);
  expect(boom).toThrow(new Error("too far"));
  expect(boom).not.toThrow(TypeError);
  expect(() => {}).not.toThrow();
  fails(() => expect(() => {}).toThrow(), "it did not throw");
  fails(() => expect(boom).not.toThrow(), "it threw [RangeError: too far]");
  fails(() => expect(boom).toThrow("near"), 'an error with "near" in its message');
});

test("numbers", () => {
  expect(2).toBeGreaterThan(1);
  expect(2).toBeGreaterThanOrEqual(2);
  expect(1n).toBeLessThan(2);
  expect(2).toBeLessThanOrEqual(2);
  expect(0.1 + 0.2).toBeCloseTo(0.3);
  expect("2").not.toBeGreaterThan(1);
  fails(() => expect(1).toBeGreaterThan(2), "expected > 2");
});

test("kinds", () => {
  expect(1).toBeTruthy(); expect("").toBeFalsy(); expect(null).toBeNull(); expect(undefined).toBeUndefined();
  expect(0).toBeDefined(); expect(NaN).toBeNaN(); expect(new Map()).toBeInstanceOf(Map);
  fails(() => expect([]).toBeInstanceOf("Array"), "toBeInstanceOf takes a class");
  expect({ a: { b: 1 } }).toHaveProperty("a.b", 1);
  expect({ a: { b: 1 } }).not.toHaveProperty("a.c");
  fails(() => expect(0).toBeTruthy(), "expect(received).toBeTruthy()\n\nreceived 0");
});

describe("promises", () => {
  test("resolves", async () => {
    await expect(Promise.resolve({ a: 1 })).resolves.toEqual({ a: 1 });
    await expect(expect(Promise.resolve(1)).resolves.toBe(2)).rejects.toThrow("expected 2");
    await expect(expect(Promise.reject(new Error("no"))).resolves.toBe(2)).rejects.toThrow("the promise was rejected with [Error: no]");
  });
  test("rejects", async () => {
    await expect(Promise.reject(new Error("no"))).rejects.toThrow("no");
    await expect(Promise.reject(new TypeError("no"))).rejects.not.toThrow(RangeError);
    await expect(async () => { throw new Error("no"); }).rejects.toThrow(/no/);
    await expect(expect(Promise.resolve(5)).rejects.toThrow()).rejects.toThrow("the promise was resolved with 5");
  });
  test("not, before or after", async () => {
    await expect(Promise.resolve(1)).not.resolves.toBe(2);
    await expect(Promise.resolve(1)).resolves.not.toBe(2);
    await expect(expect(Promise.resolve(1)).not.resolves.toBe(1)).rejects.toThrow("expected not 1");
    await expect(expect(Promise.reject(new Error("no"))).not.rejects.toThrow("no")).rejects.toThrow("it threw [Error: no]");
  });
  test("what should have been awaited", () => {
    fails(() => expect(() => Promise.resolve(1)).toThrow(), "it returned a promise");
    fails(() => expect(Promise.resolve(1)).toMatchObject({ verdict: "accept" }), "+ Promise {}");
  });
});
