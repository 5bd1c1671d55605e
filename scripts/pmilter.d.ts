// What scripts can import from pmilterd, for editors and tsc. The server does not read this file.

declare module "pmilter" {
  /** One SMTP session, as far as it has come. What is not known yet is "", null or empty. */
  export interface Session {
    /** Names this session in the log. */
    readonly id: string;
    /** The entry of `listen` that took the MTA's connection. */
    readonly listener: string;
    /** The SMTP client; name is "" when the MTA could not verify one, ip has no prefix and no brackets. */
    readonly client: {
      readonly ip: string | null;
      readonly port: number;
      readonly name: string;
      readonly family: "inet" | "inet6" | "unix" | "unknown";
    };
    /** The name of the last HELO or EHLO, "" before it. */
    readonly helo: string;
    /** How the session is encrypted, null when it is not. */
    readonly tls: {
      readonly version: string;
      readonly cipher: string;
      readonly bits: number;
      readonly subject: string;
      readonly issuer: string;
    } | null;
    /** Who has logged in, null when nobody has. */
    readonly auth: { readonly user: string; readonly method: string; readonly author: string } | null;
    /** The MTA's name for the message, "" until it has assigned one. */
    readonly queueId: string;
    readonly mta: { readonly hostname: string; readonly daemon: string; readonly version: string };
    /** The MTA's macros: `session.macros["{client_addr}"]` and `session.macros.client_addr` are the same. */
    readonly macros: Readonly<Record<string, string>>;
    /** From MAIL to the end of the message, else null. */
    readonly message: Message | null;
    /** Notes of this connection, shared by all scripts. */
    readonly state: Record<string, unknown>;
  }

  /** A sender or recipient. `String(address)` is its address. */
  export interface Address {
    /** As sent, without angle brackets; "" for the null sender. */
    readonly address: string;
    /** The part before the @, unquoted. */
    readonly local: string;
    /** The part after the @, in lower case. */
    readonly domain: string;
    /** ESMTP parameters, keys in upper case; a flag's value is "". */
    readonly params: Readonly<Record<string, string>>;
    toString(): string;
  }

  /** A message: what has arrived, with all edits asked for so far. */
  export interface Message {
    readonly sender: Address;
    /** Those accepted so far; in `rcpt` the present one joins when all scripts have passed it. */
    readonly recipients: readonly Address[];
    readonly headers: Headers;
    /** Bytes that have arrived, headers and body. */
    readonly size: number;
    /** The whole message as it stands, CRLF line ends. */
    raw(): Uint8Array;
    /** The body as it stands, CRLF line ends. */
    readonly body: Uint8Array;
    setSender(address: string | Address, params?: Record<string, string>): void;
    addRecipient(address: string | Address, params?: Record<string, string>): void;
    removeRecipient(address: string | Address): void;
    replaceBody(body: string | Uint8Array): void;
    /** Puts the message on hold at the MTA, whatever the verdict otherwise. */
    quarantine(reason: string): void;
    /** Notes of this message, shared by all scripts. */
    readonly state: Record<string, unknown>;
  }

  /** The header, in order. Names match without case; indexes count from 0. Iterating gives [name, decoded value]. */
  export interface Headers extends Iterable<[string, string]> {
    /** The first of that name, unfolded and decoded (RFC 2047). */
    get(name: string): string | null;
    getAll(name: string): string[];
    /** The first of that name as it came, folds as "\n". */
    raw(name: string): string | null;
    rawAll(name: string): string[];
    has(name: string): boolean;
    readonly length: number;
    /** Adds at the end. */
    add(name: string, value: string): void;
    /** Adds above everything, the MTA's own Received too. */
    prepend(name: string, value: string): void;
    insert(index: number, name: string, value: string): void;
    /** Replaces the first of that name and removes the others; adds it if there is none. */
    set(name: string, value: string): void;
    /** Removes all of that name. */
    remove(name: string): void;
    /** Removes the n-th of that name. */
    removeAt(name: string, n: number): void;
  }

  /** What a handler returns besides nothing. Made by the functions below only. */
  export interface Verdict {
    readonly [verdict]: true;
  }
  const verdict: unique symbol;

  /** Ends this script's interest: in connect and helo in the connection, later in the message. */
  export function accept(): Verdict;
  /** Refuses for good: 550 5.7.1 unless said otherwise. In rcpt for that recipient alone. */
  export function reject(text?: string): Verdict;
  export function reject(code: number, text: string): Verdict;
  export function reject(code: number, enhanced: string, text: string): Verdict;
  /** Refuses for now: 451 4.7.1 unless said otherwise. */
  export function tempfail(text?: string): Verdict;
  export function tempfail(code: number, text: string): Verdict;
  export function tempfail(code: number, enhanced: string, text: string): Verdict;
  /** Drops the whole message silently, from mail to eom. */
  export function discard(): Verdict;
  /** In body: no more chunks for this script. */
  export function skip(): Verdict;
  /** Adds to the record of the message in the log. */
  export function note(reason: string, values?: unknown): void;

  /** What a handler may return. */
  export type Answer = Verdict | void | Promise<Verdict | void>;

  /** A script's wishes: `export const options: Options = { body: false }`. */
  export interface Options {
    /** Whether the headers are needed; by default if there is a header or eom handler. */
    headers?: boolean;
    /** Whether the body is needed; by default if there is a body or eom handler. */
    body?: boolean;
    /** header, eoh and body are answered at once, not when the message is complete. */
    early?: boolean;
    /** What the script would do is logged and not done. */
    observe?: boolean;
    /** Overrides on_error for this script. */
    onError?: "tempfail" | "accept" | "reject";
  }
}

declare module "pmilter/vars" {
  /** The table [vars] of pmilter.toml, frozen. */
  const vars: Readonly<Record<string, any>>;
  export default vars;
}
