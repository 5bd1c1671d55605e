// What scripts can import from pmilterd, for editors and tsc: the server does not
// read this file. A test holds it against the bindings, name by name.

declare module "pmilter" {
  /**
   * One SMTP session, as far as it has come. What is not known yet is "", null or empty.
   * @example export function helo(session: Session, name: string) { console.log(session.client.ip, name); }
   */
  export interface Session {
    /** Names this session in the log. @example note("seen", { session: session.id }) */
    readonly id: string;
    /** The entry of `listen` that took the MTA's connection. @example session.listener === "inet:8890@127.0.0.1" */
    readonly listener: string;
    /** The SMTP client. @example if (session.client.name === "") return tempfail("no name") */
    readonly client: Client;
    /** The name of the last HELO or EHLO, "" before it. @example session.helo === "mail.example.org" */
    readonly helo: string;
    /** How the session is encrypted, null when it is not. @example if (!session.tls) return reject("TLS, please") */
    readonly tls: TLS | null;
    /** Who has logged in, null when nobody has. @example if (session.auth) return accept() */
    readonly auth: Auth | null;
    /** The MTA's name for the message, "" until it has assigned one. @example console.log(session.queueId) */
    readonly queueId: string;
    /** The MTA that asks. @example session.mta.version // "Postfix 3.7.11" */
    readonly mta: MTA;
    /** The MTA's macros, by either spelling. @example session.macros["{client_addr}"] === session.macros.client_addr */
    readonly macros: Readonly<Record<string, string>>;
    /** From MAIL to the end of the message, else null. @example session.message?.headers.get("Subject") */
    readonly message: Message | null;
    /** Notes of this connection, shared by all scripts. @example session.state.trusted = true */
    readonly state: Record<string, unknown>;
  }

  /** The SMTP client. @example const { ip, name } = session.client */
  export interface Client {
    /** Without prefix and brackets, IPv4-mapped as IPv4; null when there is none. @example session.client.ip === "192.0.2.7" */
    readonly ip: string | null;
    /** 0 when unknown, and for mail that did not come by SMTP. @example session.client.port === 0 */
    readonly port: number;
    /** The verified host name, "" when there is none. @example session.client.name.endsWith(".example.org") */
    readonly name: string;
    /** What kind of address it has. @example session.client.family === "inet6" */
    readonly family: "inet" | "inet6" | "unix" | "unknown";
  }

  /** The session's encryption. @example session.tls?.version === "TLSv1.3" */
  export interface TLS {
    /** The protocol. @example session.tls?.version // "TLSv1.3" */
    readonly version: string;
    /** The cipher suite. @example session.tls?.cipher */
    readonly cipher: string;
    /** The cipher's bits, 0 when unknown. @example (session.tls?.bits ?? 0) < 128 */
    readonly bits: number;
    /** Of the client's certificate, "" for none. @example session.tls?.subject */
    readonly subject: string;
    /** Who issued the client's certificate, "" for none. @example session.tls?.issuer */
    readonly issuer: string;
  }

  /** Who has logged in. @example session.auth?.user === "alice" */
  export interface Auth {
    /** The login name. @example session.auth?.user */
    readonly user: string;
    /** The SASL method. @example session.auth?.method // "PLAIN" */
    readonly method: string;
    /** The authorised sender, "" for none. @example session.auth?.author */
    readonly author: string;
  }

  /** The MTA that asks. @example session.mta.hostname */
  export interface MTA {
    /** Its own name (macro j). @example session.mta.hostname // "mx.example.org" */
    readonly hostname: string;
    /** Its daemon (macro daemon_name). @example session.mta.daemon */
    readonly daemon: string;
    /** Its version (macro v). @example session.mta.version // "Postfix 3.7.11" */
    readonly version: string;
  }

  /** A sender or recipient. @example if (recipient.domain === "example.com") return reject() */
  export interface Address {
    /** As sent, without angle brackets; "" for the null sender. @example sender.address === "" // a bounce */
    readonly address: string;
    /** The part before the @, unquoted. @example recipient.local === "postmaster" */
    readonly local: string;
    /** The part after the @, in lower case. @example recipient.domain === "example.net" */
    readonly domain: string;
    /** ESMTP parameters, keys in upper case; a flag's value is "". @example "SMTPUTF8" in sender.params */
    readonly params: Readonly<Record<string, string>>;
    /** The address. @example `to ${recipient}` */
    toString(): string;
    /** The address, for JSON.stringify. @example JSON.stringify({ to: recipient }) */
    toJSON(): string;
  }

  /** A mailbox of the header. @example session.message?.from[0]?.name */
  export interface Mailbox {
    /** As people see it, decoded; "" for none. @example session.message?.from[0]?.name // "Jörg" */
    readonly name: string;
    /** Without angle brackets. @example session.message?.from[0]?.address */
    readonly address: string;
    /** The part before the @, unquoted. @example session.message?.to[0]?.local */
    readonly local: string;
    /** The part after the @, in lower case. @example session.message?.from[0]?.domain === "example.org" */
    readonly domain: string;
  }

  /**
   * A message: what has arrived, with all edits asked for so far. Edits may be asked
   * for in any phase from `mail` on, and are sent at the end of the message.
   * @example export function eom({ message }: Session) { message?.headers.add("X-Seen", "yes"); }
   */
  export interface Message {
    /** The envelope sender. @example message.sender.domain */
    readonly sender: Address;
    /** Those accepted so far; in `rcpt` the present one joins when all scripts have passed it. @example message.recipients.length > 50 */
    readonly recipients: readonly Address[];
    /** The header. @example message.headers.get("Subject") */
    readonly headers: Headers;
    /** Bytes that have arrived, headers and body. @example message.size > 1e6 */
    readonly size: number;
    /** The subject, decoded. @example /lottery/i.test(message.subject) */
    readonly subject: string;
    /** The authors. @example message.from[0]?.domain === message.sender.domain */
    readonly from: Mailbox[];
    /** The recipients that the header tells. @example message.to.length === 0 */
    readonly to: Mailbox[];
    /** The other recipients that the header tells. @example message.cc.map((m) => m.address) */
    readonly cc: Mailbox[];
    /** When it was written, null if that cannot be read. @example message.date && message.date.getTime() > Date.now() + 864e5 */
    readonly date: Date | null;
    /** With its angle brackets, "" for none. @example message.messageId === "" */
    readonly messageId: string;
    /** The first text part, decoded, lines ended by "\n"; "" for none. @example message.text.includes("unsubscribe") */
    readonly text: string;
    /** The first HTML part, decoded; "" for none. @example message.html.includes("<script") */
    readonly html: string;
    /** The parts of a multipart message, else the message itself as one part. @example message.parts.map((p) => p.type) */
    readonly parts: Part[];
    /** What a mail reader lists as attachments. @example message.attachments.some((p) => /\.exe$/i.test(p.filename)) */
    readonly attachments: Part[];
    /** What is wrong with the message, by short names. @example message.defects.includes("bad-base64") */
    readonly defects: string[];
    /** The body as it stands, CRLF line ends: a copy. @example message.body.length === 0 */
    readonly body: Uint8Array;
    /** Notes of this message, shared by all scripts. @example message.state.score = 5 */
    readonly state: Record<string, unknown>;
    /** The whole message as it stands, CRLF line ends: a copy. @example new TextDecoder("latin1").decode(message.raw()) */
    raw(): Uint8Array;
    /** Replaces the envelope sender; "" is the null sender. @example message.setSender("bounces@example.org", { RET: "HDRS" }) */
    setSender(address: string | Address, params?: Record<string, string>): void;
    /** Adds an envelope recipient. @example message.addRecipient("archive@example.org", { NOTIFY: "NEVER" }) */
    addRecipient(address: string | Address, params?: Record<string, string>): void;
    /** Removes an envelope recipient. @example message.removeRecipient(recipient) */
    removeRecipient(address: string | Address): void;
    /** Replaces the body as a whole. @example message.replaceBody("removed\r\n") */
    replaceBody(body: string | Uint8Array): void;
    /** Puts the message on hold at the MTA, whatever the verdict otherwise. @example message.quarantine("looks odd") */
    quarantine(reason: string): void;
    /** Adds a part at the end; a message that is no multipart/mixed becomes one. @example message.addPart("checked\n", { filename: "note.txt" }) */
    addPart(content: string | Uint8Array, options?: PartOptions): Part;
    /** Appends to the text that people read, in each alternative; returns how many parts have it. @example message.appendText({ text: "\n-- \nExample Ltd\n" }) */
    appendText(what: { text?: string; html?: string }): number;
    /** Makes the message an attachment of a new one with the same header. @example message.wrap({ subject: "[suspect] " + message.subject, text: "See below.\n" }) */
    wrap(what: { subject?: string; text?: string }): void;
  }

