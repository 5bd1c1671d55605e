// Archives each message in a Maildir for each day: FOLDER/2026/11/26.
//
//   [queue.archive]
//   maildir = "/var/spool/pmilter/archive"
//   job     = "scripts/jobs/archive.js"
//
//   [permissions]
//   maildir = ["/var/mail/archive"]          # must be there
//
//   [vars]
//   archive_folder = "/var/mail/archive"
//
// What puts messages on the queue is a filter: enqueue("archive") in eom. The day is that
// of the message's arrival, in UTC. A job that runs twice archives once: the file has the
// event's name. Read an archive with any mail reader: mutt -f /var/mail/archive/2026/11/26

import maildir from "pmilter/maildir";
import vars from "pmilter/vars";

const folder = vars.archive_folder;
if (typeof folder !== "string" || folder === "") {
  throw new Error('archive.js: name the folder in pmilter.toml, under [vars]: archive_folder = "/var/mail/archive"');
}

/** @param {import("pmilter").Job} job */
export default async function (job) {
  const day = (job.time ?? new Date()).toISOString().slice(0, 10).replace(/-/g, "/");
  await maildir.deliver(`${folder}/${day}`, job.message, { id: job.id });
}
