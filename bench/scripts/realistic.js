// What a filter of everyday does: it looks at the client and the envelope, reads
// several fields and the body's size, and adds a header.
import { reject, tempfail } from "pmilter";

const refused = new Set(["spam.example.com", "junk.example.com", "bulk.example.com"]);

export function connect(session) {
  session.state.internal = session.client.ip?.startsWith("10.") ?? true;
}

export function helo(session, name) {
  if (!session.state.internal && !name.includes(".")) return reject(`${name} is no host name`);
}

export function mail(session, sender) {
  if (refused.has(sender.domain)) return reject(550, "5.7.1", `${sender.domain} is not welcome`);
  session.message.state.recipients = 0;
}

export function rcpt(session, recipient) {
  if (++session.message.state.recipients > 100) return tempfail("too many recipients");
}

export function eom(session) {
  const { headers, sender, recipients, size } = session.message;
  const from = headers.get("From") ?? "";
  const to = headers.getAll("To");
  const subject = headers.get("Subject") ?? "";
  if (/^(viagra|casino)\b/i.test(subject)) return reject("no advertisements");
  const score = (from.includes(sender.domain) ? 0 : 1) + (to.length === 0 ? 1 : 0) + (headers.has("Message-ID") ? 0 : 1);
  headers.add("X-Score", `${score} helo=${session.helo} recipients=${recipients.length} size=${size}`);
}
