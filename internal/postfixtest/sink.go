package postfixtest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// SinkConfig says how the delivery side behaves.
type SinkConfig struct {
	// OnMail, if not nil, is called for each delivered mail, from the sink's
	// goroutines, before the mail is confirmed to Postfix.
	OnMail func(*Mail)
}

// Mail is one delivered message, as it came over LMTP.
type Mail struct {
	QueueID    string   // from the MTA's own Received line
	Sender     string   // the MAIL argument without brackets
	SenderArgs []string // its ESMTP parameters, as Postfix gave them
	Recipients []string
	RcptArgs   [][]string // the parameters of each recipient
	Data       []byte     // header and body, line ends CRLF, dots unstuffed
}

// Header is the message's header section, with its last CRLF, without the
// empty line; Body is what follows that line.
func (m *Mail) Header() string {
	header, _, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
	return string(header) + "\r\n"
}

// Body is the message's body.
func (m *Mail) Body() []byte {
	_, body, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
	return body
}

// Fields are the header fields, folds and all, without their final CRLF.
func (m *Mail) Fields() []string {
	var fields []string
	for line := range strings.SplitSeq(strings.TrimSuffix(m.Header(), "\r\n"), "\r\n") {
		if len(fields) > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			fields[len(fields)-1] += "\r\n" + line
			continue
		}
		fields = append(fields, line)
	}
	return fields
}

// Plain is the whole message without the Received field that Postfix itself
// put above it on arrival: what a milter could have changed.
func (m *Mail) Plain() string {
	loc := ownReceived.FindStringIndex(string(m.Data))
	if loc == nil {
		return string(m.Data)
	}
	return string(m.Data[:loc[0]]) + string(m.Data[loc[1]:])
}

// ownReceived is the field that this package's Postfix, or sendmailtest's
// Sendmail, adds on arrival.
var ownReceived = regexp.MustCompile(`(?m)^Received: (?:\((?:[^\r]|\r\n[ \t])*?|from [^\r]*\r\n\t)?by mx\.example\.org \((?:Postfix|8\.)(?:[^\r]|\r\n[ \t])*?\bid (\w+)(?:[^\r]|\r\n[ \t])*\r\n`)

// Sink is an LMTP server that keeps what it is given.
type Sink struct {
	Addr string // "127.0.0.1:port"

	config SinkConfig
	mu     sync.Mutex
	mails  []*Mail
	more   chan struct{} // closed and replaced with each mail
}

// StartSink runs a sink until the test is over.
func StartSink(t testing.TB, config SinkConfig) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("postfixtest: sink: %v", err)
	}
	s := &Sink{Addr: l.Addr().String(), config: config, more: make(chan struct{})}
	var conns sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			conns.Go(func() {
				s.serve(conn)
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		conns.Wait()
	})
	return s
}

// Mails is all that has been delivered so far.
func (s *Sink) Mails() []*Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Mail(nil), s.mails...)
}

// Wait returns the mail with that queue id once it is delivered, and fails
// the test when it is not within a reasonable time.
func (s *Sink) Wait(t testing.TB, queueID string) *Mail {
	t.Helper()
	return s.WaitFor(t, "queue id "+queueID, func(m *Mail) bool { return m.QueueID == queueID })
}

// WaitFor returns the first mail that fits, now or soon; what names it in the
// failure.
func (s *Sink) WaitFor(t testing.TB, what string, fits func(*Mail) bool) *Mail {
	t.Helper()
	deadline := time.After(30 * time.Second)
	seen := 0
	for {
		s.mu.Lock()
		fresh, more := s.mails[seen:], s.more
		seen = len(s.mails)
		s.mu.Unlock()
		for _, m := range fresh {
			if fits(m) {
				return m
			}
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("not delivered: %s", what)
		}
	}
}

// WaitCount returns when at least n mails are there.
func (s *Sink) WaitCount(t testing.TB, n int) []*Mail {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		s.mu.Lock()
		mails, more := append([]*Mail(nil), s.mails...), s.more
		s.mu.Unlock()
		if len(mails) >= n {
			return mails
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%d mails delivered, want %d", len(mails), n)
		}
	}
}

// add keeps a mail and wakes those who wait.
func (s *Sink) add(m *Mail) {
	if found := ownReceived.FindSubmatch(m.Data); found != nil {
		m.QueueID = string(found[1])
	}
	if s.config.OnMail != nil {
		s.config.OnMail(m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	close(s.more)
	s.more = make(chan struct{})
}

// serve speaks LMTP (RFC 2033) with one client, who is Postfix and well behaved.
func (s *Sink) serve(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReader(conn), bufio.NewWriter(conn)
	reply := func(lines ...string) {
		for _, line := range lines {
			fmt.Fprintf(w, "%s\r\n", line)
		}
		if r.Buffered() == 0 {
			w.Flush() // an error shows at the next read
		}
	}
	reply("220 sink.example.org LMTP")
	mail := &Mail{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch verb {
		case "LHLO":
			reply("250-sink.example.org", "250-PIPELINING", "250-8BITMIME", "250-SMTPUTF8", "250-DSN",
				"250-SIZE", "250 ENHANCEDSTATUSCODES")
		case "MAIL":
			mail = &Mail{}
			mail.Sender, mail.SenderArgs = splitPath(line)
			reply("250 2.1.0 Ok")
		case "RCPT":
			path, args := splitPath(line)
			mail.Recipients, mail.RcptArgs = append(mail.Recipients, path), append(mail.RcptArgs, args)
			reply("250 2.1.5 Ok")
		case "DATA":
			reply("354 Go on")
			if mail.Data, err = readDotted(r); err != nil {
				return
			}
			s.add(mail)
			for range mail.Recipients {
				reply("250 2.0.0 Kept")
			}
			mail = &Mail{}
		case "RSET":
			mail = &Mail{}
			reply("250 2.0.0 Ok")
		case "QUIT":
			reply("221 2.0.0 Bye")
			return
		default:
			reply("502 5.5.2 What?")
		}
	}
}

// splitPath takes "MAIL FROM:<a@example.org> RET=FULL" apart.
func splitPath(line string) (path string, args []string) {
	_, rest, _ := strings.Cut(line, "<")
	end := strings.LastIndex(rest, ">")
	if end < 0 {
		return rest, nil
	}
	return rest[:end], strings.Fields(rest[end+1:])
}

// readDotted reads a message up to its final dot and unstuffs it. What is
// between two CRLF stays as it is, a lone CR or NUL too.
func readDotted(r *bufio.Reader) ([]byte, error) {
	var data []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return data, nil
		}
		data = append(data, bytes.TrimPrefix(line, []byte("."))...)
	}
}
