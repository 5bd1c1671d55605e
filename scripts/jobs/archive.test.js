import { beforeEach, clock, expect, job, test, vars } from "pmilter/test";

beforeEach(() => {
  vars.set("archive_folder", "/var/mail/archive");
  clock.set("2026-11-26T23:59:00Z");
});

test("a message is archived by the day of its arrival", async () => {
  const r = await job("From: a@example.org\nSubject: hello\n\nhello\n");
  expect(r).toMatchObject({ outcome: "done", delivered: [{ folder: "/var/mail/archive/2026/11/26", delivered: true }] });
  expect(r.delivered[0].message).toBe("From: a@example.org\r\nSubject: hello\r\n\r\nhello\r\n");
});

test("a job that runs twice archives once", async () => {
  const first = await job();
  const id = first.delivered[0].id;
  expect(id).toMatch(/\.pmilter\./);
  const again = await job(undefined, { id, attempt: 2 });
  expect(again).toMatchObject({ outcome: "done", delivered: [{ id, delivered: false }] });
});

test("without a folder it does not load", async () => {
  vars.set("archive_folder", "");
  await expect(job()).rejects.toThrow("name the folder in pmilter.toml");
});
