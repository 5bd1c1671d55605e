import { clock, describe, exec, expect, http, job, smtp, test, vars } from "pmilter/test";
import { twice } from "./scripts/50-job.mjs";

const script = "50-job.mjs";
const play = (data, more) => job("Subject: hi\n\nhello\n", { script, data, ...more });

test("a test can import a job's functions", () => expect(twice(2)).toBe(4));

describe("which script", () => {
  test("is named, or the queue's", async () => {
    expect(await job()).toMatchObject({ outcome: "done" }); // beside this test: 50-job.js
    expect(await job(undefined, { script })).toMatchObject({ outcome: "done" });
    expect(await job(undefined, { queue: "archive" })).toMatchObject({ outcome: "done" });
  });
  test("is there", async () => {
    await expect(job(undefined, { script: "51-job.js" })).rejects.toThrow('no script "51-job.js"');
    await expect(job(undefined, { script: "10-time.js" })).rejects.toThrow("has no job");
  });
  test("options are known", async () => {
    expect(() => job(undefined, { dat: 1 })).toThrow('no option "dat"');
    expect(() => job(undefined, { attempt: "x" })).toThrow("the option attempt is a string");
    await expect(job(undefined, { script, attempt: 0 })).rejects.toThrow("the first is 1");
    await expect(job(undefined, { script, verdict: "yes" })).rejects.toThrow('verdict "yes"');
    await expect(job(undefined, { script, client: { ip: "x" } })).rejects.toThrow("is no IP address");
    expect(() => job("nope.eml")).toThrow("no such file");
  });
});

describe("endings", () => {
  test("done", async () => {
    expect(await play({ step: "sleep", ms: 5 })).toEqual({
      outcome: "done", reason: "", after: null, error: "", script: "", line: 0,
      notes: [{ script: "scripts/50-job.mjs", reason: "slept", values: { ms: 5 } }],
      fetched: [], exchanged: [], ran: [], sent: [], delivered: [],
    });
  });
  test("retry", async () => {
    expect(await play({ step: "retry", after: "10m" })).toMatchObject({ outcome: "retry", reason: "later", after: 600_000, error: "" });
    expect(await play({ step: "retry" })).toMatchObject({ outcome: "retry", reason: "later", after: null });
  });
  test("failed", async () => {
    expect(await play({ step: "fail" })).toMatchObject({ outcome: "failed", reason: "never", after: null, error: "" });
  });
  test("threw", async () => {
    expect(await play({ step: "throw" })).toMatchObject({
      outcome: "threw", reason: expect.stringContaining("RangeError: oh"), error: expect.stringContaining("RangeError: oh"),
      script: "scripts/50-job.mjs", line: 24,
    });
  });
  test("time is the test's: a job that waits too long is stopped at its queue's timeout", async () => {
    const begun = clock.now();
    expect(await play({ step: "sleep", ms: 3_600_000 }, { queue: "archive" })).toMatchObject({ outcome: "threw" });
    expect(clock.now() - begun).toBe(90_000);
    expect(await play({ step: "sleep", ms: 60_000 }, { queue: "archive" })).toMatchObject({ outcome: "done" });
  });
  test("one that never waits is stopped, too", async () => {
    expect(await play({ step: "hang" })).toMatchObject({ outcome: "threw" });
  });
});

describe("what it did", () => {
  test("is in the result", async () => {
    http.answer("http://127.0.0.1/", "ok");
    exec.answer("/bin/x", "out");
    smtp.answer("127.0.0.1:25", { rejected: { "a@example.org": "550 5.1.1 gone" } });
    expect(await play({ step: "both", partial: true })).toMatchObject({
      outcome: "done",
      fetched: [{ method: "POST", url: "http://127.0.0.1/", headers: { "x-one": "1" }, body: "x" }],
      ran: [{ program: "/bin/x", args: ["-a"], input: "in", env: { A: "b" } }],
      sent: [{ server: "127.0.0.1:25", from: "", to: ["a@example.org", "b@example.org"], message: "Subject: hi\r\n\r\nhello\r\n" }],
      delivered: [{ folder: "/var/mail/x", id: "", file: "/var/mail/x/new/TEST1", delivered: true, message: "Subject: hi\r\n\r\nhello\r\n" }],
    });
    expect(await play({ step: "both" })).toMatchObject({ outcome: "threw", error: expect.stringContaining("gone"), delivered: [], ran: [{}] });
  });
  test("answers must make sense", () => {
    expect(() => exec.answer("/bin/x")).toThrow("a program and its result");
    expect(() => exec.answer("/bin/x", { cod: 1 })).toThrow('no "cod"');
    expect(() => exec.answer("/bin/x", { code: 256 })).toThrow("0 to 255");
    expect(() => exec.answer("/bin/x", { signal: 9 })).toThrow("signal is 9");
    expect(() => smtp.answer("127.0.0.1:25", "hello")).toThrow("is no reply");
    expect(() => smtp.answer("127.0.0.1:25", { rejected: { a: "250 ok" } })).toThrow("refuses nothing");
    expect(() => smtp.answer("127.0.0.1:25", { refused: {} })).toThrow('no "refused"');
  });
});

test("what it is given", async () => {
  clock.set("2026-03-01T09:00:00Z");
  vars.set("own", "test's");
  await job("testdata.eml", {
    script, queue: "mine", id: "1", data: { x: "ä" }, sender: "", recipients: ["b@example.net"],
    client: { ip: "2001:db8::1", name: "" }, verdict: "reject", complete: false, attempt: 3,
  });
});
