package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// headerEdit is one edit as the script gets it, in the body of the mail.
type headerEdit struct {
	Op    string `json:"op"`
	Index int    `json:"index"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// applyEdits is the script that does what the body says.
const applyEdits = `
export function eom(session) {
	const h = session.message.headers;
	for (const e of JSON.parse(new TextDecoder().decode(session.message.body))) {
		switch (e.op) {
		case "add": h.add(e.name, e.value); break;
		case "prepend": h.prepend(e.name, e.value); break;
		case "insert": h.insert(e.index, e.name, e.value); break;
		case "set": h.set(e.name, e.value); break;
		case "remove": h.remove(e.name); break;
		case "removeAt": h.removeAt(e.name, e.index); break;
		default: throw new Error(e.op);
		}
	}
}`

// headerModel is the header as the contract describes it, as simply as can be.
type headerModel []field

type field struct{ name, raw string } // raw: what follows the colon

func (h headerModel) apply(e headerEdit) headerModel {
	made := field{e.Name, " " + strings.ReplaceAll(e.Value, "\n", "\r\n")}
	same := func(f field) bool { return strings.EqualFold(f.name, e.Name) }
	switch e.Op {
	case "add":
		return append(h, made)
	case "prepend":
		return slices.Insert(h, 0, made)
	case "insert":
		return slices.Insert(h, min(e.Index, len(h)), made)
	case "set":
		first := slices.IndexFunc(h, same)
		if first < 0 {
			return append(h, made)
		}
		h[first].raw = made.raw // the name keeps its case
		rest := slices.DeleteFunc(slices.Clone(h[first+1:]), same)
		return append(h[:first+1], rest...)
	case "remove":
		return slices.DeleteFunc(h, same)
	case "removeAt":
		n := e.Index
		for i, f := range h {
			if !same(f) {
				continue
			}
			if n == 0 {
				return slices.Delete(h, i, i+1)
			}
			n--
		}
	}
	return h
}

func (h headerModel) String() string {
	var b strings.Builder
	for _, f := range h {
		fmt.Fprintf(&b, "%s:%s\r\n", f.name, f.raw)
	}
	return b.String()
}

// dice makes random headers and edits.
type dice struct{ *rand.Rand }

func (d dice) pick(from ...string) string { return from[d.IntN(len(from))] }

func (d dice) name() string {
	return d.pick("X-A", "x-a", "X-a", "X-B", "X-C", "Received", "Subject", "DKIM-Signature", "Date", "Message-ID")
}

func (d dice) value(i int) string {
	return fmt.Sprintf("%s%d", d.pick("v", "a longer value ", "folded\n value ", "folded\n\ttwice\n  ", "=?utf-8?q?x?= "), i)
}

func (d dice) header() headerModel {
	var h headerModel
	for i := range 1 + d.IntN(10) {
		space := d.pick(" ", " ", "", "\t", "  ", " \t")
		h = append(h, field{d.name(), space + strings.ReplaceAll(d.value(i), "\n", "\r\n")})
	}
	return h
}

func (d dice) edits(length int) []headerEdit {
	edits := []headerEdit{}
	for i := range d.IntN(9) {
		edits = append(edits, headerEdit{
			Op:    d.pick("add", "prepend", "insert", "insert", "set", "remove", "removeAt", "removeAt", "removeAt"),
			Index: d.IntN(length + 2),
			Name:  d.name(),
			Value: d.value(100 + i),
		})
		if last := &edits[len(edits)-1]; last.Op == "removeAt" {
			last.Index = d.IntN(4)
		}
	}
	return edits
}

// Random edits of headers with repeated names end as the model says, byte for
// byte, as Postfix delivers them.
func TestRandomHeaderEdits(t *testing.T) {
	for _, protocol := range []string{"6", "4"} {
		t.Run("protocol "+protocol, func(t *testing.T) {
			randomEdits(t, startMTA(t, map[string]string{"milter_protocol": protocol}))
		})
	}
}

// randomMails is how many mails one test of random edits sends.
const randomMails = 300

// randomEdits sends random mails with random edits and compares what is
// delivered with the model.
func randomEdits(t *testing.T, m behind) {
	t.Helper()
	m.serve(t, one(applyEdits), nil)
	c := m.Dial(t)
	c.Cmd("EHLO client.example.org")
	type expected struct {
		id, sent, edits, want string
	}
	var all []expected
	d := dice{rand.New(rand.NewPCG(20260101, 1))}
	for range randomMails {
		h := d.header()
		edits := d.edits(len(h))
		body, err := json.Marshal(edits)
		if err != nil {
			t.Fatal(err)
		}
		sent := h.String()
		for _, e := range edits {
			h = h.apply(e)
		}
		reply := c.Send("a@example.org", []string{"b@example.org"}, sent+"\r\n"+string(body)+"\r\n")
		if reply.Code() != 250 {
			t.Fatalf("%s\nheader:\n%sedits: %s", reply, sent, body)
		}
		all = append(all, expected{reply.QueueID(), sent, string(body), h.String() + "\r\n" + string(body) + "\r\n"})
	}
	failures := 0
	for _, e := range all {
		mail := m.delivered().Wait(t, e.id)
		if got := mail.Plain(); got != e.want {
			t.Errorf("header:\n%sedits: %s\ndelivered:\n%s\nwant:\n%s", e.sent, e.edits, got, e.want)
			if failures++; failures == 3 {
				t.Fatal("and more")
			}
		}
	}
	c.Cmd("QUIT")
}
