import { beforeEach, dns, expect, session, test, vars } from "pmilter/test";

const scripts = ["filters/auth.js"];
const mail = { from: "alice@example.org", message: "From: Alice <alice@example.org>\nSubject: hello\n\nHello Bob.\n" };

// example.org sends from one address and asks that all else be refused.
beforeEach(() => {
  dns.answer("example.org", "TXT", ["v=spf1 ip4:192.0.2.25 -all"]);
  dns.answer("_dmarc.example.org", "TXT", ["v=DMARC1; p=reject"]);
  vars.set({ dmarc_reject: true, dmarc_quarantine: true });
});

const genuine = { ip: "192.0.2.25" };
const forger = { ip: "192.0.2.66" };

test("what was found is said at the top, and noted", async () => {
  const r = await (await session({ scripts, client: genuine })).send(mail);
  expect(r.verdict).toBe("accept");
  expect([...r.headers][0]).toEqual(["Authentication-Results", expect.stringMatching(/^mx\.example\.net;[^]*spf=pass[^]*dmarc=pass/)]);
  expect(r.notes).toMatchObject([{ reason: "auth", values: { spf: "pass", dmarc: "pass" } }]);
});

test("forged results in our name are taken out, those of others stay", async () => {
  const theirs = "Authentication-Results: other.example.com; spf=fail\n";
  const r = await (await session({ scripts, client: genuine })).send({
    ...mail, message: "Authentication-Results: mx.example.net; dkim=pass\n" + theirs + mail.message,
  });
  const list = r.headers.getAll("Authentication-Results");
  expect(list).toHaveLength(2);
  expect(list[0]).not.toContain("dkim=pass");
  expect(list[1]).toBe("other.example.com; spf=fail");
});

test("mail of another is refused when the domain asks for it, and we are told to", async () => {
  expect(await (await session({ scripts, client: forger })).send(mail)).toMatchObject({ verdict: "reject", code: 550, enhanced: "5.7.26" });
  vars.set("dmarc_reject", false);
  expect(await (await session({ scripts, client: forger })).send(mail)).toMatchObject({ verdict: "accept", quarantine: "" });
});

test("it is put on hold when the domain asks for that", async () => {
  dns.answer("_dmarc.example.org", "TXT", ["v=DMARC1; p=quarantine"]);
  const r = await (await session({ scripts, client: forger })).send(mail);
  expect(r).toMatchObject({ verdict: "accept", quarantine: expect.stringContaining("DMARC of example.org") });
});

test("it waits while the policy cannot be looked up", async () => {
  dns.answer("_dmarc.example.org", "TXT", { error: "ESERVFAIL" });
  expect(await (await session({ scripts, client: forger })).send(mail)).toMatchObject({ verdict: "tempfail", enhanced: "4.7.5" });
});

test("our own users are left alone", async () => {
  const r = await (await session({ scripts, client: forger, auth: "alice" })).send(mail);
  expect(r.verdict).toBe("accept");
  expect(r.headers.has("Authentication-Results")).toBe(false);
});
