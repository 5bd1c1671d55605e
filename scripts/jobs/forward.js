// Forwards each message to other addresses, by SMTP.
//
//   [queue.forward]
//   maildir = "/var/spool/pmilter/forward"
//   job     = "scripts/jobs/forward.js"
//
//   [permissions]
//   net = ["127.0.0.1:10025"]
//
//   [vars]
//   forward_server = "127.0.0.1:10025"
//   forward_to     = ["archive@example.org"]  # unless the event says: enqueue("forward", { data: { to: [...] } })
//   forward_from   = ""                       # the envelope sender; "" takes no bounces
//
// The envelope sender is ours, not the message's: a forwarded mail that kept it would fail
// SPF. Give the server a port that does not filter, or it comes by here again and again:
// a message that we have forwarded already has our X-Forwarded-Event line, and fails.
//
// A refusal for good (5xx) moves the event to .failed, any other trouble brings it again.

import smtp from "pmilter/smtp";
import vars from "pmilter/vars";

if (typeof vars.forward_server !== "string" || vars.forward_server === "") {
  throw new Error('forward.js: name the server in pmilter.toml, under [vars]: forward_server = "127.0.0.1:10025"');
}

/** @param {import("pmilter").Job} job */
export default async function (job) {
  const to = [/** @type {any} */ (job.data)?.to ?? vars.forward_to ?? []].flat().map(String);
  if (to.length === 0) job.fail("nobody to forward to: [vars] forward_to, or data.to of the event");
  if (job.message.headers.has("X-Forwarded-Event")) job.fail("it has been forwarded before: a loop");
  const head = new TextEncoder().encode(`X-Forwarded-Event: ${job.id}\r\n`);
  const raw = job.message.raw();
  const message = new Uint8Array(head.length + raw.length);
  message.set(head);
  message.set(raw, head.length);
  try {
    await smtp.send({ server: vars.forward_server, from: String(vars.forward_from ?? ""), to, message });
  } catch (e) {
    const error = /** @type {any} */ (e);
    if (error.permanent) job.fail(error.message);
    throw e;
  }
}
