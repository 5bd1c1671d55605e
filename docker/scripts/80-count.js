// A number for each mail, from the store: it goes on counting when pmilterd is started anew.

import store from "pmilter/store";

export const options = { body: false };

/** @param {import("pmilter").Session} session */
export async function eom(session) {
  session.message?.headers.add("X-Mail-Number", String(await store.incr("stack:mails")));
}
