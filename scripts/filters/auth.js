// Who is this mail from? Checks SPF, DKIM, DMARC and ARC and says so in an
// Authentication-Results at the top; forged ones in our name are taken out.
// Nothing is refused unless pmilter.toml says so:
//
//   [vars]
//   dmarc_reject = true        # refuse what fails and whose domain asks for it
//   dmarc_quarantine = true    # put on hold what fails and whose domain asks for that
//
// Mail of our own users (logged in, or from the machine itself) is left alone.
import { accept, note, reject, tempfail } from "pmilter";
import auth from "pmilter/auth";
import vars from "pmilter/vars";

/** @param {import("pmilter").Session} session */
export function mail(session) {
  const { ip } = session.client;
  if (session.auth || ip === null || ip === "::1" || ip.startsWith("127.")) return accept();
}

/** @param {import("pmilter").Session} session */
export async function eom(session) {
  const { message } = session;
  if (!message) return;
  const [spf, dkim, dmarc, arc] = await Promise.all([
    auth.spf(session), auth.dkim(message), auth.dmarc(session), auth.arc(message),
  ]);
  auth.authenticationResults(session, { spf, dkim, dmarc, arc });
  note("auth", { spf: spf.result, dkim: dkim.map((d) => d.result + " " + d.domain), dmarc: dmarc.result, arc: arc.result });

  if (dmarc.result === "temperror" && vars.dmarc_reject) {
    return tempfail(451, "4.7.5", `The policy of ${dmarc.domain} cannot be looked up, try again later`);
  }
  if (dmarc.disposition === "reject" && vars.dmarc_reject) {
    return reject(550, "5.7.26", `This mail is not from ${dmarc.domain}, whose policy is to reject it (DMARC)`);
  }
  if (dmarc.disposition === "quarantine" && vars.dmarc_quarantine) {
    message.quarantine(`DMARC of ${dmarc.domain}: ${dmarc.reason}`.slice(0, 200));
  }
}
