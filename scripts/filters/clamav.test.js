import { beforeEach, expect, net, session, test, vars } from "pmilter/test";

const scripts = ["filters/clamav.js"];

beforeEach(() => vars.set({ clamav_address: "127.0.0.1:3310" }));

test("a virus is refused", async () => {
  net.answer("127.0.0.1:3310", "stream: Eicar-Test-Signature FOUND\0");
  const r = await (await session({ scripts })).send();
  expect(r).toMatchObject({ verdict: "reject", code: 554, text: "virus found: Eicar-Test-Signature" });
  expect(r.notes).toMatchObject([{ values: { name: "Eicar-Test-Signature" } }]);
});

test("or put on hold", async () => {
  vars.set("clamav_action", "quarantine");
  net.answer("127.0.0.1:3310", "stream: Eicar FOUND\0");
  expect(await (await session({ scripts })).send()).toMatchObject({ verdict: "accept", quarantine: "virus: Eicar" });
});

test("what is clean passes", async () => {
  net.answer("127.0.0.1:3310", "stream: OK\0");
  expect(await (await session({ scripts })).send()).toMatchObject({ verdict: "accept", quarantine: "", error: "" });
});

test("nothing passes unscanned when clamd does not answer, or not as it should", async () => {
  expect(await (await session({ scripts })).send()).toMatchObject({ verdict: "tempfail", phase: "eom" });
  net.answer("127.0.0.1:3310", "INSTREAM size limit exceeded. ERROR\0");
  expect(await (await session({ scripts })).send()).toMatchObject({ verdict: "tempfail", error: expect.stringContaining("size limit") });
});

test("what is too large for clamd passes, with a note", async () => {
  vars.set("clamav_max_size", 10);
  const r = await (await session({ scripts })).send();
  expect(r).toMatchObject({ verdict: "accept", notes: [{ reason: "not scanned: too large for clamd" }] });
});
