// A header field for what passes, so that one sees the filter at work. Change it, write
// others, or delete it: scripts are in force as soon as they are saved.

export const options = { body: false }; // this script needs the headers only

export function eom(session) {
  session.message.headers.add("X-Filtered-By", `pmilterd at ${session.mta.hostname}`);
}
