// The envelope alone: the MTA sends neither header nor body.
import { reject } from "pmilter";

export function mail(session, sender) {
  if (sender.domain === "spam.example.com") return reject();
}

export function rcpt(session, recipient) {
  if (recipient.local === "nobody") return reject(550, "5.1.1", "nobody is not here");
}
