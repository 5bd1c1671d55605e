import { beforeEach, dns, expect, session, test, vars } from "pmilter/test";

const scripts = ["filters/dkim-sign.js"];
const message = "From: Alice <alice@example.org>\nSubject: hello\n\nHello Bob.\n";

// A pair made for this test: openssl genpkey -algorithm ed25519
const key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEILcXVW0qzO7U6jsLGJ1Gl1e5ag/D+pemsR5AGN4vM6Zu\n-----END PRIVATE KEY-----\n";
const inDNS = "v=DKIM1; k=ed25519; p=ccjB+39TzVdhS2g5ocnwZnUtckvqtKrfI8s/giAHZPk=";

beforeEach(() => vars.set({ dkim_selector: "mail2026", dkim_keys: { "example.org": key } }));

test("mail of who has logged in is signed, and others can verify it", async () => {
  const signed = await (await session({ scripts, auth: "alice" })).send({ message });
  expect(signed.headers.get("DKIM-Signature")).toMatch(/d=example\.org;.* s=mail2026;/);

  dns.answer("mail2026._domainkey.example.org", "TXT", [inDNS]);
  const arrived = [...signed.headers].map(([name, value]) => `${name}: ${value}\r\n`).join("") + "\r\n" + signed.body;
  const r = await (await session({ scripts: ["filters/auth.js"] })).send({ message: arrived });
  expect(r.notes).toMatchObject([{ reason: "auth", values: { dkim: ["pass example.org"] } }]);
});

test("so is mail of the machine itself", async () => {
  const r = await (await session({ scripts, client: { ip: "127.0.0.1" } })).send({ message });
  expect(r.headers.has("DKIM-Signature")).toBe(true);
});

test("mail of others, and of domains without a key, is not", async () => {
  const other = await (await session({ scripts })).send({ message });
  expect(other).toMatchObject({ verdict: "accept" });
  expect(other.headers.has("DKIM-Signature")).toBe(false);
  const r = await (await session({ scripts, auth: "alice" })).send({ message: message.replace("example.org", "example.com") });
  expect(r.headers.has("DKIM-Signature")).toBe(false);
});

test("with a key that is none mail waits", async () => {
  vars.set("dkim_keys", { "example.org": "no/such.pem" });
  const r = await (await session({ scripts, auth: "alice" })).send({ message });
  expect(r).toMatchObject({ verdict: "tempfail", phase: "eom", error: expect.stringContaining("no/such.pem") });
});
