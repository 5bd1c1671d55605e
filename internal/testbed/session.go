package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/milter"
	"pmilter/internal/mta"
	"pmilter/script"
)

// session is one SMTP session of a test: a server of its own behind a pipe, and
// the MTA's side of it.
type session struct {
	stand  *stand
	client *mta.Client
	mta    *mta.Session
	peer   mta.Peer
	helo   string
	tracks *tracks

	mu       sync.Mutex
	outcomes []*filter.Outcome // since the step began
	queued   []script.Queued   // likewise

	// What the MTA has done so far, guarded by doing: a step that nobody awaits may
	// still be under way when the test ends.
	doing sync.Mutex

	connected, greeted, data bool
	message                  *mta.Message   // from mail to its end
	decided                  *script.Answer // that holds until the message, or the session, is over
	ofSession                bool           // decided is the session's
	over                     bool
}

var _ script.TestSession = (*session)(nil)

// newSession starts a server with the scripts of set and negotiates with it.
func newSession(ctx context.Context, st *stand, set *script.Set, o script.SessionOptions) (*session, error) {
	peer, err := peerOf(o.Client)
	if err != nil {
		return nil, err
	}
	version := o.Protocol
	switch version {
	case 0:
		version = 6
	case 2, 3, 4, 6:
	default:
		return nil, fmt.Errorf("protocol %d: there are 2, 3, 4 and 6", version)
	}
	s := &session{stand: st, peer: peer, helo: o.Helo, tracks: newTracks()}
	if s.helo == "" {
		s.helo = defaultName
	}
	fo := st.b.o.Filter
	fo.Scripts = func() filter.Scripts { return set }
	fo.Now, fo.Log, fo.Report = st.clock.Now, st.log, s.report
	fo.Spool = &spool{s, st.b.o.Queues}
	f := filter.New(fo)
	server := milter.NewServer(milter.Config{
		NewSession: func(c *milter.Conn) milter.Session { return s.tracks.follow(f.NewSession(trackedWire{c, s.tracks})) },
		Log:        st.log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel)), MaxConnections: 1, // only of bugs
	})
	ours, theirs := net.Pipe()
	go server.ServeConn(theirs, "test") //nolint:contextcheck // it ends with the connection
	s.client, err = mta.NewClient(ctx, ours, mta.PostfixOptions(version))
	if err != nil {
		return nil, err
	}
	s.mta = mta.NewSession(s.client, macrosOf(o, peer))
	s.mta.NewQueueID = st.queueID
	if id, ok := o.Macros["i"]; ok {
		s.mta.NewQueueID = func() string { return id }
	}
	return s, nil
}

const (
	defaultName = "client.example.org"
	defaultIP   = "192.0.2.1"
	defaultHost = "mx.example.net"
)

// peerOf is the client as the MTA describes it.
func peerOf(c script.TestClient) (mta.Peer, error) {
	port, name := 49152, defaultName
	if c.Port != nil {
		port = *c.Port
	}
	if port < 0 || port > 65535 {
		return mta.Peer{}, fmt.Errorf("client.port %d: it is from 0 to 65535", port)
	}
	if c.Name != nil {
		name = *c.Name
	}
	switch c.Family {
	case "", "inet", "inet6":
	case "unknown":
		return mta.PeerOf(netip.AddrPort{}, ""), nil
	case "unix":
		if c.Name == nil {
			name = "localhost"
		}
		return mta.Peer{Name: name, Family: 'L', Addr: "/run/client.sock"}, nil
	default:
		return mta.Peer{}, fmt.Errorf("client.family %q: there are inet, inet6, unix and unknown", c.Family)
	}
	ip := defaultIP
	if c.Family == "inet6" {
		ip = "2001:db8::1"
	}
	if c.IP != nil {
		ip = *c.IP
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return mta.Peer{}, fmt.Errorf("client.ip %q is no IP address", ip)
	}
	return mta.PeerOf(netip.AddrPortFrom(addr, uint16(port)), name), nil
}

// macrosOf is what the MTA knows.
func macrosOf(o script.SessionOptions, peer mta.Peer) mta.Macros {
	host := o.Hostname
	if host == "" {
		host = defaultHost
	}
	m := mta.PostfixMacros(host, peer)
	if t := o.TLS; t != nil {
		m["tls_version"], m["cipher"], m["cipher_bits"] = t.Version, t.Cipher, strconv.Itoa(t.Bits)
		if t.Subject != "" {
			m["cert_subject"] = t.Subject
		}
		if t.Issuer != "" {
			m["cert_issuer"] = t.Issuer
		}
	}
	if a := o.Auth; a != nil {
		m["auth_authen"], m["auth_type"] = a.User, a.Method
		if a.Author != "" {
			m["auth_author"] = a.Author
		}
	}
	for name, value := range o.Macros {
		m.Set(name, value)
	}
	return m
}

