import { expect, session, test } from "pmilter/test";

const scripts = ["90-stamp.ts"];

test("what passes gets a header with the client's address", async () => {
  const s = await session({ scripts, client: { ip: "2001:db8::7" } });
  const r = await s.send({ helo: "mail.example.org" });
  expect(r.verdict).toBe("accept");
  expect(r.headers.get("X-Filtered-By")).toBe("pmilterd for mail.example.org [2001:db8::7]");
});

test("a client without an address gets one with its family", async () => {
  const s = await session({ scripts, client: { family: "unix" } });
  const r = await s.send({ helo: "localhost" });
  expect(r.headers.get("X-Filtered-By")).toBe("pmilterd for localhost [unix]");
});
