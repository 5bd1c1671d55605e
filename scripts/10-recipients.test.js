import { expect, session, test, vars } from "pmilter/test";

const scripts = ["10-recipients.js"];

test("the recipients of a connection are limited", async () => {
  vars.set("max_recipients", 2);
  const s = await session({ scripts });
  const r = await s.send({ to: ["a@example.net", "b@example.net", "c@example.net"] });
  expect(r.recipients).toEqual(["a@example.net", "b@example.net"]);
  expect(r.refused).toMatchObject([{
    recipient: "c@example.net", verdict: "tempfail", code: 452, enhanced: "4.5.3",
    text: "c@example.net is one recipient too many: at most 2 in a connection",
  }]);
});

test("they are counted over all messages of the connection", async () => {
  vars.set("max_recipients", 1);
  const s = await session({ scripts });
  expect(await s.send({ to: "a@example.net" })).toMatchObject({ verdict: "accept" });
  expect(await s.send({ to: "b@example.net" })).toMatchObject({ verdict: "tempfail", phase: "rcpt" });
});

test("another connection begins anew", async () => {
  vars.set("max_recipients", 1);
  for (const to of ["a@example.net", "b@example.net"]) {
    const s = await session({ scripts });
    expect(await s.send({ to })).toMatchObject({ verdict: "accept" });
    await s.quit();
  }
});
