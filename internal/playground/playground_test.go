package playground_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"pmilter/internal/mta/miltertest"
	"pmilter/internal/playground"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// ground is a playground that runs until the test ends.
type ground struct {
	t    *testing.T
	addr string
	dir  string
	out  *syncBuffer
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, m *miltertest.Milter, change func(*playground.Config)) *ground {
	t.Helper()
	milterAddr := m.Listen(t)
	g := &ground{t: t, dir: filepath.Join(t.TempDir(), "maildir"), out: &syncBuffer{}, done: make(chan error, 1)}
	ready := make(chan net.Addr, 1)
	cfg := playground.Config{
		SMTPAddr: "127.0.0.1:0", Maildir: g.dir, Out: g.out, Hostname: "mx.example.net",
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", milterAddr.String())
		},
		Ready: func(a net.Addr) { ready <- a },
	}
	if change != nil {
		change(&cfg)
	}
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	go func() { g.done <- playground.Run(ctx, cfg) }()
	select {
	case a := <-ready:
		g.addr = a.String()
	case err := <-g.done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-g.done; err != nil {
			t.Error(err)
		}
	})
	return g
}

// talk sends lines and gives the replies to them, the greeting first. A line
// may be several, separated by LF: then it has one reply.
func (g *ground) talk(lines ...string) []string {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	c := textproto.NewConn(conn)
	var replies []string
	read := func() bool {
		var all []string
		for {
			line, err := c.ReadLine()
			if err != nil {
				replies = append(replies, "closed")
				return false
			}
			all = append(all, line)
			if len(line) < 4 || line[3] != '-' {
				break
			}
		}
		replies = append(replies, strings.Join(all, "|"))
		return true
	}
	if !read() {
		return replies
	}
	for _, line := range lines {
		if _, err := fmt.Fprint(conn, strings.ReplaceAll(line, "\n", "\r\n")+"\r\n"); err != nil {
			replies = append(replies, "closed")
			break
		}
		if !read() {
			break
		}
	}
	return replies
}

// mail is a whole mail to a and b.
func (g *ground) mail() []string {
	return g.talk("EHLO helo.example.org", "MAIL FROM:<s@example.org>", "RCPT TO:<a@example.net>", "RCPT TO:<b@example.net>",
		"DATA", "Subject: hello\nX-Old: 1\n\nbody\n.", "QUIT")
}

// files are the messages in a folder of the Maildir, our Received taken out.
func (g *ground) files(folder string) []string {
	g.t.Helper()
	names, err := filepath.Glob(filepath.Join(g.dir, folder, "new", "*"))
	if err != nil {
		g.t.Fatal(err)
	}
	var out []string
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			g.t.Fatal(err)
		}
		var kept []string
		lines := strings.Split(string(data), "\n")
		for i := 0; i < len(lines); i++ {
			if strings.HasPrefix(lines[i], "Received: from [127.0.0.1] by mx.example.net with ESMTP id ") {
				i++ // its date is folded
				continue
			}
			kept = append(kept, lines[i])
		}
		out = append(out, strings.Join(kept, "\n"))
	}
	return out
}

func on(letter byte, packets ...string) func(byte, string) []string {
	return func(code byte, _ string) []string {
		if code == letter {
			return packets
		}
		return nil
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{}
	g := start(t, m, nil)
	replies := g.mail()
	if got := replies[6]; !strings.HasPrefix(got, "250 2.0.0 Ok: ") || replies[2] != "250 2.1.0 Ok" || replies[3] != "250 2.1.5 Ok" {
		t.Errorf("replies %q", replies)
	}
	want := "Return-Path: <s@example.org>\nDelivered-To: a@example.net\nDelivered-To: b@example.net\nSubject: hello\nX-Old: 1\n\nbody\n"
	if got := g.files(""); len(got) != 1 || got[0] != want {
		t.Errorf("files %q", got)
	}
	if got := strings.TrimRight(m.Commands(), "AQ"); got != "CHMRRTLLNBE" {
		t.Errorf("the milter got %s", got)
	}
	for _, want := range []string{"accept    eom      <s@example.org> to <a@example.net>, <b@example.net>  in " + g.dir + "/new/"} {
		if !strings.Contains(g.out.String(), want) {
			t.Errorf("output\n%s\nwant %q in it", g.out, want)
		}
	}
}

func TestEditsAsDelivered(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: on(
		'E', "hX-New\x00n\x00", miltertest.Header('i', 0, "X-Top", "t"), miltertest.Header('m', 1, "Subject", "changed"),
		miltertest.Header('m', 1, "X-Old", ""), "bnew\r\n", "+<c@example.net>\x00", "-<a@example.net>\x00", "e<n@example.org>\x00", "c",
	)}
	g := start(t, m, nil)
	g.mail()
	want := "Return-Path: <n@example.org>\nDelivered-To: b@example.net\nDelivered-To: c@example.net\nX-Top: t\nSubject: changed\nX-New: n\n\nnew\n"
	if got := g.files(""); len(got) != 1 || got[0] != want {
		t.Errorf("files %q", got)
	}
	if !strings.Contains(g.out.String(), "+ change header Subject (number 1): changed") {
		t.Errorf("output\n%s", g.out)
	}
}

