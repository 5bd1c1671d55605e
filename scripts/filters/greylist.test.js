import { beforeEach, clock, expect, session, test, vars } from "pmilter/test";

const scripts = ["filters/greylist.js"];

/** @param {import("pmilter/test").SessionOptions["client"]} [client] @param {string} [from] */
const attempt = async (client, from = "a@example.org") => {
  const s = await session({ scripts, client });
  return s.send({ from, to: "b@example.net" });
};

beforeEach(() => vars.set("greylist", { minutes: 5, retry: "2d", keep: "35d" }));

test("who is new comes back in some minutes", async () => {
  expect((await attempt()).refused).toMatchObject([{ code: 451, enhanced: "4.7.1", text: "greylisted: try again in 300 seconds" }]);
  clock.advance("4m");
  expect((await attempt()).refused).toMatchObject([{ text: "greylisted: try again in 60 seconds" }]);
  clock.advance("1m");
  expect(await attempt()).toMatchObject({ verdict: "accept" });
});

test("who has passed is known, as long as it comes now and then", async () => {
  await attempt();
  clock.advance("5m");
  for (let month = 0; month < 3; month++) {
    expect(await attempt()).toMatchObject({ verdict: "accept" });
    clock.advance("30d");
  }
  clock.advance("6d");
  expect(await attempt()).toMatchObject({ verdict: "tempfail" });
});

test("who comes back too late is new", async () => {
  await attempt();
  clock.advance("49h");
  expect((await attempt()).refused).toMatchObject([{ text: "greylisted: try again in 300 seconds" }]);
});

test("the servers of one network are one client, others and other senders are not", async () => {
  await attempt({ ip: "192.0.2.7" });
  await attempt({ ip: "2001:db8:1:2::1" });
  clock.advance("5m");
  expect(await attempt({ ip: "192.0.2.200" })).toMatchObject({ verdict: "accept" });
  expect(await attempt({ ip: "2001:db8:1:2:3:4:5:6" })).toMatchObject({ verdict: "accept" });
  expect(await attempt({ ip: "192.0.3.7" })).toMatchObject({ verdict: "tempfail" });
  expect(await attempt({ ip: "192.0.2.7" }, "other@example.org")).toMatchObject({ verdict: "tempfail" });
});

test("who has logged in, and mail of the machine itself, passes", async () => {
  const s = await session({ scripts, auth: "alice" });
  expect(await s.send()).toMatchObject({ verdict: "accept" });
  expect(await attempt({ port: 0 })).toMatchObject({ verdict: "accept" });
});
