import { beforeEach, describe, dns, expect, http, net, session, test } from "pmilter/test";
import { enqueue } from "pmilter/queue";
import resolver from "pmilter/dns";

const scripts = ["40-outside.js"];

describe("answers", () => {
  beforeEach(() => {
    dns.answer("example.org", "MX", { preference: 10, exchange: "mx.example.org" });
    http.answer("http://127.0.0.1:1/score", { json: 3 });
    net.answer("127.0.0.1:3310", new Uint8Array([79, 75]));
  });
  test("are what modules give", async () => {
    const r = await (await session({ scripts })).send();
    expect(r).toMatchObject({ verdict: "accept", error: "" });
    expect(r.notes.map((n) => n.values)).toEqual([[{ preference: 10, exchange: "mx.example.org" }], { score: 3, word: "OK" }]);
    expect(r.queued).toEqual([
      { queue: "archive", when: "any", data: { from: "sender@example.org" } }, { queue: "archive", when: "accepted" },
    ]);
  });
  test("can be said anew", async () => {
    http.answer("http://127.0.0.1:1/score", "7");
    const r = await (await session({ scripts })).send();
    expect(r).toMatchObject({ verdict: "reject", phase: "eom" });
    expect(r.queued).toEqual([{ queue: "archive", when: "any", data: { from: "sender@example.org" } }]);
  });
  test("are known of messages that come to no end", async () => {
    const s = await session({ scripts });
    const queued = [{ queue: "archive", when: "any", data: { from: "sender@example.org" } }];
    expect((await s.mail()).queued).toEqual([]);
    expect(await s.rset()).toEqual({ queued });
    expect(await s.rset()).toEqual({ queued: [] });
    await s.mail();
    expect(await s.quit()).toEqual({ queued });
    const refused = await (await session({ scripts })).mail("refused@example.org");
    expect(refused).toMatchObject({ verdict: "reject", queued: [{ data: { from: "refused@example.org" } }] });
  });
  test("are the test's own, too", async () => {
    expect(await resolver.resolve("example.org", "MX")).toHaveLength(1);
  });
  test("must make sense", () => {
    expect(() => dns.answer("example.org")).toThrow("it takes a name, a type and values");
    expect(() => http.answer("http://x/", { stauts: 1 })).toThrow('no "stauts"');
    expect(() => net.answer("", "x")).toThrow("the address is no string");
    expect(() => enqueue("archive")).toThrow("a test has no message of its own");
  });
});

test("what was not said is not there", async () => {
  const r = await (await session({ scripts })).send();
  expect(r.error).toMatch(/no answer is given in this test/);
  await expect(resolver.resolve("example.org", "MX")).rejects.toThrow("no answer");
});