  /** What a new part is. @example message.addPart(bytes, { type: "application/pdf", filename: "terms.pdf" }) */
  export interface PartOptions {
    /** The media type. @example { type: "text/html" } */
    type?: string;
    /** The name that a reader saves it under. @example { filename: "note.txt" } */
    filename?: string;
    /** "attachment" or "inline". @example { disposition: "inline" } */
    disposition?: string;
  }

  /**
   * The header, in order. Names match without case; indexes count from 0. Iterating gives [name, decoded value].
   * @example for (const [name, value] of message.headers) console.log(name, value)
   */
  export interface Headers extends Iterable<[string, string]> {
    /** The first of that name, unfolded and decoded (RFC 2047). @example message.headers.get("Subject") ?? "" */
    get(name: string): string | null;
    /** All of that name, unfolded and decoded. @example message.headers.getAll("Received").length > 30 */
    getAll(name: string): string[];
    /** The first of that name as it came, folds as "\n". @example message.headers.raw("DKIM-Signature") */
    raw(name: string): string | null;
    /** All of that name as they came. @example message.headers.rawAll("Received") */
    rawAll(name: string): string[];
    /** Whether there is one of that name. @example message.headers.has("List-Id") */
    has(name: string): boolean;
    /** How many there are. @example message.headers.length > 200 */
    readonly length: number;
    /** Adds at the end. @example message.headers.add("X-Filtered-By", "pmilterd") */
    add(name: string, value: string): void;
    /** Adds above everything, the MTA's own Received too. @example message.headers.prepend("X-Trace", session.id) */
    prepend(name: string, value: string): void;
    /** Adds before the one at index; 0 is as prepend. @example message.headers.insert(1, "X-Second", "here") */
    insert(index: number, name: string, value: string): void;
    /** Replaces the first of that name and removes the others; adds it if there is none. @example message.headers.set("Subject", "[list] " + message.subject) */
    set(name: string, value: string): void;
    /** Removes all of that name. @example message.headers.remove("X-Spam-Status") */
    remove(name: string): void;
    /** Removes the n-th of that name. @example message.headers.removeAt("Received", 0) */
    removeAt(name: string, n: number): void;
  }

  /** The header of a part, which can be read. @example part.headers.get("Content-ID") */
  export interface PartHeaders extends Iterable<[string, string]> {
    /** The first of that name, unfolded and decoded. @example part.headers.get("Content-Type") */
    get(name: string): string | null;
    /** All of that name. @example part.headers.getAll("Received") */
    getAll(name: string): string[];
    /** The first of that name as it came. @example part.headers.raw("Content-Disposition") */
    raw(name: string): string | null;
    /** All of that name as they came. @example part.headers.rawAll("Received") */
    rawAll(name: string): string[];
    /** Whether there is one of that name. @example part.headers.has("Content-ID") */
    has(name: string): boolean;
    /** How many there are. @example part.headers.length */
    readonly length: number;
  }

  /** A part of a message. @example for (const part of message.attachments) if (/\.exe$/i.test(part.filename)) part.remove() */
  export interface Part {
    /** The media type in lower case. @example part.type === "application/pdf" */
    readonly type: string;
    /** The parameters of the media type. @example part.params.charset */
    readonly params: Readonly<Record<string, string>>;
    /** "attachment", "inline" or "". @example part.disposition === "attachment" */
    readonly disposition: string;
    /** The decoded file name, never a path; "" for none. @example part.filename.endsWith(".zip") */
    readonly filename: string;
    /** The part's own header. @example part.headers.get("Content-ID") */
    readonly headers: PartHeaders;
    /** The decoded content's length in bytes. @example part.size > 10e6 */
    readonly size: number;
    /** The decoded content: a copy. @example part.content[0] === 0x4d && part.content[1] === 0x5a */
    readonly content: Uint8Array;
    /** The content as text. @example part.text.includes("password") */
    readonly text: string;
    /** The parts in it; of a message/rfc822 the message. @example part.parts.length */
    readonly parts: Part[];
    /** The content's digest in hexadecimal digits. @example part.hash("sha256") === known */
    hash(algorithm: "md5" | "sha1" | "sha256" | "sha512"): string;
    /** Takes the part out of the message. @example part.remove() */
    remove(): void;
    /** Puts another content in its place. @example part.replace("removed\n", { type: "text/plain", filename: "removed.txt" }) */
    replace(content: string | Uint8Array, options?: PartOptions): void;
  }

  /** What a handler returns besides nothing. Only the functions below make one. @example return reject("no") */
  export interface Verdict {
    readonly [verdict]: true;
  }
  const verdict: unique symbol;

  /** Ends this script's interest: in connect and helo in the connection, later in the message. @example if (session.auth) return accept() */
  export function accept(): Verdict;
  /** Refuses for good: 550 5.7.1 unless said otherwise; in rcpt that recipient alone. @example return reject(550, "5.1.1", "no such user") */
  export function reject(text?: string): Verdict;
  export function reject(code: number, text: string): Verdict;
  export function reject(code: number, enhanced: string, text: string): Verdict;
  /** Refuses for now: 451 4.7.1 unless said otherwise. @example return tempfail("try again in ten minutes") */
  export function tempfail(text?: string): Verdict;
  export function tempfail(code: number, text: string): Verdict;
  export function tempfail(code: number, enhanced: string, text: string): Verdict;
  /** Drops the whole message silently, from mail to eom. @example return discard() */
  export function discard(): Verdict;
  /** In body: no more chunks for this script. @example return skip() */
  export function skip(): Verdict;
  /** Adds to the record of the message in the log. @example note("score", { score: 7 }) */
  export function note(reason: string, values?: unknown): void;

  /** What a handler may return. @example export async function eom(session: Session): Promise<Verdict | void> {} */
  export type Answer = Verdict | void | Promise<Verdict | void>;

  /** A script's wishes. @example export const options: Options = { body: false } */
  export interface Options {
    /** Whether the headers are needed; by default if there is a header or eom handler. @example { headers: true } */
    headers?: boolean;
    /** Whether the body is needed; by default if there is a body or eom handler. @example { body: false } */
    body?: boolean;
    /** header, eoh and body are answered at once, not when the message is complete. @example { early: true } */
    early?: boolean;
    /** What the script would do is logged and not done. @example { observe: true } */
    observe?: boolean;
    /** Overrides on_error for this script. @example { onError: "accept" } */
    onError?: "tempfail" | "accept" | "reject";
  }