// TestRefusals: in each phase the client gets the milter's own words where
// Postfix would give them, and nothing is delivered.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const y = "y554-5.7.1 no %% really\r\n554 5.7.1 never\x00"
	const no = "554-5.7.1 no % really|554 5.7.1 never"
	tests := []struct {
		letter byte
		reply  string
		at     int // which reply of mail
		want   string
		shown  string
	}{
		{'C', y, 1, no, "reject    connect"},
		{'C', "t", 1, "451 4.7.1 Service unavailable - try again later", "tempfail  connect"},
		{'C', "y421 4.3.2 busy\x00", 0, "421 4.3.2 busy", "tempfail  connect"},
		{'H', y, 1, no, "reject    helo"},
		{'M', y, 2, no, "reject    mail"},
		{'M', "y421 4.3.2 busy\x00", 2, "421 4.3.2 busy", "tempfail  mail"},
		{'R', y, 3, no, "reject    rcpt"},
		{'T', y, 6, no, "reject    data"},
		{'L', y, 6, no, "reject    header"},
		{'N', "r", 6, "550 5.7.1 Command rejected", "reject    eoh"},
		{'B', y, 6, no, "reject    body"},
		{'E', "t", 6, "451 4.7.1 Service unavailable - try again later", "tempfail  eom"},
		{'E', "y451 later\x00", 6, "451 later", "tempfail  eom"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%c %.4s", tt.letter, tt.reply), func(t *testing.T) {
			t.Parallel()
			g := start(t, &miltertest.Milter{Reply: on(tt.letter, tt.reply)}, func(c *playground.Config) {
				c.Where = func(d playground.Decision) playground.Place {
					return playground.Place{Script: "limit.js:7 " + string(d.Phase)}
				}
			})
			replies := g.mail()
			if len(replies) <= tt.at || replies[tt.at] != tt.want {
				t.Errorf("replies %q, want %q at %d", replies, tt.want, tt.at)
			}
			if strings.HasPrefix(tt.want, "421") && replies[len(replies)-1] != "closed" {
				t.Errorf("not closed after 421: %q", replies)
			}
			if got := g.files(""); len(got) != 0 {
				t.Errorf("delivered %q", got)
			}
			if !strings.Contains(g.out.String(), tt.shown) || !strings.Contains(g.out.String(), "limit.js:7 "+strings.Fields(tt.shown)[1]) {
				t.Errorf("output\n%s\nwant %q in it", g.out, tt.shown)
			}
		})
	}
}

func TestRefusedConnectionStaysRefused(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: on('C', "r")}
	g := start(t, m, nil)
	replies := g.talk("EHLO a", "HELO b", "MAIL FROM:<s@example.org>", "QUIT")
	if !strings.HasPrefix(replies[0], "220 ") || !strings.HasPrefix(replies[1], "550 5.7.1") || !strings.HasPrefix(replies[2], "550 5.7.1") ||
		!strings.HasPrefix(replies[3], "5") || !strings.HasPrefix(replies[4], "221 ") {
		t.Errorf("replies %q", replies)
	}
	if m.Commands() != "C" {
		t.Errorf("the milter got %s", m.Commands())
	}
}

