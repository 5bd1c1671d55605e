// At most vars.max_recipients recipients in one SMTP connection.
//
// A module variable is enough to count: each connection has a JavaScript world
// of its own, so this starts at 0 for every client and needs no cleaning up.
//
// Provoke it: swaks --server 127.0.0.1:2525 --to a@example.net,b@example.net,c@example.net,d@example.net,e@example.net,f@example.net

import { tempfail } from "pmilter";
import vars from "pmilter/vars";

const limit = vars.max_recipients ?? 100;
let recipients = 0;

/**
 * @param {import("pmilter").Session} session
 * @param {import("pmilter").Address} recipient
 */
export function rcpt(session, recipient) {
  recipients += 1;
  if (recipients > limit) {
    // A refusal in rcpt is for this recipient alone: those before it stay.
    return tempfail(452, "4.5.3", `${recipient} is one recipient too many: at most ${limit} in a connection`);
  }
}