// report is the filter's: on the connection's goroutine, before the MTA hears of it.
func (s *session) report(o *filter.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes = append(s.outcomes, o)
}

// take is what was reported since it was last called.
func (s *session) take() []*filter.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.outcomes
	s.outcomes = nil
	return list
}

var errOver = errors.New("the session is over: quit() was called")

// Do implements script.TestSession.
func (s *session) Do(ctx context.Context, step script.TestStep) (script.Answer, error) {
	s.doing.Lock()
	defer s.doing.Unlock()
	if s.over {
		return script.Answer{}, errOver
	}
	s.take() // of handlers that no answer waits for
	a, err := s.step(ctx, step)
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Queued, s.queued = s.queued, nil
	return a, err
}

func (s *session) step(ctx context.Context, step script.TestStep) (script.Answer, error) {
	switch step.Do {
	case "connect":
		if s.connected {
			return script.Answer{}, errors.New("the client is connected already")
		}
		return s.connect(ctx)
	case "helo":
		return s.hello(ctx, step.Text)
	case "mail":
		return s.mail(ctx, step.From)
	case "rcpt":
		return s.rcpt(ctx, step.To[0])
	case "data":
		return s.dataCommand(ctx)
	case "message":
		return s.content(ctx, step.Message)
	case "send":
		return s.send(ctx, step)
	case "unknown":
		if a, err := s.greet(ctx); err != nil || refuses(a) {
			return a, err
		}
		r, err := s.mta.Unknown(ctx, step.Text)
		return s.answer("unknown", r, err)
	case "rset":
		return script.Answer{}, s.rset(ctx)
	default: // quit
		return script.Answer{}, s.quit(ctx)
	}
}

func (s *session) connect(ctx context.Context) (script.Answer, error) {
	s.connected = true
	r, err := s.mta.Connect(ctx, s.peer)
	return s.answer("connect", r, err)
}

// greet is what must have been before anything else; the answer is a refusal, or nothing.
func (s *session) greet(ctx context.Context) (script.Answer, error) {
	if !s.connected {
		if a, err := s.connect(ctx); err != nil || refuses(a) {
			return a, err
		}
	}
	if !s.greeted {
		return s.hello(ctx, "")
	}
	if s.ofSession {
		return *s.decided, nil
	}
	return script.Answer{}, nil
}

func (s *session) hello(ctx context.Context, name string) (script.Answer, error) {
	if !s.connected {
		if a, err := s.connect(ctx); err != nil || refuses(a) {
			return a, err
		}
	}
	if name == "" {
		name = s.helo
	}
	s.greeted = true
	r, err := s.mta.Helo(ctx, name)
	return s.answer("helo", r, err)
}

func (s *session) mail(ctx context.Context, from *script.TestPath) (script.Answer, error) {
	if a, err := s.greet(ctx); err != nil || refuses(a) {
		return a, err
	}
	if s.message != nil {
		return script.Answer{}, errors.New("a message is under way: end it by message() or rset() before the next mail()")
	}
	if from == nil {
		from = &script.TestPath{Address: "sender@example.org"}
	}
	s.begin(nil)
	r, err := s.mta.Mail(ctx, from.Address, from.Params...)
	a, err := s.answer("mail", r, err)
	if err == nil && !r.Refuses() {
		s.message = &mta.Message{Sender: from.Address, SenderParams: from.Params}
	}
	return a, err
}

// begin forgets the message before.
func (s *session) begin(m *mta.Message) {
	s.message, s.data = m, false
	if !s.ofSession {
		s.decided = nil
	}
}

func (s *session) rcpt(ctx context.Context, to script.TestPath) (script.Answer, error) {
	if err := s.needMessage("rcpt"); err != nil || s.message == nil {
		return s.refused(err)
	}
	r, err := s.mta.Rcpt(ctx, to.Address, to.Params...)
	if err == nil && !r.Refuses() {
		s.message.Recipients = append(s.message.Recipients, mta.Recipient{Address: to.Address, Params: to.Params})
	}
	return s.answer("rcpt", r, err)
}

// needMessage is an error of a step that an MTA would not let happen. After a
// refusal that holds there is no message, and no error.
func (s *session) needMessage(what string) error {
	if s.message == nil && s.decided == nil {
		return fmt.Errorf("%s() without a mail() that was accepted", what)
	}
	return nil
}

// refused is the refusal that holds.
func (s *session) refused(err error) (script.Answer, error) {
	if err != nil {
		return script.Answer{}, err
	}
	return *s.decided, nil
}

func (s *session) dataCommand(ctx context.Context) (script.Answer, error) {
	if err := s.needMessage("data"); err != nil || s.message == nil {
		return s.refused(err)
	}
	if len(s.message.Recipients) == 0 {
		return script.Answer{}, errors.New("data() without a recipient that was accepted")
	}
	if s.data {
		return script.Answer{}, errors.New("data() was called already: message() is next")
	}
	s.data = true
	r, err := s.mta.Data(ctx)
	a, err := s.answer("data", r, err)
	if err == nil && r.Refuses() {
		return a, s.forget(ctx)
	}
	return a, err
}

