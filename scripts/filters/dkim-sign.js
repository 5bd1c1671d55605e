// Signs what our own users send: those who have logged in, and the machine
// itself. The sender in From decides the domain, and pmilter.toml has its key:
//
//   [vars]
//   dkim_selector = "mail2026"
//   [vars.dkim_keys]
//   "example.org" = "keys/example.org.pem"   # relative to pmilter.toml, or PEM text
//
// The public half is in DNS at mail2026._domainkey.example.org. The signature is
// made when all scripts are done with the message, whatever their order.
import { accept } from "pmilter";
import auth from "pmilter/auth";
import vars from "pmilter/vars";

/** @param {import("pmilter").Session} session */
export function mail(session) {
  const { ip } = session.client;
  const own = session.auth || ip === null || ip === "::1" || ip.startsWith("127.");
  if (!own) return accept();
}

/** @param {import("pmilter").Session} session */
export function eom(session) {
  const { message } = session;
  if (!message) return;
  const domain = message.from[0]?.domain ?? "";
  const keys = vars.dkim_keys ?? {};
  if (!Object.hasOwn(keys, domain)) return;
  auth.sign(message, { domain, selector: vars.dkim_selector ?? "mail", key: keys[domain] });
}