  /**
   * One event of a queue, for the script of [queue.NAME] job: its default export is called with it, in a JavaScript world
   * of its own. When it returns, the event is done; when it throws, it comes again, at last into .failed.
   * @example export default async function (job: Job) { console.log(job.message.subject); }
   */
  export interface Job {
    /** The event's name: the same at each attempt, and no other event's. @example headers["Idempotency-Key"] = job.id */
    readonly id: string;
    /** The queue's name. @example job.queue === "archive" */
    readonly queue: string;
    /** Which attempt this is, from 1; one that killed its worker counts. @example if (job.attempt > 3) console.warn("again") */
    readonly attempt: number;
    /** What enqueue was given as data, null for nothing. @example const { to } = job.data ?? {} */
    readonly data: any;
    /** The message as accepted, with CRLF; edits throw. @example job.message.attachments.length */
    readonly message: Message;
    /** The envelope sender, a plain address, "" for <>. @example if (job.sender === "") return */
    readonly sender: string;
    /** The envelope recipients, plain addresses. @example job.recipients.join(", ") */
    readonly recipients: string[];
    /** The SMTP client; of mail that an MTA delivered nothing is known. @example job.client.ip ?? "unknown" */
    readonly client: Client;
    /** What became of the message: "accept", or with when: "any" also "reject", "tempfail", "discard", "abort"; "" of mail that an MTA delivered. @example job.verdict === "reject" */
    readonly verdict: string;
    /** Whether the message is whole. @example if (!job.complete) return */
    readonly complete: boolean;
    /** The event's file. @example console.log(job.path) */
    readonly path: string;
    /** When the event was made. @example job.time?.toISOString() */
    readonly time: Date | null;
    /** Gives the event up: it moves to .failed with the reason. Nothing behind it runs. @example if (response.status === 404) job.fail("no such hook") */
    fail(reason: string): never;
    /** Puts the event off, for "90s", "10m", "1d" or milliseconds; without a time as long as after a throw. It counts as an attempt; nothing behind it runs. @example job.retry("10m", "busy") */
    retry(after?: string | number, reason?: string): never;
  }
}

declare module "pmilter/vars" {
  /** The table [vars] of pmilter.toml, frozen. @example const limit: number = vars.max_recipients ?? 100 */
  const vars: Readonly<Record<string, any>>;
  export default vars;
}

declare module "pmilter/queue" {
  /**
   * Puts the message on a queue: a Maildir of the configuration's [queue.NAME], where a job finds it. It may be called in
   * any phase of a message; what is written, when the message ends, is the message as all scripts left it, and it is on
   * the disk before the MTA hears "accepted". If it cannot be written, the MTA hears 451 and the client comes again. Two
   * calls are two events.
   * @param queue the NAME; one that is not configured throws a TypeError, and is a fault at load where it is a plain string
   * @param options `data` is for the job: a JSON value, at most 1 MiB. `when` is "accepted" (no script refused or
   *   discarded the message; this is so without it) or "any": also what was refused, discarded or aborted, as far as it had come
   * @example
   * export function eom(session: Session) {
   *   if (session.message!.attachments.length > 0) enqueue("archive", { data: { why: "attachments" } });
   * }
   */
  export function enqueue(queue: string, options?: { data?: unknown; when?: "accepted" | "any" }): void;
  const queue: { enqueue: typeof enqueue };
  export default queue;
}

declare module "pmilter/table" {
  /**
   * Opens one of Postfix's text tables. There is one copy of it for the process, read anew when the
   * file changes. A table that cannot be read throws.
   * @example const blocked = table("cidr:/etc/postfix/blocked.cidr")
   */
  export function table(spec: `texthash:${string}` | `cidr:${string}` | `regexp:${string}`): Table;

  /** A table. @example const domains = table("texthash:domains") */
  export interface Table {
    /** The value of a key as `postmap -q` finds it, null if there is none. @example blocked.get(session.client.ip ?? "") */
    get(key: string): string | null;
  }
}

declare module "pmilter/match" {
  /**
   * Compiles many patterns: strings are found anywhere in a text, expressions are run by RE2's rules, without
   * lookaround and back-references. With ignoreCase, case does not count in any of them.
   * @example const spam = matcher(["lottery", "casino", /\bfree\s+money\b/i], { ignoreCase: true })
   */
  export function matcher(patterns: readonly (string | RegExp)[], options?: { ignoreCase?: boolean }): Matcher;

  /** Compiled patterns. @example const words = matcher(["lottery", "casino"]) */
  export interface Matcher {
    /** Whether any pattern is in the text. @example if (words.test(message.subject)) return reject("no, thanks") */
    test(text: string | Uint8Array): boolean;
    /** The indexes of the patterns that are in the text, ascending. @example note("words", words.find(message.text)) */
    find(text: string | Uint8Array): number[];
  }
}

declare module "pmilter/dns" {
  /** Where mail for a domain goes. @example const mx: MX[] = await resolve("example.org", "MX") */
  export interface MX {
    /** The lowest is tried first. @example mx[0]?.preference */
    preference: number;
    /** The host, in lower case, "" for a domain that takes no mail. @example mx[0]?.exchange */
    exchange: string;
  }
  /** Where a service is. @example const list: SRV[] = await resolve("_imaps._tcp.example.org", "SRV") */
  export interface SRV {
    /** The lowest is tried first. @example list[0]?.priority */
    priority: number;
    /** The share among the same priority. @example list[0]?.weight */
    weight: number;
    /** The port. @example list[0]?.port */
    port: number;
    /** The host, in lower case, "" for none. @example list[0]?.name */
    name: string;
  }
  /** What DNS lists say of an address. @example const l: Listing = await dnsbl("192.0.2.7", "zen.example.org") */
  export interface Listing {
    /** Whether a list that answered has it. @example if (l.listed) return reject() */
    listed: boolean;
    /** The lists that have it, with the addresses 127.x.x.x that say why. @example l.zones.map((z) => z.zone) */
    zones: { zone: string; codes: string[] }[];
    /** The lists that could not be asked, or that do not answer us. @example l.errors.length > 0 */
    errors: { zone: string; code: string; message: string }[];
  }
  /**
   * The records of a name: addresses, names, or the strings of TXT records joined. What is not there is a
   * DNSError with the code "ENOTFOUND" or "ENODATA".
   * @example const [address] = await resolve("mail.example.org", "A")
   */
  export function resolve(name: string, type?: "A" | "AAAA" | "TXT" | "PTR" | "NS" | "CNAME"): Promise<string[]>;
  export function resolve(name: string, type: "MX"): Promise<MX[]>;
  export function resolve(name: string, type: "SRV"): Promise<SRV[]>;
  /** The names of an address, as its owner wrote them. @example const names = await reverse("192.0.2.7") */
  export function reverse(ip: string): Promise<string[]>;
  /** Asks DNS lists about an address, all at once; null is listed nowhere. @example (await dnsbl(session.client.ip, ["a.example", "b.example"])).listed */
  export function dnsbl(ip: string | null, zone: string | string[]): Promise<Listing>;
  const dns: { resolve: typeof resolve; reverse: typeof reverse; dnsbl: typeof dnsbl };
  export default dns;
}

