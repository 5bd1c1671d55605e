import { beforeEach, describe, exec, expect, job, net, test, vars } from "pmilter/test";

const program = "/usr/local/bin/file-ticket";
const mail = "Subject: broken\n\nHelp.\n";
const options = { id: "event-1", sender: "a@example.org", recipients: ["b@example.net", "c@example.net"], attempt: 2 };

describe("a command", () => {
  beforeEach(() => vars.set("pipe_command", [program, "--queue", "support"]));

  test("gets the message on its standard input, and the rest in its environment", async () => {
    exec.answer(program, "filed\n");
    const r = await job(mail, options);
    expect(r.outcome).toBe("done");
    expect(r.ran).toEqual([{
      program, args: ["--queue", "support"], input: mail.replaceAll("\n", "\r\n"),
      env: { SENDER: "a@example.org", RECIPIENT: "b@example.net", RECIPIENTS: "b@example.net c@example.net", EVENT_ID: "event-1", ATTEMPT: "2" },
    }]);
  });

  test("may put the message off, by EX_TEMPFAIL or by dying", async () => {
    exec.answer(program, { code: 75, stderr: "database is down\n" });
    expect(await job(mail)).toMatchObject({ outcome: "threw", error: expect.stringContaining("ended with 75: database is down") });
    exec.answer(program, { code: 139, signal: "SIGSEGV" });
    expect(await job(mail)).toMatchObject({ outcome: "threw", error: expect.stringContaining("ended with SIGSEGV") });
  });

  test("may refuse it for good", async () => {
    exec.answer(program, { code: 65, stdout: "not a ticket\n" });
    expect(await job(mail)).toMatchObject({ outcome: "failed", reason: `${program} ended with 65: not a ticket` });
  });

  test("that is not there puts it off", async () => {
    expect(await job(mail)).toMatchObject({ outcome: "threw", ran: [{ program }] });
  });
});

describe("a command that stays", () => {
  const socket = "unix:/run/tickets.sock";
  beforeEach(() => vars.set("pipe_socket", socket));

  test("gets the message with lines above it", async () => {
    net.answer(socket, "ok\n");
    const r = await job(mail, options);
    expect(r.outcome).toBe("done");
    expect(r.exchanged).toEqual([{
      address: socket,
      data: "X-Event-Id: event-1\r\nX-Sender: a@example.org\r\nX-Recipient: b@example.net\r\nX-Recipient: c@example.net\r\n" + mail.replaceAll("\n", "\r\n"),
    }]);
  });

  test("says what becomes of it", async () => {
    net.answer(socket, "fail no such customer\n");
    expect(await job(mail)).toMatchObject({ outcome: "failed", reason: "fail no such customer" });
    net.answer(socket, "retry database is down\n");
    expect(await job(mail)).toMatchObject({ outcome: "threw", error: expect.stringContaining("database is down") });
    net.answer(socket, "");
    expect(await job(mail)).toMatchObject({ outcome: "threw" });
  });
});

test("without a command it does not load", async () => {
  await expect(job(mail)).rejects.toThrow("name the command in pmilter.toml");
});
