import { expect, session, test } from "pmilter/test";

const scripts = ["20-refuse.js"];

test("the recipient refuse@ is refused, and no other", async () => {
  const s = await session({ scripts });
  const r = await s.send({ to: ["refuse@example.net", "bob@example.net"] });
  expect(r).toMatchObject({ verdict: "accept", recipients: ["bob@example.net"] });
  expect(r.refused).toMatchObject([{ code: 550, enhanced: "5.1.1", text: "refuse@example.net wants no mail" }]);
});

test("a subject can ask for a refusal", async () => {
  const s = await session({ scripts });
  const r = await s.send({ message: "From: a@example.org\nSUBJECT: Please refuse me now\n\nhello\n" });
  expect(r).toMatchObject({ verdict: "reject", phase: "header", code: 550, text: "refused, as you asked: SUBJECT: Please refuse me now" });
});

test("other fields and the body cannot", async () => {
  const s = await session({ scripts });
  const r = await s.send({ message: "From: a@example.org\nX-Subject: please refuse me\n\nplease refuse me\n" });
  expect(r.verdict).toBe("accept");
});
