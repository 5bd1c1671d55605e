// Each accepted mail goes on the queue "archive", too: the job archive.js files it by day.
// Read it by IMAP as the user archive@example.net.

import { enqueue } from "pmilter/queue";

export function eom() {
  enqueue("archive");
}