// content is the message, DATA included.
func (s *session) content(ctx context.Context, text []byte) (script.Answer, error) {
	if err := s.needMessage("message"); err != nil || s.message == nil {
		a, err := s.refused(err)
		return delivered(a, nil), err
	}
	if !s.data {
		if a, err := s.dataCommand(ctx); err != nil || refuses(a) {
			if err == nil && s.message != nil { // discarded: what the client sends goes nowhere
				err = s.forget(ctx)
			}
			return delivered(a, nil), err
		}
	}
	m := mta.ParseMessage(text)
	if text == nil {
		m = mta.ParseMessage(s.plain())
	}
	m.Sender, m.SenderParams, m.Recipients = s.message.Sender, s.message.SenderParams, s.message.Recipients
	m.AddReceived("from " + s.helo + " (" + s.peer.Name + " [" + s.peer.Addr + "])\n\tby " + defaultHost +
		" with ESMTP; " + s.stand.clock.Now().UTC().Format(time.RFC1123Z))
	aborts := s.tracks.aborts()
	r, err := s.mta.Content(ctx, m)
	if err != nil {
		return script.Answer{}, err
	}
	a, err := s.answer("eom", r, err)
	if err != nil {
		return a, err
	}
	if a.Verdict == "continue" {
		a.Verdict = "accept" // the message is through
	}
	s.begin(nil)
	if refuses(a) {
		m = nil
	}
	return delivered(a, m), s.tracks.aborted(ctx, aborts)
}

// plain is a message that nothing is wrong with.
func (s *session) plain() []byte {
	to := ""
	for i, r := range s.message.Recipients {
		if i > 0 {
			to += ", "
		}
		to += r.Address
	}
	from := s.message.Sender
	if from == "" {
		from = "MAILER-DAEMON@" + defaultHost
	}
	return []byte("From: " + from + "\r\nTo: " + to + "\r\nSubject: test\r\nDate: " +
		s.stand.clock.Now().UTC().Format(time.RFC1123Z) + "\r\nMessage-ID: <" + s.mta.QueueID() + "@example.org>\r\n\r\nhello\r\n")
}

// send is a whole mail.
func (s *session) send(ctx context.Context, step script.TestStep) (script.Answer, error) {
	if step.Text != "" && (!s.greeted || step.Text != s.helo) {
		s.helo = step.Text
		if a, err := s.hello(ctx, step.Text); err != nil || refuses(a) {
			return delivered(a, nil), err
		}
	}
	would := s.wouldBe(nil)
	a, err := s.mail(ctx, step.From)
	would = append(would, a.WouldBe...)
	if err != nil || refuses(a) {
		a.WouldBe = would
		return delivered(a, nil), err
	}
	to := step.To
	if to == nil {
		to = []script.TestPath{{Address: "rcpt@example.net"}}
	}
	var refused []script.RefusedRecipient
	for _, one := range to {
		if a, err = s.rcpt(ctx, one); err != nil {
			return a, err
		}
		would = append(would, a.WouldBe...)
		if a.Verdict == "reject" || a.Verdict == "tempfail" {
			refused = append(refused, script.RefusedRecipient{Recipient: one.Address, Answer: a})
		}
	}
	if len(s.message.Recipients) == 0 {
		if len(to) == 0 {
			return a, errors.New("send: to is empty")
		}
		err = s.rset(ctx)
	} else {
		a, err = s.content(ctx, step.Message)
	}
	a.WouldBe = append(would, a.WouldBe...)
	a.Refused = refused
	if a.Delivered == nil {
		a = delivered(a, nil)
	}
	return a, err
}

// rset is RSET: the message under way is forgotten.
func (s *session) rset(ctx context.Context) error {
	if !s.connected {
		return errors.New("rset() before connect()")
	}
	return s.forget(ctx)
}

// forget tells the filter to forget the message, and waits until it has.
func (s *session) forget(ctx context.Context) error {
	s.begin(nil)
	aborts := s.tracks.aborts()
	if err := s.mta.Abort(ctx); err != nil {
		return err
	}
	if s.ofSession {
		return nil // the connection to the filter is closed
	}
	return s.tracks.aborted(ctx, aborts)
}

// quit is QUIT; it returns when the close handlers have run.
func (s *session) quit(ctx context.Context) error {
	s.over = true
	if err := s.mta.Close(ctx); err != nil {
		return err
	}
	return s.tracks.closed(ctx)
}

// end ends the session at the end of its test, whatever state it is in.
func (s *session) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.doing.Lock()
	defer s.doing.Unlock()
	if !s.over {
		_ = s.quit(ctx) // the test has its result
	}
	_ = s.client.Close()
}
