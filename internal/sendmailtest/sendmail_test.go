package sendmailtest_test

import (
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-milter"
	"go.uber.org/goleak"

	"pmilter/internal/postfixtest"
	"pmilter/internal/sendmailtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// picky is a small milter that is not ours: it refuses the recipient
// bad@example.org and adds a header to the rest.
type picky struct{ milter.NoOpMilter }

func (picky) RcptTo(rcpt string, _ *milter.Modifier) (milter.Response, error) {
	if strings.Contains(rcpt, "bad@") {
		return milter.NewResponseStr(byte(milter.ActReplyCode), "550-5.7.1 two\r\n550 5.7.1 lines"), nil
	}
	return milter.RespContinue, nil
}

func (picky) Body(m *milter.Modifier) (milter.Response, error) {
	if err := m.AddHeader("X-Picky", "yes"); err != nil {
		return nil, err
	}
	if strings.Contains(m.Headers.Get("Subject"), "hold") {
		if err := m.Quarantine("for a look"); err != nil {
			return nil, err
		}
	}
	return milter.RespAccept, nil
}

// serve runs the milter until the test is over.
func serve(t *testing.T) (socket string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &milter.Server{
		NewMilter: func() milter.Milter { return picky{} },
		Actions:   milter.OptAddHeader | milter.OptQuarantine,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with the listener
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "inet:" + port + "@127.0.0.1"
}

func TestMailThroughMilter(t *testing.T) {
	sm := sendmailtest.Start(t, sendmailtest.Config{Filters: []sendmailtest.Filter{{Socket: serve(t), Flags: "T"}}})

	c := sm.Dial(t)
	c.Run(postfixtest.Steps(
		"EHLO client.example.org => 250",
		"MAIL FROM:<a@example.org> => 250 2.1.0 <a@example.org>... Sender ok",
		"RCPT TO:<b@example.org> => 250 2.1.5 <b@example.org>... Recipient ok",
		"RCPT TO:<bad@example.org> => 550-5.7.1 <bad@example.org>... two\n550 5.7.1 lines",
		"DATA => 354",
	)...)
	const message = "From: a@example.org\r\nSubject:\t odd   spaces\r\n folded\r\n\r\n.dot\r\nb\xffdy\r\n"
	reply := c.Data(message)
	mail := sm.Sink.Wait(t, reply.QueueID())
	if want := strings.Replace(message, "\r\n\r\n", "\r\nX-Picky: yes\r\n\r\n", 1); mail.Plain() != want {
		t.Errorf("delivered %q, want %q", mail.Plain(), want)
	}
	if mail.Sender != "a@example.org" || len(mail.Recipients) != 1 {
		t.Errorf("envelope: %+v", mail)
	}

	c = sm.Dial(t) // no ABORT parts the messages of a connection, and picky would take them for one
	c.Run(postfixtest.Steps("EHLO client.example.org => 250")...)
	held := c.Send("a@example.org", []string{"b@example.org"}, "Subject: hold\n\nx\n")
	queue := sm.Queue(t)
	if len(queue) != 1 || queue[0].ID != held.QueueID() || queue[0].Quarantine != "for a look" {
		t.Fatalf("queue: %+v, want %q", queue, held.QueueID())
	}
	if !strings.Contains(queue[0].Control, "X-Picky: yes") {
		t.Errorf("control file: %s", queue[0].Control)
	}
	sm.Delete(t, held.QueueID())
	if queue := sm.Queue(t); len(queue) > 0 {
		t.Errorf("queue: %+v, want none", queue)
	}

	if out, err := sm.Submit("To: c@example.org\nSubject: local\n\nx\n", "-i", "-t", "-f", "a@example.org"); err != nil {
		t.Errorf("sendmail -t: %v: %s", err, out)
	}
	sm.Sink.WaitFor(t, "mail from sendmail -t", func(m *postfixtest.Mail) bool {
		return strings.Contains(m.Header(), "Subject: local\r\n")
	})
}

// Several instances run at once and do not meet; a message goes through the
// queue or not.
func TestSeveral(t *testing.T) {
	for _, mode := range []string{"b", "i", "q"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			sm := sendmailtest.Start(t, sendmailtest.Config{Delivery: mode})
			c := sm.Dial(t)
			c.Run(postfixtest.Steps("HELO x => 250")...)
			sm.Sink.Wait(t, c.Send("", []string{"b@example.org"}, "Subject: "+mode+"\n\n").QueueID())
			if mails := sm.Sink.Mails(); len(mails) != 1 || mails[0].Plain() != "Subject: "+mode+"\r\n\r\n" {
				t.Errorf("%d mails, the first %q", len(mails), mails[0].Data)
			}
		})
	}
}
