package daemon

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pmilter/internal/config"
	"pmilter/internal/mta"
)

// shown runs code at the end of a mail and returns what it puts in `out`, as JSON.
func shown(t *testing.T, code string, tx mta.Transaction, change ...func(*config.Config)) string {
	t.Helper()
	s := one(t, "let session, m, h; const out = [];\nexport function eom(s) { session = s; m = s.message; h = m.headers;\n"+code+
		"\nm.replaceBody(JSON.stringify(out)); }", change...)
	r := s.send(tx)
	if r.Message == nil {
		t.Fatalf("%s: %v", outcomeOf(r), s.entries("script error"))
	}
	return strings.TrimSpace(string(r.Message.Body))
}

func TestSessionFacts(t *testing.T) {
	tx := plain()
	tx.Macros = mta.Macros{"{tls_version}": "TLSv1.3", "{cipher}": "AES", "{cipher_bits}": "256", "{auth_authen}": "joe", "{auth_type}": "PLAIN", "v": "Postfix 3.7.11"}
	tx.Params = []string{"SIZE=100", "smtputf8"}
	got := shown(t, `
out.push(session.client, session.helo, session.tls.version, session.tls.bits, session.auth.user, session.auth.method);
out.push(session.macros["{client_addr}"] === session.macros.client_addr, session.macros.i === session.queueId, "nope" in session.macros);
out.push(session.mta.version, session.listener, session.id.length > 5, typeof session.state);
out.push(m.sender, m.sender.local, m.sender.domain, m.sender.params, String(m.recipients[0]), m.recipients.length, `+"`${m.sender}`"+`);
try { session.helo = "x"; out.push("changed") } catch (e) { out.push(e.name) }
try { m.sender.params.SIZE = "x"; out.push("changed") } catch (e) { out.push(e.name) }
out.push(Object.keys(session).length > 5, "message" in session, session.message === session.message);`, tx)
	want := `[{"ip":"192.0.2.7","port":4711,"name":"client.example.org","family":"inet"},"client.example.org","TLSv1.3",256,"joe","PLAIN",` +
		`true,true,false,"Postfix 3.7.11","pipe",true,"object","a@example.org","a","example.org",{"SIZE":"100","SMTPUTF8":""},"b@example.net",1,"a@example.org",` +
		`"TypeError","TypeError",true,true,true]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatIsNotKnownIsEmpty(t *testing.T) {
	s := one(t, `
const seen = {};
export function connect(s) { seen.connect = [s.helo, s.queueId, s.message, s.tls, s.auth, s.client.name]; }
export function mail(s) { seen.mail = [s.helo, s.message.recipients.length, s.message.headers.length, s.message.headers.get("Subject"), s.message.size, s.message.raw().length]; }
export function eom(s) { s.message.replaceBody(JSON.stringify(seen)); }`)
	r := s.send(plain())
	want := `{"connect":["","",null,null,null,"client.example.org"],"mail":["client.example.org",0,0,null,0,2]}`
	if r.Message == nil || strings.TrimSpace(string(r.Message.Body)) != want {
		t.Errorf("%s %s", outcomeOf(r), s.entries("script error"))
	}
}

func TestMessageIsWhatArrived(t *testing.T) {
	tx := plain()
	tx.Message = []byte("From: a@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n and more\r\nX-A:1\r\nx-a: two\r\nX-Bytes: \xff\xfe\r\n\r\nline one\r\nline two\r\n")
	got := shown(t, `
const text = (bytes) => String.fromCharCode(...bytes);
out.push(h.get("subject"), h.raw("Subject"), h.getAll("X-A"), h.has("x-A"), h.has("nope"), h.get("nope"), h.length, [...h].map(([n]) => n));
out.push(text(m.body), text(m.raw()).indexOf("X-A:1\r\nx-a: two\r\n") > 0, m.body instanceof Uint8Array);
h.set("X-Bytes-2", h.raw("X-Bytes"));`, tx)
	want := `["Grüße and more","=?utf-8?q?Gr=C3=BC=C3=9Fe?=\n and more",["1","two"],true,false,null,5,["From","Subject","X-A","x-a","X-Bytes"],` +
		`"line one\r\nline two\r\n",true,true]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEdits(t *testing.T) {
	tx := plain()
	tx.Message = []byte("A: 1\r\nB: 1\r\nA: 2\r\nC: 1\r\nA: 3\r\n\r\nbody\r\n")
	tests := []struct{ code, want string }{
		{`h.add("X", "end")`, "A: 1|B: 1|A: 2|C: 1|A: 3|X: end"},
		{`h.insert(2, "X", "mid")`, "A: 1|B: 1|X: mid|A: 2|C: 1|A: 3"},
		{`h.set("a", "new")`, "A: new|B: 1|C: 1"},
		{`h.set("X", "new")`, "A: 1|B: 1|A: 2|C: 1|A: 3|X: new"},
		{`h.remove("A")`, "B: 1|C: 1"},
		{`h.removeAt("a", 1)`, "A: 1|B: 1|C: 1|A: 3"},
		{`h.removeAt("a", 9)`, "A: 1|B: 1|A: 2|C: 1|A: 3"},
		{`h.remove("A"); h.insert(1, "A", "x"); h.add("A", "y"); h.removeAt("A", 0)`, "B: 1|C: 1|A: y"},
		{`h.add("X", "Grüße an alle")`, "A: 1|B: 1|A: 2|C: 1|A: 3|X: =?utf-8?q?Gr=C3=BC=C3=9Fe?= an alle"},
		{`h.add("X", "a\n b")`, "A: 1|B: 1|A: 2|C: 1|A: 3|X: a\n b"},
	}
	for _, tt := range tests {
		s := one(t, `export function eom(s) { const h = s.message.headers; `+tt.code+` }`)
		r := s.send(tx)
		var got []string
		if r.Message == nil {
			t.Fatalf("%s: %s %v", tt.code, outcomeOf(r), s.entries("script error"))
		}
		for _, f := range r.Message.Visible() {
			got = append(got, f.Name()+":"+f.Value())
		}
		if joined := strings.Join(got, "|"); strings.ReplaceAll(joined, "\r", "") != tt.want {
			t.Errorf("%s: got  %q\nwant %q", tt.code, joined, tt.want)
		}
	}
}

func TestEditsBeforeTheHeadersCame(t *testing.T) {
	s := one(t, `
export function mail(s) { s.message.headers.set("Subject", "early"); s.message.headers.remove("From"); s.message.headers.prepend("X-Top", "1"); }
export function header(s, name) { if (name === "Subject") s.state.seen = s.message.headers.getAll("Subject").join(); }
export function eom(s) { s.message.headers.add("X-Seen", s.state.seen + " " + s.message.headers.has("From")); }`)
	r := s.send(plain())
	if r.Message == nil || fmt.Sprint(header(r.Message, "Subject"), header(r.Message, "From"), header(r.Message, "X-Seen")) != "[early] [] [early false]" {
		t.Errorf("%s %v", outcomeOf(r), r.Edits)
	}
	if first := r.Message.Fields[0]; first.Name() != "X-Top" {
		t.Errorf("the first field is %s", first.Name())
	}
}

func TestEnvelopeEdits(t *testing.T) {
	s := one(t, `
export function rcpt(s, to) { if (to.local === "drop") s.message.removeRecipient("drop@example.net"); }
export function eom(s) {
  const m = s.message;
  m.setSender("new@example.org", { RET: "HDRS", ENVID: "x1" });
  m.addRecipient("more@example.com", { NOTIFY: "NEVER" });
  m.addRecipient(m.recipients[0]);
  m.removeRecipient("B@example.net"); m.removeRecipient("b@EXAMPLE.net");
  m.quarantine("looks odd");
  m.headers.add("X-Now", m.sender + " " + m.recipients.join());
}`)
	tx := plain()
	tx.Recipients = []mta.Recipient{{Address: "b@example.net"}, {Address: "drop@example.net"}, {Address: "c@example.net"}}
	r := s.send(tx)
	if r.Message == nil {
		t.Fatal(outcomeOf(r), s.entries("script error"))
	}
	var to []string
	for _, rc := range r.Message.Recipients {
		to = append(to, rc.Address)
	}
	if got := fmt.Sprintln(r.Message.Sender, r.Message.SenderParams, to, r.Message.Quarantined, r.Message.Reason, header(r.Message, "X-Now")); strings.TrimSpace(got) !=
		"new@example.org [RET=HDRS ENVID=x1] [c@example.net more@example.com] true looks odd [new@example.org c@example.net,more@example.com]" {
		// Postfix removes by address: the one added anew goes too.
		t.Error(got)
	}
}

func TestBadEditsThrowAtTheirLine(t *testing.T) {
	for _, code := range []string{
		`h.add("Bad Name", "x")`, `h.add("X", "a\r\nInjected: b")`, `h.add("X", "a\nInjected: b")`, `h.add("X", "a\u0000b")`, `h.add("X")`, `h.add()`,
		`h.insert(-1, "X", "x")`, `h.insert("0", "X", "x")`, `h.add("X", "a".repeat(3000))`, `m.addRecipient("")`, `m.addRecipient("a b@c")`,
		`m.setSender("a\nb@c")`, `m.setSender("a@b", { "X Y": "1" })`, `m.quarantine("")`, `m.quarantine("a\nb")`, `m.replaceBody()`, `m.replaceBody({})`,
		`h.get.call({}, "x")`, `m.headers = 1`, `h.removeAt("X", 1.5)`,
	} {
		s := one(t, "export function eom(s) { const m = s.message, h = m.headers;\n"+code+"; }")
		if got := outcomeOf(s.send(plain())); !strings.HasPrefix(got, "eom 451 4.3.0") {
			t.Errorf("%s: %s", code, got)
			continue
		}
		e := s.entries("script error")[0]
		if at := fmt.Sprint(e["at"]); !strings.HasPrefix(at, "10-test.js:3:") || !strings.Contains(fmt.Sprint(e["error"]), "TypeError") {
			t.Errorf("%s: %v", code, e)
		}
	}
}

func TestTrap02ActionsNotOffered(t *testing.T) {
	s := one(t, `export function eom(s) { try { s.message.quarantine("x"); } catch (e) { s.message.headers.add("X-Error", e.message); } }`)
	o := mta.PostfixOptions(2)
	r := s.sendAs(plain(), o)
	_ = r
	o = mta.PostfixOptions(6)
	o.Actions = 1 // ADDHDRS alone
	r = s.sendAs(plain(), o)
	if got := header(r.Message, "X-Error"); len(got) != 1 || !strings.Contains(got[0], "did not offer") {
		t.Errorf("%s %q", outcomeOf(r), got)
	}
}

func TestOptionsDecideWhatComes(t *testing.T) {
	s := one(t, `export const options = { body: false };
export function eom(s) { try { s.message.raw(); } catch (e) { s.message.headers.add("X-Error", e.message); } }`)
	if got := header(s.send(plain()).Message, "X-Error"); len(got) != 1 || !strings.Contains(got[0], "body") {
		t.Errorf("%q", got)
	}
	s = one(t, `export function rcpt(s) { try { s.message.headers.get("Subject"); } catch (e) { s.message.headers.add("X-Error", e.message); } }`)
	if got := header(s.send(plain()).Message, "X-Error"); len(got) != 1 || !strings.Contains(got[0], "options.headers") {
		t.Errorf("%q", got)
	}
}

func TestEachConnectionHasAWorldOfItsOwn(t *testing.T) {
	s := newStage(t, map[string]string{
		"10-a.js":      imports + `import { count } from "./_shared.js"; export function mail() { count(); globalThis.leak = (globalThis.leak ?? 0) + 1; }`,
		"20-b.js":      imports + `import { count } from "./_shared.js"; export function eom(s) { s.message.headers.add("X-N", count() + " " + leak); }`,
		"_shared.js":   `let n = 0; export const count = () => ++n;`,
		"30-c.test.js": `throw new Error("tests are no scripts");`,
	})
	for range 3 {
		if got := header(s.send(plain()).Message, "X-N"); len(got) != 1 || got[0] != "2 1" {
			t.Errorf("%q", got)
		}
	}
}

func TestVarsAreFrozen(t *testing.T) {
	s := one(t, `import vars from "pmilter/vars"; import * as all from "pmilter/vars";
const change = (f) => { try { f() } catch {} };
export function eom(s) { change(() => { vars.list[0] = 9 }); change(() => { vars.list.push(9) }); change(() => { vars.more = 9 }); change(() => { vars.n = 9 });
  s.message.headers.add("X-V", JSON.stringify([vars, all.n])); }`,
		func(c *config.Config) { c.Vars = map[string]any{"n": int64(5), "list": []any{int64(1), "two"}} })
	got := header(s.send(plain()).Message, "X-V")
	var v any
	if len(got) != 1 || json.Unmarshal([]byte(got[0]), &v) != nil || fmt.Sprint(v) != "[map[list:[1 two] n:5] 5]" {
		t.Errorf("%q", got)
	}
}
