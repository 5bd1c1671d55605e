// Refuses clients that DNS lists have, except those that log in.
//
//   [vars]
//   dnsbl_zones = ["zen.spamhaus.org", "bl.example.org=127.0.0.2,127.0.0.3"]   # after "=" the codes that count; without it all do
//   dnsbl_text  = "see https://check.spamhaus.org/"                             # optional, at the end of the reply
//
// The zones have rules about who may ask: read them. Lists that cannot be asked are
// passed over, as Postfix's reject_rbl_client does: a list that is down must not
// hold up all mail. What they would have said is in the notes of the log.
//
// Provoke it: lists have 127.0.0.2 for tests; pmilterd send --client-ip 127.0.0.2 mail.eml

import { note, reject } from "pmilter";
import dns from "pmilter/dns";
import vars from "pmilter/vars";

if (!Array.isArray(vars.dnsbl_zones) || vars.dnsbl_zones.length === 0) {
  throw new Error('dnsbl.js: name the lists in pmilter.toml, under [vars]: dnsbl_zones = ["zen.spamhaus.org"]');
}

/** @type {Map<string, string[] | null>} zone to the codes that count */
const zones = new Map();
for (const entry of vars.dnsbl_zones) {
  const [zone, codes] = String(entry).split("=");
  zones.set(zone.trim(), codes ? codes.split(",").map((c) => c.trim()) : null);
}

/** @type {Promise<string> | undefined} one question a connection, however many messages it brings */
let listed;

/**
 * In mail, not in connect: by then the client has logged in, or has not.
 * @param {import("pmilter").Session} session
 */
export async function mail(session) {
  if (session.auth || session.client.ip === null) return;
  listed ??= ask(session.client.ip);
  const why = await listed;
  if (why) return reject(554, "5.7.1", `${session.client.ip} is listed by ${why}${vars.dnsbl_text ? "; " + vars.dnsbl_text : ""}`);
}

/**
 * @param {string} ip
 * @returns {Promise<string>} the list that has it, "" for none
 */
async function ask(ip) {
  let answer;
  try {
    answer = await dns.dnsbl(ip, [...zones.keys()]);
  } catch (/** @type {any} */ e) {
    if (e.name !== "DNSError" && e.name !== "TimeoutError") throw e;
    note("no DNS list answers", { error: e.message });
    return "";
  }
  if (answer.errors.length > 0) note("DNS lists that do not answer", answer.errors);
  for (const { zone, codes } of answer.zones) {
    const count = zones.get(zone);
    if (!count || codes.some((c) => count.includes(c))) return zone;
  }
  return "";
}
