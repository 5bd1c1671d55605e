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
  const s = await session({ scripts: [] });
  s.send();
});
test("an await that is missing, and missed", async () => {
  const s = await session({ scripts: [] });
  expect(s.send().verdict).toBe("accept");
});
test("options that are none", () => session("10-time.js"));
test("an option of the wrong kind", () => session({ scripts: "10-time.js" }));
test("a message of the wrong kind", async () => {
  const s = await session();
  await s.send({ message: 5 });
});
test("a variable of the wrong kind", () => vars.set("list", [() => 1]));
test("no Error", () => { throw { code: 5 }; });
test("a rejection that nobody handles", async () => {
  Promise.reject(new Error("lost"));
  await new Promise((r) => setTimeout(r, 10));
});
test("a timer that throws", async () => {
  setTimeout(() => { throw new Error("late"); }, 5);
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
test("recursion across promises", async () => { const f = async () => { await f(); }; await f(); });
test("after that, too, the file goes on", () => {});
test("sessions without end", async () => { for (;;) await session(); }, 60_000);
