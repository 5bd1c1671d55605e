package load

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// exchange is what is sent up to the next reply that must be awaited.
type exchange struct {
	code  wire.Code // of the last command
	reply bool      // it has one; without, it is the last of its dialogue's part
	bytes []byte
}

// dialogue is all exchanges of a connection. What was negotiated as without a
// reply goes out together with the next exchange.
type dialogue struct {
	greeting []exchange // CONNECT and HELO
	first    []exchange // the first mail, with what is left of the greeting
	next     []exchange // each later mail, after the ABORT that Postfix sends behind every message
	left     []byte     // of the greeting, for a connection that brings no mail
}

// dialogues keeps those that were made: the load must be cheaper than what it
// measures. Safe for concurrent use.
type dialogues struct {
	mail Mail
	made sync.Map // wire.OptProtocol to *dialogue
}

func (d *dialogues) get(protocol wire.OptProtocol) *dialogue {
	if made, ok := d.made.Load(protocol); ok {
		return made.(*dialogue)
	}
	made, _ := d.made.LoadOrStore(protocol, newDialogue(d.mail, protocol))
	return made.(*dialogue)
}

// Phases are the names of a message's commands, the scripts' ones, in their order.
func Phases() []string {
	return []string{"connect", "helo", "mail", "rcpt", "data", "header", "eoh", "body", "eom"}
}

// phase is the name of a command.
func phase(code wire.Code) string {
	return Phases()[strings.IndexByte("CHMRTLNBE", byte(code))]
}

// builder gathers commands into exchanges.
type builder struct {
	mail     Mail
	protocol wire.OptProtocol
	pending  []byte
	last     wire.Code
	done     []exchange
}

// step adds a command with its macros, unless it was negotiated away or is of no
// phase that is wanted. It ends an exchange unless its reply was negotiated away.
func (b *builder) step(code wire.Code, no wire.OptProtocol, macros []string, parts ...[]byte) {
	if b.protocol&no != 0 || b.mail.Phases != nil && !slices.Contains(b.mail.Phases, phase(code)) {
		return
	}
	payload := []byte{byte(code)}
	for _, s := range macros {
		payload = milter.AppendString(payload, s)
	}
	b.pending = milter.AppendFrame(b.pending, byte(wire.CodeMacro), payload)
	b.pending = milter.AppendFrame(b.pending, byte(code), parts...)
	b.last = code
	if milter.ReplyDue(byte(code), b.protocol) {
		b.done = append(b.done, exchange{code, true, b.pending})
		b.pending = nil
	}
}

// take is what has been gathered, and the start of an exchange that is not whole.
func (b *builder) take() (done []exchange, left []byte) {
	done, left = b.done, b.pending
	b.done, b.pending = nil, nil
	return done, left
}

// newDialogue is the dialogue for what was negotiated.
func newDialogue(m Mail, protocol wire.OptProtocol) *dialogue {
	b := &builder{mail: m, protocol: protocol}
	d := &dialogue{}
	b.greeting()
	d.greeting, d.left = b.take()
	b.message()
	if b.pending != nil { // no EOM is wanted
		b.done = append(b.done, exchange{code: b.last, bytes: b.pending})
	}
	all, _ := b.take()
	if len(all) == 0 {
		all = []exchange{{}}
	}
	d.first, d.next = all, slices.Clone(all)
	d.first[0].bytes = slices.Concat(d.left, all[0].bytes)
	d.next[0].bytes = slices.Concat(milter.AppendFrame(nil, byte(wire.CodeAbort)), d.next[0].bytes)
	return d
}

func text(values ...string) (out []byte) {
	for _, v := range values {
		out = milter.AppendString(out, v)
	}
	return out
}

func (b *builder) greeting() {
	host := binary.BigEndian.AppendUint16(append(text("client.example.org"), byte(wire.FamilyInet)), 40000)
	b.step(wire.CodeConn, wire.OptNoConnect,
		[]string{"j", "mx.example.org", "{daemon_name}", "mx.example.org", "{daemon_addr}", "192.0.2.1", "v", "Postfix 3.7.11", "_", "client.example.org [192.0.2.7]"},
		host, text("192.0.2.7"))
	b.step(wire.CodeHelo, wire.OptNoHelo, nil, text("client.example.org"))
}

// maxChunk is MILTER_CHUNK_SIZE.
const maxChunk = 65535

func (b *builder) message() {
	b.step(wire.CodeMail, wire.OptNoMailFrom,
		[]string{"{mail_addr}", "a@example.org", "{mail_host}", "example.org", "{mail_mailer}", "smtp"}, text("<a@example.org>", "SIZE=10000"))
	b.step(wire.CodeRcpt, wire.OptNoRcptTo,
		[]string{"{rcpt_addr}", "b@example.org", "{rcpt_host}", "example.org", "{rcpt_mailer}", "smtp"}, text("<b@example.org>"))
	id := []string{"i", "4fXyZ01234zABC"}
	b.step(wire.CodeData, wire.OptNoData, id)
	for i := range b.mail.Headers {
		name, value := header(i)
		if b.protocol&wire.OptHeaderLeadingSpace == 0 {
			value = strings.TrimPrefix(value, " ")
		}
		b.step(wire.CodeHeader, wire.OptNoHeaders, id, text(name, value))
	}
	b.step(wire.CodeEOH, wire.OptNoEOH, id)
	const line = "The quick brown fox jumps over the lazy dog, 0123456789 times a day.\r\n"
	body := []byte(strings.Repeat(line, b.mail.Size/len(line)+1))[:b.mail.Size]
	for chunk := range slices.Chunk(body, maxChunk) {
		b.step(wire.CodeBody, wire.OptNoBody, id, chunk)
	}
	b.step(wire.CodeEOB, 0, id)
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