declare module "pmilter/http" {
  /** How to ask. @example const options: RequestOptions = { method: "POST", body: "x", timeout: "3s" } */
  export interface RequestOptions {
    /** "GET" unless said otherwise. @example { method: "PUT" } */
    method?: string;
    /** An object or pairs. @example { headers: { Authorization: "Bearer " + vars.token } } */
    headers?: Record<string, string> | [string, string][];
    /** What is sent; an object as JSON.stringify(it). @example { body: new URLSearchParams({ q: "x" }) } */
    body?: string | Uint8Array | ArrayBuffer | URLSearchParams;
    /** "10s" unless said otherwise; milliseconds as a number. @example { timeout: "2s" } */
    timeout?: string | number;
    /** The most bytes that the answer may have; 8 MiB unless said otherwise. @example { maxSize: 65536 } */
    maxSize?: number;
    /** Redirects are followed, up to five; are the answer; or are an error. @example { redirect: "manual" } */
    redirect?: "follow" | "manual" | "error";
  }
  /** The header of an answer; names match without case. @example response.headers.get("content-type") */
  export interface ResponseHeaders {
    /** All of that name, joined by ", "; null for none. @example response.headers.get("etag") */
    get(name: string): string | null;
    /** All of that name. @example response.headers.getAll("set-cookie") */
    getAll(name: string): string[];
    /** Whether there is one. @example response.headers.has("retry-after") */
    has(name: string): boolean;
    /** All, names in lower case. @example for (const [name, value] of response.headers.entries()) console.log(name, value) */
    entries(): [string, string][];
  }
  /** An answer, whatever its status. @example const response: Response = await fetch("https://api.example.org/") */
  export interface Response {
    /** The code. @example response.status === 404 */
    readonly status: number;
    /** The words after the code. @example response.statusText // "Not Found" */
    readonly statusText: string;
    /** Whether the status is 200 to 299. @example if (!response.ok) return tempfail() */
    readonly ok: boolean;
    /** Who answered, after redirects. @example response.url */
    readonly url: string;
    /** Whether there were redirects. @example response.redirected */
    readonly redirected: boolean;
    /** The header. @example response.headers.get("content-type") */
    readonly headers: ResponseHeaders;
    /** The body as text. @example await response.text() */
    text(): Promise<string>;
    /** The body as JSON; a SyntaxError when it is none. @example (await response.json()).score */
    json(): Promise<any>;
    /** The body. @example (await response.bytes()).length */
    bytes(): Promise<Uint8Array>;
  }
  /** Sends a request to a host that [permissions] net allows. @example const response = await fetch("https://api.example.org/check", { method: "POST", body: "x" }) */
  export function fetch(url: string | URL, options?: RequestOptions): Promise<Response>;
  const http: { fetch: typeof fetch };
  export default http;
}

declare module "pmilter/net" {
  /** How to exchange. @example const options: ExchangeOptions = { until: "\n", timeout: "3s" } */
  export interface ExchangeOptions {
    /** "10s" unless said otherwise; milliseconds as a number. @example { timeout: 500 } */
    timeout?: string | number;
    /** The most bytes that the answer may have; 8 MiB unless said otherwise. @example { maxSize: 1024 } */
    maxSize?: number;
    /** Ends the answer. Without it our side is closed for sending after the data, and the answer ends when the server closes. @example { until: "\0" } */
    until?: string | Uint8Array;
  }
  /** Sends to a host or socket that [permissions] net allows, and reads the answer. @example const answer = await exchange("127.0.0.1:3310", "zPING\0", { until: "\0" }) */
  export function exchange(address: string, data: string | Uint8Array, options?: ExchangeOptions): Promise<Uint8Array>;
  const net: { exchange: typeof exchange };
  export default net;
}

declare module "pmilter/exec" {
  /** How to run. @example const options: RunOptions = { input: "x", timeout: "10s", env: { LANG: "C" } } */
  export interface RunOptions {
    /** Standard input. @example { input: job.message.raw() } */
    input?: string | Uint8Array;
    /** Then the program is killed; the job's own timeout unless said otherwise. @example { timeout: "30s" } */
    timeout?: string | number;
    /** Variables besides PATH, HOME, USER, LANG, LC_ALL, TZ and TMPDIR. @example { env: { RECIPIENT: "b@example.net" } } */
    env?: Record<string, string>;
    /** The most bytes of each output; 8 MiB unless said otherwise. @example { maxSize: 65536 } */
    maxSize?: number;
  }
  /** How a program ended. @example const result: Result = await run("/usr/bin/true") */
  export interface Result {
    /** Its exit status; 128 and the signal's number when a signal ended it. @example result.code !== 0 */
    code: number;
    /** The signal that ended it, "" for none. @example result.signal === "SIGSEGV" */
    signal: string;
    /** What it wrote. @example result.stdout.trim() */
    stdout: string;
    /** What it complained of. @example result.stderr */
    stderr: string;
  }
  /** Runs a program that [permissions] exec allows, without a shell. Jobs alone. @example const { code } = await run("/usr/bin/spamc", ["-c"], { input: "x" }) */
  export function run(program: string, args?: string[], options?: RunOptions): Promise<Result>;
  const exec: { run: typeof run };
  export default exec;
}

declare module "pmilter/maildir" {
  /** How to deliver. @example const options: DeliverOptions = { id: job.id } */
  export interface DeliverOptions {
    /** The name of the message's file: one that is there already is left as it is. @example { id: job.id } */
    id?: string;
  }
  /** What became of it. @example const result: Delivered = await deliver("/var/mail/archive", job.message) */
  export interface Delivered {
    /** The message's file. @example console.log(result.file) */
    file: string;
    /** False when a message with that id was there. @example if (!result.delivered) console.log("again") */
    delivered: boolean;
  }
  /** Stores a message, synced, in a Maildir within [permissions] maildir; it is made where it is missing. Jobs alone. @example await deliver("/var/mail/archive/2026", job.message, { id: job.id }) */
  export function deliver(folder: string, message: string | Uint8Array | { raw(): Uint8Array }, options?: DeliverOptions): Promise<Delivered>;
  const maildir: { deliver: typeof deliver };
  export default maildir;
}

declare module "pmilter/smtp" {
  /** What to send, and how. @example const mail: Mail = { server: "127.0.0.1:25", from: "", to: ["a@example.org"], message: "Subject: x\n\nx\n" } */
  export interface Mail {
    /** "host:port" or "unix:/path", as [permissions] net allows. @example { server: "relay.example.org:25" } */
    server: string;
    /** The envelope sender, "" for bounces. @example { from: "bounces@example.org" } */
    from: string;
    /** The envelope recipients. @example { to: ["a@example.org", "b@example.org"] } */
    to: string | string[];
    /** The message: text, bytes or a job's message. @example { message: job.message } */
    message: string | Uint8Array | { raw(): Uint8Array };
    /** The name to say; the host's unless said otherwise. @example { helo: "mail.example.org" } */
    helo?: string;
    /** TLS when it is offered; TLS with a certificate that is checked; from the beginning (port 465); never. @example { tls: "verify" } */
    tls?: "opportunistic" | "verify" | "implicit" | "none";
    /** Who we are; never without TLS that is verified. @example { auth: { user: "u", pass: "p" } } */
    auth?: { user: string; pass: string };
    /** "5m" unless said otherwise. @example { timeout: "30s" } */
    timeout?: string | number;
    /** Whether the others get it when some recipients are refused. @example { partial: true } */
    partial?: boolean;
  }
  /** A recipient that the server refused. @example result.rejected.map((r) => r.address) */
  export interface Rejected {
    /** Who. @example r.address */
    address: string;
    /** The reply's code. @example r.code === 550 */
    code: number;
    /** The enhanced code, "" for none. @example r.enhanced === "5.1.1" */
    enhanced: string;
    /** The reply's text. @example r.text */
    text: string;
    /** Whether trying again is of no use. @example r.permanent */
    permanent: boolean;
  }
  /** What became of it. @example const result: Sent = await send(mail) */
  export interface Sent {
    /** What the server said at the end. @example result.reply */
    reply: string;
    /** The recipients that it took. @example result.accepted.length */
    accepted: string[];
    /** Those that it refused, with partial alone. @example result.rejected.length */
    rejected: Rejected[];
  }
  /** Hands a message to a server. Jobs alone. @example await send({ server: "127.0.0.1:25", from: "", to: "a@example.org", message: job.message }) */
  export function send(mail: Mail): Promise<Sent>;
  const smtp: { send: typeof send };
  export default smtp;

}

