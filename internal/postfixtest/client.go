package postfixtest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// replyTimeout is how long a client waits for a reply: longer than Postfix
// waits for a milter (30 s in a command).
const replyTimeout = 60 * time.Second

// Reply is one SMTP reply, line by line as the client saw it, codes included.
type Reply struct {
	Lines []string // without CRLF; none when the server hung up
}

// Code is the reply's code, or 0 when the server hung up instead.
func (r Reply) Code() int {
	if len(r.Lines) == 0 || len(r.Lines[0]) < 3 {
		return 0
	}
	code, err := strconv.Atoi(r.Lines[0][:3])
	if err != nil {
		return 0
	}
	return code
}

// String is the reply's lines, joined with LF.
func (r Reply) String() string { return strings.Join(r.Lines, "\n") }

// QueueID is the name under which Postfix or Sendmail queued the message, or "".
func (r Reply) QueueID() string {
	found := queuedAs.FindStringSubmatch(r.String())
	if found == nil {
		return ""
	}
	return found[1] + found[2]
}

var queuedAs = regexp.MustCompile(`queued as (\w+)|^250 2\.0\.0 (\w{14,}) Message accepted`)

// Matches tells whether the reply is as wanted: a code of three digits stands
// for any reply with that code, anything longer for the verbatim lines. "" is
// a server that hung up.
func (r Reply) Matches(want string) bool {
	if len(want) == 3 {
		return strconv.Itoa(r.Code()) == want
	}
	return r.String() == want
}

// Client is one SMTP connection that keeps each reply verbatim. It belongs to
// one goroutine. Trouble with the connection, other than its end, fails the test.
type Client struct {
	// Greeting is what the server said first.
	Greeting Reply
	// Transcript is the dialogue so far, for messages to the developer.
	Transcript strings.Builder

	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// Dial connects to the instance and reads the greeting. The connection is
// closed with the test at the latest.
func (p *Postfix) Dial(t testing.TB) *Client {
	t.Helper()
	return Dial(t, p.Addr)
}

// Dial connects to an SMTP server and reads its greeting.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	// A Sendmail whose port was taken for a moment, by some client's end of a
	// connection, tries again after five seconds.
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err == nil {
			return NewClient(t, conn)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			t.Fatalf("smtp: %v", err)
		}
	}
}

// NewClient reads the greeting of a server on a connection, which it closes with
// the test at the latest.
func NewClient(t testing.TB, conn net.Conn) *Client {
	t.Helper()
	c := &Client{t: t, conn: conn, r: bufio.NewReader(conn)}
	t.Cleanup(c.Close)
	c.Greeting = c.Read()
	return c
}

// Close ends the connection without QUIT. It may be called twice.
func (c *Client) Close() { c.conn.Close() }

// Write sends bytes as they are.
func (c *Client) Write(raw string) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	// A server that hung up shows at the next Read.
	if _, err := c.conn.Write([]byte(raw)); err != nil {
		fmt.Fprintf(&c.Transcript, "! %v\n", err)
	}
}

// Read reads one reply.
func (c *Client) Read() Reply {
	c.t.Helper()
	var reply Reply
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(replyTimeout))
		line, err := c.r.ReadString('\n')
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			c.t.Fatalf("smtp: no reply within %v:\n%s", replyTimeout, c.Transcript.String())
		}
		if err != nil {
			fmt.Fprintf(&c.Transcript, "! %v\n", err)
			return reply
		}
		line = strings.TrimSuffix(line, "\r\n")
		fmt.Fprintf(&c.Transcript, "S: %s\n", line)
		reply.Lines = append(reply.Lines, line)
		if len(line) < 4 || line[3] != '-' {
			return reply
		}
	}
}

// Cmd sends one command line and reads its reply.
func (c *Client) Cmd(line string) Reply {
	c.t.Helper()
	fmt.Fprintf(&c.Transcript, "C: %s\n", line)
	c.Write(line + "\r\n")
	return c.Read()
}

// Data sends a message after a 354: message is its text with CRLF or LF line
// ends; dots are stuffed and the final dot is added. It returns the reply to
// the dot.
func (c *Client) Data(message string) Reply {
	c.t.Helper()
	fmt.Fprintf(&c.Transcript, "C: (%d bytes)\n", len(message))
	c.Write(Dotted(message))
	return c.Read()
}

// Dotted is a message as it follows DATA: CRLF, stuffed, with the final dot.
// A lone CR stays.
func Dotted(message string) string {
	text := strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\r\n")
	if text != "" && !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	if strings.HasPrefix(text, ".") {
		text = "." + text
	}
	return strings.ReplaceAll(text, "\r\n.", "\r\n..") + ".\r\n"
}

// Step is one command of a dialogue and the reply that it must get; see
// Reply.Matches for how Want is read.
type Step struct {
	Send string
	Want string
}

// Steps parses a dialogue written one line a command, "command => reply". A
// "\n" in the reply stands for a line break, as does any Go string's.
func Steps(lines ...string) []Step {
	steps := make([]Step, 0, len(lines))
	for _, line := range lines {
		send, want, _ := strings.Cut(line, " => ")
		steps = append(steps, Step{send, want})
	}
	return steps
}

// Run speaks the dialogue and fails the test at each reply that is not the
// wanted one. It returns the replies.
func (c *Client) Run(steps ...Step) []Reply {
	c.t.Helper()
	replies := make([]Reply, 0, len(steps))
	for _, step := range steps {
		reply := c.Cmd(step.Send)
		if !reply.Matches(step.Want) {
			c.t.Errorf("%s\n got %q\nwant %q\n%s", step.Send, reply, step.Want, c.Transcript.String())
		}
		replies = append(replies, reply)
	}
	return replies
}

// Send sends one whole mail and returns the last reply: that to the final dot,
// or the first refusal before it. No refusal of a recipient ends it as long as
// one was accepted.
func (c *Client) Send(from string, to []string, message string) Reply {
	c.t.Helper()
	if reply := c.Cmd("MAIL FROM:<" + from + ">"); reply.Code() != 250 {
		return reply
	}
	accepted, last := 0, Reply{}
	for _, rcpt := range to {
		if last = c.Cmd("RCPT TO:<" + rcpt + ">"); last.Code() == 250 {
			accepted++
		}
	}
	if accepted == 0 {
		return last
	}
	if reply := c.Cmd("DATA"); reply.Code() != 354 {
		return reply
	}
	return c.Data(message)
}
