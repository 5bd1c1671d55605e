// Puts off clients without a name, which mail servers have, and limits the
// recipients of a message. Each handler is called in its phase of SMTP; what it
// does not return it leaves to the other scripts and to the MTA.

import { note, tempfail } from "pmilter";
import vars from "pmilter/vars";

/** @param {import("pmilter").Session} session */
export function connect(session) {
  if (session.client.name === "") {
    note("no name", { ip: session.client.ip });
    return tempfail(451, "4.7.25", "your address has no name (PTR); try again when it has");
  }
}

/**
 * @param {import("pmilter").Session} session
 * @param {import("pmilter").Address} recipient
 */
export function rcpt(session, recipient) {
  // The present recipient joins message.recipients when all scripts have passed it.
  if ((session.message?.recipients.length ?? 0) >= vars.max_recipients) {
    return tempfail(452, "4.5.3", `${recipient} is one recipient too many`);
  }
}

/** @param {import("pmilter").Session} session */
export function eom(session) {
  session.message?.headers.add("X-Checked-By", `pmilterd for ${session.client.name}`);
}
