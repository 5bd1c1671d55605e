// Package playground is an MTA for one evening: a small SMTP server that
// passes every phase through a milter, over the real protocol, prints each
// verdict as it falls and delivers what was accepted, as modified, into a
// Maildir.
//
// It behaves as Postfix does towards milters (package mta), and tells its
// client nothing that is not true: 250 for a message means that it is safe in
// the Maildir, or that a filter discarded it. It knows nothing of scripts; it
// relays no mail and is for the loopback.
package playground

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"pmilter/internal/maildir"
	"pmilter/internal/mta"
)

// Config is what Run needs. The fields up to Out are required.
type Config struct {
	SMTPAddr string // where to listen, "127.0.0.1:2525"; port 0 is one that is free
	Maildir  string // made if missing
	// Dial connects to the milter; it is called once for each SMTP connection.
	Dial func(ctx context.Context) (net.Conn, error)
	Out  io.Writer // for people, one line at a time

	Color    bool     // Out is a terminal
	Hostname string   // the server's own name; the system's if empty
	Scripts  []string // the scripts that run, for the greeting
	Hints    []string // lines of the greeting, for example how to provoke a refusal
	// Where finds the place in a script that made a decision; may be nil. It is
	// called after the milter's reply came.
	Where func(Decision) Place

	MaxMessage     int64         // bytes; 50 MiB if 0
	MaxRecipients  int           // of a message; 100 if 0
	MaxConnections int           // at once, others wait; 50 if 0
	Grace          time.Duration // for messages under way when ctx ends; 10 s if 0
	// Ready, if set, is called with the address once clients can connect.
	Ready func(net.Addr)
}

// Decision identifies one verdict to Config.Where.
type Decision struct {
	Client  netip.AddrPort // as the milter got it with CONNECT
	QueueID string         // the macro i; "" before the first recipient
	Phase   mta.Phase
	Verdict string // accept, reject, tempfail or discard
}

// Place is what made a decision.
type Place struct {
	Script string // "file:line"; "" when unknown
	// Phase is the handler's phase, which may be another than that of the reply:
	// header, eoh and body may be handled at the end of the message. "" keeps it.
	Phase mta.Phase
}

// Run serves until ctx ends; then messages under way have Config.Grace to
// finish. Other connections are closed at once.
func Run(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	inbox, err := maildir.Open(cfg.Maildir)
	if err != nil {
		return fmt.Errorf("playground: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.SMTPAddr)
	if err != nil {
		return fmt.Errorf("playground: %w%s", err, listenAdvice(err))
	}
	s := newServer(cfg, inbox, ln)
	s.greet()
	if cfg.Ready != nil {
		cfg.Ready(ln.Addr())
	}
	served := make(chan error, 1)
	go func() { served <- s.smtp.Serve(s) }()
	select {
	case err = <-served: // the listener broke
		s.refuse()
		s.stop(context.WithoutCancel(ctx))
		return fmt.Errorf("playground: %w", err)
	case <-ctx.Done():
		s.refuse()
		err = <-served
		s.stop(context.WithoutCancel(ctx))
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("playground: %w", err)
		}
		return nil
	}
}

func (c Config) withDefaults() Config {
	if c.Hostname == "" {
		c.Hostname = "localhost"
		if name, err := os.Hostname(); err == nil {
			c.Hostname = name
		}
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 50 << 20
	}
	if c.MaxRecipients == 0 {
		c.MaxRecipients = 100
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 50
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	return c
}

func listenAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; another program listens there, choose another address with --smtp"
	case errors.Is(err, syscall.EACCES):
		return "; ports below 1024 need root, choose another with --smtp"
	default:
		return ""
	}
}

// newSMTP is go-smtp's server with our limits.
func newSMTP(cfg Config, backend smtp.Backend, log smtp.Logger) *smtp.Server {
	s := smtp.NewServer(backend)
	s.Domain = cfg.Hostname
	s.MaxMessageBytes = cfg.MaxMessage
	s.MaxRecipients = cfg.MaxRecipients
	// Mail has longer lines than RFC 5321 §4.5.3.1.6 allows, and MTAs take them.
	s.MaxLineLength = 1 << 20
	s.ReadTimeout = 5 * time.Minute
	s.WriteTimeout = 5 * time.Minute // the milter is asked within a write, see client.Write
	s.EnableSMTPUTF8 = true
	s.EnableDSN = true
	s.ErrorLog = log
	return s
}
