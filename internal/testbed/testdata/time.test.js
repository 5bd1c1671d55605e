import { afterEach, beforeEach, clock, describe, expect, session, test, vars } from "pmilter/test";

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const noted = (r, reason) => r.notes.find((n) => n.reason === reason).values;

test("time stands still", () => {
  const t = Date.now();
  for (let i = 0; i < 1e5; i++);
  expect(Date.now()).toBe(t);
  expect(clock.now()).toBe(t);
});

test("it moves when told to", () => {
  clock.set("2026-03-01T09:00:00Z");
  clock.advance("10m");
  clock.advance("1d");
  clock.advance(1500);
  expect(new Date().toISOString()).toBe("2026-03-02T09:10:01.500Z");
  clock.set(new Date("2026-01-01T00:00:00Z"));
  expect(new Date().toISOString()).toBe("2026-01-01T00:00:00.000Z");
});

test("it moves to the next timer when all wait", async () => {
  const t = Date.now();
  await sleep(3_600_000);
  expect(Date.now() - t).toBe(3_600_000);
  const order = [];
  await Promise.all([sleep(30).then(() => order.push("late")), sleep(10).then(() => order.push("early"))]);
  expect(order).toEqual(["early", "late"]);
});

test("filters see the same time", async () => {
  clock.set("2026-03-01T09:00:00Z");
  const s = await session();
  await s.helo();
  clock.advance("2h");
  expect(noted(await s.send(), "mail").now).toBe("2026-03-01T11:00:00.000Z");
  expect(() => clock.set("2026-03-01T09:00:00Z")).toThrow("cannot go back");
});

test("a handler that sleeps within its limit goes on", async () => {
  const s = await session();
  await s.helo("sleep-7900");
  expect(noted(await s.send(), "helo").slept).toBe(7900);
});

test("one that sleeps longer gets on_error at its limit", async () => {
  const s = await session();
  const t = Date.now();
  const r = await s.helo("sleep-10000");
  expect(r).toMatchObject({ verdict: "tempfail", phase: "helo", code: 421, error: "its promise was not settled in time" });
  expect(Date.now() - t).toBe(8000);
});

test("one that waits for nothing at once", async () => {
  const s = await session({ scripts: ["30-never.js"] });
  const t = Date.now();
  expect((await s.helo()).error).toBe("waits for a promise that nothing can settle");
  expect(Date.now()).toBe(t);
});

test("sessions sleep at the same time", async () => {
  const [a, b] = [await session(), await session()];
  const t = Date.now();
  await Promise.all([a.helo("sleep-5000"), b.helo("sleep-3000")]);
  expect(Date.now() - t).toBe(5000);
});

test("timers of a session fire between its commands", async () => {
  const s = await session();
  await s.helo();
  const t = Date.now();
  clock.advance(1000);
  expect(noted(await s.send(), "mail")).toMatchObject({ ticks: 1, last: t + 1000 });
});

test("rset and quit wait for abort and close", async () => {
  const s = await session();
  await s.mail();
  const t = Date.now();
  await s.rset();
  expect(Date.now() - t).toBe(3000);
  await s.quit();
  expect(Date.now() - t).toBe(4000);
  await expect(s.mail()).rejects.toThrow("the session is over");
});

describe("vars", () => {
  beforeEach(() => vars.set("own", "changed"));
  test("are those of the test", async () => {
    const s = await session();
    expect(noted(await s.send(), "mail")).toMatchObject({ own: "changed", var: "changed" });
    vars.set({ own: "again" });
    expect(noted(await s.send(), "mail").own).toBe("changed");
    expect(noted(await (await session()).send(), "mail").own).toBe("again");
  });
  afterEach(() => expect(() => vars.set("f", () => {})).toThrow("a string, a number"));
});

test("and no other's", async () => {
  expect(noted(await (await session()).send(), "mail").own).toBe("configured");
});
