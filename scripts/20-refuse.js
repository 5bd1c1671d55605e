// A refusal to provoke on purpose, before the mail is queued anywhere.
//
// Provoke it by the recipient: swaks --server 127.0.0.1:2525 --to refuse@example.net
// or by the subject:           swaks --server 127.0.0.1:2525 --to you@example.net --header "Subject: please refuse me"

import { reject } from "pmilter";

/**
 * @param {import("pmilter").Session} session
 * @param {import("pmilter").Address} recipient
 */
export function rcpt(session, recipient) {
  if (recipient.local === "refuse") {
    return reject(550, "5.1.1", `${recipient} wants no mail`);
  }
}

/**
 * Called for each header field, when the message is complete.
 * @param {import("pmilter").Session} session
 * @param {string} name
 * @param {string} value
 */
export function header(session, name, value) {
  if (name.toLowerCase() === "subject" && /please refuse me/i.test(value)) {
    return reject(`refused, as you asked: ${name}: ${value}`);
  }
}
