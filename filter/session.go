package filter

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// Session is what is known of one SMTP session. The connection's goroutine
// writes it between handler calls; handlers only read it.
type Session struct {
	ID       string
	Listener string
	Client   Client
	Helo     string   // "" before HELO
	Message  *Message // from MAIL to the end of the message, else nil

	// macros are asked of the wire once: when a stuck call has lost the
	// connection, the wire has others, which are its successor's.
	macros       *milter.Macros
	mta          milter.Options // as negotiated
	spool        Spool          // nil: there are no queues
	notes        *notes         // of the message, or of the connection outside one
	ofConnection *notes         // those that every message begins with
}

// Note is what a script adds to the decision log.
type Note struct {
	Script string `json:"script"`
	Reason string `json:"reason"`
	Values any    `json:"values,omitempty"` // JSON values
}

// notes is a struct of its own so that a Session can be copied while a stuck
// script still adds to the old one's.
type notes struct {
	list []Note
	told int // how many of them an outcome has had
}

// maxNotes bounds what scripts can add to one message's record.
const maxNotes = 100

// AddNote adds to the decision log of the message, or outside one of the
// connection and each message to come. It returns false when there are too many already.
func (s *Session) AddNote(n Note) bool {
	if len(s.notes.list) >= maxNotes {
		return false
	}
	s.notes.list = append(s.notes.list, n)
	return true
}

// checkpoint is what a handler call can change: kept before the call, to undo
// it and to hand it to a successor.
type checkpoint struct {
	edits  []edit
	queued []*Queued
	notes  []Note
}

func (s *Session) checkpoint() checkpoint {
	c := checkpoint{notes: s.notes.list}
	if s.Message != nil {
		c.edits, c.queued = s.Message.edits, s.Message.queued
	}
	return c
}

// successor is a session of its own with the same facts, for a conn that takes
// over while a stuck handler still uses s.
func (s *Session) successor(before checkpoint) *Session {
	n := &Session{ID: s.ID, Listener: s.Listener, Client: s.Client, Helo: s.Helo, mta: s.mta, spool: s.spool}
	n.notes = &notes{slices.Clip(before.notes), s.notes.told}
	n.ofConnection = n.notes
	if s.Message != nil {
		n.Message = s.Message.successor(n, before)
		n.ofConnection = &notes{slices.Clip(s.ofConnection.list), s.ofConnection.told}
	}
	return n
}

// begin starts a message, end forgets it.
func (s *Session) begin(m *Message) {
	s.Message = m
	s.notes = &notes{slices.Clip(s.ofConnection.list), len(s.ofConnection.list)}
}

func (s *Session) end() {
	if s.Message != nil {
		s.Message.dropBody()
	}
	s.Message, s.notes = nil, s.ofConnection
}

// Client is the SMTP client as the MTA sees it.
type Client struct {
	IP     string // "" when there is none; IPv4-mapped addresses as IPv4
	Port   int    // 0 when unknown
	Name   string // "" when the MTA could not verify one
	Family string // "inet", "inet6", "unix" or "unknown"
}

// TLS is the session's encryption (macros tls_version, cipher, ...).
type TLS struct{ Version, Cipher, Bits, Subject, Issuer string }

// Auth is who logged in (macros auth_authen, auth_type, auth_author).
type Auth struct{ User, Method, Author string }

// MTA is the server that asks us (macros j, daemon_name, v).
type MTA struct{ Hostname, Daemon, Version string }

// Macro is the latest value of a macro; "i" and "{i}" name the same one. "" when it was not sent.
func (s *Session) Macro(name string) string {
	if s.macros == nil {
		return ""
	}
	value, _ := s.macros.Get(name)
	return value
}

// Macros is a copy of all macros in force, by their names without braces.
func (s *Session) Macros() map[string]string {
	if s.macros == nil {
		return nil
	}
	return s.macros.All()
}

// QueueID is the MTA's name for the message, "" until it has assigned one:
// Postfix does at the first accepted RCPT, Sendmail earlier.
func (s *Session) QueueID() string { return s.Macro("i") }

// TLS tells how the session is encrypted; ok is false when it is not.
func (s *Session) TLS() (t TLS, ok bool) {
	t = TLS{s.Macro("tls_version"), s.Macro("cipher"), s.Macro("cipher_bits"), s.Macro("cert_subject"), s.Macro("cert_issuer")}
	return t, t.Version != ""
}

// Auth tells who logged in; ok is false when nobody has.
func (s *Session) Auth() (a Auth, ok bool) {
	a = Auth{s.Macro("auth_authen"), s.Macro("auth_type"), s.Macro("auth_author")}
	return a, a.User != "" || a.Method != ""
}

// MTA tells which server asks.
func (s *Session) MTA() MTA {
	return MTA{s.Macro("j"), s.Macro("daemon_name"), s.Macro("v")}
}

// parseClient reads what CONNECT says.
// QUIRK: Postfix gives an unknown client as "[ip]" or, with no address at all,
// as host "unknown", family 4, address "unknown"; Sendmail prefixes IPv6 addresses with "IPv6:".
func parseClient(host string, family wire.ProtoFamily, port uint16, addr string) Client {
	c := Client{Family: "unknown", Port: int(port)}
	switch family {
	case wire.FamilyUnix:
		c.Family = "unix"
	case wire.FamilyInet, wire.FamilyInet6:
		if len(addr) > 5 && strings.EqualFold(addr[:5], "IPv6:") {
			addr = addr[5:]
		}
		if ip, err := netip.ParseAddr(addr); err == nil {
			ip = ip.Unmap()
			c.IP = ip.String()
			c.Family = "inet"
			if ip.Is6() {
				c.Family = "inet6"
			}
		}
	}
	if host != "unknown" && !strings.HasPrefix(host, "[") {
		c.Name = host
	}
	return c
}

// BitCount is the number of cipher bits, 0 when unknown.
func (t TLS) BitCount() int {
	n, _ := strconv.Atoi(t.Bits)
	return n
}
