// A header for what passes, in TypeScript: types are checked by your editor
// (pmilter.d.ts lies beside this file) and taken off before the script runs.
//
// Change the text below while the server runs: the next mail has it.

import type { Session } from "pmilter";

export const options = { body: false }; // this script needs the headers only

export function eom(session: Session): void {
  const from: string = session.client.ip ?? session.client.family;
  session.message?.headers.add("X-Filtered-By", `pmilterd for ${session.helo} [${from}]`);
}