declare module "pmilter/test" {
  import type { PartHeaders } from "pmilter";

  /** What a test or a hook does. @example test("a rule", async () => { await session(); }) */
  export type Body = () => void | Promise<unknown>;

  /** Declares a test. The limit is its own instead of --timeout: milliseconds, or "10s". @example test("nameless clients are put off", async () => { expect(1 + 1).toBe(2); }) */
  export const test: {
    (name: string, body: Body, limit?: number | string | { timeout: number | string }): void;
    /** Only these tests of the file run. @example test.only("this one", () => {}) */
    only: typeof only;
    /** It is declared and not run. @example test.skip("not yet") */
    skip: typeof skip;
  };
  /** test.only. @example only("this one", () => {}) */
  export function only(name: string, body: Body, limit?: number | string | { timeout: number | string }): void;
  /** test.skip. @example skip("not yet") */
  export function skip(name: string, body?: Body): void;

  /** Groups tests; hooks in it are for them alone. @example describe("rcpt", () => { test("passes", () => {}); }) */
  export const describe: {
    (name: string, declare: () => void): void;
    /** Only the tests in it run. @example describe.only("rcpt", () => {}) */
    only(name: string, declare: () => void): void;
    /** None of the tests in it runs. @example describe.skip("rcpt", () => {}) */
    skip(name: string, declare: () => void): void;
  };
  /** Runs before each test of the file or the group. @example beforeEach(() => vars.set("limit", 3)) */
  export function beforeEach(body: Body): void;
  /** Runs after each test of the file or the group, whatever became of it. @example afterEach(() => console.log("done")) */
  export function afterEach(body: Body): void;

  /** Begins an assertion: it throws, with what differs, when it does not hold. @example expect(result.verdict).toBe("reject") */
  export const expect: {
    <T>(received: T): Assertions;
    /** Stands for anything but null and undefined. @example expect(r).toEqual({ id: expect.anything() }) */
    anything(): any;
    /** Stands for anything of a class. @example expect(r).toEqual({ at: expect.any(Number) }) */
    any(kind: Function): any;
    /** Stands for a string with a part. @example expect(r).toMatchObject({ text: expect.stringContaining("later") }) */
    stringContaining(part: string): any;
    /** Stands for a string that matches. @example expect(r).toMatchObject({ text: expect.stringMatching(/later$/) }) */
    stringMatching(pattern: RegExp | string): any;
    /** Stands for an object with at least these members. @example expect(r.notes).toContainEqual(expect.objectContaining({ reason: "score" })) */
    objectContaining(some: object): any;
    /** Stands for an array with at least these elements. @example expect(r).toMatchObject({ recipients: expect.arrayContaining(["b@example.net"]) }) */
    arrayContaining(some: unknown[]): any;
  };

  /** What can be asserted of a value; R is Promise<void> after resolves and rejects. @example expect(2).not.toBe(3) */
  export interface Matchers<R> {
    /** The same value (Object.is). @example expect(r.code).toBe(550) */
    toBe(expected: unknown): R;
    /** Equal, member by member. @example expect(r.recipients).toEqual(["b@example.net"]) */
    toEqual(expected: unknown): R;
    /** Has at least these members. @example expect(r).toMatchObject({ verdict: "reject", code: 550 }) */
    toMatchObject(expected: object): R;
    /** A string has this part, or an array this element. @example expect(r.body).toContain("hello") */
    toContain(expected: unknown): R;
    /** An array has an element equal to this. @example expect(r.notes).toContainEqual({ script: "10-x.js", reason: "seen" }) */
    toContainEqual(expected: unknown): R;
    /** A string matches. @example expect(r.text).toMatch(/too many/) */
    toMatch(expected: RegExp | string): R;
    /** A function throws, an error with this in its message, or of this class. @example expect(() => parse("")).toThrow(/empty/) */
    toThrow(expected?: string | RegExp | Function | Error): R;
    /** Is more. @example expect(r.notes.length).toBeGreaterThan(0) */
    toBeGreaterThan(expected: number | bigint): R;
    /** Is as much or more. @example expect(r.code).toBeGreaterThanOrEqual(500) */
    toBeGreaterThanOrEqual(expected: number | bigint): R;
    /** Is less. @example expect(r.body.length).toBeLessThan(100) */
    toBeLessThan(expected: number | bigint): R;
    /** Is as much or less. @example expect(r.code).toBeLessThanOrEqual(499) */
    toBeLessThanOrEqual(expected: number | bigint): R;
    /** Is close, to so many digits after the point, 2 if not given. @example expect(score).toBeCloseTo(0.3) */
    toBeCloseTo(expected: number, digits?: number): R;
    /** Has that length. @example expect(r.refused).toHaveLength(1) */
    toHaveLength(expected: number): R;
    /** Has a member, by its path, and with that value if one is given. @example expect(r).toHaveProperty("notes.0.reason", "seen") */
    toHaveProperty(path: string | string[], value?: unknown): R;
    /** Is an object of that class. @example expect(e).toBeInstanceOf(TypeError) */
    toBeInstanceOf(expected: Function): R;
    /** Counts as true. @example expect(r.script).toBeTruthy() */
    toBeTruthy(): R;
    /** Counts as false. @example expect(r.error).toBeFalsy() */
    toBeFalsy(): R;
    /** Is null. @example expect(r.headers.get("X-Spam")).toBeNull() */
    toBeNull(): R;
    /** Is undefined. @example expect(values.b).toBeUndefined() */
    toBeUndefined(): R;
    /** Is not undefined. @example expect(values.a).toBeDefined() */
    toBeDefined(): R;
    /** Is NaN. @example expect(Number("x")).toBeNaN() */
    toBeNaN(): R;
  }

  /** The matchers, and what turns them round. @example expect(lookup("x")).resolves.toBe(null) */
  export interface Assertions extends Matchers<void> {
    /** What follows must not hold. @example expect(r.verdict).not.toBe("accept") */
    readonly not: Assertions;
    /** What follows is about the value that a promise is resolved with: await it. @example await expect(lookup("x")).resolves.toBe(null) */
    readonly resolves: Matchers<Promise<void>> & { readonly not: Matchers<Promise<void>> };
    /** What follows is about what a promise is rejected with: await it. @example await expect(s.rcpt("b@example.net")).rejects.toThrow("mail()") */
    readonly rejects: Matchers<Promise<void>> & { readonly not: Matchers<Promise<void>> };
  }

