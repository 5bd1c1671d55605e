// Hands each message to a command on its standard input: the classic .forward pipe. The
// client of the mail does not wait for it, and what the command refuses for now comes again.
//
//   [queue.pipe]
//   maildir = "/var/spool/pmilter/pipe"
//   job     = "scripts/jobs/pipe.js"
//
//   [permissions]
//   exec = ["/usr/local/bin/file-ticket"]     # or net = ["unix:/run/tickets.sock"], see below
//
//   [vars]
//   pipe_command = ["/usr/local/bin/file-ticket", "--queue", "support"]
//
// The command is run without a shell, with SENDER, RECIPIENT (the first), RECIPIENTS,
// EVENT_ID and ATTEMPT in its environment. Exit status 0: done. 75 (EX_TEMPFAIL of
// sysexits.h): again. Any other: the event moves to .failed, with what the command wrote.
//
// A command that can stay need not be started for each mail. Let it listen on a socket:
//
//   pipe_socket = "unix:/run/tickets.sock"    # in place of pipe_command
//
// It is connected to for each mail, gets the mail with the lines X-Sender, X-Recipient and
// X-Event-Id above it, to the end of what we send, and answers one line: "ok", "retry WHY"
// or "fail WHY".

import exec from "pmilter/exec";
import net from "pmilter/net";
import vars from "pmilter/vars";

const command = vars.pipe_command;
const socket = vars.pipe_socket;
if (socket === undefined && !(Array.isArray(command) && command.length > 0)) {
  throw new Error('pipe.js: name the command in pmilter.toml, under [vars]: pipe_command = ["/path/to/program", "argument"]');
}

/** @param {import("pmilter").Job} job */
export default async function (job) {
  if (socket !== undefined) return handOver(job);
  const [program, ...args] = command.map(String);
  const result = await exec.run(program, args, {
    input: job.message.raw(),
    env: {
      SENDER: job.sender, RECIPIENT: job.recipients[0] ?? "", RECIPIENTS: job.recipients.join(" "),
      EVENT_ID: job.id, ATTEMPT: String(job.attempt),
    },
  });
  if (result.code === 0) return;
  const said = `${program} ended with ${result.signal || result.code}: ${(result.stderr || result.stdout).trim().slice(-500)}`;
  if (result.code === 75 || result.signal) throw new Error(said);
  job.fail(said);
}

/**
 * To a command that stays.
 * @param {import("pmilter").Job} job
 */
async function handOver(job) {
  const lines = [`X-Event-Id: ${job.id}`, `X-Sender: ${job.sender}`, ...job.recipients.map((r) => `X-Recipient: ${r}`)];
  const head = new TextEncoder().encode(lines.join("\r\n") + "\r\n");
  const raw = job.message.raw();
  const all = new Uint8Array(head.length + raw.length);
  all.set(head);
  all.set(raw, head.length);
  const answer = new TextDecoder().decode(await net.exchange(String(socket), all, { timeout: "50s", maxSize: 65536 })).trim();
  if (answer === "ok" || answer.startsWith("ok ")) return;
  if (answer.startsWith("fail")) job.fail(answer.slice(0, 500));
  throw new Error(`${socket} said ${JSON.stringify(answer.slice(0, 500))}`);
}
