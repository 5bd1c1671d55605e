// Run it: pmilterd test

import { describe, expect, session, test, vars } from "pmilter/test";

test("a client without a name is put off", async () => {
  const s = await session({ client: { ip: "192.0.2.7", name: "" } });
  const r = await s.send();
  expect(r).toMatchObject({ verdict: "tempfail", phase: "connect", code: 451, enhanced: "4.7.25" });
  expect(r.notes).toMatchObject([{ reason: "no name", values: { ip: "192.0.2.7" } }]);
});

test("a mail from a named client gets a header", async () => {
  const s = await session({ client: { name: "mail.example.org" } });
  const r = await s.send({ message: "testdata/plain.eml" });
  expect(r.verdict).toBe("accept");
  expect(r.headers.get("X-Checked-By")).toBe("pmilterd for mail.example.org");
});

describe("recipients", () => {
  test("one too many is refused, the others stay", async () => {
    vars.set("max_recipients", 2);
    const s = await session();
    const r = await s.send({ to: ["a@example.net", "b@example.net", "c@example.net"] });
    expect(r.recipients).toEqual(["a@example.net", "b@example.net"]);
    expect(r.refused).toMatchObject([{ recipient: "c@example.net", code: 452 }]);
  });

  test("the next message counts anew", async () => {
    vars.set("max_recipients", 1);
    const s = await session();
    expect((await s.send()).verdict).toBe("accept");
    expect((await s.send()).verdict).toBe("accept");
  });
});