  /** What session() takes; all of it may be left out. @example { client: { ip: "192.0.2.7", name: "" }, scripts: ["10-names.js"] } */
  export interface SessionOptions {
    /** The SMTP client: by default client.example.org [192.0.2.1], port 49152. A name of "" is one that could not be verified. @example { client: { name: "" } } */
    client?: { ip?: string; port?: number; name?: string; family?: "inet" | "inet6" | "unix" | "unknown" };
    /** The name in HELO, unless helo() or send() says another; by default client.example.org. @example { helo: "mail.example.org" } */
    helo?: string;
    /** The session is encrypted. @example { tls: true } */
    tls?: true | { version?: string; cipher?: string; bits?: number; subject?: string; issuer?: string };
    /** Somebody has logged in. @example { auth: "alice" } */
    auth?: string | { user: string; method?: string; author?: string };
    /** The MTA's macros, besides or instead of what follows from the others. @example { macros: { daemon_name: "submission" } } */
    macros?: Record<string, string>;
    /** The scripts, in order, relative to the configured folder; by default those of the configuration. @example { scripts: ["10-names.js"] } */
    scripts?: string[];
    /** The MTA's own name; by default mx.example.net. @example { hostname: "mx1.example.net" } */
    hostname?: string;
    /** The version of the milter protocol that the MTA speaks: 2, 3, 4 or 6. @example { protocol: 2 } */
    protocol?: 2 | 3 | 4 | 6;
  }

  /** Begins an SMTP session with the filters, as the server would. @example const s = await session({ client: { name: "" } }) */
  export function session(options?: SessionOptions): Promise<TestSession>;

  /** An address, with its ESMTP parameters if there are any. @example { address: "a@example.org", params: { SIZE: "100" } } */
  export type Path = string | { address: string; params?: Record<string, string> };

  /** A file's name, relative to the test's; a text with a blank line after its header; or bytes. @example "testdata/plain.eml" */
  export type Mail = string | Uint8Array;

  /**
   * An SMTP session, as Postfix tells it to a filter. Steps that must come before one are
   * made up for: mail() connects and greets.
   * @example const s = await session(); await s.mail("a@example.org"); await s.rcpt("b@example.net");
   */
  export interface TestSession {
    /** The client connects. @example expect((await s.connect()).verdict).toBe("continue") */
    connect(): Promise<Result>;
    /** HELO or EHLO. @example await s.helo("mail.example.org") */
    helo(name?: string): Promise<Result>;
    /** MAIL FROM. @example await s.mail("a@example.org", { SIZE: "100" }) */
    mail(from?: Path, params?: Record<string, string>): Promise<Result>;
    /** RCPT TO. A refusal is this recipient's. @example await s.rcpt("b@example.net") */
    rcpt(to: Path, params?: Record<string, string>): Promise<Result>;
    /** DATA. @example await s.data() */
    data(): Promise<Result>;
    /** The message to its end, DATA before it. @example await s.message("Subject: hi\n\nhello\n") */
    message(message?: Mail): Promise<MessageResult>;
    /** A whole mail: what has not been yet of connect, helo, mail, rcpt, data and message. @example await s.send({ from: "a@example.org", to: ["b@example.net"], message: "testdata/plain.eml" }) */
    send(mail?: { helo?: string; from?: Path; to?: Path | Path[]; message?: Mail }): Promise<MessageResult>;
    /** A command that the MTA does not know. @example await s.unknown("XYZZY") */
    unknown(command: string): Promise<Result>;
    /** RSET: the message under way is forgotten, abort handlers run. @example expect((await s.rset()).queued).toEqual([]) */
    rset(): Promise<Pick<Result, "queued">>;
    /** QUIT: close handlers run. @example await s.quit() */
    quit(): Promise<Pick<Result, "queued">>;
  }

  /** What the filters said. @example expect(r).toMatchObject({ verdict: "tempfail", phase: "connect" }) */
  export interface Result {
    /** "continue" until something is decided; a message that has passed its end is "accept". @example expect(r.verdict).toBe("reject") */
    readonly verdict: "continue" | "accept" | "reject" | "tempfail" | "discard";
    /** The handler in which it was decided. @example expect(r.phase).toBe("header") */
    readonly phase: string;
    /** Of a refusal, else 0. @example expect(r.code).toBe(550) */
    readonly code: number;
    /** Of a refusal: RFC 3463, else "". @example expect(r.enhanced).toBe("5.7.1") */
    readonly enhanced: string;
    /** Of a refusal, lines separated by "\n", else "". @example expect(r.text).toContain("later") */
    readonly text: string;
    /** The script that refused, "" for none. @example expect(r.script).toBe("scripts/10-names.js") */
    readonly script: string;
    /** The line of that script, 0 for none. @example expect(r.line).toBe(7) */
    readonly line: number;
    /** The script's error when on_error gave the verdict, else "". @example expect(r.error).toBe("") */
    readonly error: string;
    /** What scripts with options.observe would have said. @example expect(r.wouldBe[0]).toMatchObject({ verdict: "reject" }) */
    readonly wouldBe: readonly Omit<Result, "wouldBe" | "notes" | "queued">[];
    /** What scripts noted, once something is decided. @example expect(r.notes[0]?.reason).toBe("score") */
    readonly notes: readonly { readonly script: string; readonly reason: string; readonly values?: any }[];
    /** The events that the step left in queues. @example expect(r.queued).toEqual([]) */
    readonly queued: readonly { readonly queue: string; readonly when: string; readonly data?: unknown }[];
  }

  /** What became of a message; empty of one that was refused or discarded. @example expect(r.headers.get("X-Seen")).toBe("yes") */
  export interface MessageResult extends Result {
    /** The header as delivered, without the MTA's own Received. @example expect([...r.headers]).toEqual([["Subject", "hi"]]) */
    readonly headers: PartHeaders;
    /** The body as delivered, lines ended by "\r\n". @example expect(r.body).toContain("hello") */
    readonly body: string;
    /** The envelope sender as delivered. @example expect(r.sender).toBe("a@example.org") */
    readonly sender: string;
    /** The envelope recipients as delivered. @example expect(r.recipients).toEqual(["b@example.net"]) */
    readonly recipients: readonly string[];
    /** Those that were refused, and why. @example expect(r.refused).toMatchObject([{ recipient: "b@example.net", code: 550 }]) */
    readonly refused: readonly (Result & { readonly recipient: string })[];
    /** Why it is on hold, "" when it is not. @example expect(r.quarantine).toBe("looks odd") */
    readonly quarantine: string;
  }

  /** What job() takes; all of it may be left out. @example { data: { why: "spam" }, attempt: 3 } */
  export interface JobOptions {
    /** The job's script, relative to the configured folder; by default the queue's, or the one beside the test: webhook.js of webhook.test.js. @example { script: "jobs/webhook.js" } */
    script?: string;
    /** The queue: its job's script runs, unless script says another. By default the one whose job the script is. @example { queue: "webhook" } */
    queue?: string;
    /** job.data, null by default. @example { data: { to: ["a@example.org"] } } */
    data?: unknown;
    /** job.sender; "" for bounces. @example { sender: "" } */
    sender?: string;
    /** job.recipients. @example { recipients: ["b@example.net"] } */
    recipients?: string[];
    /** job.client: by default client.example.org [192.0.2.1], port 49152; family "unknown" of mail that an MTA delivered. @example { client: { ip: "192.0.2.7" } } */
    client?: { ip?: string; port?: number; name?: string; family?: "inet" | "inet6" | "unix" | "unknown" };
    /** job.verdict, "accept" by default. @example { verdict: "reject" } */
    verdict?: "accept" | "reject" | "tempfail" | "discard" | "abort" | "";
    /** job.complete, true by default. @example { complete: false } */
    complete?: boolean;
    /** job.attempt, 1 by default. @example { attempt: 10 } */
    attempt?: number;
    /** job.id, by default one that no other job of the test has. @example { id: first.delivered[0]?.id } */
    id?: string;
  }

