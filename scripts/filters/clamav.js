// Has clamd scan each message, and refuses those with a virus in them.
//
//   [permissions]
//   net = ["unix:/run/clamav/clamd.ctl"]
//   [vars]
//   clamav_address  = "unix:/run/clamav/clamd.ctl"   # or "127.0.0.1:3310"
//   clamav_action   = "reject"                       # or "quarantine": the MTA puts it on hold
//   clamav_max_size = 26214400                       # larger messages are not scanned: clamd's StreamMaxLength
//
// When clamd does not answer, the mail is put off (on_error), never let through.
// clamd must be allowed to scan mail (ScanMail yes, its default).
//
// Provoke it: send https://www.eicar.org/download-anti-malware-testfile/ as an attachment

import { note, reject } from "pmilter";
import net from "pmilter/net";
import vars from "pmilter/vars";

const address = vars.clamav_address ?? "unix:/run/clamav/clamd.ctl";
const action = vars.clamav_action ?? "reject";
const maxSize = vars.clamav_max_size ?? 25 * 1024 * 1024;

if (action !== "reject" && action !== "quarantine") {
  throw new Error(`clamav.js: clamav_action is ${JSON.stringify(action)}: "reject" or "quarantine"`);
}

/** @param {import("pmilter").Session} session */
export async function eom({ message }) {
  if (!message) return;
  if (message.size > maxSize) {
    note("not scanned: too large for clamd", { size: message.size });
    return;
  }
  const answer = await net.exchange(address, instream(message.raw()), { until: "\0", timeout: "50s", maxSize: 4096 });
  const text = new TextDecoder().decode(answer).replace(/\0$/, "");
  if (text === "stream: OK") return;
  const found = /^stream: (.+) FOUND$/.exec(text);
  if (!found) throw new Error("clamd: " + text); // such as "INSTREAM size limit exceeded. ERROR"
  note("virus", { name: found[1] });
  if (action === "quarantine") return message.quarantine("virus: " + found[1]);
  return reject(554, "5.7.1", "virus found: " + found[1]);
}

/**
 * clamd(8), INSTREAM: chunks with their length in four bytes, the last one empty.
 * @param {Uint8Array} data
 */
function instream(data) {
  const command = new TextEncoder().encode("zINSTREAM\0");
  const out = new Uint8Array(command.length + 4 + data.length + (data.length > 0 ? 4 : 0));
  out.set(command);
  new DataView(out.buffer).setUint32(command.length, data.length);
  out.set(data, command.length + 4);
  return out; // the last four bytes are the 0 at the end
}
