// Has rspamd judge each message, over HTTP (POST /checkv2 of its normal worker).
//
//   [permissions]
//   net = ["127.0.0.1:11333"]
//   [vars]
//   rspamd_url      = "http://127.0.0.1:11333"
//   rspamd_password = "${RSPAMD_PASSWORD}"   # optional
//
// What rspamd decides is done: reject, soft reject and greylist refuse; add header
// marks with X-Spam; rewrite subject does; its milter headers are added and removed.
// When rspamd does not answer, the mail is put off (on_error).
//
// Provoke it: swaks --server 127.0.0.1:2525 --to you@example.net --body 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X'

import { discard, note, reject, tempfail } from "pmilter";
import { fetch } from "pmilter/http";
import vars from "pmilter/vars";

const url = String(vars.rspamd_url ?? "http://127.0.0.1:11333").replace(/\/+$/, "") + "/checkv2";

/** @param {import("pmilter").Session} session */
export async function eom(session) {
  const { message } = session;
  if (!message) return;
  const response = await fetch(url, { method: "POST", headers: about(session, message), body: message.raw(), timeout: "50s" });
  if (!response.ok) throw new Error(`rspamd: ${response.status} ${response.statusText}`);
  const answer = await response.json();
  note("rspamd", { action: answer.action, score: answer.score, required: answer.required_score });
  message.headers.remove("X-Spam"); // a sender's own word
  edit(message.headers, answer.milter ?? {});
  const text = answer.messages?.smtp_message;
  switch (answer.action) {
    case "no action":
      return;
    case "add header":
      message.headers.add("X-Spam", "Yes");
      return;
    case "rewrite subject":
      message.headers.set("Subject", answer.subject ?? "[SPAM] " + message.subject);
      return;
    case "greylist":
      return tempfail(451, "4.7.1", text ?? "try again later");
    case "soft reject":
      return tempfail(451, "4.7.1", text ?? "try again later");
    case "quarantine":
      return message.quarantine(text ?? "rspamd");
    case "discard":
      return discard();
    case "reject":
      if (answer.milter?.reject === "discard") return discard();
      if (answer.milter?.reject === "quarantine") return message.quarantine(text ?? "rspamd");
      return reject(554, "5.7.1", text ?? "spam message rejected");
    default:
      throw new Error("rspamd: unknown action " + JSON.stringify(answer.action));
  }
}

/**
 * What rspamd wants to know besides the message (https://docs.rspamd.com, protocol).
 * @param {import("pmilter").Session} session
 * @param {import("pmilter").Message} message
 * @returns {[string, string][]}
 */
function about(session, message) {
  const { client } = session;
  /** @type {[string, string][]} */
  const list = [
    ["From", message.sender.address],
    ["Helo", session.helo],
    ["Hostname", client.name || "unknown"],
    ["Queue-Id", session.queueId],
    ["MTA-Name", session.mta.hostname],
  ];
  if (client.ip !== null) list.push(["IP", client.ip]);
  if (session.auth) list.push(["User", session.auth.user]);
  if (session.tls) list.push(["TLS-Version", session.tls.version], ["TLS-Cipher", session.tls.cipher]);
  if (vars.rspamd_password) list.push(["Password", vars.rspamd_password]);
  for (const recipient of message.recipients.slice(0, 100)) list.push(["Rcpt", recipient.address]);
  return list.filter(([, value]) => value !== "");
}

/**
 * Does what rspamd's milter_headers module asks for.
 * @param {import("pmilter").Headers} headers
 * @param {any} milter
 */
function edit(headers, milter) {
  for (const name of Object.keys(milter.remove_headers ?? {})) headers.remove(name);
  for (const [name, given] of Object.entries(milter.add_headers ?? {})) {
    for (const one of Array.isArray(given) ? given : [given]) {
      const value = typeof one === "object" && one !== null ? one.value : one;
      headers.add(name, String(value));
    }
  }
}
