package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pmilter/internal/sendmailtest"
)

// editParts is a script that makes random edits of a message's parts, as the
// seed in its header says, and notes the message as it then stands.
const editParts = `
export function eom(session) {
	const m = session.message;
	let seed = Number(m.headers.get("X-Seed"));
	const dice = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 65536) % n; };
	const all = (parts) => parts.flatMap((p) => [p, ...(p.type === "message/rfc822" ? [] : all(p.parts))]);
	for (let i = dice(4); i >= 0; i--) {
		const parts = all(m.parts), part = parts[dice(parts.length)];
		try {
			switch (dice(8)) {
			case 0: part.remove(); break;
			case 1: part.replace("replaced " + i + "\nbödy\n", { type: "text/plain", filename: "r" + i + ".txt" }); break;
			case 2: m.addPart(new Uint8Array([0, 1, 2, 255, 13, 10, i]), { filename: "dätei " + i + ".bin" }); break;
			case 3: m.addPart("a note\n"); break;
			case 4: m.appendText({ text: "\n-- \nExample Ltd. – Grüße\n", html: "<p>Example Ltd. – Grüße</p>" }); break;
			case 5: m.headers.set("Subject", "edit " + i); break;
			case 6: m.headers.prepend("X-Edit", "number " + i); break;
			case 7: if (dice(3) === 0) m.wrap({ subject: "wrapped", text: "see below\n" }); break;
			}
		} catch (e) {
			if (!/no part left|encoded|removed|earlier/.test(e.message)) throw e;
		}
	}
	note("model", { raw: btoa(String.fromCharCode(...m.raw())) });
}`

// part is a random MIME part with its header.
func (d dice) part(depth int) string {
	switch n := d.IntN(9); {
	case n < 3 && depth < 3:
		kind := d.pick("mixed", "alternative", "related")
		boundary := fmt.Sprintf("=_%d_%d", depth, d.IntN(1e6))
		var b strings.Builder
		fmt.Fprintf(&b, "Content-Type: multipart/%s;\r\n\tboundary=\"%s\"\r\n\r\n%s", kind, boundary, d.pick("", "preamble\r\n"))
		for range 1 + d.IntN(3) {
			fmt.Fprintf(&b, "--%s\r\n%s\r\n", boundary, d.part(depth+1))
		}
		fmt.Fprintf(&b, "--%s--\r\n%s", boundary, d.pick("", "epilogue\r\n"))
		return b.String()
	case n == 3:
		return "Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><body>Gr=FC=DFe=\r\n!</body></html>\r\n"
	case n == 4:
		return "Content-Type: application/octet-stream; name=x.bin\r\nContent-Transfer-Encoding: base64\r\n" +
			"Content-Disposition: attachment; filename=x.bin\r\n\r\nAAECAwQFBgcICQ==\r\n"
	case n == 5:
		return "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQo=\r\n"
	case n == 6:
		return "Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n"
	default:
		return "Content-Type: text/plain; charset=us-ascii\r\n\r\nplain " + d.pick("text", "words\r\n.dot at the start", "") + "\r\n"
	}
}

// randomParts sends random messages through random edits of their parts; what
// is delivered is what the script saw last.
func randomParts(t *testing.T, m behind) {
	t.Helper()
	s := m.serve(t, one(editParts), nil)
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	sent := map[string]string{}
	d := dice{rand.New(rand.NewPCG(20261121, 3))}
	for i := range 150 {
		message := fmt.Sprintf("From: A <a@example.org>\r\nTo: b@example.org\r\nSubject: parts\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"+
			"Message-ID: <%d@example.org>\r\nX-Seed: %d\r\nMIME-Version: 1.0\r\n%s", i, d.IntN(1e9), d.part(0))
		reply := c.Send("a@example.org", []string{"b@example.org"}, message)
		if reply.Code() != 250 {
			t.Fatalf("%s\n%s\n%s", reply, message, s.log())
		}
		sent[reply.QueueID()] = message
	}
	c.Cmd("QUIT")
	models := notedModels(t, s.log())
	for id, message := range sent {
		want, ok := models[id]
		if !ok {
			t.Fatalf("no model of %s in the log", id)
		}
		if got := m.delivered().Wait(t, id).Plain(); strings.TrimSuffix(got, "\r\n") != strings.TrimSuffix(want, "\r\n") {
			t.Fatalf("sent:\n%s\ndelivered:\n%s\nwant:\n%s", message, got, want)
		}
	}
}

// notedModels is what editParts noted, by queue id.
func notedModels(t *testing.T, log string) map[string]string {
	t.Helper()
	models := map[string]string{}
	for line := range strings.Lines(log) {
		var entry struct {
			Msg, QID string
			Notes    []struct{ Values struct{ Raw string } }
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg != "message" || len(entry.Notes) == 0 {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(entry.Notes[len(entry.Notes)-1].Values.Raw)
		if err != nil {
			t.Fatal(err)
		}
		models[entry.QID] = string(raw)
	}
	return models
}

func TestRandomPartEdits(t *testing.T) { randomParts(t, startMTA(t, nil)) }

func TestSendmailRandomPartEdits(t *testing.T) {
	randomParts(t, startSendmail(t, sendmailtest.Config{}))
}
