import { beforeEach, dns, expect, session, test, vars } from "pmilter/test";

const scripts = ["filters/dnsbl.js"];
const client = { ip: "192.0.2.7" };

beforeEach(() => vars.set({ dnsbl_zones: ["bl.example.net", "other.example.net=127.0.0.3"], dnsbl_text: "see https://example.net/" }));

test("a listed client is refused when it sends", async () => {
  dns.answer("7.2.0.192.bl.example.net", "A", ["127.0.0.2"]);
  const s = await session({ scripts, client });
  expect(await s.helo()).toMatchObject({ verdict: "continue" });
  expect(await s.send()).toMatchObject({
    verdict: "reject", phase: "mail", code: 554, text: "192.0.2.7 is listed by bl.example.net; see https://example.net/",
  });
});

test("one that has logged in is not", async () => {
  dns.answer("7.2.0.192.bl.example.net", "A", ["127.0.0.2"]);
  const s = await session({ scripts, client, auth: "alice" });
  expect(await s.send()).toMatchObject({ verdict: "accept" });
});

test("only the codes that are named count", async () => {
  dns.answer("7.2.0.192.other.example.net", "A", ["127.0.0.9"]);
  expect(await (await session({ scripts, client })).send()).toMatchObject({ verdict: "accept" });
  dns.answer("7.2.0.192.other.example.net", "A", ["127.0.0.9", "127.0.0.3"]);
  expect(await (await session({ scripts, client })).send()).toMatchObject({ verdict: "reject" });
});

test("lists that do not answer hold up nothing, and are noted", async () => {
  dns.answer("7.2.0.192.bl.example.net", "A", { error: "ESERVFAIL" });
  dns.answer("7.2.0.192.other.example.net", "A", { error: "ETIMEOUT" });
  const r = await (await session({ scripts, client })).send();
  expect(r).toMatchObject({ verdict: "accept", notes: [{ reason: "no DNS list answers" }] });
});

test("without lists it does not load", async () => {
  vars.set("dnsbl_zones", []);
  await expect(session({ scripts })).rejects.toThrow("name the lists in pmilter.toml");
});
