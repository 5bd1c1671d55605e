// Package mailout hands messages to SMTP servers, for jobs.
//
// It reaches what permit allows and nothing else. A message goes to all its
// recipients or, unless partial delivery is asked for, to none: what was refused is
// told in either case. Passwords are said over verified TLS alone.
package mailout

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"pmilter/internal/permit"
)

// Message is what to send, and how.
type Message struct {
	Server  string // "host:port" or "unix:/path"
	Helo    string // "": the host's own name
	From    string // "": the null sender
	To      []string
	Message []byte // any line ends; CRLF goes out
	// TLS is "opportunistic" (when offered; the certificate is not looked at, as
	// with Postfix's "may"), "verify" (STARTTLS and a good certificate, or nothing),
	// "implicit" (TLS from the first byte, with a good certificate) or "none". "" is
	// verify with a user, opportunistic without.
	TLS     string
	User    string // "": no authentication
	Pass    string
	Partial bool // send to those recipients that are accepted, when some are refused
}

// Result is what became of it.
type Result struct {
	Reply    string // what the server said of the message
	Accepted []string
	Rejected []Rejected // with Partial alone
}

// Rejected is a recipient that the server refused.
type Rejected struct {
	Address   string
	Code      int
	Enhanced  string // "5.1.1", "" for none
	Text      string
	Permanent bool
}

// RefusedError is a server's no. Address is "" when it is not about one recipient.
type RefusedError struct {
	Rejected
	All []Rejected // every recipient that was refused
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d %s %s", e.Code, e.Enhanced, e.Text)
}

// Sender sends messages. Roots are whose certificates are trusted, nil is the
// system's. It is safe for concurrent use.
type Sender struct {
	Dialer *permit.Dialer
	Roots  *x509.CertPool
}

// Send connects, sends one message and disconnects. It returns when ctx is done.
// The error is a *RefusedError, a *permit.Error, or one of the network's. After the
// message's last byte was sent, an error of the network leaves open whether the
// server has it.
func (s *Sender) Send(ctx context.Context, m Message) (Result, error) {
	t, err := permit.ParseTarget(m.Server)
	if err != nil {
		return Result{}, err
	}
	conn, err := s.Dialer.Dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	guarded := newConn(ctx, conn)
	defer guarded.Close()
	defer context.AfterFunc(ctx, func() { guarded.Close() })()
	result, err := s.talk(guarded, t, m)
	switch {
	case err != nil && ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded): // the connection's, which is ctx's
		err = context.DeadlineExceeded
	}
	return result, err
}

// talk is the SMTP session.
func (s *Sender) talk(conn net.Conn, t permit.Target, m Message) (Result, error) {
	c, err := s.greet(conn, t, m)
	if err != nil {
		return Result{}, refusal(err, "")
	}
	if m.User != "" {
		if err := authenticate(c, m); err != nil {
			return Result{}, refusal(err, "")
		}
	}
	options, err := mailOptions(c, m)
	if err != nil {
		return Result{}, err
	}
	if err := c.Mail(m.From, options); err != nil {
		return Result{}, refusal(err, "")
	}
	var r Result
	for _, to := range m.To {
		err := refusal(c.Rcpt(to, nil), to)
		var no *RefusedError
		switch {
		case errors.As(err, &no):
			r.Rejected = append(r.Rejected, no.Rejected)
		case err != nil:
			return Result{}, err
		default:
			r.Accepted = append(r.Accepted, to)
		}
	}
	if len(r.Rejected) > 0 && (!m.Partial || len(r.Accepted) == 0) {
		_ = c.Quit() // nothing was sent
		return Result{}, &RefusedError{worst(r.Rejected), r.Rejected}
	}
	data, err := c.Data()
	if err != nil {
		return Result{}, refusal(err, "")
	}
	if _, err := data.Write(crlf(m.Message)); err != nil {
		return Result{}, err
	}
	reply, err := data.CloseWithResponse()
	if err != nil {
		return Result{}, refusal(err, "")
	}
	r.Reply = reply.StatusText
	_ = c.Quit() // the server has the message, whatever it says now
	return r, nil
}

// worst is the refusal to tell first: a temporary one, since trying again is then
// of use.
func worst(list []Rejected) Rejected {
	for _, r := range list {
		if !r.Permanent {
			return r
		}
	}
	return list[0]
}

// greet says hello, with TLS as is asked for.
func (s *Sender) greet(conn net.Conn, t permit.Target, m Message) (*smtp.Client, error) {
	helo := m.Helo
	if helo == "" {
		var err error
		if helo, err = os.Hostname(); err != nil || helo == "" {
			helo = "localhost"
		}
	}
	mode := m.TLS
	if mode == "" {
		mode = "opportunistic"
		if m.User != "" {
			mode = "verify"
		}
	}
	name := t.Host
	if t.IP.IsValid() {
		name = t.IP.String()
	}
	if t.Path != "" && (mode == "verify" || mode == "implicit") {
		name = "localhost"
	}
	config := &tls.Config{ServerName: name, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
	if m.User != "" && mode != "verify" && mode != "implicit" {
		return nil, errors.New("a password is not said without verified TLS: set tls to verify or implicit")
	}
	if mode == "implicit" {
		conn = tls.Client(conn, config)
	}
	c := smtp.NewClient(conn)
	if err := c.Hello(helo); err != nil {
		return nil, err
	}
	offered, _ := c.Extension("STARTTLS")
	switch {
	case mode == "none" || mode == "implicit" || mode == "opportunistic" && !offered:
		return c, nil
	case !offered:
		return nil, errors.New("the server does not offer STARTTLS")
	}
	config.InsecureSkipVerify = mode == "opportunistic"
	return secured(conn, config, helo)
}

// authenticate says user and password.
func authenticate(c *smtp.Client, m Message) error {
	if c.SupportsAuth(sasl.Plain) {
		return c.Auth(sasl.NewPlainClient("", m.User, m.Pass))
	}
	if c.SupportsAuth(sasl.Login) {
		return c.Auth(sasl.NewLoginClient(m.User, m.Pass))
	}
	return errors.New("the server offers neither AUTH PLAIN nor LOGIN")
}

// mailOptions asks for SMTPUTF8 when the message needs it (RFC 6531 §3.4), which a
// server may not have.
func mailOptions(c *smtp.Client, m Message) (*smtp.MailOptions, error) {
	o := &smtp.MailOptions{Size: int64(len(m.Message))}
	header := headerOf(m.Message)
	need := !ascii([]byte(m.From))
	for _, to := range m.To {
		need = need || !ascii([]byte(to))
	}
	offered, _ := c.Extension("SMTPUTF8")
	o.UTF8 = offered && (need || !ascii(header))
	if need && !offered {
		_ = c.Quit() // nothing was sent
		return nil, &RefusedError{Rejected: Rejected{Code: 550, Enhanced: "5.6.7", Text: "the server does not take addresses beyond ASCII (SMTPUTF8)", Permanent: true}}
	}
	return o, nil
}

// refusal is a reply of the server as a *RefusedError, any other error as it is.
func refusal(err error, address string) error {
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) {
		return err
	}
	r := Rejected{Address: address, Code: reply.Code, Text: reply.Message, Permanent: reply.Code >= 500}
	if e := reply.EnhancedCode; e[0] > 0 {
		r.Enhanced = fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2])
	}
	no := &RefusedError{Rejected: r}
	if address != "" {
		no.All = []Rejected{r}
	}
	return no
}