func TestOneRecipientRefused(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, payload string) []string {
		if code == 'R' && strings.HasPrefix(payload, "<a@") {
			return []string{"y550 5.1.1 unknown\x00"}
		}
		return nil
	}}
	g := start(t, m, nil)
	replies := g.mail()
	if replies[3] != "550 5.1.1 unknown" || !strings.HasPrefix(replies[4], "250 ") || !strings.HasPrefix(replies[6], "250 ") {
		t.Errorf("replies %q", replies)
	}
	if got := g.files(""); len(got) != 1 || strings.Contains(got[0], "a@example.net") || !strings.Contains(got[0], "Delivered-To: b@example.net") {
		t.Errorf("files %q", got)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	for _, letter := range []byte("MRE") {
		g := start(t, &miltertest.Milter{Reply: on(letter, "d")}, nil)
		if replies := g.mail(); !strings.HasPrefix(replies[6], "250 2.0.0 Ok: ") {
			t.Errorf("%c: replies %q", letter, replies)
		}
		if got := g.files(""); len(got) != 0 {
			t.Errorf("%c: delivered %q", letter, got)
		}
		if out := g.out.String(); !strings.Contains(out, "discard ") || !strings.Contains(out, "not delivered") {
			t.Errorf("%c: output\n%s", letter, out)
		}
	}
}

func TestQuarantine(t *testing.T) {
	t.Parallel()
	g := start(t, &miltertest.Milter{Reply: on('E', "qlooks odd\x00", "c")}, nil)
	g.mail()
	if in, held := g.files(""), g.files(".Quarantine"); len(in) != 0 || len(held) != 1 {
		t.Errorf("in %q, held %q", in, held)
	}
	if out := g.out.String(); !strings.Contains(out, "quarantined (looks odd)") {
		t.Errorf("output\n%s", out)
	}
}

func TestNoRecipientLeft(t *testing.T) {
	t.Parallel()
	g := start(t, &miltertest.Milter{Reply: on('E', "-<a@example.net>\x00", "-<b@example.net>\x00", "c")}, nil)
	g.mail()
	if got := g.files(""); len(got) != 0 || !strings.Contains(g.out.String(), "no recipient is left") {
		t.Errorf("files %q, output\n%s", got, g.out)
	}
}

// TestAcceptedMeansStored: a message that cannot be stored is not accepted.
func TestAcceptedMeansStored(t *testing.T) {
	t.Parallel()
	g := start(t, &miltertest.Milter{}, nil)
	if err := os.RemoveAll(filepath.Join(g.dir, "new")); err != nil {
		t.Fatal(err)
	}
	if replies := g.mail(); !strings.HasPrefix(replies[6], "451 4.3.0 ") {
		t.Errorf("replies %q", replies)
	}
	if !strings.Contains(g.out.String(), "trouble") {
		t.Errorf("output\n%s", g.out)
	}
}

// TestMilterTrouble: without a reliable milter everything is put off.
func TestMilterTrouble(t *testing.T) {
	t.Parallel()
	t.Run("not there", func(t *testing.T) {
		t.Parallel()
		g := start(t, &miltertest.Milter{}, func(c *playground.Config) {
			c.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("nobody is there") }
		})
		if replies := g.mail(); !strings.HasPrefix(replies[1], "451 4.7.1 ") {
			t.Errorf("replies %q", replies)
		}
		if !strings.Contains(g.out.String(), "nobody is there") {
			t.Errorf("output\n%s", g.out)
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		t.Parallel()
		g := start(t, &miltertest.Milter{Reply: on('E', "z")}, nil)
		if replies := g.mail(); !strings.HasPrefix(replies[6], "451 4.7.1 ") {
			t.Errorf("replies %q", replies)
		}
		if got := g.files(""); len(got) != 0 {
			t.Errorf("delivered %q", got)
		}
	})
}

func TestUnknownCommands(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, payload string) []string {
		if code == 'U' && payload != "HELP\x00" {
			return []string{"y550 5.7.1 none of that\x00"}
		}
		return nil
	}}
	g := start(t, m, nil)
	replies := g.talk("EHLO x", "XYZZY now", "FOOO", "HELP", "NOOP", "QUIT")
	for i, want := range []string{"220 ", "250-", "550 5.7.1 none of that", "550 5.7.1 none of that", "502 ", "250 ", "221 "} {
		if !strings.HasPrefix(replies[i], want) {
			t.Errorf("reply %d is %q, want %q", i, replies[i], want)
		}
	}
	if log := strings.Join(m.Log(), " "); !strings.Contains(log, "UXYZZY|") || !strings.Contains(log, "UFOOO|") || !strings.Contains(log, "UHELP|") {
		t.Errorf("the milter got %s", log)
	}
}

