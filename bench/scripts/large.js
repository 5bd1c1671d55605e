// A filter of the larger kind, some 300 lines: a table of networks and one of senders, a
// store that counts, a regular expression for each header field, and a score at the end.
import { reject, tempfail } from "pmilter";
import store from "pmilter/store";
import { table } from "pmilter/table";

const networks = table("cidr:access.cidr");
const senders = table("texthash:senders");

// ---- what is looked for

const limits = {
  recipients: 100,
  perHour: 1_000_000_000, // of one client; never reached here
  hops: 30,
  subject: 500,
  score: 10,
};

const weights = {
  noReverse: 2,
  badHelo: 3,
  forgedFrom: 2,
  noMessageId: 1,
  noDate: 1,
  noTo: 1,
  shouting: 1,
  longSubject: 1,
  manyHops: 3,
  words: 4,
  mailer: 2,
  odd: 1,
};

// The expressions by field; what is not listed is looked at by the general one.
const patterns = {
  received: /\bfrom\s+(\S+)\s+\(([^\s)]+)\s+\[([^\]]+)\]\)/i,
  from: /^\s*(?:"?([^"<]*)"?\s*)?<?([^\s<>@]+@[^\s<>@]+)>?\s*$/,
  to: /<?([^\s<>@,]+@[^\s<>@,]+)>?/,
  cc: /<?([^\s<>@,]+@[^\s<>@,]+)>?/,
  subject: /\b(?:viagra|casino|lottery|winner|inheritance|refinance)\b/i,
  "reply-to": /<?([^\s<>@]+@[^\s<>@]+)>?/,
  "message-id": /^\s*<[^<>@\s]+@[^<>@\s]+>\s*$/,
  date: /^\s*(?:\w{3},\s*)?\d{1,2}\s+\w{3}\s+\d{4}\s+\d\d:\d\d/,
  "x-mailer": /\b(?:massmailer|bulk\s*sender|the bat!)\b/i,
  "content-type": /^\s*([\w.+-]+\/[\w.+-]+)\s*(?:;|$)/,
  "list-unsubscribe": /<(?:mailto:|https?:)[^>]+>/i,
};
const general = /(?:[^\x20-\x7e\s]{8,}|=\?[\w-]+\?[bq]\?[^?]{200,}\?=)/i;

// What the words of a subject weigh.
const words = new Map([
  ["free", 0.1],
  ["urgent", 0.2],
  ["offer", 0.3],
  ["prize", 0.5],
  ["cash", 0.1],
  ["credit", 0.2],
  ["loan", 0.3],
  ["debt", 0.5],
  ["pills", 0.1],
  ["pharmacy", 0.2],
  ["meds", 0.3],
  ["weight", 0.5],
  ["diet", 0.1],
  ["miracle", 0.2],
  ["guarantee", 0.3],
  ["limited", 0.5],
  ["act", 0.1],
  ["now", 0.2],
  ["click", 0.3],
  ["here", 0.5],
  ["unsubscribe", 0.1],
  ["subscribe", 0.2],
  ["cheap", 0.3],
  ["discount", 0.5],
  ["bonus", 0.1],
  ["gift", 0.2],
  ["reward", 0.3],
  ["claim", 0.5],
  ["selected", 0.1],
  ["congratulations", 0.2],
  ["invoice", 0.3],
  ["payment", 0.5],
  ["overdue", 0.1],
  ["account", 0.2],
  ["verify", 0.3],
  ["password", 0.5],
  ["suspended", 0.1],
  ["security", 0.2],
  ["alert", 0.3],
  ["bitcoin", 0.5],
  ["crypto", 0.1],
  ["wallet", 0.2],
  ["investment", 0.3],
  ["profit", 0.5],
  ["income", 0.1],
  ["work", 0.2],
  ["home", 0.3],
  ["rich", 0.5],
  ["million", 0.1],
  ["dollars", 0.2],
  ["euro", 0.3],
  ["bank", 0.5],
  ["transfer", 0.1],
  ["confidential", 0.2],
  ["prince", 0.3],
  ["heir", 0.5],
  ["estate", 0.1],
  ["lawyer", 0.2],
  ["fund", 0.3],
  ["donation", 0.5],
]);

// ---- small things

function parentDomains(domain) {
  const list = [domain];
  for (let dot = domain.indexOf("."); dot >= 0; dot = domain.indexOf(".", dot + 1)) {
    list.push(domain.slice(dot));
  }
  return list;
}

function senderPolicy(domain) {
  for (const name of parentDomains(domain)) {
    const value = senders.get(name);
    if (value !== null) return value;
  }
  return "DUNNO";
}

function literal(name) {
  return name.startsWith("[") && name.endsWith("]");
}

function plausibleHelo(name, ip) {
  if (literal(name)) return name.slice(1, -1) === ip;
  if (!name.includes(".")) return false;
  for (const label of name.split(".")) {
    if (label === "" || label.length > 63 || label.startsWith("-") || label.endsWith("-")) return false;
  }
  return true;
}