  /** Runs a job's script once, as a worker would, with an event: nothing is written or reached. @example expect(await job("Subject: hi\n\nhello\n")).toMatchObject({ outcome: "done" }) */
  export function job(message?: Mail, options?: JobOptions): Promise<JobResult>;

  /** How a job ended, and what it did. @example expect(r).toMatchObject({ outcome: "retry", after: 600000 }) */
  export interface JobResult {
    /** It returned, called job.fail or job.retry, or threw. @example expect(r.outcome).toBe("done") */
    readonly outcome: "done" | "failed" | "retry" | "threw";
    /** That of job.fail and job.retry, or the error; "" when it is done. @example expect(r.reason).toMatch(/404/) */
    readonly reason: string;
    /** Milliseconds that job.retry asked for, null for none: then the queue's backoff holds, as after a throw. @example expect(r.after).toBe(600000) */
    readonly after: number | null;
    /** What it threw, "" for nothing. @example expect(r.error).toBe("") */
    readonly error: string;
    /** The script that threw, "" for none. @example expect(r.script).toBe("jobs/webhook.js") */
    readonly script: string;
    /** The line of that script, 0 for none. @example expect(r.line).toBe(7) */
    readonly line: number;
    /** What it noted. @example expect(r.notes[0]?.reason).toBe("seen") */
    readonly notes: readonly { readonly script: string; readonly reason: string; readonly values?: any }[];
    /** What it asked by pmilter/http; headers by their names in lower case. @example expect(JSON.parse(r.fetched[0]!.body).subject).toBe("hi") */
    readonly fetched: readonly { readonly method: string; readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly body: string }[];
    /** What it sent by pmilter/net. @example expect(r.exchanged[0]?.data).toContain("X-Sender: a@example.org") */
    readonly exchanged: readonly { readonly address: string; readonly data: string }[];
    /** What it ran by pmilter/exec. @example expect(r.ran).toMatchObject([{ program: "/usr/bin/true", args: [] }]) */
    readonly ran: readonly { readonly program: string; readonly args: readonly string[]; readonly input: string; readonly env: Readonly<Record<string, string>> }[];
    /** What it sent by pmilter/smtp. @example expect(r.sent).toMatchObject([{ from: "", to: ["a@example.org"] }]) */
    readonly sent: readonly { readonly server: string; readonly from: string; readonly to: readonly string[]; readonly message: string }[];
    /** What it delivered by pmilter/maildir; delivered is false of a message that was there. @example expect(r.delivered).toMatchObject([{ folder: "/var/mail/archive/2026/11/26" }]) */
    readonly delivered: readonly { readonly folder: string; readonly id: string; readonly file: string; readonly message: string; readonly delivered: boolean }[];
  }

  /** The time that the test and the filters see. It stands still, and moves when told to, or to the next timer when all wait. @example clock.advance("10m") */
  export const clock: {
    /** Moves on: milliseconds, or "90s", "10m", "2h", "1d". @example clock.advance("10m") */
    advance(span: number | string): void;
    /** Puts it to a time; back only before the first session. @example clock.set("2026-03-01T09:00:00Z") */
    set(time: Date | string | number): void;
    /** As Date.now(). @example expect(clock.now()).toBe(Date.now()) */
    now(): number;
  };

  /** What pmilter/dns answers in this test; a name that nothing is said of is not there. @example dns.answer("example.org", "MX", [{ preference: 10, exchange: "mx.example.org" }]) */
  export const dns: {
    /** The values of a name, as dns.resolve gives them; [] for none; { error: "ESERVFAIL" } for a failure. @example dns.answer("7.2.0.192.bl.example.net", "A", ["127.0.0.2"]) */
    answer(name: string, type: string, values: unknown): void;
  };

  /** What pmilter/http answers in this test; other URLs are refused. @example http.answer("http://127.0.0.1/check", { json: { score: 7 } }) */
  export const http: {
    /** A body, or more of the response. @example http.answer("http://127.0.0.1/check", { status: 503 }) */
    answer(url: string, response: string | Uint8Array | { status?: number; headers?: Record<string, string>; body?: string | Uint8Array; json?: unknown }): void;
  };

  /** What pmilter/net answers in this test; other addresses are refused. @example net.answer("127.0.0.1:3310", "stream: OK\0") */
  export const net: {
    /** What an address answers, whatever is sent. @example net.answer("unix:/run/clamd.sock", "stream: Eicar FOUND\0") */
    answer(address: string, data: string | Uint8Array): void;
  };

  /** How programs of pmilter/exec end in this test; others are not there. @example exec.answer("/usr/local/bin/file-ticket", { code: 75, stderr: "busy" }) */
  export const exec: {
    /** What a program writes, or more of its end, whatever its arguments. @example exec.answer("/usr/bin/spamc", "5.1/5.0\n") */
    answer(program: string, result: string | Uint8Array | { code?: number; signal?: string; stdout?: string | Uint8Array; stderr?: string | Uint8Array }): void;
  };

  /** What servers of pmilter/smtp say in this test; others refuse the connection. @example smtp.answer("127.0.0.1:25", "250 2.0.0 taken") */
  export const smtp: {
    /** The reply to a message, and to recipients that are refused. @example smtp.answer("127.0.0.1:25", { rejected: { "b@example.net": "550 5.1.1 nobody here" } }) */
    answer(server: string, reply: string | { reply?: string; rejected?: Record<string, string> }): void;
  };

  /** What pmilter/vars is for sessions and jobs that begin afterwards, in this test. @example vars.set("max_recipients", 2) */
  export const vars: {
    /** One variable, or several. @example vars.set({ max_recipients: 2 }) */
    set(name: string, value: unknown): void;
    set(values: Record<string, unknown>): void;
  };
}

declare module "pmilter/store" {
  /** "90s", "10m", "1h30m", "1d", or a number of milliseconds. @example { ttl: "10m" } */
  export type Duration = string | number;

  /** The value of key as it was stored, null if there is none. @example const last = await store.get("last:" + ip) */
  export function get(key: string | number | import("pmilter").Address): Promise<any>;
  /**
   * Stores a value: what JSON can say. It is gone ttl after this call; without a ttl it stays.
   * @example await store.set("last:" + ip, { time: Date.now() }, { ttl: "1d" })
   */
  export function set(key: string | number | import("pmilter").Address, value: unknown, options?: { ttl?: Duration }): Promise<void>;
  /** Stores a value only if key has none; whether it did. @example if (await store.add("seen:" + id, true, { ttl: "1h" })) await first() */
  export function add(key: string | number | import("pmilter").Address, value: unknown, options?: { ttl?: Duration }): Promise<boolean>;
  /** Removes the value of key and what limit has counted; whether there was one. @example await store.delete("limit:" + user) */
  function remove(key: string | number | import("pmilter").Address): Promise<boolean>;
  export { remove as delete };
  /**
   * Adds by (1) to a whole number and returns the sum; a key without a value counts from 0. The ttl
   * counts from there, and later calls leave it alone.
   * @example const today = await store.incr("mails:" + user, { ttl: "1d" })
   */
  export function incr(key: string | number | import("pmilter").Address, options?: { by?: number; ttl?: Duration }): Promise<number>;
  /**
   * Counts this call unless max were counted within the last per: a sliding window.
   * @example const { ok, resetAfter } = await store.limit("client:" + ip, { max: 10, per: "1m" })
   */
  export function limit(key: string | number | import("pmilter").Address, options: { max: number; per: Duration }): Promise<Limit>;
  /**
   * Makes this connection one of the holders of key, unless max others are. It holds until it ends.
   * @example if (!(await store.hold("client:" + ip, { max: 5 })).ok) return tempfail(421, "4.7.0", "too many connections")
   */
  export function hold(key: string | number | import("pmilter").Address, options?: { max?: number }): Promise<Held>;