func TestSecondHelo(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: func(code byte, payload string) []string {
		if code == 'H' && payload == "bad\x00" {
			return []string{"y550 5.7.1 bad name\x00"}
		}
		return nil
	}}
	g := start(t, m, nil)
	replies := g.talk("EHLO good", "MAIL FROM:<s@example.org>", "EHLO good", "MAIL FROM:<s@example.org>", "EHLO bad", "MAIL FROM:<s@example.org>", "QUIT")
	if replies[6] != "550 5.7.1 bad name" {
		t.Errorf("replies %q", replies)
	}
	if got := m.Commands(); got != "CHMAHMAH" {
		t.Errorf("the milter got %s", got)
	}
}

func TestManyMessagesAndReset(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{}
	g := start(t, m, nil)
	one := []string{"MAIL FROM:<s@example.org>", "RCPT TO:<a@example.net>", "DATA", "A: 1\n\nHELO y\n.", "QUIT"}
	replies := g.talk(append([]string{
		"EHLO x", "MAIL FROM:<s@example.org>", "RSET", "MAIL FROM:<>", "RCPT TO:<a@example.net>", "DATA", "EHLO y\n\nEHLO z\n.",
	}, one...)...)
	if n := len(g.files("")); n != 2 {
		t.Errorf("%d messages, replies %q", n, replies)
	}
	if got := strings.ReplaceAll(strings.TrimRight(m.Commands(), "AQ"), "A", ""); got != "CHMMRTNBEMRTLNBE" {
		t.Errorf("the milter got %s", got)
	}
}

// TestExtensions: parameters reach the milter, and BDAT delivers as DATA does.
func TestExtensions(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{}
	g := start(t, m, nil)
	c, err := smtp.Dial(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, ext := range []string{"SMTPUTF8", "8BITMIME", "DSN", "SIZE", "PIPELINING"} {
		if ok, _ := c.Extension(ext); !ok {
			t.Errorf("%s is not offered", ext)
		}
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(c.Mail("jörg@example.org", &smtp.MailOptions{UTF8: true, Size: 10, Return: smtp.DSNReturnHeaders, EnvelopeID: "a+b", Body: smtp.Body8BitMIME}))
	check(c.Rcpt("a@example.net", &smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure},
		OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "o@example.net",
	}))
	w, err := c.Data()
	check(err)
	fmt.Fprint(w, "A: \xff\r\n\r\n.dot\r\n\xfe\r\n")
	check(w.Close())
	check(c.Quit())
	log := strings.Join(m.Log(), " ")
	for _, want := range []string{
		"M<jörg@example.org>|SIZE=10|BODY=8BITMIME|SMTPUTF8|RET=HDRS|ENVID=a+2Bb|",
		"R<a@example.net>|NOTIFY=SUCCESS,FAILURE|ORCPT=rfc822;o@example.net|", "B.dot\r\n\xfe\r\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the milter got %q, want %q in it", log, want)
		}
	}
	if got := g.files(""); len(got) != 1 || !strings.HasSuffix(got[0], "A: \xff\n\n.dot\n\xfe\n") {
		t.Errorf("files %q", got)
	}
	replies := g.talk("EHLO x", `MAIL FROM:<"a \"b"@example.org>`, "RCPT TO:<a@example.net>", "BDAT 8\nB: 2\n", "BDAT 3 LAST\nx", "QUIT")
	if n := len(g.files("")); n != 2 {
		t.Errorf("%d messages, replies %q", n, replies)
	}
	if log := strings.Join(m.Log(), " "); !strings.Contains(log, `M<"a \"b"@example.org>|`) {
		t.Errorf("the milter got %q", log)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{}
	g := start(t, m, func(c *playground.Config) { c.MaxMessage, c.MaxRecipients = 1000, 1 })
	replies := g.mail()
	if !strings.HasPrefix(replies[4], "452 4.5.3") || !strings.HasPrefix(replies[6], "250 ") {
		t.Errorf("replies %q", replies)
	}
	replies = g.talk("EHLO x", "MAIL FROM:<s@example.org>", "RCPT TO:<a@example.net>", "DATA", strings.Repeat("x", 2000)+"\n.", "NOOP", "QUIT")
	if !strings.HasPrefix(replies[5], "552 5.3.4") || !strings.HasPrefix(replies[6], "250 ") {
		t.Errorf("replies %q", replies)
	}
	if n := len(g.files("")); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestMessageCutShort: a client that vanishes in DATA leaves no message.
func TestMessageCutShort(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{}
	g := start(t, m, nil)
	g.talk("EHLO x", "MAIL FROM:<s@example.org>", "RCPT TO:<a@example.net>", "DATA")
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "EHLO x\r\nMAIL FROM:<s@example.org>\r\nRCPT TO:<a@example.net>\r\nDATA\r\nSubject: half\r\n\r\nbody")
	conn.Close()
	g.stop()
	if err := <-g.done; err != nil {
		t.Error(err)
	}
	g.done <- nil
	if got := g.files(""); len(got) != 0 {
		t.Errorf("delivered %q", got)
	}
	if strings.Contains(m.Commands(), "E") {
		t.Errorf("the milter got %s", m.Commands())
	}
}

