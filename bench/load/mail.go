package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// shape is what one mail looks like on the wire.
type shape struct {
	headers int  // fields
	body    int  // bytes
	each    bool // a macro packet before each header, EOH, body chunk and EOM, as Postfix sends them
	chunk   int  // the longest write in bytes; 0 is one write for all up to the next reply
}

// exchange is what is sent up to the next reply that must be awaited.
type exchange struct {
	code  wire.Code // of the last command, which has the reply
	bytes []byte
}

// dialogue is all exchanges of a connection. What was negotiated as without a
// reply goes out together with the next exchange.
type dialogue struct {
	greeting []exchange // CONNECT and HELO
	first    []exchange // the first mail, with what is left of the greeting
	next     []exchange // each later mail, after the ABORT that Postfix sends behind every message
}

// dialogues keeps those that were made: the generator must be cheaper than what
// it measures. Safe for concurrent use.
type dialogues struct {
	shape shape
	made  sync.Map // wire.OptProtocol to *dialogue
}

func (d *dialogues) get(protocol wire.OptProtocol) *dialogue {
	if made, ok := d.made.Load(protocol); ok {
		return made.(*dialogue)
	}
	made, _ := d.made.LoadOrStore(protocol, newDialogue(d.shape, protocol))
	return made.(*dialogue)
}

// builder gathers commands into exchanges.
type builder struct {
	shape    shape
	protocol wire.OptProtocol
	pending  []byte
	done     []exchange
}

// step adds a command with its macros, unless it was negotiated away. It ends
// an exchange unless its reply was.
func (b *builder) step(code wire.Code, no, noReply wire.OptProtocol, macros []string, parts ...[]byte) {
	if no != 0 && b.protocol&no != 0 {
		return
	}
	if macros != nil {
		payload := []byte{byte(code)}
		for _, s := range macros {
			payload = milter.AppendString(payload, s)
		}
		b.pending = milter.AppendFrame(b.pending, byte(wire.CodeMacro), payload)
	}
	b.pending = milter.AppendFrame(b.pending, byte(code), parts...)
	if noReply != 0 && b.protocol&noReply != 0 {
		return
	}
	b.done = append(b.done, exchange{code, b.pending})
	b.pending = nil
}

// newDialogue is the dialogue for what was negotiated.
func newDialogue(s shape, protocol wire.OptProtocol) *dialogue {
	text := func(values ...string) (out []byte) {
		for _, v := range values {
			out = milter.AppendString(out, v)
		}
		return out
	}
	b := &builder{shape: s, protocol: protocol}
	host := binary.BigEndian.AppendUint16(append(text("client.example.org"), byte(wire.FamilyInet)), 40000)
	b.step(wire.CodeConn, wire.OptNoConnect, wire.OptNoConnReply,
		[]string{"j", "mx.example.org", "{daemon_name}", "mx.example.org", "{daemon_addr}", "192.0.2.1", "v", "Postfix 3.7.11", "_", "client.example.org [192.0.2.7]"},
		host, text("192.0.2.7"))
	b.step(wire.CodeHelo, wire.OptNoHelo, wire.OptNoHeloReply, []string{}, text("client.example.org"))
	d := &dialogue{greeting: b.done}
	left := b.pending
	b.done, b.pending = nil, nil
	b.step(wire.CodeMail, wire.OptNoMailFrom, wire.OptNoMailReply,
		[]string{"{mail_addr}", "a@example.org", "{mail_host}", "example.org", "{mail_mailer}", "smtp"}, text("<a@example.org>", "SIZE=10000"))
	b.step(wire.CodeRcpt, wire.OptNoRcptTo, wire.OptNoRcptReply,
		[]string{"{rcpt_addr}", "b@example.org", "{rcpt_host}", "example.org", "{rcpt_mailer}", "smtp"}, text("<b@example.org>"))
	id := []string{"i", "4fXyZ01234zABC"}
	b.step(wire.CodeData, wire.OptNoData, wire.OptNoDataReply, id)
	each := id
	if !s.each {
		each = nil
	}
	for i := range s.headers {
		name, value := header(i)
		b.step(wire.CodeHeader, wire.OptNoHeaders, wire.OptNoHeaderReply, each, text(name, value))
	}
	b.step(wire.CodeEOH, wire.OptNoEOH, wire.OptNoEOHReply, each)
	const line = "The quick brown fox jumps over the lazy dog, 0123456789 times a day.\r\n"
	body := []byte(strings.Repeat(line, s.body/len(line)+1))[:s.body]
	for len(body) > 0 {
		n := min(len(body), 65535)
		b.step(wire.CodeBody, wire.OptNoBody, wire.OptNoBodyReply, each, body[:n])
		body = body[n:]
	}
	b.step(wire.CodeEOB, 0, 0, id)
	d.first, d.next = slices.Clone(b.done), slices.Clone(b.done)
	opening := b.done[0].bytes
	d.first[0].bytes = slices.Concat(left, opening)
	d.next[0].bytes = slices.Concat(milter.AppendFrame(nil, byte(wire.CodeAbort)), opening)
	return d
}

// header is the i-th field of a mail.
func header(i int) (name, value string) {
	switch i {
	case 0:
		return "Received", " from client.example.org (client.example.org [192.0.2.7])\n\tby mx.example.org with ESMTP id 4fXyZ01234zABC"
	case 1:
		return "From", " Alice <a@example.org>"
	case 2:
		return "To", " Bob <b@example.org>"
	case 3:
		return "Subject", " A plain mail of the usual size"
	}
	return fmt.Sprintf("X-Header-%d", i), fmt.Sprintf(" value %d of a field that nobody reads", i)
}
