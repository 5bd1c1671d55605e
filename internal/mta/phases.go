package mta

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/emersion/go-milter"

	imilter "pmilter/internal/milter"
)

// maxHeader is where Postfix cuts a header that it shows to a milter.
const maxHeader = 60000

// Peer is the SMTP client as an MTA describes it to a milter.
type Peer struct {
	Name   string // host name, "[192.0.2.1]" or "unknown"
	Family milter.ProtoFamily
	Port   uint16
	Addr   string // IP address or path; not sent for FamilyUnknown
}

// PeerOf describes a client with an IP address as Postfix does. An empty name
// is one that was not found.
func PeerOf(addr netip.AddrPort, name string) Peer {
	ip := addr.Addr().Unmap()
	p := Peer{Name: name, Family: milter.FamilyInet, Port: addr.Port(), Addr: ip.WithZone("").String()}
	if ip.Is6() {
		p.Family = milter.FamilyInet6
	}
	if !ip.IsValid() {
		return Peer{Name: "unknown", Family: milter.FamilyUnknown, Addr: "unknown"}
	}
	if name == "" || name == "unknown" {
		p.Name = "[" + p.Addr + "]"
	}
	return p
}

// Macros sends macros for the command that comes next: names and values in
// turn, names as in "i" or "{client_addr}". An empty list is sent too, as
// Postfix does.
func (c *Client) Macros(ctx context.Context, next milter.Code, kv ...string) error {
	if c.err != nil {
		return c.err
	}
	if c.noMacros(next) {
		return nil
	}
	payload := []byte{byte(next)}
	for _, s := range kv {
		payload = append(append(payload, s...), 0)
	}
	done := c.arm(ctx, c.timeout(next))
	defer done()
	if err := c.write(milter.CodeMacro, payload); err != nil {
		return c.fail(ctx, "macros", err)
	}
	return nil
}

// Connect tells of a new SMTP client.
func (c *Client) Connect(ctx context.Context, p Peer) (Reply, error) {
	payload := append(cstring(p.Name), byte(p.Family))
	if p.Family != milter.FamilyUnknown {
		payload = binary.BigEndian.AppendUint16(payload, p.Port)
		payload = append(payload, cstring(p.Addr)...)
	}
	return c.command(ctx, milter.CodeConn, milter.OptNoConnect, milter.OptNoConnReply, payload)
}

// Helo is HELO or EHLO.
func (c *Client) Helo(ctx context.Context, name string) (Reply, error) {
	return c.command(ctx, milter.CodeHelo, milter.OptNoHelo, milter.OptNoHeloReply, cstring(name))
}

// Mail is MAIL FROM: the path as sent, in angle brackets if it came by SMTP,
// and the ESMTP parameters.
func (c *Client) Mail(ctx context.Context, path string, params ...string) (Reply, error) {
	return c.command(ctx, milter.CodeMail, milter.OptNoMailFrom, milter.OptNoMailReply, cstringList(path, params))
}

// Rcpt is RCPT TO.
func (c *Client) Rcpt(ctx context.Context, path string, params ...string) (Reply, error) {
	return c.command(ctx, milter.CodeRcpt, milter.OptNoRcptTo, milter.OptNoRcptReply, cstringList(path, params))
}

// Data is the DATA command.
func (c *Client) Data(ctx context.Context) (Reply, error) {
	return c.command(ctx, milter.CodeData, milter.OptNoData, milter.OptNoDataReply)
}

// Header is one header field. value is all that follows the colon, folds as
// LF; without LeadingSpace the first space of it is not sent, as both MTAs do.
// As Postfix does, what follows a NUL is not sent, nor what is past 60,000 bytes.
func (c *Client) Header(ctx context.Context, name, value string) (Reply, error) {
	v := []byte(value)
	if !c.LeadingSpace() {
		v = bytes.TrimPrefix(v, []byte(" "))
	}
	if i := bytes.IndexByte(v, 0); i >= 0 {
		v = v[:i]
	}
	if limit := max(maxHeader-len(name), 0); len(v) > limit {
		v = v[:limit]
	}
	return c.command(ctx, milter.CodeHeader, milter.OptNoHeaders, milter.OptNoHeaderReply, cstring(name), v, []byte{0})
}

// EOH is the end of the headers.
func (c *Client) EOH(ctx context.Context) (Reply, error) {
	return c.command(ctx, milter.CodeEOH, milter.OptNoEOH, milter.OptNoEOHReply)
}

// Body is one chunk of the body, at most milter.MaxBodyChunk bytes of CRLF text.
func (c *Client) Body(ctx context.Context, chunk []byte) (Reply, error) {
	if len(chunk) > milter.MaxBodyChunk {
		return Reply{}, fmt.Errorf("mta: body chunk of %d bytes", len(chunk))
	}
	return c.command(ctx, milter.CodeBody, milter.OptNoBody, milter.OptNoBodyReply, chunk)
}

// EOM is the end of the message: the reply and the edits that came before it,
// in order. The edits of a message that is refused mean nothing.
func (c *Client) EOM(ctx context.Context) (Reply, []Modification, error) {
	if c.err != nil {
		return Reply{}, nil, c.err
	}
	if c.r.Buffered() > 0 {
		return Reply{}, nil, c.fail(ctx, string(PhaseEOM), errExtra)
	}
	c.skipped = 0
	done := c.arm(ctx, c.opts.ContentTimeout)
	defer done()
	if err := c.write(milter.CodeEOB); err != nil {
		return Reply{}, nil, c.fail(ctx, string(PhaseEOM), err)
	}
	return c.readReply(ctx, milter.CodeEOB)
}

// Unknown is a command that the MTA does not know; Postfix gives its first word only.
func (c *Client) Unknown(ctx context.Context, command string) (Reply, error) {
	return c.command(ctx, imilter.CodeUnknown, milter.OptNoUnknown, milter.OptNoUnknownReply, cstring(command))
}

// Abort forgets the message. No reply.
func (c *Client) Abort(ctx context.Context) error { return c.tell(ctx, milter.CodeAbort) }

// QuitNC ends the SMTP session and keeps the connection for another (SMFIC_QUIT_NC).
func (c *Client) QuitNC(ctx context.Context) error { return c.tell(ctx, milter.CodeQuitNewConn) }

// Quit ends the SMTP session and closes the connection.
func (c *Client) Quit(ctx context.Context) error {
	if err := c.tell(ctx, milter.CodeQuit); err != nil {
		return err
	}
	return c.Close()
}

// tell sends a command that never has a reply.
func (c *Client) tell(ctx context.Context, code milter.Code) error {
	if c.err != nil {
		return c.err
	}
	c.skipped = 0
	done := c.arm(ctx, c.opts.CommandTimeout)
	defer done()
	err := c.write(code)
	if err == nil {
		err = c.w.Flush()
	}
	if err != nil {
		return c.fail(ctx, fmt.Sprintf("command %q", code), err)
	}
	return nil
}

// cstring is s with its NUL. A NUL within would be another string: it ends s,
// as it does in an MTA written in C.
func cstring(s string) []byte {
	for i := range len(s) {
		if s[i] == 0 {
			s = s[:i]
			break
		}
	}
	return append([]byte(s), 0)
}

func cstringList(first string, rest []string) []byte {
	out := cstring(first)
	for _, s := range rest {
		out = append(out, cstring(s)...)
	}
	return out
}