// TestStop: a message under way gets its verdict and is stored, idle clients go.
func TestStop(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	m := &miltertest.Milter{Reply: func(code byte, _ string) []string {
		if code == 'E' {
			close(asked)
			<-answer
		}
		return nil
	}}
	g := start(t, m, nil)
	idle, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	got := make(chan []string, 1)
	go func() { got <- g.mail() }()
	<-asked
	g.stop()
	idle.SetReadDeadline(time.Now().Add(time.Minute))
	for buf := make([]byte, 100); err == nil; {
		_, err = idle.Read(buf)
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("an idle connection was not closed")
	}
	close(answer)
	if replies := <-got; !strings.HasPrefix(replies[6], "250 ") {
		t.Errorf("replies %q", replies)
	}
	if n := len(g.files("")); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestStopHasAnEnd: a milter that never answers does not hold the server up.
func TestStopHasAnEnd(t *testing.T) {
	t.Parallel()
	asked, never := make(chan struct{}), make(chan struct{})
	m := &miltertest.Milter{Reply: func(code byte, _ string) []string {
		if code == 'E' {
			close(asked)
			<-never
		}
		return nil
	}}
	g := start(t, m, func(c *playground.Config) { c.Grace = 50 * time.Millisecond })
	got := make(chan []string, 1)
	go func() { got <- g.mail() }()
	<-asked
	g.stop()
	err := <-g.done
	g.done <- err
	close(never)
	if replies := <-got; strings.HasPrefix(replies[len(replies)-1], "250 2.0.0 Ok") {
		t.Errorf("replies %q", replies)
	}
	if n := len(g.files("")); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestGreetingSaysWhatToType(t *testing.T) {
	t.Parallel()
	g := start(t, &miltertest.Milter{}, func(c *playground.Config) {
		c.Scripts = []string{"10-a.js", "20-b.ts"}
		c.Hints = []string{"To be refused, write to refuse@example.net."}
	})
	for _, want := range []string{
		g.addr, g.dir, "10-a.js, 20-b.ts", "To be refused, write to refuse@example.net.",
		"swaks --server " + g.addr, "curl smtp://" + g.addr + " --mail-from alice@example.org --mail-rcpt bob@example.net --upload-file -",
	} {
		if !strings.Contains(g.out.String(), want) {
			t.Errorf("output\n%s\nwant %q in it", g.out, want)
		}
	}
}

// TestOutputCannotBeForged: text from a mail or milter is only ever text.
func TestOutputCannotBeForged(t *testing.T) {
	t.Parallel()
	m := &miltertest.Milter{Reply: on('E', "hX\x00\x1b[2Jgone\n\taccept    eom\x00", "c")}
	g := start(t, m, nil)
	before := strings.Count(g.out.String(), "\n")
	g.talk("EHLO x", "MAIL FROM:<\x1bx@example.org>", "RCPT TO:<a@example.net>", "DATA", "A: 1\n\n.", "QUIT")
	out := g.out.String()
	if strings.Contains(out, "\x1b") || strings.Count(out, "\n") != before+2 {
		t.Errorf("output %q", out)
	}
}

func TestListenTrouble(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	err = playground.Run(t.Context(), playground.Config{SMTPAddr: ln.Addr().String(), Maildir: t.TempDir(), Out: &syncBuffer{}})
	if err == nil || !strings.Contains(err.Error(), "--smtp") {
		t.Errorf("error %v", err)
	}
}
