import exec from "pmilter/exec";
import maildir from "pmilter/maildir";
import smtp from "pmilter/smtp";
import store from "pmilter/store";
import vars from "pmilter/vars";
import { fetch } from "pmilter/http";
import { note } from "pmilter";

/** What a test can call by itself. */
export const twice = (n) => 2 * n;

const steps = {
  tell: (job) => {
    const { id, queue, attempt, data, sender, recipients, client, verdict, complete, path, time } = job;
    console.log(JSON.stringify({ id, queue, attempt, data, sender, recipients, client, verdict, complete, path, time, own: vars.own }));
    console.log(JSON.stringify([job.message.subject, new TextDecoder().decode(job.message.raw())]));
  },
  sleep: async (job) => {
    await new Promise((done) => setTimeout(done, job.data.ms));
    note("slept", { ms: job.data.ms });
  },
  retry: (job) => job.retry(job.data.after, "later"),
  fail: (job) => job.fail("never"),
  throw: () => { throw new RangeError("oh"); },
  hang: async () => { for (;;) await null; },
  both: async (job) => {
    await fetch("http://127.0.0.1/", { method: "POST", headers: { "X-One": "1" }, body: "x" }).catch(() => {});
    await exec.run("/bin/x", ["-a"], { input: "in", env: { A: "b" } }).catch((e) => console.log(e.name, e.code));
    const sent = await smtp.send({ server: "127.0.0.1:25", from: "", to: ["a@example.org", "b@example.org"], message: job.message, partial: job.data.partial });
    console.log(JSON.stringify(sent));
    await maildir.deliver("/var/mail/x", job.message);
  },
};

export default async function (job) {
  await steps[job.data?.step ?? "tell"](job);
}