  /** What limit says. @example const used = await store.limit(key, { max: 10, per: "1m" }) */
  export interface Limit {
    /** Whether this call is within the limit. @example if (!used.ok) return tempfail() */
    ok: boolean;
    /** How many are in the window, this one included if it is ok. @example note("count", used.count) */
    count: number;
    /** Milliseconds until the next of them leaves the window; after a refusal, until a call is ok again. @example Math.ceil(used.resetAfter / 1000) */
    resetAfter: number;
  }

  /** What hold says. @example const held = await store.hold(key, { max: 5 }) */
  export interface Held {
    /** Whether this connection holds the key. @example if (!held.ok) return tempfail() */
    ok: boolean;
    /** How many connections hold it, this one included if it is ok. @example note("connections", held.count) */
    count: number;
  }

  /** All of them. @example import store from "pmilter/store" */
  const store: {
    get: typeof get; set: typeof set; add: typeof add; delete: typeof remove; incr: typeof incr; limit: typeof limit; hold: typeof hold;
  };
  export default store;
}

declare module "pmilter/auth" {
  import type { Message, Session } from "pmilter";

  /** A result of RFC 8601. @example if (spf.result === "fail") return reject(spf.explanation || "SPF says no") */
  export type Result = "none" | "pass" | "fail" | "policy" | "neutral" | "softfail" | "temperror" | "permerror";

  /** What the sender's domain says of the client. @example const { result, domain } = await auth.spf(session) */
  export interface SPF {
    /** Whether the client may use the domain. @example spf.result === "softfail" */
    readonly result: Result;
    /** The domain that was asked, in lower case; "" for none. @example spf.domain === "example.org" */
    readonly domain: string;
    /** What the domain says of a fail, or why there was an error; one line of ASCII. @example reject(spf.explanation) */
    readonly explanation: string;
    /** Whose domain it is: the sender's, or with the null sender that of HELO. @example spf.identity === "helo" */
    readonly identity: "mailfrom" | "helo";
    /** The address that was checked. @example spf.sender */
    readonly sender: string;
  }

  /** What became of one signature. @example dkim.some((d) => d.result === "pass" && d.domain === "example.org") */
  export interface DKIM {
    /** Whether the message is as it was signed. @example d.result === "pass" */
    readonly result: Result;
    /** Who signed (d=). @example d.domain */
    readonly domain: string;
    /** With which key (s=). @example d.selector */
    readonly selector: string;
    /** Why it did not pass; "" if it did. @example note("dkim", d.error) */
    readonly error: string;
    /** For whom (i=). @example d.identity === "@example.org" */
    readonly identity: string;
    /** How (a=). @example d.algorithm === "ed25519-sha256" */
    readonly algorithm: string;
    /** How b= begins. @example d.signature */
    readonly signature: string;
  }

  /** Whether a message is from the domain that its reader sees. @example if (dmarc.disposition === "reject") return reject("DMARC") */
  export interface DMARC {
    /** pass, fail, temperror, none without a policy, permerror without one From. @example dmarc.result === "fail" */
    readonly result: Result;
    /** What the domain publishes for what fails; "" without a policy. @example dmarc.policy === "reject" */
    readonly policy: "" | "none" | "quarantine" | "reject";
    /** The author's domain. @example dmarc.domain */
    readonly domain: string;
    /** What passed and belongs to that domain. @example dmarc.aligned.dkim */
    readonly aligned: { readonly spf: boolean; readonly dkim: boolean };
    /** For how many of a hundred the policy is (pct). @example dmarc.percent < 100 */
    readonly percent: number;
    /** What is to be done with this one: the policy if it failed and pct has it. @example dmarc.disposition === "quarantine" */
    readonly disposition: "none" | "quarantine" | "reject";
    /** Why it did not pass. @example note("dmarc", dmarc.reason) */
    readonly reason: string;
  }

  /** The chain of servers that vouch for a message. @example arc.result === "pass" && trusted.has(arc.chain.at(-1).domain) */
  export interface ARC {
    /** none, pass, fail, or temperror. @example arc.result === "pass" */
    readonly result: Result;
    /** The servers, the first one first. @example arc.chain.length */
    readonly chain: readonly ARCSet[];
    /** Why it did not pass. @example arc.error */
    readonly error: string;
  }

  /** What one server of a chain says. @example arc.chain[0].results.includes("spf=pass") */
  export interface ARCSet {
    /** Its number, from 1. @example set.instance */
    readonly instance: number;
    /** Who sealed it. @example set.domain === "lists.example.org" */
    readonly domain: string;
    /** With which key. @example set.selector */
    readonly selector: string;
    /** What it found. @example set.results */
    readonly results: string;
  }

  /** Who signs. @example { domain: "example.org", selector: "mail", key: "keys/example.org.pem" } */
  export interface SignOptions {
    /** The domain (d=). @example { domain: "example.org" } */
    domain: string;
    /** The key's name: its public half is at selector._domainkey.domain. @example { selector: "mail" } */
    selector: string;
    /** PEM text, or the path of a file with it, relative to pmilter.toml. @example { key: vars.key } */
    key: string;
    /** The header fields to sign, besides From; the usual ones if left out. @example { headers: ["Subject", "Date"] } */
    headers?: string[];
  }

  /** What Authentication-Results is to tell, any of it. @example { spf, dkim: [] } */
  export interface Results {
    /** Of spf(). @example { spf: await auth.spf(session) } */
    spf?: SPF;
    /** Of dkim(); [] tells that there is no signature. @example { dkim: await auth.dkim(message) } */
    dkim?: readonly DKIM[];
    /** Of dmarc(). @example { dmarc: await auth.dmarc(session) } */
    dmarc?: DMARC;
    /** Of arc(). @example { arc: await auth.arc(message) } */
    arc?: ARC;
    /** In whose name: the MTA's own if left out. @example { authservId: "example.org" } */
    authservId?: string;
  }

  /** Checks the client by SPF; from helo on. @example const spf = await auth.spf(session) */
  export function spf(session: Session): Promise<SPF>;
  /** Verifies the signatures of the message as it arrived; at its end. @example const list = await auth.dkim(session.message) */
  export function dkim(message: Message): Promise<readonly DKIM[]>;
  /** Judges by SPF and DKIM whether From is true; at the end of the message. @example const dmarc = await auth.dmarc(session) */
  export function dmarc(session: Session): Promise<DMARC>;
  /** Verifies the ARC chain of the message as it arrived; at its end. @example const arc = await auth.arc(session.message) */
  export function arc(message: Message): Promise<ARC>;
  /** Has the message signed when no script changes it any more. @example auth.sign(message, { domain: "example.org", selector: "mail", key: vars.key }) */
  export function sign(message: Message, options: SignOptions): void;
  /** Puts an Authentication-Results above the message and removes forged ones. @example auth.authenticationResults(session, { spf, dkim }) */
  export function authenticationResults(session: Session, results: Results): void;
  const auth: {
    spf: typeof spf; dkim: typeof dkim; dmarc: typeof dmarc; arc: typeof arc;
    sign: typeof sign; authenticationResults: typeof authenticationResults;
  };
  export default auth;
}
