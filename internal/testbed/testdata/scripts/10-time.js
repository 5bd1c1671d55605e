import { note, reject, tempfail } from "pmilter";
import vars, { own } from "pmilter/vars";

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
let ticks = 0;
let last = 0;

export function connect() {
  setInterval(() => { ticks += 1; last = Date.now(); }, 1000);
}

export async function helo(session, name) {
  const begun = Date.now();
  if (name.startsWith("sleep-")) await sleep(Number(name.slice(6)));
  if (name === "spin") for (;;) await new Promise((r) => setImmediate(r));
  note("helo", { slept: Date.now() - begun });
}

export function mail() {
  note("mail", { ticks, last, own, var: vars.own, now: new Date().toISOString() });
}

export async function abort() {
  await sleep(3000);
  console.log("abort", Date.now());
}

export async function close() {
  await sleep(1000);
  console.log("close", Date.now());
}
