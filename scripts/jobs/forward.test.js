import { beforeEach, expect, job, smtp, test, vars } from "pmilter/test";

const server = "127.0.0.1:10025";
const mail = "Subject: hello\n\nhello\n";

beforeEach(() => vars.set({ forward_server: server, forward_to: ["archive@example.org"] }));

test("a message is forwarded from nobody, with a line against loops", async () => {
  smtp.answer(server, "250 2.0.0 taken");
  const r = await job(mail, { id: "event-1" });
  expect(r).toMatchObject({ outcome: "done", sent: [{ server, from: "", to: ["archive@example.org"] }] });
  expect(r.sent[0].message).toBe("X-Forwarded-Event: event-1\r\nSubject: hello\r\n\r\nhello\r\n");
});

test("the event may say to whom", async () => {
  smtp.answer(server, "250 2.0.0 taken");
  expect((await job(mail, { data: { to: "b@example.net" } })).sent).toMatchObject([{ to: ["b@example.net"] }]);
  vars.set("forward_to", []);
  expect(await job(mail)).toMatchObject({ outcome: "failed", reason: expect.stringContaining("nobody to forward to"), sent: [] });
});

test("what has been forwarded before is not forwarded again", async () => {
  expect(await job("X-Forwarded-Event: event-0\n" + mail)).toMatchObject({ outcome: "failed", reason: expect.stringContaining("loop"), sent: [] });
});

test("a refusal for good is final, any other trouble is not", async () => {
  smtp.answer(server, "550 5.7.1 not here");
  expect(await job(mail)).toMatchObject({ outcome: "failed", reason: expect.stringContaining("not here") });
  smtp.answer(server, "451 4.3.0 later");
  expect(await job(mail)).toMatchObject({ outcome: "threw", error: expect.stringContaining("later") });
  smtp.answer(server, { rejected: { "archive@example.org": "550 5.1.1 nobody of that name" } });
  expect(await job(mail)).toMatchObject({ outcome: "failed", reason: expect.stringContaining("nobody of that name") });
  smtp.answer("127.0.0.1:1", "250 ok");
  vars.set("forward_server", "127.0.0.1:2");
  expect(await job(mail)).toMatchObject({ outcome: "threw", error: expect.stringContaining("no answer is given") });
});

test("without a server it does not load", async () => {
  vars.set("forward_server", "");
  await expect(job(mail)).rejects.toThrow("name the server in pmilter.toml");
});
