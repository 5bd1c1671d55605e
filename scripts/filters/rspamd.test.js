import { expect, http, session, test } from "pmilter/test";

const scripts = ["filters/rspamd.js"];
const url = "http://127.0.0.1:11333/checkv2";

/** @param {object} json */
const judged = async (json) => {
  http.answer(url, { json });
  return (await session({ scripts })).send({ message: "Subject: hello\nX-Spam: No\n\nhello\n" });
};

test("what rspamd decides is done", async () => {
  expect(await judged({ action: "no action", score: 1 })).toMatchObject({ verdict: "accept" });
  expect(await judged({ action: "reject", messages: { smtp_message: "gtube" } })).toMatchObject({ verdict: "reject", code: 554, text: "gtube" });
  expect(await judged({ action: "soft reject" })).toMatchObject({ verdict: "tempfail", code: 451 });
  expect(await judged({ action: "greylist" })).toMatchObject({ verdict: "tempfail" });
  expect(await judged({ action: "discard" })).toMatchObject({ verdict: "discard" });
  expect(await judged({ action: "quarantine" })).toMatchObject({ verdict: "accept", quarantine: "rspamd" });
  expect(await judged({ action: "reject", milter: { reject: "discard" } })).toMatchObject({ verdict: "discard" });
});

test("headers are its own, not the sender's", async () => {
  expect((await judged({ action: "no action" })).headers.getAll("X-Spam")).toEqual([]);
  expect((await judged({ action: "add header" })).headers.getAll("X-Spam")).toEqual(["Yes"]);
  expect((await judged({ action: "rewrite subject" })).headers.get("Subject")).toBe("[SPAM] hello");
  const r = await judged({ action: "no action", milter: { remove_headers: { subject: 0 }, add_headers: { "X-Rspamd": [{ value: "a" }, "b"] } } });
  expect([...r.headers]).toEqual([["X-Rspamd", "a"], ["X-Rspamd", "b"]]);
});

test("mail is put off when it does not answer, or says what is not known", async () => {
  expect(await (await session({ scripts })).send()).toMatchObject({ verdict: "tempfail", phase: "eom" });
  expect(await judged({ action: "dance" })).toMatchObject({ verdict: "tempfail", error: expect.stringContaining('"dance"') });
  http.answer(url, { status: 403 });
  expect(await (await session({ scripts })).send()).toMatchObject({ verdict: "tempfail", error: expect.stringContaining("403") });
});
