// Posts each message to a webhook, and again until it is taken.
//
//   [queue.webhook]
//   maildir = "/var/spool/pmilter/webhook"
//   job     = "scripts/jobs/webhook.js"
//
//   [permissions]
//   net = ["hooks.example.org:443"]
//
//   [vars]
//   webhook_url   = "https://hooks.example.org/mail"
//   webhook_token = "${WEBHOOK_TOKEN:-}"      # sent as a bearer token; may be left out
//   webhook_send  = "summary"                 # or "message": the whole mail as message/rfc822
//
// 2xx: taken. 408, 425, 429 and 5xx, and no answer: again, after what Retry-After says or
// the queue's backoff. Any other answer: the event moves to .failed. The header
// Idempotency-Key has the event's id: a receiver that has seen it may say 2xx and do nothing.

import { fetch } from "pmilter/http";
import vars from "pmilter/vars";

const url = vars.webhook_url;
if (typeof url !== "string" || url === "") {
  throw new Error('webhook.js: name the webhook in pmilter.toml, under [vars]: webhook_url = "https://hooks.example.org/mail"');
}

/** @param {import("pmilter").Job} job */
export default async function (job) {
  /** @type {Record<string, string>} */
  const headers = { "Idempotency-Key": job.id };
  if (vars.webhook_token) headers.Authorization = `Bearer ${vars.webhook_token}`;
  let body;
  if (vars.webhook_send === "message") {
    headers["Content-Type"] = "message/rfc822";
    body = job.message.raw();
  } else {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(summary(job));
  }
  const response = await fetch(url, { method: "POST", headers, body, timeout: "30s" });
  if (response.ok) return;
  const said = `the webhook said ${response.status} ${(await response.text()).slice(0, 200)}`;
  if (response.status >= 500 || [408, 425, 429].includes(response.status)) {
    const seconds = Number(response.headers.get("retry-after"));
    if (seconds > 0 && seconds <= 86400) job.retry(seconds * 1000, said);
    throw new Error(said);
  }
  job.fail(said);
}

/** @param {import("pmilter").Job} job */
function summary(job) {
  const m = job.message;
  return {
    id: job.id, queue: job.queue, data: job.data, time: job.time,
    sender: job.sender, recipients: job.recipients, client: job.client, verdict: job.verdict,
    subject: m.subject, from: m.from, to: m.to, cc: m.cc, date: m.date, messageId: m.messageId,
    size: m.size, text: m.text.slice(0, 100000),
    attachments: m.attachments.map((a) => ({ filename: a.filename, type: a.type, size: a.size })),
  };
}
