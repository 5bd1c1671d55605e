import { note, reject } from "pmilter";
import dns from "pmilter/dns";
import { fetch } from "pmilter/http";
import net from "pmilter/net";
import { enqueue } from "pmilter/queue";

export async function mail(session, sender) {
  enqueue("archive", { data: { from: String(sender) }, when: "any" });
  enqueue("archive");
  if (sender.local === "refused") return reject();
  note("mx", await dns.resolve(sender.domain, "MX"));
}

export async function eom() {
  const score = await (await fetch("http://127.0.0.1:1/score")).json();
  const word = new TextDecoder().decode(await net.exchange("127.0.0.1:3310", new Uint8Array([1])));
  note("said", { score, word });
  if (score > 5) return reject("too high");
}
