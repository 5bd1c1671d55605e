// A limit of messages for each sender: who has logged in by the user's name, all others by
// the client's address. It counts at MAIL, in a sliding window; a message that is put off
// does not count.
//
// Switched on by naming this file in `scripts`, or by a file of one line in your scripts:
//
//   export * from "./filters/ratelimit.js";
//
//   [vars.ratelimit]
//   per     = "1h"
//   user    = 200   # messages of one user within that time; 0: any number
//   client  = 60    # of one address that has not logged in; 0: any number
//
// Mail of this machine that did not come by SMTP is not counted.
//
// Try it, more often than `client` says: swaks --server 127.0.0.1:2525 --to you@example.net

import { note, tempfail } from "pmilter";
import store from "pmilter/store";
import vars from "pmilter/vars";

const { per = "1h", user = 200, client = 60 } = vars.ratelimit ?? {};

/** @param {import("pmilter").Session} session */
export async function mail(session) {
  const { ip, port } = session.client;
  if (!session.auth && (ip === null || port === 0)) return;

  const max = session.auth ? user : client;
  const who = session.auth ? `user ${session.auth.user.slice(0, 200)}` : `client ${ip}`;
  if (max === 0) return;

  const used = await store.limit(`ratelimit:${who}`, { max, per });
  if (!used.ok) {
    note("rate limit", { who, max, per });
    return tempfail(451, "4.7.1", `too many messages: try again in ${Math.ceil(used.resetAfter / 1000)} seconds`);
  }
}
