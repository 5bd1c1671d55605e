import { afterEach, beforeEach, clock, describe, expect, session, test, vars } from "pmilter/test";

const values = { name: "a", list: [1, 2, { deep: true }], text: "one\ntwo\nthree\n" };

test("a value", () => expect(values.name).toBe("b"));
test("a member", () => {
  expect(values).toEqual({ name: "a", list: [1, 2, { deep: false }], text: values.text });
});
test("lines", () => {
  expect(values.text).toBe("one\n2\nthree\n");
});
test("a promise, at the author's line", async () => {
  await null;
  await expect(Promise.resolve("a")).resolves.toBe("b");
});
test("an error", () => {
  const f = () => nothing.here();
  f();
});
test("what cannot be done", async () => {
  const s = await session();
  await s.rcpt("b@example.net");
});
test("an option that is none", async () => {
  await session({ clinet: {} });
});
test("a script that is none", async () => {
  await session({ scripts: ["none.js"] });
});
test("a message that is none", async () => {
  const s = await session();
  await s.send({ message: "none.eml" });
});
test("an await that is missing", async () => {
  const s = await session();
  s.send();
});
test("a rejection that nobody handles", async () => {
  Promise.reject(new Error("lost"));
  await new Promise((r) => setTimeout(r, 10));
});
test("a promise that nothing settles", () => new Promise(() => {}));
test("too late", async () => {
  for (;;) await new Promise((r) => setImmediate(r));
}, 100);
test("after that the file goes on, afresh", () => {});
test("a filter's error is told", async () => {
  const s = await session({ scripts: ["20-boom.js"] });
  expect(await s.send()).toMatchObject({ verdict: "accept" });
});
describe("hooks", () => {
  beforeEach(() => { throw new Error("before"); });
  afterEach(() => console.log("after, all the same"));
  test("that throw", () => console.log("not run"));
});
test("recursion", () => { const f = () => f(); f(); });
