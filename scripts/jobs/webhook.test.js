import { beforeEach, expect, http, job, test, vars } from "pmilter/test";

const url = "https://hooks.example.org/mail";
const mail = "From: Alice <alice@example.org>\nSubject: hello\n\nHello Bob.\n";

beforeEach(() => vars.set({ webhook_url: url, webhook_token: "secret" }));

test("the hook gets a summary, and the event's id as a key", async () => {
  http.answer(url, { status: 204 });
  const r = await job(mail, { id: "event-1", data: { why: "test" }, sender: "alice@example.org", recipients: ["bob@example.net"] });
  expect(r).toMatchObject({
    outcome: "done",
    fetched: [{ method: "POST", url, headers: { "idempotency-key": "event-1", authorization: "Bearer secret", "content-type": "application/json" } }],
  });
  expect(JSON.parse(r.fetched[0].body)).toMatchObject({
    id: "event-1", data: { why: "test" }, sender: "alice@example.org", recipients: ["bob@example.net"],
    subject: "hello", client: { ip: "192.0.2.1" }, verdict: "accept",
  });
});

test("or the whole message", async () => {
  vars.set({ webhook_send: "message", webhook_token: "" });
  http.answer(url, "ok");
  const r = await job(mail);
  expect(r.fetched[0].headers).toEqual({ "idempotency-key": expect.any(String), "content-type": "message/rfc822" });
  expect(r.fetched[0].body).toBe(mail.replaceAll("\n", "\r\n"));
});

test("it comes again when the hook says so", async () => {
  http.answer(url, { status: 429, headers: { "Retry-After": "120" } });
  expect(await job(mail)).toMatchObject({ outcome: "retry", after: 120_000, reason: expect.stringContaining("429") });
  http.answer(url, { status: 503, body: "busy" });
  expect(await job(mail)).toMatchObject({ outcome: "threw", after: null, error: expect.stringContaining("the webhook said 503 busy"), script: "jobs/webhook.js" });
});

test("and when it does not answer", async () => {
  expect(await job(mail)).toMatchObject({ outcome: "threw", error: expect.stringContaining("no answer is given") });
});

test("another answer is final", async () => {
  http.answer(url, { status: 404, body: "no such hook" });
  expect(await job(mail)).toMatchObject({ outcome: "failed", reason: "the webhook said 404 no such hook" });
});

test("without a URL it does not load", async () => {
  vars.set("webhook_url", "");
  await expect(job(mail)).rejects.toThrow("name the webhook in pmilter.toml");
});