function shouting(text) {
  let letters = 0;
  let capitals = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 65 && c <= 90) {
      letters++;
      capitals++;
    } else if (c >= 97 && c <= 122) {
      letters++;
    }
  }
  return letters > 10 && capitals * 10 > letters * 8;
}

function weighWords(subject) {
  let sum = 0;
  for (const word of subject.toLowerCase().split(/[^a-z]+/)) {
    sum += words.get(word) ?? 0;
  }
  return sum;
}

class Score {
  constructor() {
    this.points = 0;
    this.reasons = [];
  }
  add(reason, points = weights[reason]) {
    this.points += points;
    this.reasons.push(reason);
  }
  toString() {
    return `${this.points.toFixed(1)} ${this.reasons.join(",") || "nothing"}`;
  }
}

class Fields {
  constructor() {
    this.count = 0;
    this.hops = 0;
    this.from = null;
    this.to = 0;
    this.subject = "";
    this.messageId = false;
    this.date = false;
    this.mailer = false;
    this.words = false;
    this.odd = 0;
  }
}

// ---- one function for each field that matters

const readers = {
  received(fields, match) {
    fields.hops++;
    if (match) fields.lastHop = match[3];
  },
  from(fields, match) {
    if (match) fields.from = { name: (match[1] ?? "").trim(), address: match[2].toLowerCase() };
  },
  to(fields, match) {
    if (match) fields.to++;
  },
  cc(fields, match) {
    if (match) fields.to++;
  },
  subject(fields, match, value) {
    fields.subject = value.trim();
    fields.words = match !== null;
  },
  "reply-to"(fields, match) {
    if (match) fields.replyTo = match[1].toLowerCase();
  },
  "message-id"(fields, match) {
    fields.messageId = match !== null;
  },
  date(fields, match) {
    fields.date = match !== null;
  },
  "x-mailer"(fields, match) {
    fields.mailer = match !== null;
  },
  "content-type"(fields, match) {
    if (match) fields.type = match[1].toLowerCase();
  },
  "list-unsubscribe"(fields, match) {
    fields.list = match !== null;
  },
};

// ---- the phases

let network = null;
let heloPlausible = true;
let score = new Score();
let fields = new Fields();
let policy = "DUNNO";

export function connect(session) {
  network = networks.get(session.client.ip ?? "");
  if (network === "blocked") return reject(550, "5.7.1", "your network is blocked");
}

export function helo(session, name) {
  heloPlausible = network === "internal" || plausibleHelo(name, session.client.ip);
}

export async function mail(session, sender) {
  score = new Score();
  fields = new Fields();
  policy = sender.domain === "" ? "OK" : senderPolicy(sender.domain);
  if (policy === "REJECT") return reject(550, "5.7.1", `${sender.domain} is not welcome`);
  if (policy === "DEFER") return tempfail(450, "4.7.1", `${sender.domain} has to wait`);
  const sent = await store.incr(`sent:${session.client.ip}`, { ttl: "1h" });
  if (sent > limits.perHour) return tempfail(450, "4.7.1", "too many mails");
  if (!heloPlausible) score.add("badHelo");
  if (session.client.name === "") score.add("noReverse");
}

export function rcpt(session, recipient) {
  if (session.message.recipients.length >= limits.recipients) return tempfail(452, "4.5.3", "too many recipients");
  if (recipient.local === "") return reject(550, "5.1.1", "no such recipient");
}

export function header(session, name, value) {
  const key = name.toLowerCase();
  fields.count++;
  const pattern = patterns[key];
  if (pattern) {
    readers[key](fields, pattern.exec(value), value);
  } else if (general.test(value)) {
    fields.odd++;
  }
}

export function eoh(session) {
  if (fields.hops > limits.hops) return reject(554, "5.4.6", "too many hops");
}

export function eom(session) {
  const { sender, headers, size } = session.message;
  if (!fields.messageId) score.add("noMessageId");
  if (!fields.date) score.add("noDate");
  if (fields.to === 0) score.add("noTo");
  if (fields.mailer) score.add("mailer");
  if (fields.words) score.add("words");
  if (fields.odd > 0) score.add("odd", weights.odd * fields.odd);
  if (fields.hops > limits.hops / 2) score.add("manyHops");
  if (fields.from && !fields.from.address.endsWith(sender.domain)) score.add("forgedFrom");
  if (fields.subject.length > limits.subject) score.add("longSubject");
  if (shouting(fields.subject)) score.add("shouting");
  const weight = weighWords(fields.subject);
  if (weight > 1) score.add("words", weight);
  if (score.points > limits.score && policy !== "OK") return reject(550, "5.7.1", "this looks like spam");
  headers.add("X-Score", `${score} fields=${fields.count} size=${size}`);
}
