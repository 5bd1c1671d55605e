package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pmilter/internal/config"
	"pmilter/internal/mail"
)

// multipart is a message with the things that people send.
const multipart = "From: =?utf-8?q?J=C3=B6rg?= <joerg@Example.ORG>\r\nTo: Bob <b@example.net>, c@example.net\r\nCc: team: d@example.net;\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Sat, 21 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=outer\r\n\r\npreamble\r\n" +
	"--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n" +
	"--inner\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n" +
	"--inner\r\nContent-Type: text/html\r\n\r\n<html><body><p>Hi</p></body></html>\r\n" +
	"--inner--\r\n" +
	"--outer\r\nContent-Type: application/octet-stream; name=\"a.exe\"\r\nContent-Disposition: attachment; filename=\"a.exe\"\r\nContent-Transfer-Encoding: base64\r\n\r\nTVqQAA==\r\n" +
	"--outer\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.pdf\r\n\r\n%PDF\r\n" +
	"--outer--\r\nepilogue\r\n"

func TestMessageIsReadAsAPersonWould(t *testing.T) {
	tx := plain()
	tx.Message = []byte(multipart)
	got := shown(t, `
out.push(m.subject, m.from, m.to.map((b) => b.address), m.cc.length, m.date.toISOString(), m.messageId, m.text, m.html, m.defects);
out.push(m.parts.map((p) => p.type), m.parts[0].parts.map((p) => [p.type, p.text, p.params.charset ?? ""]));
out.push(m.attachments.map((p) => [p.filename, p.type, p.size, p.disposition, p.hash("md5"), [...p.content]]));
out.push(m.attachments[0].headers.get("content-transfer-encoding"), [...m.attachments[1].headers].length);`, tx)
	want := `["Grüße",[{"address":"joerg@Example.ORG","domain":"example.org","local":"joerg","name":"Jörg"}],["b@example.net","c@example.net"],1,` +
		`"2026-11-21T09:00:00.000Z","<1@example.org>","Grüße","<html><body><p>Hi</p></body></html>",[],` +
		`["multipart/alternative","application/octet-stream","application/pdf"],[["text/plain","Grüße","iso-8859-1"],["text/html","<html><body><p>Hi</p></body></html>",""]],` +
		`[["a.exe","application/octet-stream",4,"attachment","b0bb1c1b51e4a2a1ec0fbd1c3d8f5f9b",[77,90,144,0]],["ü.pdf","application/pdf",4,"attachment","x",[37,80,68,70]]],` +
		`"base64",2]`
	clean := func(s string) string { // digests are not the point here
		for _, cut := range []string{`"attachment","`} {
			parts := strings.Split(s, cut)
			for i := 1; i < len(parts); i++ {
				_, parts[i], _ = strings.Cut(parts[i], `"`)
			}
			s = strings.Join(parts, cut)
		}
		return s
	}
	if clean(got) != clean(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// deliveredMail is a message as edited by code, read again.
func deliveredMail(t *testing.T, message, code string) (*mail.Message, string) {
	t.Helper()
	s := one(t, "export function eom(s) { const m = s.message, h = m.headers;\n"+code+"\n}")
	tx := plain()
	tx.Message = []byte(message)
	r := s.send(tx)
	if r.Message == nil {
		t.Fatalf("%s: %v", outcomeOf(r), s.entries("script error"))
	}
	var fields []mail.Field
	for _, f := range r.Message.Visible() {
		fields = append(fields, mail.Field{Name: f.Name(), Value: f.Value()})
	}
	return mail.Parse(fields, r.Message.Body), string(r.Message.Body)
}

func TestPartsAreEdited(t *testing.T) {
	before, _, _ := strings.Cut(multipart[strings.Index(multipart, "\r\n\r\n")+4:], "--outer\r\nContent-Type: application/octet")
	m, body := deliveredMail(t, multipart, `for (const p of m.attachments) p.remove();
if (m.attachments.length || m.parts.length !== 1) throw new Error("still there");`)
	if len(m.Attachments()) != 0 || m.Text() != "Grüße" || !strings.HasPrefix(body, before) || !strings.HasSuffix(body, "--outer--\r\nepilogue\r\n") {
		t.Errorf("removed:\n%s", body)
	}
	m, body = deliveredMail(t, multipart, `const [exe, pdf] = m.attachments; exe.replace("removed: " + exe.filename + "\n", { type: "text/plain", filename: "removed.txt" });
if (pdf.filename !== "ü.pdf" || exe.filename !== "removed.txt") throw new Error("lost");`)
	if a := m.Attachments(); len(a) != 2 || a[0].Filename() != "removed.txt" || a[0].Text() != "removed: a.exe\n" || a[1].Filename() != "ü.pdf" || !strings.HasPrefix(body, before) {
		t.Errorf("replaced:\n%s", body)
	}
	m, body = deliveredMail(t, multipart, `if (m.appendText({ text: "\n-- \nFoot ü\n", html: "<p>Foot</p>" }) !== 2) throw new Error("not two");`)
	if !strings.Contains(m.Text(), "Grüße") || !strings.Contains(m.Text(), "Foot ü") || !strings.Contains(m.HTML(), "<p>Foot</p>\n</body>") {
		t.Errorf("appended:\n%s", body)
	}
	m, body = deliveredMail(t, "Subject: x\r\nContent-Type: text/plain\r\n\r\nhello\r\n", `const p = m.addPart(new Uint8Array([1, 2]), { filename: "b.bin" }); if (p.size !== 2) throw new Error("size");`)
	if a := m.Attachments(); len(a) != 1 || a[0].Filename() != "b.bin" || m.Text() != "hello" && m.Text() != "hello\n" {
		t.Errorf("added:\n%s", body)
	}
	m, body = deliveredMail(t, multipart, `m.wrap({ subject: "[suspect] " + m.subject, text: "see the attachment\n" });`)
	if m.Subject() != "[suspect] Grüße" || m.Text() != "see the attachment\n" || len(m.Parts()) != 2 || m.Parts()[1].Type() != "message/rfc822" ||
		!strings.Contains(body, multipart[strings.Index(multipart, "preamble"):strings.Index(multipart, "--outer--")]) {
		t.Errorf("wrapped: %q %q\n%s", m.Subject(), m.Text(), body)
	}
}

func TestPartEditsAreUndone(t *testing.T) {
	s := newStage(t, map[string]string{
		"10-a.js": imports + `export function eom(s) { s.state.part = s.message.attachments[1]; s.message.attachments[0].remove(); }`,
		"20-b.js": imports + `export const options = { onError: "accept" }; export function eom(s) { s.message.appendText({ text: "undone" }); s.message.attachments[0].remove(); throw new Error("boom"); }`,
		"30-c.js": imports + `export function eom(s) { const m = s.message; m.headers.add("X-Left", [m.attachments.length, s.state.part.filename === m.attachments[0].filename, m.text.includes("undone")].join(" ")); }`,
	})
	tx := plain()
	tx.Message = []byte(multipart)
	r := s.send(tx)
	if got := header(r.Message, "X-Left"); len(got) != 1 || got[0] != "1 true false" {
		t.Errorf("%s %q %v", outcomeOf(r), got, s.entries("script error"))
	}
}

func TestStalePartsThrow(t *testing.T) {
	s := one(t, `
let kept;
export function eom(s) {
  if (kept) { try { kept.text; s.message.headers.add("X-Kept", "read") } catch (e) { s.message.headers.add("X-Kept", e.name) } }
  const p = s.message.parts[0]; kept = p;
  s.message.replaceBody("new\r\n");
  try { p.remove(); } catch (e) { s.message.headers.add("X-Error", e.message); }
}`)
	if got := header(s.send(plain()).Message, "X-Error"); len(got) != 1 || !strings.Contains(got[0], "earlier body") {
		t.Errorf("%q", got)
	}
}

// TestMessagesThatAreOverThrow: what a script kept of a message points into
// memory that is gone with it.
func TestMessagesThatAreOverThrow(t *testing.T) {
	for _, code := range []string{`m.subject`, `m.text`, `m.body`, `m.raw()`, `m.attachments`, `part.text`, `part.content`, `part.filename`, `m.from`, `part.headers.get("x")`, `part.remove()`, `m.appendText({ text: "x" })`} {
		s := one(t, `
let m, part;
export function eom(s) { m = s.message; part = m.attachments[0]; m.subject; m.text; }
export function close() {
`+code+`; }`, func(c *config.Config) { c.Milter.SpoolThreshold = 10 })
		tx := plain()
		tx.Message = []byte(strings.Replace(multipart, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Subject: \xff\xfe", 1))
		if got := outcomeOf(s.send(tx)); got != "eom c" {
			t.Fatal(got)
		}
		for i := 0; len(s.entries("script error")) == 0 && i < 100; i++ {
			time.Sleep(10 * time.Millisecond) // close comes after the reply
		}
		if lines := s.entries("script error"); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["error"]), "this message is over") {
			t.Errorf("%s: %v", code, lines)
		}
	}
}
