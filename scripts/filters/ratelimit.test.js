import { beforeEach, clock, expect, session, test, vars } from "pmilter/test";

const scripts = ["filters/ratelimit.js"];

/** @param {import("pmilter/test").SessionOptions} [who] */
const verdict = async (who) => (await (await session({ scripts, ...who })).send()).verdict;

beforeEach(() => vars.set("ratelimit", { per: "1h", client: 2, user: 3 }));

test("a client has its messages within an hour, one session or several", async () => {
  const s = await session({ scripts });
  await s.send();
  clock.advance("20m");
  await s.send();
  expect(await s.send()).toMatchObject({
    verdict: "tempfail", phase: "mail", code: 451, text: expect.stringMatching(/^too many messages: try again in \d+ seconds$/),
    notes: [{ reason: "rate limit", values: { who: "client 192.0.2.1", max: 2, per: "1h" } }],
  });
  expect(await verdict()).toBe("tempfail");
  clock.advance("2h");
  expect(await verdict()).toBe("accept");
});

test("a user has a limit of their own, wherever they are", async () => {
  for (const ip of ["192.0.2.7", "192.0.2.8", "192.0.2.9"]) expect(await verdict({ auth: "alice", client: { ip } })).toBe("accept");
  expect(await verdict({ auth: "alice" })).toBe("tempfail");
  expect(await verdict({ auth: "bob" })).toBe("accept");
});

test("0 is any number, and mail of the machine itself does not count", async () => {
  for (let i = 0; i < 4; i++) expect(await verdict({ client: { port: 0 } })).toBe("accept");
  vars.set("ratelimit", { client: 0 });
  for (let i = 0; i < 4; i++) expect(await verdict()).toBe("accept");
});
