package mailout_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"pmilter/internal/mailout"
	"pmilter/internal/permit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is an SMTP server that notes what it gets.
type backend struct {
	mu  sync.Mutex
	got []string // one line for each thing
}

func (b *backend) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, fmt.Sprintf(format, args...))
}

func (b *backend) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.got, "; ")
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	b.note("ehlo %s tls=%v", c.Hostname(), secure)
	return &session{b: b}, nil
}

type session struct{ b *backend }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if pass != "right" {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no"}
		}
		s.b.note("auth %s", user)
		return nil
	}), nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.b.note("from <%s> utf8=%v", from, o.UTF8)
	if strings.HasPrefix(from, "bad") {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later"}
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch {
	case strings.HasPrefix(to, "none"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	case strings.HasPrefix(to, "full"):
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "mailbox full"}
	}
	s.b.note("to <%s>", to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.b.note("data %q", data)
	if strings.Contains(string(data), "virus") {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "a virus"}
	}
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// serve starts a server; cert nil: without STARTTLS.
func serve(t *testing.T, cert *tls.Certificate, implicit bool) (*backend, string) {
	t.Helper()
	b := &backend{}
	s := smtp.NewServer(b)
	s.Domain, s.EnableSMTPUTF8, s.AllowInsecureAuth = "mx.example.org", cert != nil, true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if cert != nil {
		config := &tls.Config{Certificates: []tls.Certificate{*cert}}
		if implicit {
			l = tls.NewListener(l, config)
		} else {
			s.TLSConfig = config
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return b, addr
}

// certificate is one for example.com and 127.0.0.1, and who trusts it.
func certificate(t *testing.T) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	cert := s.TLS.Certificates[0]
	return &cert, roots
}

func sender(t *testing.T, roots *x509.CertPool, entries ...string) *mailout.Sender {
	t.Helper()
	rules, err := permit.New(entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	local := func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return &mailout.Sender{Dialer: permit.NewDialer(rules, local), Roots: roots}
}

func TestSend(t *testing.T) {
	t.Parallel()
	cert, roots := certificate(t)
	type change = func(*mailout.Message)
	for name, tt := range map[string]struct {
		tls      bool // offered
		implicit bool
		strange  bool // the certificate's issuer
		change   change
		want     string // that the server saw, or the error
	}{
		"plain":          {want: `ehlo me tls=false; from <a@example.org> utf8=false; to <b@example.net>; data "Subject: x\r\n\r\n.\r\n..dots\r\nbare\r\nend\r\n"`},
		"none":           {tls: true, change: func(m *mailout.Message) { m.TLS = "none" }, want: "ehlo me tls=false; from"},
		"opportunistic":  {tls: true, strange: true, want: "ehlo me tls=false; ehlo me tls=true; from <a@example.org>"},
		"verify":         {tls: true, change: func(m *mailout.Message) { m.TLS = "verify" }, want: "ehlo me tls=true; from <a@example.org>"},
		"verify strange": {tls: true, strange: true, change: func(m *mailout.Message) { m.TLS = "verify" }, want: "error: tls: failed to verify"},
		"verify without": {change: func(m *mailout.Message) { m.TLS = "verify" }, want: "error: the server does not offer STARTTLS"},
		"implicit":       {tls: true, implicit: true, change: func(m *mailout.Message) { m.TLS = "implicit" }, want: "ehlo me tls=true; from <a@example.org>"},
		"auth":           {tls: true, change: func(m *mailout.Message) { m.User, m.Pass = "u", "right" }, want: "ehlo me tls=true; auth u; from"},
		"auth wrong":     {tls: true, change: func(m *mailout.Message) { m.User, m.Pass = "u", "wrong" }, want: "error: 535 5.7.8 no"},
		"auth in clear":  {change: func(m *mailout.Message) { m.User, m.Pass = "u", "right" }, want: "error: the server does not offer STARTTLS"},
		"auth unsafe":    {tls: true, change: func(m *mailout.Message) { m.User, m.Pass, m.TLS = "u", "right", "opportunistic" }, want: "error: a password is not said without verified TLS"},
		"utf8 address":   {tls: true, change: func(m *mailout.Message) { m.To = []string{"jörg@example.net"} }, want: "from <a@example.org> utf8=true; to <jörg@example.net>"},
		"utf8 header":    {tls: true, change: func(m *mailout.Message) { m.Message = []byte("Subject: ö\n\nx\n") }, want: "utf8=true; to <b@example.net>"},
		"utf8 body":      {tls: true, change: func(m *mailout.Message) { m.Message = []byte("Subject: o\n\nö\n") }, want: "utf8=false; to <b@example.net>"},
		"no utf8":        {change: func(m *mailout.Message) { m.To = []string{"jörg@example.net"} }, want: "error: 550 5.6.7 the server does not take"},
		"null sender":    {change: func(m *mailout.Message) { m.From = "" }, want: "from <>"},
		"bad sender":     {change: func(m *mailout.Message) { m.From = "bad@example.org" }, want: "error: 451 4.7.1 later"},
		"bad content":    {change: func(m *mailout.Message) { m.Message = []byte("virus") }, want: "error: 554 5.7.1 a virus"},
		"bad address":    {change: func(m *mailout.Message) { m.To = []string{"b@example.net>\r\nDATA"} }, want: "error: smtp: a line must not contain CR or LF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cert
			if !tt.tls {
				c = nil
			}
			b, addr := serve(t, c, tt.implicit)
			trusted := roots
			if tt.strange {
				trusted = x509.NewCertPool()
			}
			m := mailout.Message{
				Server: addr, Helo: "me", From: "a@example.org", To: []string{"b@example.net"},
				Message: []byte("Subject: x\n\n.\r\n..dots\rbare\nend\n"),
			}
			if tt.change != nil {
				tt.change(&m)
			}
			r, err := sender(t, trusted, addr).Send(t.Context(), m)
			got := b.all()
			if err != nil {
				got = "error: " + err.Error()
			} else if len(r.Accepted) != 1 || !strings.Contains(r.Reply, "OK") {
				t.Errorf("%+v", r)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		to      string
		partial bool
		want    string
	}{
		{"a b", false, "accepted [a b] rejected []; sent"},
		{"a none", false, "550 5.1.1 no such user permanent=true rejected none=550; not sent"},
		{"none full a", false, "452 4.2.2 mailbox full permanent=false rejected none=550 full=452; not sent"},
		{"a none full", true, "accepted [a] rejected [none=550 full=452]; sent"},
		{"none", true, "550 5.1.1 no such user permanent=true rejected none=550; not sent"},
	} {
		b, addr := serve(t, nil, false)
		m := mailout.Message{Server: addr, Helo: "me", To: at(strings.Fields(tt.to)), Message: []byte("x\n"), Partial: tt.partial}
		r, err := sender(t, nil, addr).Send(t.Context(), m)
		list := func(all []mailout.Rejected) string {
			var words []string
			for _, r := range all {
				words = append(words, fmt.Sprintf("%s=%d", strings.TrimSuffix(r.Address, "@x.example"), r.Code))
			}
			return strings.Join(words, " ")
		}
		for i, a := range r.Accepted {
			r.Accepted[i] = strings.TrimSuffix(a, "@x.example")
		}
		got := fmt.Sprintf("accepted %v rejected [%s]", r.Accepted, list(r.Rejected))
		var no *mailout.RefusedError
		if errors.As(err, &no) {
			got = fmt.Sprintf("%s permanent=%v rejected %s", no, no.Permanent, list(no.All))
		} else if err != nil {
			got = err.Error()
		}
		if strings.Contains(b.all(), "data") {
			got += "; sent"
		} else {
			got += "; not sent"
		}
		if got != tt.want {
			t.Errorf("%s partial=%v: %s\nwant %s", tt.to, tt.partial, got, tt.want)
		}
	}
}

func at(names []string) []string {
	for i := range names {
		names[i] += "@x.example"
	}
	return names
}

// TestHostileServers: none of them holds the job or fills the memory.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Conn){
		"silent":  func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) },
		"gone":    func(net.Conn) {},
		"garbage": func(c net.Conn) { _, _ = c.Write([]byte("\x00\xff\r\n\r\n")) },
		"endless": func(c net.Conn) {
			for {
				if _, err := c.Write([]byte("220-x\r\n")); err != nil {
					return
				}
			}
		},
		"long line": func(c net.Conn) {
			for {
				if _, err := c.Write([]byte(strings.Repeat("x", 1000))); err != nil {
					return
				}
			}
		},
		"stops": func(c net.Conn) {
			fmt.Fprint(c, "220 x\r\n")
			_, _ = c.Read(make([]byte, 100))
			fmt.Fprint(c, "250-x\r\n")
			_, _ = c.Read(make([]byte, 100))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				if c, err := l.Accept(); err == nil {
					serve(c)
					c.Close()
				}
			}()
			defer func() { l.Close(); <-done }()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			m := mailout.Message{Server: l.Addr().String(), To: []string{"b"}, Message: []byte("x\n")}
			if r, err := sender(t, nil, "127.0.0.1").Send(ctx, m); err == nil {
				t.Errorf("%+v", r)
			} else if name == "silent" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	var refusal *permit.Error
	for _, server := range []string{"127.0.0.1:25", "mx.example.org:25", "unix:/run/x"} {
		m := mailout.Message{Server: server, To: []string{"b"}}
		if _, err := sender(t, nil, "*.example.org").Send(t.Context(), m); !errors.As(err, &refusal) {
			t.Errorf("%s: %v", server, err)
		}
	}
}
