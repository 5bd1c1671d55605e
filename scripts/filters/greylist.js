// Greylisting: whoever is new is asked to come back. Mail servers do, in some minutes;
// much of what sends spam does not.
//
// Switched on by naming this file in `scripts`, or by a file of one line in your scripts:
//
//   export * from "./filters/greylist.js";
//
// New is a triple of the client's network (/24 or /64), sender and recipient. It is put off
// for some minutes, may pass from then on, and is known from its first pass, as long as it
// comes again now and then. Who has logged in, and mail that did not come by SMTP, passes.
//
//   [vars.greylist]
//   minutes = 5      # how long the first attempt is put off
//   retry   = "2d"   # how long the sender's server has to come back
//   keep    = "35d"  # how long a triple is known after it passed
//
// What is known is in the store: with the default one, memory, a restart forgets it, and
// mail is late once more. `url = "file:"` in [store] keeps it.
//
// Try it: swaks --server 127.0.0.1:2525 --to you@example.net

import { note, tempfail } from "pmilter";
import store from "pmilter/store";
import vars from "pmilter/vars";

const { minutes = 5, retry = "2d", keep = "35d" } = vars.greylist ?? {};

/**
 * @param {import("pmilter").Session} session
 * @param {import("pmilter").Address} recipient
 */
export async function rcpt(session, recipient) {
  const { ip, port } = session.client;
  if (ip === null || port === 0 || session.auth || !session.message) return;

  const triple = `${network(ip)} ${session.message.sender} ${recipient}`.toLowerCase().slice(0, 300);
  const key = "greylist:" + triple;
  const now = Date.now();
  if (await store.add(key, now, { ttl: retry })) {
    note("greylisted", { triple });
    return late(minutes * 60e3);
  }
  const since = Number((await store.get(key)) ?? now);
  const left = since + minutes * 60e3 - now;
  if (left > 0) return late(left);
  await store.set(key, since, { ttl: keep });
}

/** @param {number} ms */
function late(ms) {
  return tempfail(451, "4.7.1", `greylisted: try again in ${Math.ceil(ms / 1000)} seconds`);
}

/**
 * The network that the servers of one sender share, more often than not.
 * @param {string} ip
 */
function network(ip) {
  if (!ip.includes(":")) return ip.split(".").slice(0, 3).join(".");
  const [head, tail] = ip.split("::").map((s) => s.split(":").filter((group) => group !== ""));
  if (tail) while (head.length + tail.length < 8) head.push("0");
  return head.concat(tail ?? []).slice(0, 4).join(":");
}
